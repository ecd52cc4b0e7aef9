//! The closing handshake (RFC 6455 section 7) and the end of TCP. Every transition lives here.
//!
//! | our Close \ the peer's Close | not received | received |
//! |---|---|---|
//! | not queued | OPEN | CLOSING; the reply is queued at once |
//! | queued | CLOSING, draining; messages still delivered | CLOSING, draining |
//! | delivered | CLOSING, awaiting the peer's Close; messages still delivered | awaiting the end of TCP |
//!
//! | [`Phase`] | progress | at the deadline | transport |
//! |---|---|---|---|
//! | `Draining`: our last byte is not delivered | bytes delivered | output dropped, 1006 or the peer's code, not clean, Abort | Open |
//! | `AwaitingClose` | bytes received | 1006, not clean, Abort | Open |
//! | `AwaitingEnd`: both Closes exchanged, or failed and our Close delivered | none | the peer's code, clean (a failure: 1006, not clean), Close | server or failure: ShutdownWrite; client: Open |
//! | `WriteLost`: nothing more can be written | bytes received, until the peer's Close or a failure | as for `Draining` | Open, then Abort |
//!
//! Acknowledged bytes ([`Closing::progress`]) count in every phase. The deadline is `closing_timeout` after the latest
//! progress, and at most `closing_limit` after the beginning.
//!
//! The FIN of the peer is remembered while output is pending; the connection ends when the output is delivered. A
//! response that refuses an opening handshake, or answers a plain request, ends its connection in the same phases: it
//! is a failure without a Close frame.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::config::Config;
use crate::error::Error;
use crate::event::{ReadyState, Role, TransportAction};
use crate::output::Output;
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// Why a connection is closed (RFC 6455 section 7.4): a status code that may travel in a Close frame, or one of the two
/// that report that none arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away, such as a server that stops or a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint cannot accept this kind of message.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: reported when a Close frame had no status code; to send it means to send none. Never travels.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: reported when no Close frame came. Never travels.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: the data did not fit the message's kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message violated the endpoint's policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message was too big.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from upstream (IANA registry).
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Returns the code with this number if it may travel: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    ///
    /// ```
    /// use sansocket::CloseCode;
    ///
    /// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
    /// assert!(CloseCode::new(4000).is_some());
    /// assert_eq!(CloseCode::new(1006), None);
    /// ```
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// Returns the number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Returns whether the code may travel in a Close frame: all but [`NO_STATUS`](Self::NO_STATUS) and
    /// [`ABNORMAL`](Self::ABNORMAL).
    pub const fn is_sendable(self) -> bool {
        Self::new(self.0).is_some()
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// How a connection that was open ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// The status code of the peer's Close frame; [`CloseCode::NO_STATUS`] if it had none, [`CloseCode::ABNORMAL`] if
    /// none came (RFC 6455 section 7.1.5).
    pub code: CloseCode,
    /// The reason in the peer's Close frame (section 7.1.6); often empty.
    pub reason: Box<str>,
    /// Whether the peer's Close frame arrived, ours was delivered, and nothing failed (section 7.1.4).
    pub was_clean: bool,
    /// Who began to close.
    pub initiator: Initiator,
}

/// Who began to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Initiator {
    /// This endpoint: it called `close`, failed the connection, or gave it up.
    Local,
    /// The peer: it sent a Close frame, or ended TCP without one.
    Peer,
}

/// The content of the peer's Close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseFrame {
    /// The status code; [`CloseCode::NO_STATUS`] if the frame had none (RFC 6455 section 7.1.5).
    pub code: CloseCode,
    /// The reason (section 7.1.6), up to 123 bytes; often empty.
    pub reason: Box<str>,
}

impl CloseFrame {
    pub(crate) fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Where in its end a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Our Close frame, or after the peer's FIN our last byte, is not delivered.
    Draining,
    /// Our Close frame is delivered; the peer's has not arrived.
    AwaitingClose,
    /// Nothing is left to say; TCP has to end.
    AwaitingEnd,
    /// Nothing more can be written; what the peer sent is still read.
    WriteLost,
    /// The connection is over: the driver has to close the transport, or to abort it.
    Ended(TransportAction),
}

