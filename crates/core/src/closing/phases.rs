//! The phases of a closing connection, and the conditions that follow from them.

use alloc::boxed::Box;
use core::time::Duration;

use super::timers::{Timer, Timers};
use crate::data::{Close, CloseCode, CloseFrame, Config, Initiator, Instant, ReadyState, Role, TransportAction};
use crate::error::Error;
use crate::send::{CloseProgress, Output};

/// The phase of a closing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Our Close frame is not delivered; or, after the peer's FIN, the last accepted byte is not.
    Draining,
    /// Our Close frame is delivered; the peer's has not arrived.
    AwaitingClose,
    /// No frame is pending or awaited; TCP must end.
    AwaitingEnd,
    /// Nothing more can be written; the driver still reads.
    WriteLost,
    /// The connection has ended: the driver has to close the transport, or to abort it.
    Ended(TransportAction),
}

/// The state of a closing connection. Boxed by its owner, so that an open connection stays small.
#[derive(Debug)]
pub(crate) struct Closing {
    initiator: Initiator,
    received: Option<CloseFrame>,
    /// The error that every `receive` returns.
    error: Option<Error>,
    /// The connection failed (7.1.7) or never opened: no more data is delivered.
    is_failed: bool,
    has_eof: bool,
    is_write_lost: bool,
    /// Output was dropped before our Close frame was delivered: never clean.
    has_lost_output: bool,
    /// Set by a deadline, by `abort`, or when the end is reported. Otherwise the end follows from the other fields.
    ended: Option<TransportAction>,
    is_close_reported: bool,
    timeout: Duration,
    progress_at: Instant,
    limit_at: Instant,
}

impl Closing {
    pub(crate) fn new(initiator: Initiator, config: &Config, now: Instant) -> Self {
        Self {
            initiator,
            received: None,
            error: None,
            is_failed: false,
            has_eof: false,
            is_write_lost: false,
            has_lost_output: false,
            ended: None,
            is_close_reported: false,
            timeout: config.closing_timeout,
            progress_at: now,
            limit_at: now + config.closing_limit,
        }
    }

    /// Records the peer's Close frame. Only the first one is read (RFC 6455 section 7.1.5).
    pub(crate) fn receive_close(&mut self, frame: CloseFrame) {
        self.received = Some(frame);
    }

    /// Records that the connection (section 7.1.7) or the opening handshake failed. `error` is `None` if the
    /// application refused the handshake.
    pub(crate) fn fail(&mut self, error: Option<Error>) {
        self.is_failed = true;
        self.error = error;
    }

    /// Records the peer's FIN.
    pub(crate) fn receive_eof(&mut self) {
        self.has_eof = true;
    }

    /// Records that nothing more can be written. Drops the output.
    pub(crate) fn lose_write(&mut self, output: &mut Output) {
        if !self.is_write_lost && self.ended.is_none() {
            self.is_write_lost = true;
            self.has_lost_output |= output.close_progress() != CloseProgress::Delivered;
        }
        output.abandon();
    }

    /// Ends the connection now. Drops the output.
    pub(crate) fn end(&mut self, action: TransportAction, output: &mut Output) {
        if self.ended.is_none() {
            self.ended = Some(action);
            // `lose_write` has dropped the output, and has recorded the loss
            self.has_lost_output |= !self.is_write_lost && output.close_progress() != CloseProgress::Delivered;
        }
        output.abandon();
    }

    /// Records that bytes were received. They are progress while the peer's Close frame is awaited, but not in other
    /// phases: a peer that drips or floods would keep the connection alive.
    pub(crate) fn note_received(&mut self, is_delivered: bool, now: Instant) {
        match self.phase(is_delivered) {
            Phase::AwaitingClose => self.progress_at = now,
            Phase::WriteLost if !self.is_failed => self.progress_at = now,
            _ => {}
        }
    }

