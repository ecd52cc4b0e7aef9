//! Compares every kernel, and the choice among them, with the formula of RFC 6455 section 5.3, octet by octet.

use std::array;

use proptest::prelude::*;
use sansocket_mask::{Kernel, MaskingKey, append, apply, copy};

const KEY: MaskingKey = [0x37, 0xfa, 0x21, 0x3d];

/// Bytes on each side of a payload that must not be written.
const GUARD: usize = 64;

/// `transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)`
fn oracle(payload: &[u8], key: MaskingKey, offset: usize) -> Vec<u8> {
    payload.iter().zip(offset % 4..).map(|(byte, i)| byte ^ key[i % 4]).collect()
}

/// A kernel, or the functions of the crate (`None`), which choose one.
#[derive(Clone, Copy, Debug)]
struct Masker(Option<Kernel>);

impl Masker {
    fn all() -> Vec<Self> {
        Kernel::all().map(Some).chain([None]).map(Self).collect()
    }

    fn apply(self, payload: &mut [u8], key: MaskingKey, offset: usize) {
        match self.0 {
            Some(kernel) => kernel.apply(payload, key, offset),
            None => apply(payload, key, offset),
        }
    }

    fn copy(self, output: &mut [u8], payload: &[u8], key: MaskingKey, offset: usize) {
        match self.0 {
            Some(kernel) => kernel.copy(output, payload, key, offset),
            None => copy(output, payload, key, offset),
        }
    }

    fn append(self, output: &mut Vec<u8>, payload: &[u8], key: MaskingKey, offset: usize) {
        match self.0 {
            Some(kernel) => kernel.append(output, payload, key, offset),
            None => append(output, payload, key, offset),
        }
    }
}

/// Memory to mask in, at any alignment to a cache line.
struct Arena {
    memory: Vec<u8>,
    aligned: usize,
}

impl Arena {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + 64 + 64 + 2 * GUARD];
        let aligned = GUARD + (memory.as_ptr().addr() + GUARD).wrapping_neg() % 64;
        Self { memory, aligned }
    }

    /// Calls `mask` with `content` at an address that is `alignment` more than a multiple of 64, checks that the bytes
    /// around it are unchanged, and returns the result.
    fn with(&mut self, alignment: usize, content: &[u8], mask: impl FnOnce(&mut [u8])) -> &[u8] {
        let start = self.aligned + alignment;
        let end = start + content.len();
        self.memory[start - GUARD..end + GUARD].fill(0xa5);
        self.memory[start..end].copy_from_slice(content);
        mask(&mut self.memory[start..end]);
        assert_eq!(self.memory[start - GUARD..start], [0xa5; GUARD], "written before the payload");
        assert_eq!(self.memory[end..end + GUARD], [0xa5; GUARD], "written behind the payload");
        &self.memory[start..end]
    }
}

/// Masks a payload at this alignment with every masker, and compares the results with the oracle.
fn check(arena: &mut Arena, alignment: usize, payload: &[u8], key: MaskingKey, offset: usize) {
    let expected = oracle(payload, key, offset);
    let length = payload.len();
    for masker in Masker::all() {
        let at = || format!("{masker:?}, alignment {alignment}, length {length}, offset {offset}");

        let applied = arena.with(alignment, payload, |place| masker.apply(place, key, offset));
        assert!(applied == expected, "apply, {}", at());

        let stale = vec![0xff; length];
        let copied = arena.with(alignment, &stale, |place| masker.copy(place, payload, key, offset));
        assert!(copied == expected, "copy, {}", at());

        // With enough capacity, and with an output that has to grow first.
        for capacity in [0, alignment + length] {
            let mut appended = Vec::with_capacity(capacity);
            appended.resize(alignment, 0xa5);
            masker.append(&mut appended, payload, key, offset);
            let (before, appended) = appended.split_at(alignment);
            assert!(before.iter().all(|byte| *byte == 0xa5), "append wrote before the payload, {}", at());
            assert!(appended == expected, "append, {}", at());
        }
    }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn every_length_to_300_at_every_offset_and_alignment() {
    let payload = payload(300);
    let mut arena = Arena::new(payload.len());
    for length in 0..=payload.len() {
        for offset in 0..4 {
            for alignment in 0..64 {
                check(&mut arena, alignment, &payload[..length], KEY, offset);
            }
        }
    }
}

/// From 1 KiB on, stores are aligned.
#[test]
fn every_alignment_of_long_payloads() {
    let payload = payload(2048);
    let mut arena = Arena::new(payload.len());
    for length in (1020..=1030).chain([1087, 1088, 1089, 1279, 1280, 1281, 1343, 1344, 1345, 2048]) {
        for alignment in 0..64 {
            check(&mut arena, alignment, &payload[..length], KEY, alignment);
        }
    }
}

#[test]
fn kernels_are_found_by_name() {
    assert_eq!(Kernel::all().next(), Some(Kernel::PORTABLE));
    assert!(Kernel::all().any(|kernel| kernel == Kernel::best()));
    let named = [Kernel::avx2(), Kernel::avx512(), Kernel::neon()];
    assert_eq!(Kernel::all().count(), 1 + named.into_iter().flatten().count());
    #[cfg(all(feature = "simd", target_arch = "x86_64"))]
    assert_eq!(Kernel::avx2().is_some(), std::arch::is_x86_feature_detected!("avx2"));
    #[cfg(not(feature = "simd"))]
    assert_eq!(Kernel::best(), Kernel::PORTABLE);
}

#[test]
fn a_zero_key_changes_nothing() {
    let mut payload: [u8; 200] = array::from_fn(|i| i as u8);
    apply(&mut payload, [0; 4], 1);
    assert_eq!(payload, array::from_fn(|i| i as u8));
}

#[test]
fn an_offset_near_the_top_of_usize_is_taken_modulo_four() {
    let mut arena = Arena::new(300);
    for offset in usize::MAX - 3..=usize::MAX {
        check(&mut arena, 0, b"any payload", KEY, offset);
        check(&mut arena, 14, &payload(300), KEY, offset);
    }
}

#[test]
#[should_panic = "`output` must be as long as `payload`"]
fn a_copy_of_another_length_is_refused() {
    copy(&mut [0; 3], b"four", KEY, 0);
}

proptest! {
    #[test]
    fn any_payload(
        payload in prop::collection::vec(any::<u8>(), 0..5000),
        key: MaskingKey,
        offset: usize,
        alignment in 0usize..64,
    ) {
        check(&mut Arena::new(payload.len()), alignment, &payload, key, offset);
    }

    #[test]
    fn masking_in_pieces_gives_the_same_bytes(
        payload in prop::collection::vec(any::<u8>(), 0..3000),
        key: MaskingKey,
        cut: prop::sample::Index,
    ) {
        let cut = if payload.is_empty() { 0 } else { cut.index(payload.len()) };
        for masker in Masker::all() {
            let mut pieces = payload.clone();
            let (head, tail) = pieces.split_at_mut(cut);
            masker.apply(head, key, 0);
            masker.apply(tail, key, cut);
            prop_assert_eq!(pieces, oracle(&payload, key, 0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_long_payload(
        length in 5000usize..120_000,
        key: MaskingKey,
        offset in 0usize..1000,
        alignment in 0usize..64,
    ) {
        check(&mut Arena::new(length), alignment, &payload(length), key, offset);
    }
}
