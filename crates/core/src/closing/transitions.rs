//! The transitions of a closing connection: from the beginning, through the phases, to the report of its end.

use alloc::boxed::Box;
use alloc::string::ToString;

use super::phases::Closing;
use super::timers::{Timer, Timers};
use crate::data::{Close, CloseCode, CloseFrame, Config, Initiator, SendError, TransportAction};
use crate::error::Error;
use crate::send::{CloseProgress, Output, Sender};

/// The parts of a connection that a transition uses and changes.
pub(crate) struct Transition<'c> {
    /// `None` while the connection is open.
    pub(crate) closing: &'c mut Option<Box<Closing>>,
    pub(crate) config: &'c Config,
    pub(crate) sender: &'c mut Sender,
    pub(crate) output: &'c mut Output,
    pub(crate) timers: &'c mut Timers,
}

impl Transition<'_> {
    /// Begins the closing handshake (section 7.1.2). Does nothing if the connection is closing.
    pub(crate) fn close(mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        if self.closing.is_none() {
            self.sender.queue_close(self.output, code, reason)?;
            self.begin(Initiator::Local);
        }
        Ok(())
    }

    /// Handles the peer's Close frame. 5.5.1: if an endpoint receives a Close frame and did not previously send one, it
    /// MUST send one in response, and typically echoes the status code.
    pub(crate) fn receive_close(mut self, frame: CloseFrame) {
        self.queue_close(frame.code, "");
        self.begin(Initiator::Peer).receive_close(frame);
    }

    /// Returns whether a Pong can still be queued: no byte of our Close frame was taken, and the transport takes bytes.
    pub(crate) fn can_reply(&self) -> bool {
        self.can_write() && self.output.close_progress() < CloseProgress::Begun
    }

    /// Handles the peer's FIN.
    pub(crate) fn receive_eof(mut self) {
        self.begin(Initiator::Peer).receive_eof();
    }

    /// Fails the connection. 7.1.7: an endpoint SHOULD then send a Close frame with an appropriate status code. Its
    /// reason names the broken rule or the exceeded limit.
    #[cold]
    pub(crate) fn fail(mut self, error: Error) {
        if let Some(code) = error.close_code() {
            let reason = match &error {
                Error::Protocol(rule) => rule.to_string(),
                error => error.to_string(),
            };
            self.queue_close(code, &reason);
        }
        self.begin(Initiator::Local).fail(Some(error));
    }

    /// Fails the connection without a closing handshake: the peer is unreachable.
    pub(crate) fn fail_and_abort(mut self, error: Error) {
        self.begin(Initiator::Local).fail(Some(error));
        self.end_with_abort();
    }

    /// Ends the connection without a closing handshake.
    pub(crate) fn abort(mut self) {
        self.begin(Initiator::Local);
        self.end_with_abort();
    }

    /// Records that nothing more can be written.
    pub(crate) fn lose_write(mut self) {
        let (has_progress, now) = (self.output.take_progress(), self.timers.now());
        self.begin(Initiator::Peer);
        if let Some(closing) = self.closing {
            if has_progress {
                closing.note_progress(now);
            }
            closing.lose_write(self.output);
        }
    }

    /// Handles the closing timer; returns whether the connection has ended.
    pub(crate) fn handle_timer(self) -> bool {
        self.closing.as_mut().is_some_and(|closing| closing.handle_timer(self.output, self.timers))
    }

    /// Reports how the connection closed, once, when it has ended.
    pub(crate) fn take_close(self) -> Option<Close> {
        let close = self.closing.as_mut()?.take_close(self.output.is_delivered())?;
        self.timers.stop();
        Some(close)
    }

    /// Returns the closing state; begins to close if the connection is open. From then on only the closing timer runs.
    fn begin(&mut self, initiator: Initiator) -> &mut Closing {
        self.closing.get_or_insert_with(|| {
            let now = self.timers.now();
            let closing = Closing::new(initiator, self.config, now);
            self.timers.set(Timer::Closing, closing.next_check(now));
            self.output.take_progress();
            Box::new(closing)
        })
    }

    fn end_with_abort(self) {
        if let Some(closing) = self.closing {
            closing.end(TransportAction::Abort, self.output);
            self.timers.stop();
        }
    }

    /// Queues our Close frame, unless one was queued before or nothing can be written.
    fn queue_close(&mut self, code: CloseCode, reason: &str) {
        if self.can_write() && self.output.close_progress() == CloseProgress::NotQueued {
            let _ = self.sender.queue_close(self.output, code, reason);
        }
    }

    fn can_write(&self) -> bool {
        self.closing.as_ref().is_none_or(|closing| closing.can_write())
    }
}
