//! Why an event loop does not do what it was asked to.

use std::io;

use sansocket_drive::sansocket::{RequestError, UriError};
use thiserror::Error;

/// Why there will be no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The caller is at fault: this is not a ws or wss URI.
    #[error("URL: {0}")]
    Uri(#[from] UriError),
    /// The caller is at fault: such a request cannot be sent.
    #[error("request: {0}")]
    Request(#[from] RequestError),
    /// The URI asks for wss.
    #[error("TLS is not built in yet")]
    TlsNotBuiltIn,
    /// The name has no address, or could not be looked up.
    #[error("transport: {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The transport is at fault: it would not even begin to connect.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
    /// The event loop is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The event loop has been told to stop, or has stopped: it takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event loop has stopped")]
#[non_exhaustive]
pub struct Stopped;
