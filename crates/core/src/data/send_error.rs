//! The errors of sending.

use core::fmt;

use bytes::Bytes;
use thiserror::Error;

use super::close::CloseCode;
use super::limit::Grouped;
use super::message::Message;
use super::state::ReadyState;
use super::utf8::InvalidUtf8;

/// Why a message or control frame was not sent. The connection is unaffected.
///
/// `M` is the type of the message that [`BufferFull`](Self::BufferFull) and [`MessageTooLong`](Self::MessageTooLong)
/// return as it was passed, borrowed or shared, without a copy. It is `()` for methods that return no message. Convert
/// the error with `?` or `map(drop)` to drop a message that borrows a buffer:
///
/// ```
/// use sansocket::{Config, Connection, Instant, Message, SendError};
///
/// let config = Config::default().max_buffered_amount(10);
/// let mut connection = Connection::server(config, Instant::EPOCH);
/// connection.send("five.")?;
///
/// let text = String::from("six...");
/// let Err(error) = connection.send(&text) else { panic!() };
/// assert_eq!(format!("{error:?}"), "BufferFull { size: 6, .. }");
/// assert_eq!(error.into_message(), Some(Message::from("six..."))); // later, perhaps
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError<M = ()> {
    /// Too much output is pending: the limit is [`Config::max_buffered_amount`](crate::Config::max_buffered_amount), or
    /// for a Ping or Pong [`Config::max_pending_controls`](crate::Config::max_pending_controls). Write some of the
    /// output, then send again.
    #[error(
        "no room for a payload of {} bytes now: let the transport take some of the output first",
        Grouped(*.size as u64)
    )]
    BufferFull {
        /// The message, which can be sent later.
        message: M,
        /// The size of the payload in bytes.
        size: usize,
    },
    /// The message is longer than [`Config::max_buffered_amount`](crate::Config::max_buffered_amount), so it never
    /// fits. Raise the limit, or send the message in fragments.
    #[error(
        "a message of {} bytes exceeds the limit of {} bytes (`max_buffered_amount`)",
        Grouped(*.size as u64),
        Grouped(*.limit as u64)
    )]
    MessageTooLong {
        /// The message.
        message: M,
        /// The size of the payload in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A Close frame must not carry this status code (RFC 6455 section 7.4): see [`CloseCode::new`].
    #[error("close code {} must not be sent: use 1000 to 1003, 1007 to 1014, or 3000 to 4999", .0.as_u16())]
    CloseCodeNotSendable(CloseCode),
    /// The payload of a Ping or Pong exceeds 125 bytes (RFC 6455 section 5.5).
    #[error("a Ping or Pong of {0} bytes: at most 125 are allowed")]
    ControlPayloadTooLong(usize),
    /// The fragment is text and continues a binary message, or the reverse.
    #[error("the fragment is not of the same kind as the message that it continues")]
    FragmentKindMismatch,
    /// A message begun with `send_fragment` must be finished first (RFC 6455 section 5.4).
    #[error("a fragmented message is unfinished: send its last fragment first")]
    MessageUnfinished,
    /// The connection is in this state; messages can be sent only in [`ReadyState::Open`].
    #[error("{}", NotOpen(*.0))]
    NotOpen(ReadyState),
    /// The reason of a Close frame is longer than 123 bytes of UTF-8 (RFC 6455 section 5.5), or has no status code.
    #[error("the reason of a Close frame is longer than 123 bytes, or has no status code: shorten it, or pass a code")]
    ReasonTooLong,
    /// The text is not valid UTF-8, or the last fragment ends within a character (RFC 6455 section 5.6).
    #[error("the text is not valid UTF-8")]
    Utf8Invalid,
}

impl<M> SendError<M> {
    /// Returns the message, if the error holds it.
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::BufferFull { message, .. } | Self::MessageTooLong { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Converts the message. `map(drop)` removes it.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> SendError<N> {
        match self {
            Self::BufferFull { message, size } => SendError::BufferFull { message: change(message), size },
            Self::MessageTooLong { message, size, limit } => {
                SendError::MessageTooLong { message: change(message), size, limit }
            }
            Self::CloseCodeNotSendable(code) => SendError::CloseCodeNotSendable(code),
            Self::ControlPayloadTooLong(size) => SendError::ControlPayloadTooLong(size),
            Self::FragmentKindMismatch => SendError::FragmentKindMismatch,
            Self::MessageUnfinished => SendError::MessageUnfinished,
            Self::NotOpen(state) => SendError::NotOpen(state),
            Self::ReasonTooLong => SendError::ReasonTooLong,
            Self::Utf8Invalid => SendError::Utf8Invalid,
        }
    }
}

/// Drops the message.
impl From<SendError<Message<'_>>> for SendError {
    fn from(error: SendError<Message<'_>>) -> Self {
        error.map(drop)
    }
}

/// Drops the message.
impl From<SendError<Bytes>> for SendError {
    fn from(error: SendError<Bytes>) -> Self {
        error.map(drop)
    }
}

/// Omits the message.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferFull { size, .. } => f.debug_struct("BufferFull").field("size", size).finish_non_exhaustive(),
            Self::MessageTooLong { size, limit, .. } => {
                f.debug_struct("MessageTooLong").field("size", size).field("limit", limit).finish_non_exhaustive()
            }
            Self::CloseCodeNotSendable(code) => f.debug_tuple("CloseCodeNotSendable").field(code).finish(),
            Self::ControlPayloadTooLong(size) => f.debug_tuple("ControlPayloadTooLong").field(size).finish(),
            Self::FragmentKindMismatch => f.write_str("FragmentKindMismatch"),
            Self::MessageUnfinished => f.write_str("MessageUnfinished"),
            Self::NotOpen(state) => f.debug_tuple("NotOpen").field(state).finish(),
            Self::ReasonTooLong => f.write_str("ReasonTooLong"),
            Self::Utf8Invalid => f.write_str("Utf8Invalid"),
        }
    }
}

/// The connection is not open, so no message can be sent.
pub(crate) struct NotOpen(pub(crate) ReadyState);

impl<M> From<NotOpen> for SendError<M> {
    fn from(NotOpen(state): NotOpen) -> Self {
        Self::NotOpen(state)
    }
}

impl<M> From<InvalidUtf8> for SendError<M> {
    fn from(_: InvalidUtf8) -> Self {
        Self::Utf8Invalid
    }
}

impl fmt::Display for NotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ReadyState::Connecting => "the connection is not open yet: wait for Event::Open",
            ReadyState::Open => "the connection is open",
            ReadyState::Closing => "the connection is closing",
            ReadyState::Closed => "the connection is closed",
        })
    }
}
