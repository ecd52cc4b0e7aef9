//! Why a client has no connection.

use std::io;
use std::net::SocketAddr;

use sansocket::{RequestError, UriError};
use thiserror::Error as ThisError;

use crate::Error;

/// Why there is no connection.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ConnectError {
    /// The caller is at fault: this is not a ws or wss URI.
    #[error("URL: {0}")]
    Uri(#[from] UriError),
    /// The caller is at fault: such a request cannot be sent.
    #[error("request: {0}")]
    Request(#[from] RequestError),
    /// The URI asks for wss.
    #[error("TLS is not built in yet: wss works over a TLS stream of your own, with Connector::handshake")]
    TlsNotBuiltIn,
    /// The name has no address, or the lookup failed.
    #[error("transport: {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// None of the host's addresses could be reached; each is listed with the reason.
    #[error("transport: {}", list(.0))]
    Unreachable(Vec<(SocketAddr, io::Error)>),
    /// The opening handshake failed.
    #[error(transparent)]
    Handshake(#[from] Error),
}

fn list(tried: &[(SocketAddr, io::Error)]) -> String {
    tried.iter().map(|(address, error)| format!("{address}: {error}")).collect::<Vec<_>>().join("; ")
}
