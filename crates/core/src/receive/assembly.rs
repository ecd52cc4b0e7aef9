//! Assembles a message that arrives in pieces: checks the limits on its fragments, and validates text as it arrives.

use alloc::borrow::Cow;
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::frame_event::ReceiveError;
use super::growth::{append, grow, grow_text, shrink, shrink_text};
#[cfg(feature = "deflate")]
use super::inflation::Inflation;
use super::payload::{Piece, unmask};
use crate::buffers::BufferPool;
#[cfg(feature = "deflate")]
use crate::data::Delivery;
use crate::data::{Chunk, Config, LimitExceeded, Message, MessageKind, Subject, Utf8Validator};

/// Text is unmasked, validated and copied in blocks of this many bytes, so that each step finds the block in the L1
/// cache. A multiple of the key's length: every block begins with the same key byte.
const TEXT_BLOCK: usize = 2 * 1024;

/// Short pieces, unmasked, that are validated and appended together.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: [u8; 512],
    filled: usize,
}

impl Default for Batch {
    #[inline]
    fn default() -> Self {
        Self { bytes: [0; 512], filled: 0 }
    }
}

impl Batch {
    /// Adds the piece, and returns whether there was room for it.
    #[inline]
    fn add(&mut self, piece: &Piece<'_>) -> bool {
        let end = self.filled + piece.bytes.len();
        let Some(free) = self.bytes.get_mut(self.filled..end) else { return false };
        sansocket_mask::copy(free, piece.bytes, piece.key, 0);
        self.filled = end;
        true
    }
}

/// A message that has begun and not ended.
pub(crate) struct Assembly {
    payload: Payload,
    /// The payload bytes of all frames whose heads have arrived, unless the message is compressed.
    announced: u64,
    /// The number of consecutive frames without payload.
    empty_fragments: u32,
}

/// The payload that has arrived; empty with chunk delivery.
enum Payload {
    /// The string holds complete characters only; the validator holds the beginning of the next one.
    Text {
        text: String,
        utf8: Utf8Validator,
    },
    Binary(Vec<u8>),
    /// Only [`inflation`](Assembly::inflation) changes it.
    #[cfg(feature = "deflate")]
    Compressed(Box<Inflation>),
}

impl Assembly {
    pub(crate) fn new(kind: MessageKind) -> Self {
        let payload = match kind {
            MessageKind::Text => Payload::Text { text: String::new(), utf8: Utf8Validator::default() },
            MessageKind::Binary => Payload::Binary(Vec::new()),
        };
        Self { payload, announced: 0, empty_fragments: 0 }
    }

