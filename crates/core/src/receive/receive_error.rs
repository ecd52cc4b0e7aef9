//! The error of receiving.

use thiserror::Error;

use crate::data::{InvalidUtf8, LimitExceeded, ProtocolError};

/// Why received bytes fail the connection (RFC 6455 section 7.1.7).
#[derive(Debug, Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<InvalidUtf8> for ReceiveError {
    fn from(_: InvalidUtf8) -> Self {
        Self::Protocol(ProtocolError::Utf8Invalid)
    }
}
