//! The masking itself, written once, in safe Rust. `kernel` compiles it for each set of instructions.
//!
//! A payload is masked in blocks of a fixed size, which the compiler makes vectors of. Nothing is left over to be masked
//! byte by byte: the last block is the last bytes of the payload, however much it shares with the block before it.
//! Payloads lie 2 to 14 bytes behind the start of a buffer, so that blocks cross lines of the cache. Only long payloads
//! are worth aligning, with a first block that shares bytes with the second in the same way.
//!
//! Everything here must be inlined into the function that enables the instructions. A closure might not be, and would
//! be compiled without them: so the loops are `for` loops.

use alloc::vec::Vec;

use crate::word::Word;

/// Bytes in a block, and in a line of the cache.
const BLOCK: usize = 64;

/// A payload shorter than this, in bytes, is two blocks at most: not worth a call.
pub(crate) const SHORT: usize = 2 * BLOCK;

/// Blocks that are masked as one.
const BLOCKS: usize = 4 * BLOCK;

/// The length in bytes from which aligning pays for the block that it adds.
const LONG: usize = 1024;

/// Masks a payload of a block or more.
#[inline(always)]
pub(crate) fn apply(payload: &mut [u8], word: Word) {
    let Some(ends) = Ends::<BLOCK>::new(payload, word) else { return };
    let start = second_block(payload.as_ptr(), payload.len());
    if let Some(middle) = payload.get_mut(start..) {
        let word = word.turned(start);
        let (many, few) = middle.as_chunks_mut::<BLOCKS>();
        for blocks in many {
            *blocks = word.xor(blocks);
        }
        for block in few.as_chunks_mut::<BLOCK>().0 {
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
        let word = word.turned(start);
        let (many, few) = payload.as_chunks::<BLOCKS>();
        let (many_masked, few_masked) = middle.as_chunks_mut::<BLOCKS>();
        for (masked, blocks) in many_masked.iter_mut().zip(many) {
            *masked = word.xor(blocks);
        }
        for (masked, block) in few_masked.as_chunks_mut::<BLOCK>().0.iter_mut().zip(few.as_chunks::<BLOCK>().0) {
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

/// Moves a payload of a block or more, the bytes behind the first `distance`, to the front.
#[inline(always)]
pub(crate) fn shift(bytes: &mut [u8], distance: usize, word: Word) {
    let Some(start) = bytes.len().checked_sub(distance + BLOCK) else { return };
    let Some(last) = bytes.last_chunk::<BLOCK>() else { return };
    let last = word.turned(start).xor(last);
    let mut at = 0;
    while let Some(payload) = bytes.get(at + distance..)
        && let Some(blocks) = payload.first_chunk::<BLOCKS>()
    {
        let masked = word.xor(blocks);
        store(bytes, at, masked);
        at += BLOCKS;
    }
    while let Some(payload) = bytes.get(at + distance..)
        && let Some(block) = payload.first_chunk::<BLOCK>()
    {
        let masked = word.xor(block);
        store(bytes, at, masked);
        at += BLOCK;
    }
    store(bytes, start, last);
}

/// Appends a payload of a block or more. Nothing is zeroed for it: where blocks share bytes, those are cut off again
/// before the second one is appended.
#[inline(always)]
pub(crate) fn append(output: &mut Vec<u8>, payload: &[u8], word: Word) {
    let (Some(first), Some(last)) = (payload.first_chunk::<BLOCK>(), payload.last_chunk::<BLOCK>()) else { return };
    output.reserve(payload.len());
    let begin = output.len();
    let start = second_block(output.as_ptr().wrapping_add(begin), payload.len());
    output.extend_from_slice(&word.xor(first));
    if let Some(middle) = payload.get(start..) {
        output.truncate(begin + start);
        let word = word.turned(start);
        let (many, few) = middle.as_chunks::<BLOCKS>();
        for blocks in many {
            output.extend_from_slice(&word.xor(blocks));
        }
        for block in few.as_chunks::<BLOCK>().0 {
            output.extend_from_slice(&word.xor(block));
        }
    }
    output.truncate(begin + payload.len() - BLOCK);
    output.extend_from_slice(&word.turned(payload.len() - BLOCK).xor(last));
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

#[inline(always)]
fn store<const N: usize>(bytes: &mut [u8], at: usize, masked: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..)
        && let Some(place) = place.first_chunk_mut()
    {
        *place = masked;
    }
}

/// Where the second block of a payload of this length begins, which is masked at this place: where a line of the cache
/// begins, if the payload is long enough for that to pay.
#[inline(always)]
fn second_block(place: *const u8, length: usize) -> usize {
    if length < LONG { BLOCK } else { BLOCK - place.addr() % BLOCK }
}

/// The first and the last `N` bytes of a payload, masked. They share bytes with each other, or with the blocks between
/// them: so they are masked before those, and stored after.
struct Ends<const N: usize> {
    first: [u8; N],
    last: [u8; N],
}

impl<const N: usize> Ends<N> {
    /// `None` if the payload is shorter than that.
    #[inline(always)]
    fn new(payload: &[u8], word: Word) -> Option<Self> {
        let (first, last) = (payload.first_chunk()?, payload.last_chunk()?);
        Some(Self { first: word.xor(first), last: word.turned(payload.len() - N).xor(last) })
    }

    /// `payload` is as long as the one that they were taken from.
    #[inline(always)]
    fn store(self, payload: &mut [u8]) {
        if let Some(place) = payload.first_chunk_mut() {
            *place = self.first;
        }
        if let Some(place) = payload.last_chunk_mut() {
            *place = self.last;
        }
    }

    /// Appends what was a payload of this length, at most `2 * N`.
    #[inline(always)]
    fn append(self, output: &mut Vec<u8>, length: usize) {
        let begin = output.len();
        output.extend_from_slice(&self.first);
        output.truncate(begin + length - N);
        output.extend_from_slice(&self.last);
    }
}
