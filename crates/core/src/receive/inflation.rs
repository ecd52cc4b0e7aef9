//! Inflates a message (RFC 7692 section 7.2.2) that may arrive in pieces.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::mem;

use super::frame_event::ReceiveError;
use super::inflated::Inflated;
use super::payload::{PayloadCursor, Piece};
use crate::data::{Chunk, Config, Delivery, Input, Message, MessageKind};
use crate::deflate::{Direction, Inflater, Step};

/// The most compressed bytes of a frame that a message keeps until the frame is complete. A message with more takes an
/// inflater, which takes 47.5 KB, until it ends.
const COLLECTED_MAX: usize = 4 * 1024;

/// A chunk is complete when it has this many bytes. It has less than 20 KiB.
const CHUNK_MIN: usize = 8 * 1024;

/// The number of compressed bytes that are unmasked at a time for a chunk.
const BLOCK: usize = 512;

/// A compressed message that has begun and not ended.
pub(crate) struct Inflation {
    inflated: Inflated,
    /// Compressed bytes of a frame that is not complete, unmasked.
    collected: Vec<u8>,
    /// `None` until the first bytes are inflated.
    inflater: Option<Inflater>,
}

impl Inflation {
    pub(crate) fn new(kind: MessageKind, delivery: Delivery) -> Self {
        Self { inflated: Inflated::new(kind, delivery), collected: Vec::new(), inflater: None }
    }

    pub(crate) const fn kind(&self) -> MessageKind {
        self.inflated.kind()
    }

    /// Adds the next piece. Returns the message if it ends with it. Invalid data is found when its frame is complete, or
    /// before.
    pub(crate) fn append(
        &mut self,
        piece: Piece<'_>,
        direction: &mut Direction<'_>,
        config: &Config,
    ) -> Result<Option<Message<'static>>, ReceiveError> {
        let (ends_frame, ends_message) = (piece.remaining == 0, piece.is_last());
        let bytes = piece.unmask();
        let fits = self.inflater.is_none() && self.collected.len() + bytes.len() <= COLLECTED_MAX;
        if fits && !ends_frame {
            self.collected.extend_from_slice(bytes);
            return Ok(None);
        }
        let mut collected = mem::take(&mut self.collected);
        if collected.is_empty() {
            self.inflate(bytes, ends_message, direction, config)?;
        } else if fits {
            collected.extend_from_slice(bytes);
            self.inflate(&collected, ends_message, direction, config)?;
        } else {
            self.inflate(&collected, false, direction, config)?;
            drop(collected);
            self.inflate(bytes, ends_message, direction, config)?;
        }
        if ends_message { self.finish(direction) } else { Ok(None) }
    }

    /// Inflates the payload that the input has of a frame, until a chunk is complete. Then the input is not empty, or
    /// nothing more can be inflated without further bytes. Returns `None` if the chunk is empty and not the last one.
    pub(crate) fn chunk(
        &mut self,
        cursor: &mut PayloadCursor,
        input: &mut Input<'_>,
        direction: &mut Direction<'_>,
        config: &Config,
    ) -> Result<Option<Chunk<'static>>, ReceiveError> {
        let mut payload = Vec::new();
        let mut block = [0; BLOCK];
        let mut is_drained = true;
        loop {
            let bytes = cursor.peek(input, &mut block);
            let is_complete = if bytes.is_empty() { is_drained } else { payload.len() >= CHUNK_MIN };
            if is_complete {
                break;
            }
            let step = self.step(bytes, false, direction, config)?;
            cursor.take_up_to(step.consumed, input);
            is_drained = step.is_drained;
            payload.extend_from_slice(direction.codecs.step_buffer().get(..step.produced).unwrap_or_default());
        }
        let last = cursor.is_last();
        if last {
            self.finish(direction)?;
        }
        let kind = self.kind();
        Ok((last || !payload.is_empty()).then_some(Chunk { kind, payload: Cow::Owned(payload), last }))
    }

    /// Inflates all of these bytes. `ends` says that the message ends with them.
    fn inflate(
        &mut self,
        mut bytes: &[u8],
        ends: bool,
        direction: &mut Direction<'_>,
        config: &Config,
    ) -> Result<(), ReceiveError> {
        let mut is_drained = bytes.is_empty();
        while !is_drained {
            let step = self.step(bytes, ends, direction, config)?;
            bytes = bytes.get(step.consumed..).unwrap_or_default();
            is_drained = step.is_drained;
        }
        Ok(())
    }

    /// Inflates a part of these bytes into the step buffer, and adds it to the message.
    fn step(
        &mut self,
        bytes: &[u8],
        ends: bool,
        direction: &mut Direction<'_>,
        config: &Config,
    ) -> Result<Step, ReceiveError> {
        let inflater = self.inflater.get_or_insert_with(|| direction.take_inflater());
        // Each stream of two bytes costs a copy of the window: about the work of two bytes that inflate a thousandfold.
        if inflater.has_ended() && !bytes.is_empty() {
            self.inflated.prime(inflater, direction);
        }
        let Direction { window_bits, context, codecs } = direction;
        let buffer = codecs.step_buffer();
        let step = inflater.step(bytes, buffer)?;
        let output = buffer.get(..step.produced).unwrap_or_default();
        self.inflated.push(output, ends && step.is_drained, config)?;
        self.inflated.keep_history(output, context.as_deref_mut(), *window_bits);
        Ok(step)
    }

    /// Ends the message. Returns it, unless it was delivered in chunks.
    fn finish(&mut self, direction: &mut Direction<'_>) -> Result<Option<Message<'static>>, ReceiveError> {
        // A message without payload touches no codec: an inflater would remain within the block of the tail.
        if let Some(mut inflater) = self.inflater.take() {
            inflater.finish()?;
            direction.return_inflater(inflater);
        }
        self.inflated.finish(direction)
    }
}
