//! Messages, chunks of received messages, and payloads of sent fragments.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// A whole message: text or binary (RFC 6455 section 5.6).
///
/// A received message borrows the caller's buffer if it is complete there in one frame and not compressed. Otherwise it
/// owns its payload. Both can be sent as they are:
///
/// ```
/// use sansocket::{Message, MessageKind};
///
/// let message = Message::from("Hello");
/// assert_eq!((message.kind(), message.as_bytes()), (MessageKind::Text, &b"Hello"[..]));
/// assert_eq!(Message::from(&[1, 2, 3]).kind(), MessageKind::Binary);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6455 has two kinds of message, and every application must meet both")]
pub enum Message<'b> {
    /// UTF-8 text.
    Text(Cow<'b, str>),
    /// Arbitrary bytes.
    Binary(Cow<'b, [u8]>),
}

impl Message<'_> {
    /// Returns the kind: text or binary.
    #[inline]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the payload.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, if this is a text message.
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the payload's length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the payload is empty, which is legal.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Returns the message, copied if it borrows its payload.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
        }
    }

    /// Returns the payload, copied if the message borrows it.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_owned().into_bytes(),
            Self::Binary(bytes) => bytes.into_owned(),
        }
    }
}

impl<'b> From<&'b str> for Message<'b> {
    #[inline]
    fn from(text: &'b str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'b> From<&'b String> for Message<'b> {
    #[inline]
    fn from(text: &'b String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Message<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'b> From<&'b [u8]> for Message<'b> {
    #[inline]
    fn from(bytes: &'b [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

impl<'b, const N: usize> From<&'b [u8; N]> for Message<'b> {
    #[inline]
    fn from(bytes: &'b [u8; N]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

impl<'b> From<&'b Vec<u8>> for Message<'b> {
    #[inline]
    fn from(bytes: &'b Vec<u8>) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Message<'_> {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(Cow::Owned(bytes))
    }
}

/// Text or binary (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6455 has two kinds of message")]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// A piece of a message, delivered as it arrived ([`Delivery::Chunks`](crate::Delivery::Chunks)).
///
/// Concatenated in order, the payloads of its chunks are the message. Chunk boundaries have no meaning: they need not
/// match frames or reads. Of a message that proves invalid, any number of chunks may precede the error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Chunk<'b> {
    /// The kind of the message, the same for all its chunks.
    pub kind: MessageKind,
    /// The bytes. In a text message they are valid UTF-8 so far, but a character may straddle two chunks.
    pub payload: Cow<'b, [u8]>,
    /// Whether this is the last chunk of the message. It may be empty.
    pub last: bool,
}

impl<'b> Chunk<'b> {
    pub(crate) const fn new(kind: MessageKind, payload: &'b [u8], last: bool) -> Self {
        Self { kind, payload: Cow::Borrowed(payload), last }
    }

    /// Returns the chunk, copied if it borrows its payload.
    pub fn into_owned(self) -> Chunk<'static> {
        Chunk { payload: Cow::Owned(self.payload.into_owned()), ..self }
    }
}

/// The payload of a fragment ([`WebSocket::send_fragment`](crate::WebSocket::send_fragment)).
///
/// ```
/// use sansocket::bytes::{Buf, Bytes};
/// use sansocket::{Config, Connection, Instant, MessageKind};
///
/// let mut server = Connection::server(Config::default(), Instant::EPOCH);
/// server.send_fragment(MessageKind::Text, "borrowed, ", false)?;
/// server.send_fragment(MessageKind::Text, vec![b'-'; 1024], false)?; // not copied
/// server.send_fragment(MessageKind::Text, Bytes::from_static(b", shared"), true)?;
/// assert_eq!(server.buffered_amount(), 10 + 1024 + 8);
/// # Ok::<(), sansocket::SendError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum FragmentPayload<'p> {
    /// Bytes that are copied into the output.
    Borrowed(&'p [u8]),
    /// Bytes that a server does not copy, if its frames have 256 bytes or more of payload. A client copies them, since
    /// it must mask.
    Shared(Bytes),
}

impl FragmentPayload<'_> {
    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Omits the bytes.
impl fmt::Debug for FragmentPayload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentPayload").field("len", &self.as_bytes().len()).finish_non_exhaustive()
    }
}

impl<'p> From<&'p [u8]> for FragmentPayload<'p> {
    fn from(bytes: &'p [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'p, const N: usize> From<&'p [u8; N]> for FragmentPayload<'p> {
    fn from(bytes: &'p [u8; N]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'p> From<&'p Vec<u8>> for FragmentPayload<'p> {
    fn from(bytes: &'p Vec<u8>) -> Self {
        Self::Borrowed(bytes)
    }
}

impl<'p> From<&'p str> for FragmentPayload<'p> {
    fn from(text: &'p str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl From<Vec<u8>> for FragmentPayload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<Bytes> for FragmentPayload<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}
