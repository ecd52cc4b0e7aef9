//! The decompressor (RFC 7692 section 7.2.2).

use zlib_rs::{Inflate, InflateFlush, Status};

use super::token::Token;
use crate::data::WindowBits;

/// What a sender removes from the end of a compressed message, and one byte that a complete message leaves unread.
const TAIL: [u8; 5] = [0x00, 0x00, 0xFF, 0xFF, 0x00];

/// An empty block without compression, and one byte that it leaves unread.
const EMPTY_BLOCK: [u8; 6] = [0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00];

/// Why compressed bytes cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// The bytes are not a DEFLATE stream.
    Invalid,
    /// The message ended within a block.
    Unfinished,
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The number of bytes taken from the input.
    pub(crate) consumed: usize,
    /// The number of bytes written to the output.
    pub(crate) produced: usize,
    /// Whether the input is consumed, and nothing more can be produced from it.
    pub(crate) is_drained: bool,
}

/// An inflater. It takes 47.5 KB, so connections share inflaters.
pub(crate) struct Inflater {
    inflate: Inflate,
    /// Whether a DEFLATE stream has ended (BFINAL): further bytes begin another one.
    has_ended: bool,
    /// Identifies the window, if a message can continue it.
    pub(crate) token: Option<Token>,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self { inflate: Inflate::new(false, WindowBits::MAX.get()), has_ended: false, token: None }
    }

    /// Begins a DEFLATE stream that may refer back to these bytes, the latest last, and to nothing else: the window of
    /// another connection is not accessible.
    pub(crate) fn prime<'a>(&mut self, history: impl IntoIterator<Item = &'a [u8]>) {
        // clears the window
        self.inflate.reset(false);
        self.has_ended = false;
        for part in history {
            // cannot fail: only streams with a zlib header can refuse a dictionary
            let _ = self.inflate.set_dictionary(part);
        }
    }

    /// Returns whether a DEFLATE stream has ended. [`prime`](Self::prime) the inflater before further bytes.
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Inflates bytes until the input or the output ends, or the bytes are invalid. The bytes before the invalid ones
    /// are inflated first, and the next step fails: so the pieces in which bytes arrive do not decide which of two
    /// faults is found.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InflateError> {
        let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, output, InflateFlush::NoFlush);
        self.has_ended = status == Ok(Status::StreamEnd);
        let consumed = (self.inflate.total_in() - total_in) as usize;
        let produced = (self.inflate.total_out() - total_out) as usize;
        let is_stuck = status.is_err() || (consumed == 0 && !input.is_empty());
        if produced == 0 && is_stuck {
            return Err(InflateError::Invalid);
        }
        let is_drained = status.is_ok() && consumed == input.len() && produced < output.len();
        Ok(Step { consumed, produced, is_drained })
    }

    /// Ends a message. Fails if it ended within a block.
    ///
    /// A message may also end with the last block of a DEFLATE stream, without the empty block that section 7.2.1
    /// demands behind it: other implementations accept it too.
    pub(crate) fn finish(&mut self) -> Result<(), InflateError> {
        if self.has_ended {
            return Ok(());
        }
        // 7.2.2: append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message
        self.finish_block(&TAIL)?;
        // Of a block with codes of the sender's choice, the last bits of the tail can be more than the end. They would
        // become the beginning of this block, which is then not an empty one.
        self.finish_block(&EMPTY_BLOCK)
    }

    /// Checks that a block without data ends before the last of these bytes.
    fn finish_block(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        let total_in = self.inflate.total_in();
        let status = self.inflate.decompress(bytes, &mut [], InflateFlush::Block);
        let consumed = (self.inflate.total_in() - total_in) as usize;
        match status {
            Ok(Status::Ok) if consumed + 1 == bytes.len() => Ok(()),
            _ => Err(InflateError::Unfinished),
        }
    }
}