    /// Creates the state of a compressed message.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed(kind: MessageKind, delivery: Delivery) -> Self {
        let payload = Payload::Compressed(Box::new(Inflation::new(kind, delivery)));
        Self { payload, announced: 0, empty_fragments: 0 }
    }

    /// Returns the state of a compressed message.
    #[cfg(feature = "deflate")]
    pub(crate) fn inflation(&mut self) -> Option<&mut Inflation> {
        match &mut self.payload {
            Payload::Compressed(inflation) => Some(inflation),
            _ => None,
        }
    }

    #[inline]
    pub(crate) const fn is_compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return matches!(self.payload, Payload::Compressed(_));
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Begins a frame of the message. Counts its whole length before its payload arrives.
    pub(crate) fn begin_frame(&mut self, payload_length: u64, fin: bool, config: &Config) -> Result<(), LimitExceeded> {
        // of a compressed message, the limit applies to the inflated bytes
        if !self.is_compressed() {
            self.announced = self.announced.saturating_add(payload_length);
            check_message_length(self.announced, config)?;
        }
        self.empty_fragments = if payload_length == 0 && !fin { self.empty_fragments.saturating_add(1) } else { 0 };
        if self.empty_fragments > config.max_empty_fragments {
            let (limit, count) = (config.max_empty_fragments.into(), self.empty_fragments.into());
            return Err(LimitExceeded::new(Subject::EmptyFragments, limit, count));
        }
        Ok(())
    }

    /// Returns the next piece as a chunk, without keeping it. `None` if it is empty and not the last one.
    pub(crate) fn chunk<'b>(&mut self, piece: Piece<'b>) -> Result<Option<Chunk<'b>>, ReceiveError> {
        let last = piece.is_last();
        let bytes = piece.unmask();
        if let Payload::Text { utf8, .. } = &mut self.payload {
            utf8.validate(bytes, |_| ())?;
            if last {
                utf8.finish()?;
            }
        }
        Ok((last || !bytes.is_empty()).then_some(Chunk::new(self.kind(), bytes, last)))
    }

    /// Appends the next piece, or adds it to the batch. The caller must call [`append_batch`](Self::append_batch) then.
    #[inline]
    pub(crate) fn append_batched(
        &mut self,
        piece: Piece<'_>,
        batch: &mut Batch,
        pool: Option<&mut BufferPool>,
    ) -> Result<(), ReceiveError> {
        if batch.add(&piece) {
            return Ok(());
        }
        self.append_batch(batch)?;
        if batch.add(&piece) { Ok(()) } else { self.append(piece, pool) }
    }

    /// Appends the batch, and empties it.
    pub(crate) fn append_batch(&mut self, batch: &mut Batch) -> Result<(), ReceiveError> {
        let (bytes, _) = batch.bytes.split_at(batch.filled);
        match &mut self.payload {
            Payload::Text { text, utf8 } => utf8.validate(bytes, |valid| text.push_str(valid))?,
            Payload::Binary(payload) => payload.extend_from_slice(bytes),
            #[cfg(feature = "deflate")]
            Payload::Compressed(_) => {}
        }
        batch.filled = 0;
        Ok(())
    }

    /// Appends the next piece. Unmasks binary data while copying it.
    #[inline]
    pub(crate) fn append(&mut self, piece: Piece<'_>, pool: Option<&mut BufferPool>) -> Result<(), ReceiveError> {
        match &mut self.payload {
            Payload::Text { text, utf8 } => {
                if text.capacity() - text.len() < utf8.carried() + piece.bytes.len() {
                    grow_text(text, utf8.carried(), &piece, pool);
                }
                for block in piece.bytes.chunks_mut(TEXT_BLOCK) {
                    unmask(block, piece.key);
                    utf8.validate(block, |valid| text.push_str(valid))?;
                }
            }
            Payload::Binary(bytes) => {
                if bytes.capacity() - bytes.len() < piece.bytes.len() {
                    grow(bytes, &piece, pool);
                }
                append(bytes, piece.bytes, piece.key);
            }
            #[cfg(feature = "deflate")]
            Payload::Compressed(_) => {}
        }
        Ok(())
    }

    /// Returns a pooled buffer to the pool if it is too large for the bytes that have arrived. `remaining` bytes of the
    /// current frame have not arrived.
    pub(crate) fn detach_scratch(&mut self, remaining: u64, pool: &mut BufferPool) {
        match &mut self.payload {
            Payload::Text { text, utf8 } => shrink_text(text, utf8.carried(), remaining, pool),
            Payload::Binary(bytes) => shrink(bytes, remaining, pool),
            #[cfg(feature = "deflate")]
            Payload::Compressed(_) => {}
        }
    }

    /// Ends the message and returns it, without a buffer that is too large for it.
    pub(crate) fn finish(&mut self, pool: Option<&mut BufferPool>) -> Result<Message<'static>, ReceiveError> {
        if let Some(pool) = pool {
            self.detach_scratch(0, pool);
        }
        Ok(match &mut self.payload {
            Payload::Text { text, utf8 } => {
                utf8.finish()?;
                Message::Text(Cow::Owned(core::mem::take(text)))
            }
            Payload::Binary(bytes) => Message::Binary(Cow::Owned(core::mem::take(bytes))),
            #[cfg(feature = "deflate")]
            Payload::Compressed(_) => Message::Binary(Cow::Owned(Vec::new())),
        })
    }

    fn kind(&self) -> MessageKind {
        match &self.payload {
            Payload::Text { .. } => MessageKind::Text,
            Payload::Binary(_) => MessageKind::Binary,
            #[cfg(feature = "deflate")]
            Payload::Compressed(inflation) => inflation.kind(),
        }
    }
}

/// Checks the length of a message, as announced so far by its frames.
pub(crate) fn check_message_length(length: u64, config: &Config) -> Result<(), LimitExceeded> {
    let limit = config.max_message_size as u64;
    if length > limit { Err(LimitExceeded::new(Subject::Message, limit, length)) } else { Ok(()) }
}
