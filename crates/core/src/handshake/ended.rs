//! The end of a connection that never opened: a response may still have to be delivered, and TCP to end.
//! No Close frame is ever sent here (RFC 6455 section 7.1.7), but the phases are those of [`Closing`].

use alloc::boxed::Box;

use crate::closing::{Closing, Initiator};
use crate::config::Config;
use crate::error::Error;
use crate::event::{ReadyState, Role, TransportAction};
use crate::output::Output;
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A connection that will not open.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) role: Role,
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    closing: Box<Closing>,
    /// No call has returned the error yet.
    is_untold: bool,
}

impl Ended {
    /// Ends with a response in its output. `error` is what every `receive` reports; nothing if the application
    /// responded.
    pub(crate) fn answered(output: Output, error: Option<Error>, config: &Config, now: Instant) -> Self {
        let mut closing = Box::new(Closing::new(Initiator::Local, config, now));
        closing.fail(error);
        let mut timers = Timers::new(now);
        timers.set(Timer::Closing, closing.next_check(now));
        Self { role: Role::Server, output, timers, closing, is_untold: false }
    }

    /// Ends at once.
    pub(crate) fn abandoned(
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
        Self { role, output, timers, closing, is_untold: false }
    }

    /// The caller cannot return the error: the next `receive` does.
    pub(crate) fn leave_untold(&mut self) {
        self.is_untold = self.closing.error().is_some();
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold
    }

    /// Records the peer's FIN: the connection ends when the response is delivered.
    pub(crate) fn note_eof(&mut self) {
        self.closing.receive_eof();
    }

    pub(crate) fn receive_eof(&mut self) -> Result<(), Error> {
        self.note_eof();
        if self.is_untold { self.outcome() } else { Ok(()) }
    }

    pub(crate) fn write_lost(&mut self) {
        self.closing.lose_write(&mut self.output);
        // a response is all there was to say: nothing the peer sends matters
        self.end(TransportAction::Abort);
    }

    pub(crate) fn progress(&mut self) {
        self.closing.progress(self.timers.now());
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

    /// What every `receive` returns.
    pub(crate) fn outcome(&mut self) -> Result<(), Error> {
        self.is_untold = false;
        self.closing.error().cloned().map_or(Ok(()), Err)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.timers.next() }
    }

    pub(crate) fn transport(&self) -> TransportAction {
        self.closing.transport(self.role, self.output.is_delivered())
    }

    pub(crate) fn wants_read(&self) -> bool {
        self.closing.wants_read(self.output.is_delivered())
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        if self.is_over() { ReadyState::Closed } else { ReadyState::Closing }
    }

    fn is_over(&self) -> bool {
        self.closing.has_ended(self.output.is_delivered())
    }
}
