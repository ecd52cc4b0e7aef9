//! Masking, RFC 6455 section 5.3: octet `i` of a payload is XORed with octet `i MOD 4` of the frame's masking key.
//!
//! Masking and unmasking are the same operation. Both functions take the position within the payload at which the given
//! bytes begin, so that a payload may arrive, and be masked, in pieces of any size.
//!
//! ```
//! let key = [0x37, 0xfa, 0x21, 0x3d];
//! let mut payload = *b"Hello";
//! sansocket_mask::apply(&mut payload, key, 0);
//! assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
//!
//! let mut copied = Vec::new();
//! sansocket_mask::append(&mut copied, &payload[..3], key, 0);
//! sansocket_mask::append(&mut copied, &payload[3..], key, 3);
//! assert_eq!(copied, b"Hello");
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

/// The four octets of a frame's masking key, in the order in which they travel.
pub type MaskingKey = [u8; 4];

/// Bytes masked in one step: wide enough for any vector register, a multiple of the key's length.
const STEP: usize = 32;

/// Masks or unmasks `payload` in place. `offset` is the position of its first byte within the frame's payload, in bytes.
#[inline]
pub fn apply(payload: &mut [u8], key: MaskingKey, offset: usize) {
    let pattern = pattern(key, offset);
    let mut steps = payload.chunks_exact_mut(STEP);
    for step in &mut steps {
        xor(step, &pattern);
    }
    xor(steps.into_remainder(), &pattern);
}

/// Appends `payload`, masked or unmasked, to `output`: one pass over the bytes.
/// `offset` is the position of the first byte within the frame's payload, in bytes.
#[inline]
pub fn append(output: &mut Vec<u8>, payload: &[u8], key: MaskingKey, offset: usize) {
    let pattern = pattern(key, offset);
    output.reserve(payload.len());
    let mut steps = payload.chunks_exact(STEP);
    for step in &mut steps {
        let mut masked = pattern;
        xor(&mut masked, step);
        output.extend_from_slice(&masked);
    }
    output.extend(steps.remainder().iter().zip(pattern).map(|(byte, mask)| byte ^ mask));
}

/// The key, turned so that it begins at `offset` and repeated over one step. A step is a multiple of the key's length,
/// so the same pattern fits every step.
#[inline]
fn pattern(mut key: MaskingKey, offset: usize) -> [u8; STEP] {
    key.rotate_left(offset % 4);
    core::array::from_fn(|index| key[index % 4])
}

#[inline]
fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, mask) in bytes.iter_mut().zip(with) {
        *byte ^= mask;
    }
}
