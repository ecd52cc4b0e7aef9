//! Why received bytes fail the connection.

use crate::data::{InvalidUtf8, LimitExceeded, ProtocolError};

/// Why received bytes fail the connection (RFC 6455 section 7.1.7).
#[derive(Debug)]
pub(crate) enum ReceiveError {
    Limit(LimitExceeded),
    Protocol(ProtocolError),
}

impl From<LimitExceeded> for ReceiveError {
    fn from(exceeded: LimitExceeded) -> Self {
        Self::Limit(exceeded)
    }
}

impl From<ProtocolError> for ReceiveError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<InvalidUtf8> for ReceiveError {
    fn from(_: InvalidUtf8) -> Self {
        Self::Protocol(ProtocolError::Utf8Invalid)
    }
}
