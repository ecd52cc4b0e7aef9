//! The payload of a frame, in the pieces in which it arrives.

use crate::data::Input;
use crate::frame::{FrameHeader, MaskingKey};

/// The position in the payload of a frame: the part that has not arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadCursor {
    /// Bytes that have not arrived, as the peer claims.
    pub(crate) remaining: u64,
    /// The masking key, rotated to begin with the key byte of the next payload byte.
    key: MaskingKey,
    fin: bool,
}

/// A part of a frame's payload, as it arrived.
#[derive(Debug)]
pub(crate) struct Piece<'b> {
    pub(crate) bytes: &'b mut [u8],
    /// The masking key, rotated to begin with the key byte of the first of `bytes`.
    pub(crate) key: MaskingKey,
    /// Bytes of the frame's payload that have not arrived, as the peer claims.
    pub(crate) remaining: u64,
    /// Whether the frame is the last one of its message.
    pub(crate) fin: bool,
}

impl PayloadCursor {
    pub(crate) fn new(header: &FrameHeader) -> Self {
        Self { remaining: header.payload_length, key: header.mask.unwrap_or_default(), fin: header.fin }
    }

    /// Creates the cursor of a message of one frame.
    pub(crate) fn for_message(length: u64, key: MaskingKey) -> Self {
        Self { remaining: length, key, fin: true }
    }

    /// Takes the bytes of this payload from the input.
    pub(crate) fn take<'b>(&mut self, input: &mut Input<'b>) -> Piece<'b> {
        self.take_up_to(usize::MAX, input)
    }

    /// Takes up to `max` bytes of this payload from the input.
    #[inline(always)]
    pub(crate) fn take_up_to<'b>(&mut self, max: usize, input: &mut Input<'b>) -> Piece<'b> {
        let bytes = input.take(usize::try_from(self.remaining).unwrap_or(usize::MAX).min(max));
        let key = self.key;
        // rotated as a number in a register: rotating so short an array takes three calls
        self.key = u32::from_le_bytes(key).rotate_right(8 * (bytes.len() % 4) as u32).to_le_bytes();
        self.remaining -= bytes.len() as u64;
        Piece { bytes, key, remaining: self.remaining, fin: self.fin }
    }

    /// Returns whether the message has ended.
    #[cfg(feature = "deflate")]
    pub(crate) const fn is_last(&self) -> bool {
        self.fin && self.remaining == 0
    }

    /// Copies and unmasks the next bytes of this payload, as many as the input and the buffer have, without taking
    /// them.
    #[cfg(feature = "deflate")]
    pub(crate) fn peek<'a>(&self, input: &Input<'_>, buffer: &'a mut [u8]) -> &'a [u8] {
        let available = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.remaining().len());
        let (bytes, _) = input.remaining().split_at(available.min(buffer.len()));
        let (copy, _) = buffer.split_at_mut(bytes.len());
        sansocket_mask::copy(copy, bytes, self.key, 0);
        copy
    }
}

impl<'b> Piece<'b> {
    /// Returns whether the message ends with this piece.
    #[inline]
    pub(crate) const fn is_last(&self) -> bool {
        self.fin && self.remaining == 0
    }

    /// Unmasks the bytes in place, and returns them.
    #[inline]
    pub(crate) fn unmask(self) -> &'b [u8] {
        unmask(self.bytes, self.key);
        self.bytes
    }
}

/// Unmasks bytes in place; does nothing if they are not masked.
#[inline]
pub(crate) fn unmask(bytes: &mut [u8], key: MaskingKey) {
    if key != [0; 4] {
        sansocket_mask::apply(bytes, key, 0);
    }
}
