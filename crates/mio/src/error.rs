//! Why an event loop does not do what it was asked to.

use std::fmt;
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

/// The limit of a mailbox that a command would have exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a mailbox has these two limits")]
pub enum MailboxLimit {
    /// [`Options::max_pending_commands`](crate::Options::max_pending_commands), and its value.
    Commands(usize),
    /// [`Options::max_pending_bytes`](crate::Options::max_pending_bytes), and its value.
    Bytes(usize),
}

impl fmt::Display for MailboxLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands(limit) => write!(f, "{limit} commands (`max_pending_commands`)"),
            Self::Bytes(limit) => write!(f, "{limit} bytes (`max_pending_bytes`)"),
        }
    }
}

/// Why an event loop did not take a command. Hands back what was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "a mailbox is full, or its loop has stopped")]
pub enum PostError<T = ()> {
    /// The mailbox is full: the caller posts faster than the event loop works. Nothing was posted. Try again later, or
    /// drop the command.
    #[error("the mailbox of the event loop is full, the limit is {1}: try again later")]
    Full(T, MailboxLimit),
    /// The event loop has been told to stop, or has stopped: it takes nothing more.
    #[error("the event loop has stopped")]
    Stopped(T),
}

impl<T> PostError<T> {
    /// Whether a later try may succeed.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(..))
    }

    /// Returns what was not posted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value, _) | Self::Stopped(value) => value,
        }
    }

    /// Replaces what is handed back, such as by nothing: `error.map(drop)`.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> PostError<U> {
        match self {
            Self::Full(value, limit) => PostError::Full(change(value), limit),
            Self::Stopped(value) => PostError::Stopped(change(value)),
        }
    }
}

/// Omits what is handed back, as its `Display` does.
impl<T> fmt::Debug for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_, limit) => f.debug_tuple("Full").field(limit).finish_non_exhaustive(),
            Self::Stopped(_) => f.debug_tuple("Stopped").finish_non_exhaustive(),
        }
    }
}
