//! The growth of the buffer in which a message is assembled.

use alloc::string::String;
use alloc::vec::Vec;

use super::payload::Piece;
use crate::buffers::BufferPool;
use crate::frame::{FrameHeader, MaskingKey};

/// From this many bytes on, a buffer may grow fourfold instead of twofold.
const FOURFOLD_MIN: usize = 64 * 1024;

/// The memory that a message may have, in bytes.
///
/// It does not follow from the claimed length alone, but from the number of bytes that have arrived: after many bytes,
/// more of the claimed ones are likely to arrive. A long message is then moved less often than by doubling.
pub(crate) struct Growth {
    /// The length of the message with the new piece.
    needed: usize,
    /// The length of the message when the current frame is complete.
    claimed: usize,
    /// The largest capacity that the message may keep: proportional to the bytes that have arrived, and at most twice
    /// the claimed length.
    max_capacity: usize,
    /// The number of bytes to request from the allocator, beyond the present ones.
    additional: usize,
}

impl Growth {
    /// Computes the memory for a piece of `piece` bytes behind the `arrived` bytes of its message, in a frame of which
    /// `remaining` bytes have not arrived.
    pub(crate) fn new(arrived: usize, piece: usize, remaining: u64) -> Self {
        let needed = arrived + piece;
        let base = needed.saturating_add(FrameHeader::MAX_SIZE);
        let growth = base.saturating_mul(if base < FOURFOLD_MIN { 1 } else { 3 });
        let remaining = usize::try_from(remaining).unwrap_or(usize::MAX);
        let claimed = needed.saturating_add(remaining);
        let max_capacity = base.saturating_add(growth).min(claimed.saturating_mul(2));
        Self { needed, claimed, max_capacity, additional: piece.saturating_add(remaining.min(growth)) }
    }

    /// Takes a buffer from the pool, if it has one that fits.
    ///
    /// The connection keeps it only for its turn (see [`shrink`]). So a message that begins may have a buffer for its
    /// claimed length; if it is fragmented, which claims no length, the largest one.
    fn take_pooled(&self, begins: bool, fin: bool, pool: &mut BufferPool) -> Option<Vec<u8>> {
        if begins && !fin {
            return pool.take_largest(self.needed);
        }
        if begins && let Some(buffer) = pool.take(self.claimed..=self.claimed.saturating_mul(2)) {
            return Some(buffer);
        }
        // If the frame ends with this piece, take no pooled buffer: the message may end here, or have many short
        // fragments, and the allocator can often extend its buffer in place.
        if begins || self.claimed > self.needed { pool.take(self.needed..=self.max_capacity) } else { None }
    }

    /// Returns a buffer that the message may keep, from the pool or the allocator.
    fn allocate(&self, pool: &mut BufferPool) -> Vec<u8> {
        pool.take(self.needed..=self.max_capacity).unwrap_or_else(|| Vec::with_capacity(self.needed + self.additional))
    }
}

/// Makes room for a piece that does not fit behind the bytes of its message.
#[cold]
pub(crate) fn grow(bytes: &mut Vec<u8>, piece: &Piece<'_>, pool: Option<&mut BufferPool>) {
    let growth = Growth::new(bytes.len(), piece.bytes.len(), piece.remaining);
    if let Some(pool) = pool
        && let Some(buffer) = growth.take_pooled(bytes.is_empty(), piece.fin, pool)
    {
        return move_to(buffer, bytes, pool);
    }
    bytes.reserve(growth.additional);
}

/// Makes room in a text. `carried` bytes of an unfinished character are kept beside it.
#[cold]
pub(crate) fn grow_text(text: &mut String, carried: usize, piece: &Piece<'_>, pool: Option<&mut BufferPool>) {
    let growth = Growth::new(text.len() + carried, piece.bytes.len(), piece.remaining);
    if let Some(pool) = pool
        && let Some(buffer) = growth.take_pooled(text.is_empty(), piece.fin, pool)
    {
        return move_text_to(buffer, text, pool);
    }
    text.reserve(carried + growth.additional);
}

/// Moves a message out of a pooled buffer that is longer than the message may keep.
pub(crate) fn shrink(bytes: &mut Vec<u8>, remaining: u64, pool: &mut BufferPool) {
    let growth = Growth::new(bytes.len(), 0, remaining);
    if bytes.capacity() > growth.max_capacity {
        move_to(growth.allocate(pool), bytes, pool);
    }
}

/// Moves a text out of a pooled buffer that is longer than the text may keep.
pub(crate) fn shrink_text(text: &mut String, carried: usize, remaining: u64, pool: &mut BufferPool) {
    let growth = Growth::new(text.len() + carried, 0, remaining);
    if text.capacity() > growth.max_capacity {
        move_text_to(growth.allocate(pool), text, pool);
    }
}

/// Moves a message to an empty buffer. Returns its old buffer to the pool.
fn move_to(mut buffer: Vec<u8>, bytes: &mut Vec<u8>, pool: &mut BufferPool) {
    append(&mut buffer, bytes, [0; 4]);
    pool.keep_sent(core::mem::replace(bytes, buffer));
}

fn move_text_to(buffer: Vec<u8>, text: &mut String, pool: &mut BufferPool) {
    let mut buffer = String::from_utf8(buffer).unwrap_or_default();
    buffer.push_str(text);
    pool.keep_sent(core::mem::replace(text, buffer).into_bytes());
}

/// Appends a piece and unmasks it. (With key 0 this is a fast copy.) Not inlined, so that the path for text does not
/// save the registers that the masking kernel needs.
#[inline(never)]
pub(crate) fn append(bytes: &mut Vec<u8>, piece: &[u8], key: MaskingKey) {
    sansocket_mask::append(bytes, piece, key, 0);
}