/// A connection that has begun to end. Boxed by its owner, so that an open connection does not pay for it.
#[derive(Debug)]
pub(crate) struct Closing {
    initiator: Initiator,
    received: Option<CloseFrame>,
    /// What every `receive` reports from now on.
    error: Option<Error>,
    /// The connection was failed (7.1.7), or never opened: nothing more is delivered.
    is_failed: bool,
    has_eof: bool,
    is_write_lost: bool,
    /// Output was dropped before our Close frame was delivered: never clean.
    has_lost_output: bool,
    /// Set by a deadline or by `abort`; otherwise the end follows from the other fields.
    ended: Option<TransportAction>,
    is_reported: bool,
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
            is_reported: false,
            timeout: config.closing_timeout,
            progress_at: now,
            limit_at: now + config.closing_limit,
        }
    }

    /// Records the peer's Close frame. The first one counts (RFC 6455 section 7.1.5); no other is ever read.
    pub(crate) fn receive_close(&mut self, frame: CloseFrame) {
        self.received = Some(frame);
    }

    /// Fails the connection (section 7.1.7), or the opening handshake; without an error if the application refused it.
    pub(crate) fn fail(&mut self, error: Option<Error>) {
        self.is_failed = true;
        self.error = error;
    }

    /// Records the peer's FIN.
    pub(crate) fn receive_eof(&mut self) {
        self.has_eof = true;
    }

    /// Records that nothing more can be written; `close_delivered`: our Close frame was delivered before.
    pub(crate) fn lose_write(&mut self, close_delivered: bool) {
        if !self.is_write_lost && self.ended.is_none() {
            self.is_write_lost = true;
            self.has_lost_output |= !close_delivered;
        }
    }

    /// Ends the connection now; `close_delivered`: our Close frame was delivered before. (Ignored after `lose_write`,
    /// which dropped the output and recorded it.)
    fn end(&mut self, action: TransportAction, close_delivered: bool) {
        if self.ended.is_none() {
            self.ended = Some(action);
            self.has_lost_output |= !close_delivered && !self.is_write_lost;
        }
    }

    /// Received bytes keep the connection alive while the peer's Close frame is awaited. In the other phases they do
    /// not: a peer that drips or floods would hold the connection.
    pub(crate) fn note_received(&mut self, is_delivered: bool, now: Instant) {
        match self.phase(is_delivered) {
            Phase::AwaitingClose => self.progress_at = now,
            Phase::WriteLost if !self.is_failed => self.progress_at = now,
            _ => {}
        }
    }

    /// Bytes were delivered, or acknowledged by the peer.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Handles the closing timer: the connection has made progress, has ended, or has time left. Returns whether it has
    /// ended; its output is then dropped.
    pub(crate) fn check_deadline(&mut self, output: &mut Output, timers: &mut Timers) -> bool {
        let now = timers.now();
        if output.take_moved() {
            self.progress(now);
        }
        let has_ended = self.expire(output.is_delivered(), output.is_close_delivered(), now);
        if has_ended {
            output.abandon();
        } else {
            timers.set(Timer::Closing, self.next_look(now));
        }
        has_ended
    }

    /// Ends the connection now, and drops its output.
    pub(crate) fn end_now(&mut self, action: TransportAction, output: &mut Output, timers: &mut Timers) {
        self.end(action, output.is_close_delivered());
        output.abandon();
        timers.stop();
    }

    /// Ends the connection if its deadline has come; returns whether it has.
    fn expire(&mut self, is_delivered: bool, close_delivered: bool, now: Instant) -> bool {
        if now < self.deadline() {
            return false;
        }
        let action = match self.phase(is_delivered) {
            Phase::AwaitingEnd => TransportAction::Close,
            Phase::Ended(action) => action,
            Phase::Draining | Phase::AwaitingClose | Phase::WriteLost => TransportAction::Abort,
        };
        self.end(action, close_delivered);
        true
    }

    fn deadline(&self) -> Instant {
        (self.progress_at + self.timeout).min(self.limit_at)
    }

    /// How long after `now` to look again: at the deadline, and before it four times per `closing_timeout`, since the
    /// time at which bytes are delivered is known only to a call that has the time.
    pub(crate) fn next_look(&self, now: Instant) -> Duration {
        (self.deadline() - now).min(self.timeout / 4)
    }

    /// The phase, which depends on whether all output was delivered.
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

    /// What the driver has to do with TCP (7.1.1: the server closes first, so that TIME_WAIT is its burden).
    pub(crate) fn transport(&self, role: Role, is_delivered: bool) -> TransportAction {
        match self.phase(is_delivered) {
            Phase::Draining | Phase::AwaitingClose | Phase::WriteLost => TransportAction::Open,
            Phase::AwaitingEnd if role == Role::Server || self.is_failed => TransportAction::ShutdownWrite,
            Phase::AwaitingEnd => TransportAction::Open,
            Phase::Ended(action) => action,
        }
    }

    /// Whether the connection is over. If so, nothing more is read or written.
    pub(crate) fn has_ended(&self, is_delivered: bool) -> bool {
        matches!(self.phase(is_delivered), Phase::Ended(_))
    }

    /// Whether received bytes still mean something (sections 1.4 and 7.1.7); otherwise they are discarded.
    pub(crate) fn is_listening(&self) -> bool {
        self.received.is_none() && !self.is_failed && !self.has_eof && self.ended.is_none()
    }

    /// Whether frames can still be queued: Pongs, and our Close frame.
    pub(crate) fn can_write(&self) -> bool {
        !self.is_write_lost && !self.has_eof && self.ended.is_none()
    }

    /// Whether the driver should read.
    pub(crate) fn wants_read(&self, is_delivered: bool) -> bool {
        !self.has_eof && !self.has_ended(is_delivered)
    }

    /// The error that every `receive` returns.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Whether the end has not been reported yet.
    pub(crate) fn has_pending_close(&self, is_delivered: bool) -> bool {
        !self.is_reported && self.has_ended(is_delivered)
    }

    /// Returns how the connection closed: once, when it has ended.
    pub(crate) fn take_close(&mut self, is_delivered: bool) -> Option<Close> {
        let Phase::Ended(action) = self.phase(is_delivered) else { return None };
        if core::mem::replace(&mut self.is_reported, true) {
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
        if self.is_reported { ReadyState::Closed } else { ReadyState::Closing }
    }
}
