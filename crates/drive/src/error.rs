//! The error of the adapters: what went wrong with a connection, and who is at fault.

use std::io;

use sansocket::{AnswerError, LimitExceeded, SendError};
use thiserror::Error;

/// What went wrong with a connection.
///
/// Closing is never an error. Neither is a peer that vanishes: it is reported as a [`Close`](sansocket::Close) with
/// [`CloseCode::ABNORMAL`](sansocket::CloseCode::ABNORMAL).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport is at fault.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
    /// The peer is at fault: it broke the protocol, refused the opening handshake, or let a deadline pass.
    #[error(transparent)]
    Peer(sansocket::Error),
    /// A message exceeded a limit of this endpoint ([`Config`](sansocket::Config)). The peer is not at fault: it cannot
    /// know the limit. (A limit that the opening handshake exceeded is an [`Error::Peer`]: see
    /// [`HandshakeError::LimitExceeded`](sansocket::HandshakeError::LimitExceeded).)
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The message was not sent. The caller is at fault, or a peer that does not read. The connection is unaffected.
    #[error("not sent: {0}")]
    Send(#[source] SendError),
    /// The answer to the request was not possible. The caller is at fault; with [`AnswerError::OriginForbidden`], the
    /// client is. The client got a response (403, 426 or 500), except with [`AnswerError::NoRequest`]: then nothing
    /// changed.
    #[error("not accepted: {0}")]
    Answer(#[from] AnswerError),
}

impl From<sansocket::Error> for Error {
    fn from(error: sansocket::Error) -> Self {
        match error {
            sansocket::Error::Limit(exceeded) => Self::Limit(exceeded),
            error => Self::Peer(error),
        }
    }
}

/// Drops the message that was not sent.
impl<M> From<SendError<M>> for Error {
    fn from(error: SendError<M>) -> Self {
        Self::Send(error.map(drop))
    }
}

/// Returns whether the error only means that the peer, or the network, has ended the connection.
///
/// [`Driver`](crate::Driver) returns no such error: [`Event::Close`](sansocket::Event::Close) reports the end.
pub fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
