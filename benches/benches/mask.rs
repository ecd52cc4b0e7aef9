//! Compares masking with other libraries, on the same bytes, with memcpy as the limit.
//!
//! Payloads begin where those of frames do: 6, 8 or 14 bytes after a page boundary. Libraries whose masking is not
//! public (tungstenite, tokio-websockets, soketto) are omitted.
//!
//! "In place" masks the same bytes again and again. "Just arrived" first copies a frame to the place where it is
//! masked, as `recv` would: short frames are then loaded while their stores are still pending.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::table;
use sansocket_mask::{Kernel, MaskingKey};

const KEY: MaskingKey = [0x37, 0xfa, 0x21, 0x3d];
const SIZES: [usize; 11] = [4, 16, 31, 64, 125, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];

/// A name, and a function that masks in place with `KEY`.
type Peer = (&'static str, fn(&mut [u8]));
/// A name, and a function that makes a masked copy.
type Copier = (&'static str, fn(&mut Vec<u8>, &[u8]));

const PEERS: [Peer; 8] = [
    ("sansocket", |payload| sansocket_mask::apply(payload, KEY, 0)),
    ("sansocket, portable", |payload| Kernel::PORTABLE.apply(payload, KEY, 0)),
    ("sansocket, AVX2", |payload| Kernel::avx2().unwrap_or(Kernel::PORTABLE).apply(payload, KEY, 0)),
    ("sansocket, AVX-512", |payload| Kernel::avx512().unwrap_or(Kernel::PORTABLE).apply(payload, KEY, 0)),
    ("fastwebsockets", |payload| fastwebsockets::unmask(payload, KEY)),
    ("sockudo-ws", |payload| sockudo_ws::simd::apply_mask(payload, KEY)),
    ("websocket-sans-io", |payload| websocket_sans_io::apply_mask(KEY, payload, 0)),
    ("yawc", |payload| yawc::mask::apply_mask(payload, KEY)),
];

const COPIERS: [Copier; 4] = [
    ("sansocket, append", |output, payload| {
        output.clear();
        output.extend_from_slice(&[0; 8]);
        sansocket_mask::append(output, payload, KEY, 0);
    }),
    ("sansocket, copy", |output, payload| sansocket_mask::copy(&mut output[8..], payload, KEY, 0)),
    ("extend, then apply", |output, payload| {
        output.clear();
        output.extend_from_slice(&[0; 8]);
        output.extend_from_slice(payload);
        sansocket_mask::apply(&mut output[8..], KEY, 0);
    }),
    ("memcpy", |output, payload| output[8..].copy_from_slice(payload)),
];

/// Bytes at a fixed offset from a page boundary, which is the same for all participants.
struct Place {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Place {
    fn new(length: usize, offset: usize) -> Self {
        let memory: Vec<u8> = (0..length + 8192).map(|i| (i * 7 % 251) as u8).collect();
        let start = memory.as_ptr().addr().wrapping_neg() % 4096 + offset;
        Self { memory, start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}

/// Returns the size of a masked frame's head.
fn head(length: usize) -> usize {
    match length {
        ..126 => 6,
        126..65536 => 8,
        _ => 14,
    }
}

fn all_agree() {
    for size in SIZES {
        let payload = Place::new(size, 0).bytes().to_vec();
        let expected: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4]).collect();
        for (name, mask) in PEERS {
            let mut masked = payload.clone();
            mask(&mut masked);
            assert!(masked == expected, "{name}: the result for {size} bytes differs");
        }
        for (name, copy) in COPIERS.iter().filter(|(name, _)| *name != "memcpy") {
            let mut output = vec![0; 8 + size];
            copy(&mut output, &payload);
            assert!(output[8..] == expected, "{name}: the result for {size} bytes differs");
        }
    }
}

fn in_place(criterion: &mut Criterion) {
    all_agree();
    for size in SIZES {
        let mut group = table::group(criterion, "mask: in place", 1, size);
        for (name, mask) in PEERS {
            let mut place = Place::new(size, head(size));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let payload = place.bytes();
                bencher.iter(|| mask(black_box(payload)));
            });
        }
        let (from, mut to) = (Place::new(size, 0).bytes().to_vec(), Place::new(size, 2048 + head(size)));
        group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
            let to = to.bytes();
            bencher.iter(|| black_box(&mut *to).copy_from_slice(black_box(&from)));
        });
    }
}

fn arrived(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = table::group(criterion, "mask: just arrived", 1, size);
        let wire = Place::new(head(size) + size, 0).bytes().to_vec();
        for (name, mask) in PEERS.into_iter().chain([("memcpy", (|_| ()) as fn(&mut [u8]))]) {
            let mut place = Place::new(wire.len(), 2048);
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let buffer = place.bytes();
                bencher.iter(|| {
                    black_box(&mut *buffer).copy_from_slice(black_box(&wire));
                    mask(black_box(&mut buffer[head(size)..]));
                });
            });
        }
    }
}

fn copied(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = table::group(criterion, "mask: while copying", 1, size);
        for (name, copy) in COPIERS {
            let mut from = Place::new(size, 2048);
            let mut output = vec![0; 8 + size];
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let from = from.bytes();
                bencher.iter(|| copy(black_box(&mut output), black_box(from)));
            });
        }
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = in_place, arrived, copied);
criterion_main!(benches);
