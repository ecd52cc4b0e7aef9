//! The masking itself, written once, in safe Rust. `kernel` compiles it for each instruction set.
//!
//! A payload is masked in blocks of a fixed size, which the compiler turns into vector instructions. No remainder is
//! masked byte by byte: the last block is the last bytes of the payload, and overlaps the block before it. Payloads lie
//! 2 to 14 bytes behind the start of a buffer, so that blocks cross cache lines. Only for long payloads does alignment
//! pay: a first block overlaps the second one, which is aligned.
//!
//! Everything here must be inlined into the function that enables the instruction set. The compiler might not inline a
//! closure, and would compile it without those instructions: therefore the loops are `for` loops.

use alloc::vec::Vec;

use crate::word::Word;

/// The size of a block, in bytes: one cache line.
const BLOCK: usize = 64;

/// Payloads shorter than this, in bytes, are two blocks at most: not worth a function call.
pub(crate) const SHORT: usize = 2 * BLOCK;

/// The bytes that one step of the loop masks.
const STEP: usize = 4 * BLOCK;

/// The length, in bytes, from which the gain of alignment exceeds the cost of the additional block.
const LONG: usize = 1024;

/// Masks a payload of a block or more.
#[inline(always)]
pub(crate) fn apply(payload: &mut [u8], word: Word) {
    let Some(ends) = Ends::<BLOCK>::new(payload, word) else { return };
    let start = second_block(payload.as_ptr(), payload.len());
    if let Some(middle) = payload.get_mut(start..) {
        let word = word.rotated(start);
        let (steps, rest) = middle.as_chunks_mut::<STEP>();
        for blocks in steps {
            *blocks = word.xor(blocks);
        }
        for block in rest.as_chunks_mut::<BLOCK>().0 {
            *block = word.xor(block);
        }
    }
    ends.store(payload);
}

/// Masks a payload shorter than `SHORT`.
#[inline(always)]
pub(crate) fn apply_short(payload: &mut [u8], word: Word) {
    if let Some(ends) = Ends::<BLOCK>::new(payload, word) {
        ends.store(payload);
    } else if let Some(ends) = Ends::<32>::new(payload, word) {
        ends.store(payload);
    } else if let Some(ends) = Ends::<16>::new(payload, word) {
        ends.store(payload);
    } else if let Some(ends) = Ends::<8>::new(payload, word) {
        ends.store(payload);
    } else if let Some(ends) = Ends::<4>::new(payload, word) {
        ends.store(payload);
    } else {
        for (byte, octet) in payload.iter_mut().zip(word.octets::<4>()) {
            *byte ^= octet;
        }
    }
}

/// Copies a payload of a block or more. `output` is as long as `payload`.
#[inline(always)]
pub(crate) fn copy(output: &mut [u8], payload: &[u8], word: Word) {
    let Some(ends) = Ends::<BLOCK>::new(payload, word) else { return };
    let start = second_block(output.as_ptr(), payload.len());
    if let Some(middle) = output.get_mut(start..)
        && let Some(payload) = payload.get(start..)
    {
        let word = word.rotated(start);
        let (steps, rest) = payload.as_chunks::<STEP>();
        let (masked_steps, masked_rest) = middle.as_chunks_mut::<STEP>();
        for (masked, blocks) in masked_steps.iter_mut().zip(steps) {
            *masked = word.xor(blocks);
        }
        for (masked, block) in masked_rest.as_chunks_mut::<BLOCK>().0.iter_mut().zip(rest.as_chunks::<BLOCK>().0) {
            *masked = word.xor(block);
        }
    }
    ends.store(output);
}

