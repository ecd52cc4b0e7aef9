//! An attempt to connect that failed, as errors list it.

use std::io;
use std::net::SocketAddr;

/// An address that could not be reached.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The address.
    pub address: SocketAddr,
    /// The reason.
    pub error: io::Error,
}

/// Displays attempts as a list.
pub(crate) fn list(attempts: &[FailedAttempt]) -> String {
    let text = |FailedAttempt { address, error }: &FailedAttempt| format!("{address}: {error}");
    attempts.iter().map(text).collect::<Vec<_>>().join("; ")
}
