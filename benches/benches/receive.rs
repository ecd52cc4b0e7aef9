//! A server receives messages, which it unmasks, or a client does: binary messages, and text, which is validated.
//!
//! The wire holds 64 KiB of messages, at least one and at most 1,024. Every participant first copies it from
//! memory into a buffer, as `recv` would (`wire::copy`). The participant memcpy does nothing else.
//!
//! The floor copies too, and unmasks and validates as required, with the kernel of `sansocket-mask`. It knows where
//! payloads lie without parsing a head, and works while they are in the nearest cache.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket::frame::FrameHeader;
use sansocket_benches::participants::{
    Endpoint, Fastwebsockets, Role, Sansocket, Sockudo, Soketto, TokioWebsockets, Tungstenite, WebSocket,
    WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{Circle, Transport};
use sansocket_benches::wire::{self, From};

const SIZES: [usize; 7] = [0, 16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

type Participant = (&'static str, fn(&mut Group<'_>, &'static str, &Case));

const PARTICIPANTS: [Participant; 9] = [
    ("sansocket", run::<Sansocket<Circle>>),
    ("tungstenite", run::<Tungstenite<Circle>>),
    ("fastwebsockets", run::<Fastwebsockets<Circle>>),
    ("tokio-websockets", run::<TokioWebsockets<Circle>>),
    ("soketto", run::<Soketto<Circle>>),
    ("yawc", run::<Yawc<Circle>>),
    ("sockudo-ws", run::<Sockudo<Circle>>),
    ("web-socket", run::<WebSocket<Circle>>),
    ("websocket-sans-io", run::<WebsocketSansIo<Circle>>),
];

struct Case {
    role: Role,
    is_text: bool,
    payload: Vec<u8>,
    count: usize,
    /// The size of a frame, in bytes.
    frame: usize,
    circle: Circle,
}

impl Case {
    fn new(role: Role, is_text: bool, size: usize) -> Self {
        let from = if role == Role::Server { From::Client } else { From::Server };
        let payload = wire::payload(size);
        let count = ((64 << 10) / (size + 6)).clamp(1, 1024);
        let wire = wire::messages(from, is_text, &payload, count);
        Self { role, is_text, payload, count, frame: wire.len() / count, circle: Circle::new(&wire) }
    }
}

fn run<E: Endpoint<Circle>>(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let mut endpoint = E::new(case.role, case.circle.clone());
    let mut received = 0;
    endpoint.receive(2 * case.count + 1, |is_text, payload| {
        assert!(is_text == case.is_text && payload == case.payload, "{name}: a received message differs");
        received += 1;
    });
    assert_eq!(received, 2 * case.count + 1, "{name}");
    // starts at the beginning of the wire again
    let mut endpoint = E::new(case.role, case.circle.clone());
    group.bench_function(BenchmarkId::new(name, case.payload.len()), |bencher| {
        bencher.iter(|| {
            endpoint.receive(case.count, |_, payload| {
                black_box(payload);
            })
        });
    });
}

/// The number of bytes that the floor copies at a time.
const READ: usize = (16 << 10) + FrameHeader::MAX_SIZE;

fn floor(case: &Case, circle: &mut Circle, buffer: &mut [u8], mut each: impl FnMut(&[u8])) {
    let head = case.frame - case.payload.len();
    let mut remaining = case.count;
    while remaining > 0 {
        let count = (READ / case.frame).clamp(1, remaining);
        let frames = &mut buffer[..count * case.frame];
        for (number, piece) in frames.chunks_mut(READ).enumerate() {
            circle.read_into(piece);
            match case.role {
                Role::Client => {}
                Role::Server if number > 0 => sansocket_mask::apply(piece, wire::KEY, number * READ - head),
                Role::Server => {
                    let frames = piece.chunks_mut(case.frame);
                    frames.for_each(|frame| sansocket_mask::apply(&mut frame[head..], wire::KEY, 0));
                }
            }
        }
        for frame in frames.chunks(case.frame) {
            if case.is_text {
                simdutf8::basic::from_utf8(&frame[head..]).unwrap();
            }
            each(&frame[head..]);
        }
        remaining -= count;
    }
}

fn receive(criterion: &mut Criterion) {
    for (role, is_text, name) in [
        (Role::Server, false, "receive: server, binary"),
        (Role::Server, true, "receive: server, text"),
        (Role::Client, false, "receive: client, binary"),
        (Role::Client, true, "receive: client, text"),
    ] {
        for size in SIZES {
            let case = Case::new(role, is_text, size);
            let mut group = table::group(criterion, name, case.count, size);
            for (name, run) in PARTICIPANTS {
                run(&mut group, name, &case);
            }
            let (mut circle, mut buffer) = (case.circle.clone(), vec![0; case.frame * case.count]);
            floor(&case, &mut circle, &mut buffer, |payload| {
                assert!(payload == case.payload, "floor: a received message differs")
            });
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| {
                    floor(black_box(&case), &mut circle, &mut buffer, |payload| {
                        black_box(payload);
                    })
                });
            });
            let mut circle = case.circle.clone();
            group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
                bencher.iter(|| circle.read_into(black_box(&mut buffer)));
            });
        }
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = receive);
criterion_main!(benches);
