//! Masking, RFC 6455 section 5.3: octet `i` of a payload is XORed with octet `i MOD 4` of the frame's masking key.
//!
//! Masking and unmasking are the same operation. All functions take the position of the given bytes within the payload,
//! so that a payload may arrive, and be masked, in pieces of any size. [`apply`] masks in place; [`copy`] and
//! [`append`] mask while they copy, which costs about as much as copying alone.
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
//!
//! # How it is fast
//!
//! The masking is written once, in safe Rust that the compiler turns into vector instructions. Payloads shorter than
//! 128 bytes are masked inline. For longer ones, the same code is compiled for several instruction sets ([`Kernel`]),
//! and the best one of the machine is detected at the first use: AVX2 on x86, NEON on ARM, or the baseline of the
//! architecture. Data may have any alignment, and machines any byte order.
//!
//! # Features
//!
//! `simd` (default): the detection, which needs std, and the only `unsafe` code of the crate: calls of the functions
//! compiled for detected instructions. Without it the crate is `no_std`, with `alloc`, and forbids `unsafe`.

#![no_std]
#![cfg_attr(not(feature = "simd"), forbid(unsafe_code))]

extern crate alloc;
#[cfg(feature = "simd")]
extern crate std;

mod body;
mod kernel;
mod word;

use alloc::vec::Vec;

pub use kernel::Kernel;
pub use word::MaskingKey;
use word::Word;

/// Masks or unmasks `payload` in place. `offset` is the position of its first byte within the frame's payload, in
/// bytes.
#[inline(always)]
pub fn apply(payload: &mut [u8], key: MaskingKey, offset: usize) {
    let word = Word::new(key, offset);
    if payload.len() < body::SHORT {
        body::apply_short(payload, word);
    } else {
        Kernel::best().apply_blocks(payload, word);
    }
}

/// Copies `payload`, masked or unmasked, to `output`: one pass over the bytes.
/// `offset` is the position of the first byte within the frame's payload, in bytes.
///
/// # Panics
///
/// If `output` is not as long as `payload`.
#[inline]
pub fn copy(output: &mut [u8], payload: &[u8], key: MaskingKey, offset: usize) {
    assert_eq!(output.len(), payload.len(), "`output` must be as long as `payload`");
    let word = Word::new(key, offset);
    if payload.len() < body::SHORT {
        body::copy_short(output, payload, word);
    } else {
        Kernel::best().copy_blocks(output, payload, word);
    }
}

/// Appends `payload`, masked or unmasked, to `output`: one pass over the bytes.
/// `offset` is the position of the first byte within the frame's payload, in bytes.
#[inline(always)]
pub fn append(output: &mut Vec<u8>, payload: &[u8], key: MaskingKey, offset: usize) {
    let word = Word::new(key, offset);
    if payload.len() < body::SHORT {
        body::append_short(output, payload, word);
    } else {
        Kernel::best().append_blocks(output, payload, word);
    }
}
