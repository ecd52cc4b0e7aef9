//! Errors of posting commands to an event loop.

use std::fmt;

use thiserror::Error;

/// The event loop is stopping or has stopped: it accepts no more commands and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event loop has stopped")]
#[non_exhaustive]
pub struct Stopped;

/// The limit of a mailbox that a command would have exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a mailbox has these two limits")]
pub enum MailboxLimit {
    /// The value of [`Options::max_pending_commands`](crate::Options::max_pending_commands).
    Commands(usize),
    /// The value of [`Options::max_pending_bytes`](crate::Options::max_pending_bytes).
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

/// Why an event loop refused a command. Hands back the value that was not posted.
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "a mailbox is full, or its loop has stopped")]
pub enum PostError<T = ()> {
    /// The mailbox is full: the caller posts faster than the event loop executes. Nothing was posted. Try again later,
    /// or drop the command.
    #[error("the mailbox of the event loop is full, the limit is {1}: try again later")]
    Full(T, MailboxLimit),
    /// The event loop is stopping or has stopped: it accepts no more commands.
    #[error("the event loop has stopped")]
    Stopped(T),
}

impl<T> PostError<T> {
    /// Returns whether a later attempt may succeed.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(..))
    }

    /// Returns the value that was not posted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value, _) | Self::Stopped(value) => value,
        }
    }

    /// Replaces the value that is handed back; `error.map(drop)` drops it.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> PostError<U> {
        match self {
            Self::Full(value, limit) => PostError::Full(change(value), limit),
            Self::Stopped(value) => PostError::Stopped(change(value)),
        }
    }
}

/// Omits the value that is handed back, as `Display` does.
impl<T> fmt::Debug for PostError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_, limit) => f.debug_tuple("Full").field(limit).finish_non_exhaustive(),
            Self::Stopped(_) => f.debug_tuple("Stopped").finish_non_exhaustive(),
        }
    }
}
