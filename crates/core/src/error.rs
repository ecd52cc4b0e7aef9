//! The error of a connection, and whose fault it is.

use thiserror::Error;

use crate::data::{CloseCode, LimitExceeded, ProtocolError};
use crate::handshake::HandshakeError;
use crate::receive::ReceiveError;

/// Why a connection failed. A failure is final: every later `receive` returns the same error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The opening handshake failed.
    #[error("opening handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer broke a rule of the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// A message exceeded a limit of this endpoint ([`Config`](crate::Config)). The peer is not at fault: it cannot
    /// know the limit. (A limit of the opening handshake is a [`HandshakeError::LimitExceeded`].)
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A deadline passed.
    #[error("timed out: {0}")]
    Timeout(#[from] TimeoutKind),
}

impl From<ReceiveError> for Error {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Limit(exceeded) => Self::Limit(exceeded),
            ReceiveError::Protocol(error) => Self::Protocol(error),
        }
    }
}

impl Error {
    /// Returns the status code of the Close frame that the connection sends for the error (RFC 6455 section 7.4.1).
    /// `None` if it sends none: the opening handshake failed, or a deadline passed.
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(ProtocolError::Utf8Invalid) => Some(CloseCode::INVALID_PAYLOAD),
            #[cfg(feature = "deflate")]
            Self::Protocol(ProtocolError::DeflateInvalid | ProtocolError::DeflateUnfinished) => {
                Some(CloseCode::INVALID_PAYLOAD)
            }
            Self::Protocol(_) => Some(CloseCode::PROTOCOL_ERROR),
            Self::Limit(exceeded) if exceeded.is_too_long() => Some(CloseCode::MESSAGE_TOO_BIG),
            Self::Limit(_) => Some(CloseCode::POLICY_VIOLATION),
            Self::Handshake(_) | Self::Timeout(_) => None,
        }
    }
}

/// The deadline that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The opening handshake took longer than [`Config::opening_timeout`](crate::Config::opening_timeout).
    #[error("the opening handshake took longer than `opening_timeout`")]
    Opening,
    /// The peer sent nothing within [`Config::pong_timeout`](crate::Config::pong_timeout) of a keepalive Ping.
    #[error("the peer sent nothing within `pong_timeout` of a keepalive Ping")]
    Pong,
}
