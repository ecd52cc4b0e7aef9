//! Sending on a connection that agreed to permessage-deflate (RFC 7692 section 6.1).

use bytes::Bytes;

use super::Connection;
use crate::data::{Compress, Compression, FragmentPayload, Message, MessageKind, SendError};
use crate::send::{EncodedMessage, LazyForm, WarmForm};

impl Connection {
    /// Queues a message as [`send`](Self::send) does, compressed or not: see [`Compress`]. If the peer did not agree to
    /// permessage-deflate, it is not compressed.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: Compress,
    ) -> Result<(), SendError<Message<'m>>> {
        self.send_compressed(message.into(), compress)
    }

    /// Not inlined, so that [`send`](Self::send) of a message that is not compressed is inlined as without this feature.
    #[inline(never)]
    pub(super) fn send_compressed<'m>(
        &mut self,
        message: Message<'m>,
        compress: Compress,
    ) -> Result<(), SendError<Message<'m>>> {
        let size = message.len();
        if self.accepts_message(size) && self.queue_compressed(message.kind(), message.as_bytes(), compress) {
            self.note_backlog();
            return Ok(());
        }
        self.send_message(message)
    }

    /// Queues a message as [`send_shared`](Self::send_shared) does, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send_shared`](Self::send_shared).
    pub fn send_shared_with(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        compress: Compress,
    ) -> Result<(), SendError<Bytes>> {
        self.send_shared_compressed(kind, payload, compress)
    }

    /// Not inlined, as [`send_compressed`](Self::send_compressed).
    #[inline(never)]
    pub(super) fn send_shared_compressed(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        compress: Compress,
    ) -> Result<(), SendError<Bytes>> {
        let is_valid = || kind == MessageKind::Binary || simdutf8::basic::from_utf8(&payload).is_ok();
        if self.accepts_message(payload.len()) && is_valid() && self.queue_compressed(kind, &payload, compress) {
            self.note_backlog();
            return Ok(());
        }
        self.send_shared_plain(kind, payload)
    }

    /// Queues a fragment as [`send_fragment`](Self::send_fragment) does. The first fragment of a message decides whether
    /// the message is compressed; for the others, `compress` has no effect.
    ///
    /// # Errors
    ///
    /// As for [`send_fragment`](Self::send_fragment).
    pub fn send_fragment_with<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
        compress: Compress,
    ) -> Result<(), SendError> {
        let payload = payload.into();
        self.check_open()?;
        if !self.compresses_fragment(compress) {
            return self.send_fragment_plain(kind, payload, last);
        }
        let Some(deflate) = &mut self.deflate else { return Ok(()) }; // not reached
        let (bytes, max_frame) = (payload.as_bytes(), self.config.max_sent_frame_payload);
        let opcode = self.sender.accept_compressed_fragment(&self.output, kind, bytes, last, &self.config)?;
        let default = Compression::default();
        let compression = self.config.compression.as_ref().unwrap_or(&default);
        let compressed = deflate.sent_fragments(self.output.codecs()).compress_fragment(bytes, last, compression);
        let parts = (compressed.bytes(), bytes.len());
        self.sender.queue_compressed_frames(&mut self.output, opcode, parts, last, max_frame);
        deflate.sent_fragments(self.output.codecs()).codecs.recycle(compressed);
        if last {
            deflate.end_fragments(compression.context_takeover);
        }
        self.note_backlog();
        Ok(())
    }

    /// Queues a compressed form of encoded messages, for which the output must have room: `warm` if the peer's window has
    /// all bytes to which it may refer, or else `cold`. Returns whether there is a form for this connection.
    pub(super) fn queue_form(
        &mut self,
        cold: Option<&LazyForm>,
        warm: Option<&WarmForm>,
        messages: &[EncodedMessage],
        len: usize,
    ) -> bool {
        let (Some(deflate), Some(cold)) = (&mut self.deflate, cold) else { return false };
        let default = Compression::default();
        let compression = self.config.compression.as_ref().unwrap_or(&default);
        let mut sent = deflate.sent(self.output.codecs());
        let window = sent.stream(compression);
        let usable = warm.filter(|warm| window.is_some_and(|window| warm.part.follows(window)));
        let Some(form) = cold.get(messages, usable, sent.window_bits, sent.codecs) else { return false };
        let stream = warm.zip(window).map(|(warm, window)| warm.part.end_of(window, form.unbroken)).unwrap_or_default();
        sent.note_encoded(&form.tail, form.is_whole, stream, compression);
        self.sender.queue_form(&mut self.output, form, len);
        true
    }

    /// Queues a message compressed, if it is to be and gets shorter. Returns whether it is queued. The output must have
    /// room for it, and text must be valid.
    fn queue_compressed(&mut self, kind: MessageKind, data: &[u8], compress: Compress) -> bool {
        let Some(deflate) = &mut self.deflate else { return false };
        let default = Compression::default();
        let compression = self.config.compression.as_ref().unwrap_or(&default);
        let mut sent = deflate.sent(self.output.codecs());
        let has_takeover = sent.context.is_some() && compression.context_takeover;
        let is_compressed = match compress {
            Compress::AsConfigured => has_takeover || data.len() >= compression.threshold,
            Compress::Yes => true,
            Compress::No => false,
        };
        if !is_compressed {
            return false;
        }
        let Some(compressed) = sent.compress(data, compression) else { return false };
        let max_frame = self.config.max_sent_frame_payload;
        self.sender.queue_compressed(&mut self.output, kind, compressed.bytes(), data.len(), max_frame);
        deflate.sent(self.output.codecs()).codecs.recycle(compressed);
        true
    }

    /// Returns whether a fragment belongs to a compressed message.
    fn compresses_fragment(&self, compress: Compress) -> bool {
        if self.deflate.is_none() {
            return false;
        }
        if self.sender.has_unfinished() {
            return self.sender.is_compressing();
        }
        // the length of the message is not known yet
        compress != Compress::No
    }
}
