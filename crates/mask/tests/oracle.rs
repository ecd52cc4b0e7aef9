//! Both functions against the formula of RFC 6455 section 5.3, octet by octet.

use proptest::prelude::*;
use sansocket_mask::{MaskingKey, append, apply};

/// `transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)`
fn oracle(payload: &[u8], key: MaskingKey, offset: usize) -> Vec<u8> {
    payload.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
}

fn check(payload: &[u8], key: MaskingKey, offset: usize) {
    let expected = oracle(payload, key, offset);

    let mut in_place = payload.to_vec();
    apply(&mut in_place, key, offset);
    assert_eq!(in_place, expected, "apply, offset {offset}, length {}", payload.len());

    let mut appended = b"before".to_vec();
    append(&mut appended, payload, key, offset);
    assert_eq!(
        appended.strip_prefix(b"before"),
        Some(&expected[..]),
        "append, offset {offset}, length {}",
        payload.len()
    );
}

#[test]
fn every_length_to_300_at_every_offset() {
    let payload: Vec<u8> = (0..300u16).map(|i| (i * 7 % 251) as u8).collect();
    for length in 0..=payload.len() {
        for offset in 0..8 {
            check(&payload[..length], [0x37, 0xfa, 0x21, 0x3d], offset);
        }
    }
}

#[test]
fn every_alignment() {
    let payload: Vec<u8> = (0..=255).collect();
    for start in 0..64 {
        check(&payload[start..start + 100], [1, 2, 3, 4], start);
    }
}

#[test]
fn a_zero_key_changes_nothing() {
    let mut payload = *b"as it was";
    apply(&mut payload, [0; 4], 1);
    assert_eq!(&payload, b"as it was");
}

#[test]
fn an_offset_near_the_top_of_usize_is_taken_modulo_four() {
    check(b"any payload", [9, 8, 7, 6], usize::MAX - 11);
}

proptest! {
    #[test]
    fn any_payload(payload in prop::collection::vec(any::<u8>(), 0..5000), key: MaskingKey, offset in 0usize..1000) {
        check(&payload, key, offset);
    }

    #[test]
    fn pieces_give_what_the_whole_gives(payload in prop::collection::vec(any::<u8>(), 0..500), key: MaskingKey, cut: prop::sample::Index) {
        let cut = if payload.is_empty() { 0 } else { cut.index(payload.len()) };
        let mut pieces = payload.clone();
        let (head, tail) = pieces.split_at_mut(cut);
        apply(head, key, 0);
        apply(tail, key, cut);
        prop_assert_eq!(pieces, oracle(&payload, key, 0));
    }
}
