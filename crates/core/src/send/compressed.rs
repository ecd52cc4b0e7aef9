//! Turns compressed messages into frames (RFC 7692 section 6.1).

use core::num::NonZeroUsize;

use super::compressed_form::CompressedForm;
use super::output::Output;
use super::sender::{Sender, decode_frames};
use crate::data::{Config, MessageKind, Role, SendError};
use crate::frame::{FrameHeader, OpCode};

impl Sender {
    /// Returns whether a message is unfinished, and compressed.
    pub(crate) fn is_compressing(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|message| message.is_compressed)
    }

    /// Returns whether a message is unfinished.
    pub(crate) const fn has_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Queues a compressed message with `inflated` application bytes, for which the output must have room.
    pub(crate) fn queue_compressed(
        &mut self,
        output: &mut Output,
        kind: MessageKind,
        compressed: &[u8],
        inflated: usize,
        max_frame: NonZeroUsize,
    ) {
        self.queue_compressed_frames(output, kind.into(), (compressed, inflated), true, max_frame);
    }

    /// Checks that a fragment of a compressed message can be queued, and records it. Returns the opcode for
    /// [`queue_compressed_frames`](Self::queue_compressed_frames).
    pub(crate) fn accept_compressed_fragment(
        &mut self,
        output: &Output,
        kind: MessageKind,
        bytes: &[u8],
        last: bool,
        config: &Config,
    ) -> Result<OpCode, SendError> {
        let opcode = self.accept_fragment(output, kind, bytes, last, config)?;
        if let Some(message) = &mut self.unfinished {
            message.is_compressed = true;
        }
        Ok(opcode)
    }

    /// Queues compressed bytes in frames of up to `max_frame` bytes. Each frame accounts for its
    /// share of the `inflated` application bytes.
    pub(crate) fn queue_compressed_frames(
        &mut self,
        output: &mut Output,
        mut opcode: OpCode,
        (mut compressed, mut inflated): (&[u8], usize),
        last: bool,
        max_frame: NonZeroUsize,
    ) {
        loop {
            let (frame, rest) = compressed.split_at(compressed.len().min(max_frame.get()));
            let share = if rest.is_empty() {
                inflated
            } else {
                (inflated as u128 * frame.len() as u128 / compressed.len() as u128) as usize
            };
            // 6.1: RSV1 is set on the first frame of a compressed message only
            let rsv1 = opcode != OpCode::Continuation;
            self.queue_compressed_frame(output, (opcode, rsv1, last && rest.is_empty()), frame, share);
            if rest.is_empty() {
                return;
            }
            (compressed, inflated, opcode) = (rest, inflated - share, OpCode::Continuation);
        }
    }

    /// Queues the compressed form of encoded messages, which have `len` application bytes.
    pub(crate) fn queue_form(&mut self, output: &mut Output, form: &CompressedForm, len: usize) {
        if self.role() == Role::Server {
            output.push_inflated(&form.inflated);
            return self.queue_encoded(output, &form.frames, len);
        }
        let (mut inflated, mut is_compressed) = (form.inflated.iter().copied(), false);
        for (header, payload) in decode_frames(&form.frames) {
            is_compressed = header.rsv1 || (is_compressed && header.opcode == OpCode::Continuation);
            if is_compressed {
                let share = inflated.next().unwrap_or_default();
                self.queue_compressed_frame(output, (header.opcode, header.rsv1, header.fin), payload, share);
            } else {
                self.queue_frame(output, header.opcode, payload, header.fin);
            }
        }
    }

    fn queue_compressed_frame(
        &mut self,
        output: &mut Output,
        (opcode, rsv1, fin): (OpCode, bool, bool),
        payload: &[u8],
        inflated: usize,
    ) {
        let mask = self.masking.key();
        let header = FrameHeader { fin, rsv1, mask, ..FrameHeader::new(opcode, payload.len() as u64) };
        output.push_compressed(&header, inflated, |frames| {
            sansocket_mask::append(frames, payload, mask.unwrap_or_default(), 0);
        });
    }
}
