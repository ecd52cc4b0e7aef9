//! The payload of a fragment that is sent.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

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
    /// Bytes that are copied.
    Borrowed(&'p [u8]),
    /// Bytes that a server does not copy, unless they are few (256).
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