    /// Records progress: bytes were delivered, or acknowledged by the peer.
    pub(crate) fn note_progress(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Handles the closing timer: records progress, and ends the connection at its deadline or sets the timer again.
    /// Returns whether the connection has ended.
    pub(crate) fn handle_timer(&mut self, output: &mut Output, timers: &mut Timers) -> bool {
        let now = timers.now();
        if output.take_progress() {
            self.note_progress(now);
        }
        if now < self.deadline() {
            timers.set(Timer::Closing, self.next_check(now));
            return false;
        }
        let action = match self.phase(output.is_delivered()) {
            Phase::AwaitingEnd => TransportAction::Close,
            Phase::Ended(action) => action,
            Phase::Draining | Phase::AwaitingClose | Phase::WriteLost => TransportAction::Abort,
        };
        self.end(action, output);
        true
    }

    /// Returns when the connection ends if it makes no more progress.
    fn deadline(&self) -> Instant {
        (self.progress_at + self.timeout).min(self.limit_at)
    }

    /// Returns how long after `now` to check again: at the deadline, and before it four times per `closing_timeout`,
    /// because the driver reports deliveries without the time.
    pub(crate) fn next_check(&self, now: Instant) -> Duration {
        (self.deadline() - now).min(self.timeout / 4)
    }

    /// Returns the phase, given whether all output was delivered.
    pub(crate) fn phase(&self, is_delivered: bool) -> Phase {
        if let Some(action) = self.ended {
            return Phase::Ended(action);
        }
        if self.is_write_lost {
            let is_over = self.received.is_some() || self.has_eof;
            return if is_over { Phase::Ended(TransportAction::Abort) } else { Phase::WriteLost };
        }
        match is_delivered {
            false => Phase::Draining,
            true if self.has_eof => Phase::Ended(TransportAction::Close),
            true if self.received.is_some() || self.is_failed => Phase::AwaitingEnd,
            true => Phase::AwaitingClose,
        }
    }

    /// Returns what the driver has to do with TCP (7.1.1: the server closes first, so that it holds TIME_WAIT).
    pub(crate) fn transport(&self, role: Role, is_delivered: bool) -> TransportAction {
        match self.phase(is_delivered) {
            Phase::Draining | Phase::AwaitingClose | Phase::WriteLost => TransportAction::Open,
            Phase::AwaitingEnd if role == Role::Server || self.is_failed => TransportAction::ShutdownWrite,
            Phase::AwaitingEnd => TransportAction::Open,
            Phase::Ended(action) => action,
        }
    }

    /// Returns whether the connection has ended: nothing more is read or written.
    pub(crate) fn has_ended(&self, is_delivered: bool) -> bool {
        matches!(self.phase(is_delivered), Phase::Ended(_))
    }

    /// Returns whether received frames are still handled; otherwise they are discarded (sections 1.4 and 7.1.7).
    pub(crate) fn handles_frames(&self) -> bool {
        self.received.is_none() && !self.is_failed && !self.has_eof && self.ended.is_none()
    }

    /// Returns whether frames can still be queued: Pongs, and our Close frame.
    pub(crate) fn can_write(&self) -> bool {
        !self.is_write_lost && !self.has_eof && self.ended.is_none()
    }

    /// Returns whether the driver should read.
    pub(crate) fn wants_read(&self, is_delivered: bool) -> bool {
        !self.has_eof && !self.has_ended(is_delivered)
    }

    /// Returns the error that every `receive` returns.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns whether the connection has ended and [`take_close`](Self::take_close) has not reported it.
    pub(crate) fn has_pending_close(&self, is_delivered: bool) -> bool {
        !self.is_close_reported && self.has_ended(is_delivered)
    }

    /// Reports how the connection closed, once, when it has ended.
    pub(crate) fn take_close(&mut self, is_delivered: bool) -> Option<Close> {
        let Phase::Ended(action) = self.phase(is_delivered) else { return None };
        if core::mem::replace(&mut self.is_close_reported, true) {
            return None;
        }
        self.ended = Some(action);
        let initiator = self.initiator;
        Some(match self.received.take() {
            Some(CloseFrame { code, reason }) => {
                Close { code, reason, was_clean: !self.is_failed && !self.has_lost_output, initiator }
            }
            None => Close { code: CloseCode::ABNORMAL, reason: Box::default(), was_clean: false, initiator },
        })
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        if self.is_close_reported { ReadyState::Closed } else { ReadyState::Closing }
    }
}
