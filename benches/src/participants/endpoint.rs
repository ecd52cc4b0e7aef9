//! The trait that every participant implements.

use bytes::Bytes;

/// The role of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Unmasks what it receives.
    Server,
}

/// The payload of a binary message to send, as the application holds it.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "every participant must handle each of them")]
pub enum Payload<'a> {
    /// The application keeps it.
    Borrowed(&'a [u8]),
    /// The application gives it away.
    Owned(Vec<u8>),
    /// The application sends it to other connections too.
    Shared(Bytes),
}

impl Payload<'_> {
    /// Converts the payload for libraries that take only [`Bytes`].
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
        }
    }
}

/// One end of an open connection over a transport `T`.
pub trait Endpoint<T> {
    /// Creates an end after the opening handshake.
    fn new(role: Role, transport: T) -> Self;

    /// Receives `count` messages. Calls `each` with whether the message is text, and its whole payload.
    fn receive(&mut self, count: usize, each: impl FnMut(bool, &[u8]));

    /// Sends a binary message, and writes it to the last byte.
    fn send(&mut self, payload: Payload<'_>);
}