/// Copies a payload shorter than `SHORT`. `output` is as long as `payload`.
#[inline(always)]
pub(crate) fn copy_short(output: &mut [u8], payload: &[u8], word: Word) {
    if let Some(ends) = Ends::<BLOCK>::new(payload, word) {
        ends.store(output);
    } else if let Some(ends) = Ends::<32>::new(payload, word) {
        ends.store(output);
    } else if let Some(ends) = Ends::<16>::new(payload, word) {
        ends.store(output);
    } else if let Some(ends) = Ends::<8>::new(payload, word) {
        ends.store(output);
    } else if let Some(ends) = Ends::<4>::new(payload, word) {
        ends.store(output);
    } else {
        for ((masked, byte), octet) in output.iter_mut().zip(payload).zip(word.octets::<4>()) {
            *masked = byte ^ octet;
        }
    }
}

/// Appends a payload of a block or more without zeroing memory first. Where blocks overlap, the shared bytes are
/// truncated before the second block is appended.
#[inline(always)]
pub(crate) fn append(output: &mut Vec<u8>, payload: &[u8], word: Word) {
    let (Some(first), Some(last)) = (payload.first_chunk::<BLOCK>(), payload.last_chunk::<BLOCK>()) else { return };
    output.reserve(payload.len());
    let begin = output.len();
    let start = second_block(output.as_ptr().wrapping_add(begin), payload.len());
    output.extend_from_slice(&word.xor(first));
    if let Some(middle) = payload.get(start..) {
        output.truncate(begin + start);
        let word = word.rotated(start);
        let (steps, rest) = middle.as_chunks::<STEP>();
        for blocks in steps {
            output.extend_from_slice(&word.xor(blocks));
        }
        for block in rest.as_chunks::<BLOCK>().0 {
            output.extend_from_slice(&word.xor(block));
        }
    }
    output.truncate(begin + payload.len() - BLOCK);
    output.extend_from_slice(&word.rotated(payload.len() - BLOCK).xor(last));
}

/// Appends a payload shorter than `SHORT`.
#[inline(always)]
pub(crate) fn append_short(output: &mut Vec<u8>, payload: &[u8], word: Word) {
    output.reserve(payload.len());
    if let Some(ends) = Ends::<BLOCK>::new(payload, word) {
        ends.append(output, payload.len());
    } else if let Some(ends) = Ends::<32>::new(payload, word) {
        ends.append(output, payload.len());
    } else if let Some(ends) = Ends::<16>::new(payload, word) {
        ends.append(output, payload.len());
    } else if let Some(ends) = Ends::<8>::new(payload, word) {
        ends.append(output, payload.len());
    } else if let Some(ends) = Ends::<4>::new(payload, word) {
        ends.append(output, payload.len());
    } else {
        output.extend(payload.iter().zip(word.octets::<4>()).map(|(byte, octet)| byte ^ octet));
    }
}

/// Returns the offset of the second block of a payload that is written to `output`. For long payloads, the block begins
/// at a cache line.
#[inline(always)]
fn second_block(output: *const u8, length: usize) -> usize {
    if length < LONG { BLOCK } else { BLOCK - output.addr() % BLOCK }
}

/// The first and the last `N` bytes of a payload, masked. They overlap each other or the blocks between them, so they
/// are masked before those and stored after.
struct Ends<const N: usize> {
    first: [u8; N],
    last: [u8; N],
}

impl<const N: usize> Ends<N> {
    /// Masks both ends of the payload; `None` if it is shorter than `N`.
    #[inline(always)]
    fn new(payload: &[u8], word: Word) -> Option<Self> {
        let (first, last) = (payload.first_chunk()?, payload.last_chunk()?);
        Some(Self { first: word.xor(first), last: word.rotated(payload.len() - N).xor(last) })
    }

    /// Stores both ends. `payload` has the length of the payload that they were taken from.
    #[inline(always)]
    fn store(self, payload: &mut [u8]) {
        if let Some(place) = payload.first_chunk_mut() {
            *place = self.first;
        }
        if let Some(place) = payload.last_chunk_mut() {
            *place = self.last;
        }
    }

    /// Appends the payload that both ends make up; its length is at most `2 * N`.
    #[inline(always)]
    fn append(self, output: &mut Vec<u8>, length: usize) {
        let begin = output.len();
        output.extend_from_slice(&self.first);
        output.truncate(begin + length - N);
        output.extend_from_slice(&self.last);
    }
}
