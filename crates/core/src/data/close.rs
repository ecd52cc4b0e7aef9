//! Close codes, the peer's Close frame, and how a connection ended (RFC 6455 section 7).

use alloc::boxed::Box;
use core::fmt;

/// A status code of the closing handshake (RFC 6455 section 7.4). Two codes are never sent: `ABNORMAL` reports that no
/// Close frame arrived, `NO_STATUS` that one without a code did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away, such as a server that stops or a page that the user leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint cannot accept this kind of message.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: reported when a Close frame had no status code. `close` with it sends no status code. Never travels.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: reported when no Close frame arrived. Never travels.
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

/// The end of a connection that was open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Close {
    /// The status code of the peer's Close frame; [`CloseCode::NO_STATUS`] if it had none, [`CloseCode::ABNORMAL`] if
    /// none came (RFC 6455 section 7.1.5).
    pub code: CloseCode,
    /// The reason in the peer's Close frame (section 7.1.6); often empty.
    pub reason: Box<str>,
    /// Whether the peer's Close frame arrived, this endpoint's was delivered, and nothing failed (section 7.1.4).
    pub was_clean: bool,
    /// The endpoint that began to close.
    pub initiator: Initiator,
}

/// The endpoint that began to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Initiator {
    /// This endpoint: it called `close`, failed the connection, or aborted it.
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
