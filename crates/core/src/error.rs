//! What went wrong, by whose fault.

use thiserror::Error;

use crate::closing::CloseCode;
use crate::handshake::HandshakeError;
use crate::limit::LimitExceeded;

/// Why a connection failed. It stays failed: every later `receive` returns the same error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The opening handshake failed.
    #[error("opening handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer broke a rule of the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// A message exceeded a limit of this endpoint ([`Config`](crate::Config)). The peer broke no rule: it cannot know
    /// the limit. (A limit that the opening handshake exceeded is a [`HandshakeError::LimitExceeded`].)
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A deadline passed.
    #[error("timed out: {0}")]
    Timeout(#[from] TimeoutKind),
}

impl Error {
    /// Returns the status code of the Close frame that tells the peer why the connection failed (RFC 6455 section
    /// 7.4.1). `None` if no Close frame does: the opening handshake failed, or a deadline passed.
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(ProtocolError::Utf8Invalid) => Some(CloseCode::INVALID_PAYLOAD),
            Self::Protocol(_) => Some(CloseCode::PROTOCOL_ERROR),
            Self::Limit(exceeded) if exceeded.is_too_long() => Some(CloseCode::MESSAGE_TOO_BIG),
            Self::Limit(_) => Some(CloseCode::POLICY_VIOLATION),
            Self::Handshake(_) | Self::Timeout(_) => None,
        }
    }
}

/// The rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RFC 6455 section 7.4: the status code of a Close frame is not one that may travel.
    #[error("a Close frame carried a status code that must not be sent")]
    CloseCodeInvalid,
    /// RFC 6455 section 5.5.1: the body of a Close frame is empty or begins with two bytes of status code.
    #[error("a Close frame had a body of one byte")]
    CloseBodyTooShort,
    /// RFC 6455 section 5.4: a continuation frame without a message to continue.
    #[error("a continuation frame came without a message to continue")]
    ContinuationUnexpected,
    /// RFC 6455 section 5.5: control frames must not be fragmented.
    #[error("a control frame was fragmented")]
    ControlFrameFragmented,
    /// RFC 6455 section 5.5: the payload of a control frame is at most 125 bytes.
    #[error("a control frame had more than 125 bytes of payload")]
    ControlFrameTooLong,
    /// RFC 6455 section 5.4: a new message began before the last fragment of another.
    #[error("a message began before the last fragment of the previous one")]
    ContinuationMissing,
    /// RFC 6455 section 5.1: a client must mask every frame.
    #[error("a client sent a frame without masking it")]
    FrameNotMasked,
    /// RFC 6455 section 5.1: a server must not mask any frame.
    #[error("a server sent a masked frame")]
    FrameMasked,
    /// RFC 6455 section 5.2: the most significant bit of a 64-bit payload length must be 0.
    #[error("a 64-bit payload length had its top bit set")]
    LengthTopBitSet,
    /// RFC 6455 section 5.2: the payload length must be encoded in the fewest bytes.
    #[error("a payload length was not encoded in the fewest bytes")]
    LengthNotMinimal,
    /// RFC 6455 section 5.2: an opcode that no specification has defined.
    #[error("a frame had a reserved opcode")]
    OpCodeReserved,
    /// RFC 6455 section 5.2: a reserved bit that no negotiated extension uses.
    #[error("a frame had a reserved bit set")]
    ReservedBitSet,
    /// RFC 6455 section 8.1: text must be UTF-8; so must the reason of a Close frame (section 5.5.1).
    #[error("text was not valid UTF-8")]
    Utf8Invalid,
}

/// The deadline that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The opening handshake took longer than [`Config::opening_timeout`](crate::Config::opening_timeout).
    #[error("the opening handshake took too long")]
    Opening,
    /// Nothing came from the peer within [`Config::pong_timeout`](crate::Config::pong_timeout) of a keepalive Ping.
    #[error("the peer did not answer a keepalive Ping")]
    Pong,
}
