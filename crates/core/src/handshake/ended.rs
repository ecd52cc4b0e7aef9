//! The end of a connection that never opened: a response may still have to leave, and the peer to end TCP.
//! No Close frame is ever sent here (RFC 6455 section 7.1.7).

use core::time::Duration;

use bytes::Buf;

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
    /// What every `receive` reports; nothing if this endpoint's application wanted it so.
    error: Option<Error>,
    /// TCP has ended, or is to end.
    is_over: bool,
}

impl Ended {
    /// Ends with a response in its output, within the time given.
    pub(crate) fn answered(output: Output, error: Option<Error>, now: Instant, timeout: Duration) -> Self {
        let mut timers = Timers::new(now);
        timers.set(Timer::Closing, timeout);
        Self { role: Role::Server, output, timers, error, is_over: false }
    }

    /// Ends at once.
    pub(crate) fn abandoned(role: Role, mut output: Output, error: Option<Error>) -> Self {
        output.abandon();
        let timers = Timers::new(Instant::EPOCH);
        Self { role, output, timers, error, is_over: true }
    }

    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    pub(crate) fn handle_timeout(&mut self) {
        if self.timers.pop_expired().is_some() {
            self.output.abandon();
            self.is_over = true;
        }
    }

    pub(crate) fn outcome(&self) -> Result<(), Error> {
        self.error.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn transport(&self) -> TransportAction {
        match self.is_over {
            _ if self.output.has_remaining() => TransportAction::Open,
            true => TransportAction::Close,
            false => TransportAction::ShutdownWrite,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        if self.is_over { ReadyState::Closed } else { ReadyState::Closing }
    }
}
