//! The end of a connection that never opened: delivers the response of a server, if there is one, and ends TCP. It
//! sends no Close frame (RFC 6455 section 7.1.7), but uses the phases of [`Closing`].

use alloc::boxed::Box;

use crate::closing::{Closing, Timer, Timers};
use crate::data::{Config, Initiator, Instant, ReadyState, Role, TransportAction};
use crate::error::Error;
use crate::send::Output;

/// A connection whose opening handshake failed.
#[derive(Debug)]
pub(crate) struct FailedHandshake {
    pub(crate) role: Role,
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    closing: Box<Closing>,
    /// No call has returned the error yet.
    pub(crate) is_error_pending: bool,
}

impl FailedHandshake {
    /// Creates a failed handshake that ends when the response in the output is delivered. Every `receive` returns
    /// `error`, which is `None` if the application responded.
    pub(crate) fn with_response(output: Output, error: Option<Error>, config: &Config, now: Instant) -> Self {
        let mut closing = Box::new(Closing::new(Initiator::Local, config, now));
        closing.fail(error);
        let mut timers = Timers::new(now);
        timers.set(Timer::Closing, closing.next_check(now));
        Self { role: Role::Server, output, timers, closing, is_error_pending: false }
    }

    /// Creates a failed handshake that has ended.
    pub(crate) fn without_response(
        role: Role,
        mut output: Output,
        error: Option<Error>,
        action: TransportAction,
        config: &Config,
    ) -> Self {
        let mut timers = Timers::new(Instant::EPOCH);
        let mut closing = Box::new(Closing::new(Initiator::Local, config, Instant::EPOCH));
        closing.fail(error);
        closing.end(action, &mut output);
        timers.stop();
        Self { role, output, timers, closing, is_error_pending: false }
    }

    /// Defers the error to the next `receive`, because the current call cannot return it.
    pub(crate) fn defer_error(&mut self) {
        self.is_error_pending = self.closing.error().is_some();
    }

    /// Records the peer's FIN: the connection ends when the response is delivered.
    pub(crate) fn note_eof(&mut self) {
        self.closing.receive_eof();
    }

    pub(crate) fn receive_eof(&mut self) -> Result<(), Error> {
        self.note_eof();
        if self.is_error_pending { self.outcome() } else { Ok(()) }
    }

    pub(crate) fn write_lost(&mut self) {
        self.closing.lose_write(&mut self.output);
        // the response was all that remained: received bytes have no effect
        self.end(TransportAction::Abort);
    }

    pub(crate) fn progress(&mut self) {
        self.closing.note_progress(self.timers.now());
    }

    pub(crate) fn end(&mut self, action: TransportAction) {
        self.closing.end(action, &mut self.output);
        self.timers.stop();
    }

    pub(crate) fn handle_timeout(&mut self) {
        if self.timers.pop_expired().is_some() {
            self.closing.handle_timer(&mut self.output, &mut self.timers);
        }
    }

    /// Returns the result of every `receive`.
    pub(crate) fn outcome(&mut self) -> Result<(), Error> {
        self.is_error_pending = false;
        self.closing.error().cloned().map_or(Ok(()), Err)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.has_ended() { None } else { self.timers.next() }
    }

    pub(crate) fn transport(&self) -> TransportAction {
        self.closing.transport(self.role, self.output.is_delivered())
    }

    pub(crate) fn wants_read(&self) -> bool {
        self.closing.wants_read(self.output.is_delivered())
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        if self.has_ended() { ReadyState::Closed } else { ReadyState::Closing }
    }

    fn has_ended(&self) -> bool {
        self.closing.has_ended(self.output.is_delivered())
    }
}
