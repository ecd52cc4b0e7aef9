//! What went wrong, by whose fault.

use std::io;

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
    /// The caller is at fault, or a peer that does not read: this was not sent. The connection is unharmed.
    #[error("not sent: {0}")]
    Send(#[from] SendError),
    /// The request could not be answered so: the caller is at fault, or, with
    /// [`AnswerError::OriginForbidden`], the client. The client has been told (403, or 500), unless there was no request to
    /// answer ([`AnswerError::NoRequest`]): then nothing has changed.
    #[error("not accepted: {0}")]
    Answer(#[from] AnswerError),
}

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

/// Whether the error says no more than that the peer, or the network, has ended the stream.
pub(crate) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
