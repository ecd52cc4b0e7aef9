//! The closing handshake (RFC 6455 section 7) as one table; every transition of it lives here.
//!
//! Two things happen, in either order: our Close frame goes out (first it is queued behind the messages that were
//! accepted before it, then the transport takes it), and the peer's comes in. What follows from each combination:
//!
//! | sent \ received | nothing | Close |
//! |---|---|---|
//! | nothing | OPEN | (our reply is queued at once) |
//! | queued | CLOSING; messages still delivered | CLOSING; flush |
//! | sent | CLOSING; messages still delivered | the server half-closes TCP, the client waits for it to |
//!
//! A connection that fails behaves as if it had closed, but reads nothing more, and half-closes TCP in either role.
//! From the first entry other than OPEN a timer bounds it all. The end of TCP or the timer ends the connection: CLOSED. After
//! silence that follows a keepalive Ping the driver is to end TCP at once.

use alloc::boxed::Box;
use core::fmt;

use crate::error::{Error, ProtocolError, TimeoutKind};
use crate::event::{ReadyState, Role, TransportAction};

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

    /// The code with this number if it may travel: 1000 to 1003, 1007 to 1014, 3000 to 4999.
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

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the code may travel in a Close frame: all but [`NO_STATUS`](Self::NO_STATUS) and
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
    /// Whether both Close frames travelled (section 7.1.4).
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

/// The content of a Close frame from the peer.
#[derive(Debug)]
pub(crate) struct CloseFrame {
    pub(crate) code: CloseCode,
    pub(crate) reason: Box<str>,
}

/// How far our own Close frame has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    Queued,
    /// The transport has taken its last byte.
    Taken,
}

/// Why a connection was failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    Protocol(ProtocolError),
    Timeout(TimeoutKind),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Protocol(error) => error.into(),
            Failure::Timeout(kind) => kind.into(),
        }
    }
}

/// What has happened so far of the closing handshake, but for our own frame, whose way the output knows.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    received: Option<Box<CloseFrame>>,
    initiator: Option<Initiator>,
    failure: Option<Failure>,
    ended: bool,
}

impl Closing {
    /// This endpoint has queued a Close frame of its own accord.
    pub(crate) fn begin(&mut self) {
        self.initiator.get_or_insert(Initiator::Local);
    }

    /// The peer's Close frame came. The first one counts (RFC 6455 section 7.1.5); no other is ever read.
    pub(crate) fn receive(&mut self, frame: CloseFrame) {
        self.initiator.get_or_insert(Initiator::Peer);
        self.received = Some(Box::new(frame));
    }

    /// The connection is failed (section 7.1.7).
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.begin();
        self.failure.get_or_insert(failure);
    }

    /// TCP has ended or is given up. Returns how the connection closed, the first time.
    pub(crate) fn end(&mut self, sent: Sent) -> Option<Close> {
        if core::mem::replace(&mut self.ended, true) {
            return None;
        }
        let initiator = self.initiator.unwrap_or(Initiator::Peer);
        Some(match self.received.take() {
            Some(frame) => Close { code: frame.code, reason: frame.reason, was_clean: sent == Sent::Taken, initiator },
            None => Close { code: CloseCode::ABNORMAL, reason: Box::default(), was_clean: false, initiator },
        })
    }

    /// The failure, which every `receive` reports.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether nobody has begun to close, nor the connection ended otherwise.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.initiator.is_none() && !self.ended
    }

    /// Whether bytes from the peer still mean anything (sections 1.4 and 7.1.7).
    pub(crate) fn is_listening(&self) -> bool {
        self.received.is_none() && self.failure.is_none() && !self.ended
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    #[inline]
    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.is_open() {
            true => ReadyState::Open,
            false if self.ended => ReadyState::Closed,
            false => ReadyState::Closing,
        }
    }

    pub(crate) fn transport(&self, sent: Sent, role: Role, output_is_empty: bool) -> TransportAction {
        let received = self.received.is_some();
        // silent for too long: there is nobody to close with
        let given_up = matches!(self.failure, Some(Failure::Timeout(_)));
        match (self.ended || given_up, sent) {
            (true, _) if output_is_empty => TransportAction::Close,
            // 7.1.1: the server closes TCP first, so that TIME_WAIT is its burden and not the client's
            (false, Sent::Taken) if received && role == Role::Server => TransportAction::ShutdownWrite,
            (false, Sent::Taken) if self.failure.is_some() => TransportAction::ShutdownWrite,
            _ => TransportAction::Open,
        }
    }
}
