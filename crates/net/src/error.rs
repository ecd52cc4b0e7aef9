//! What went wrong, by whose fault.

use std::io;
use std::net::SocketAddr;

use sansocket::{AnswerError, RequestError, SendError, UriError};
use thiserror::Error;

/// What went wrong with a connection. To close is never an error, nor is a peer that vanishes: that is a
/// [`Close`](sansocket::Close) with [`CloseCode::ABNORMAL`](sansocket::CloseCode::ABNORMAL).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport is at fault.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
    /// The peer is at fault: it broke the protocol, refused the opening handshake, or let a deadline pass.
    #[error(transparent)]
    Peer(#[from] sansocket::Error),
    /// The caller is at fault: this cannot be sent. The connection is unharmed.
    #[error("not sent: {0}")]
    Send(#[from] SendError),
    /// The request could not be answered so: the caller is at fault, or, with
    /// [`AnswerError::OriginForbidden`], the client. The client has been told (403, or 500).
    #[error("not accepted: {0}")]
    Answer(#[from] AnswerError),
}

/// Why there is no connection.
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
    #[error("TLS is not built in yet: wss works over a TLS stream of your own, with Connector::handshake")]
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
    /// No address of the host's could be reached; each is listed with the reason.
    #[error("transport: {}", list(.0))]
    Unreachable(Vec<(SocketAddr, io::Error)>),
    /// The opening handshake failed.
    #[error(transparent)]
    Handshake(#[from] Error),
}

fn list(tried: &[(SocketAddr, io::Error)]) -> String {
    tried.iter().map(|(address, error)| format!("{address}: {error}")).collect::<Vec<_>>().join("; ")
}
