//! Sending: messages, fragments, control frames and Close.

use bytes::Bytes;

use super::Connection;
#[cfg(feature = "deflate")]
use crate::data::Compress;
use crate::data::{CloseCode, FragmentPayload, Instant, Message, MessageKind, NotOpen, SendError};
use crate::frame::OpCode;
use crate::send::{ControlOrigin, EncodedBatch, EncodedMessage};

impl Connection {
    /// Queues a message. A borrowed payload is copied; an owned one is not, if its frames have 4 KiB or more of
    /// payload.
    ///
    /// # Errors
    ///
    /// The connection is not open, the message exceeds
    /// [`Config::max_buffered_amount`](crate::Config::max_buffered_amount) (now or in any case; the error returns it),
    /// or a fragmented message is unfinished. The connection is unaffected.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        let message = message.into();
        #[cfg(feature = "deflate")]
        if self.deflate.is_some() {
            return self.send_compressed(message, Compress::AsConfigured);
        }
        self.send_message(message)
    }

    /// Queues a message with a shared payload. A server does not copy it, unless its frames have less than 256 bytes of
    /// payload: a copy then takes less memory than a reference. Text is validated.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`SendError::Utf8Invalid`].
    #[inline]
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        #[cfg(feature = "deflate")]
        if self.deflate.is_some() {
            return self.send_shared_compressed(kind, payload, Compress::AsConfigured);
        }
        self.send_shared_plain(kind, payload)
    }

    #[inline(always)]
    pub(super) fn send_shared_plain(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        let size = payload.len();
        if !self.accepts_message(size) {
            return Err(self.refuse_message(payload, size));
        }
        self.sender.queue_shared_message(&mut self.output, kind, payload, &self.config)?;
        self.note_backlog();
        Ok(())
    }

    /// Queues a message that was encoded once for many peers. A server does not copy it, unless its encoded frames
    /// have less than 256 bytes: a copy then takes less memory than a reference.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but the error does not return the message.
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        if !self.accepts_message(message.len()) {
            return Err(self.refuse_message((), message.len()));
        }
        #[cfg(feature = "deflate")]
        if self.queue_form(message.form(), None, core::slice::from_ref(message), message.len()) {
            self.note_backlog();
            return Ok(());
        }
        self.sender.queue_encoded(&mut self.output, message.frames(), message.len());
        self.note_backlog();
        Ok(())
    }

    /// Queues several messages that were encoded once for many peers: all of them or none. A server does not copy them,
    /// unless their frames have less than 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`send_encoded`](Self::send_encoded): the size of the batch is that of all payloads together. The
    /// messages may still fit one at a time.
    pub fn send_batch(&mut self, batch: &EncodedBatch) -> Result<(), SendError> {
        if !self.accepts_message(batch.len()) {
            return Err(self.refuse_message((), batch.len()));
        }
        #[cfg(feature = "deflate")]
        if let Some(forms) = batch.forms()
            && self.queue_form(Some(&forms.cold), forms.warm.as_ref(), &forms.messages, batch.len())
        {
            self.note_backlog();
            return Ok(());
        }
        // no bytes need no queues
        if batch.count() > 0 {
            self.sender.queue_encoded(&mut self.output, batch.frames(), batch.len());
        }
        self.note_backlog();
        Ok(())
    }

    /// Queues a fragment of a message (RFC 6455 section 5.4). Until its last fragment, no other message can be sent.
    /// Pings and Pongs can, and so can Close, which leaves the message unfinished. Text may be cut anywhere. A borrowed
    /// payload is copied; a server does not copy an owned or shared one, if its frames have 256 bytes or more of
    /// payload.
    ///
    /// # Errors
    ///
    /// The connection is not open, the payload exceeds
    /// [`Config::max_buffered_amount`](crate::Config::max_buffered_amount) (now or in any case; the error does not
    /// return it), [`SendError::FragmentKindMismatch`] or [`SendError::Utf8Invalid`]. The connection is unaffected.
    pub fn send_fragment<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.deflate.is_some() {
            return self.send_fragment_with(kind, payload, last, Compress::AsConfigured);
        }
        self.send_fragment_plain(kind, payload.into(), last)
    }

    pub(super) fn send_fragment_plain(
        &mut self,
        kind: MessageKind,
        payload: FragmentPayload<'_>,
        last: bool,
    ) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.queue_fragment(&mut self.output, kind, payload, last, &self.config)?;
        self.note_backlog();
        Ok(())
    }

    /// Queues a Ping of up to 125 bytes. It is sent before all messages of which no byte was sent.
    ///
    /// # Errors
    ///
    /// The connection is not open, the payload is too long, or
    /// [`Config::max_pending_controls`](crate::Config::max_pending_controls) of the application's Pings and Pongs are
    /// pending.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Ping, payload)
    }

    /// Queues an unsolicited Pong of up to 125 bytes: a one-way heartbeat (RFC 6455 section 5.5.3). The connection
    /// answers Pings by itself.
    ///
    /// # Errors
    ///
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Pong, payload)
    }

    /// Begins the closing handshake: queues a Close frame behind everything that was sent before. A peer that keeps
    /// reading gets all of it, within [`Config::closing_limit`](crate::Config::closing_limit). The peer's messages
    /// still arrive until its Close frame does. Does nothing if the connection is closing.
    ///
    /// # Errors
    ///
    /// The code must not be sent (but [`CloseCode::NO_STATUS`] sends none), the reason exceeds 123 bytes, or there is a
    /// reason without a code. The connection is unaffected.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        self.timers.advance(now);
        self.transition().close(code, reason)
    }

    #[inline(always)]
    pub(super) fn send_message<'m>(&mut self, message: Message<'m>) -> Result<(), SendError<Message<'m>>> {
        let size = message.len();
        if !self.accepts_message(size) {
            return Err(self.refuse_message(message, size));
        }
        self.sender.queue_message(&mut self.output, message, &self.config);
        self.note_backlog();
        Ok(())
    }

    /// Queues a Ping or Pong of the application.
    fn send_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.queue_control(&mut self.output, opcode, payload, ControlOrigin::Application, &self.config)?;
        self.note_backlog();
        Ok(())
    }

    /// Returns whether a message with a payload of `size` bytes can be queued. If not,
    /// [`refuse_message`](Self::refuse_message) returns the reason.
    #[inline]
    pub(super) fn accepts_message(&self, size: usize) -> bool {
        self.closing.is_none() && self.sender.accepts_message(&self.output, size, &self.config)
    }

    #[cold]
    #[inline(never)]
    fn refuse_message<M>(&self, message: M, size: usize) -> SendError<M> {
        match self.check_open() {
            Ok(()) => self.sender.refuse_message(message, size, &self.config),
            Err(error) => error.into(),
        }
    }

    #[inline]
    pub(super) fn check_open(&self) -> Result<(), NotOpen> {
        if self.closing.is_none() { Ok(()) } else { Err(NotOpen(self.ready_state())) }
    }
}
