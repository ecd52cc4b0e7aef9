//! The participants: sansocket and its peers, each as its documentation would have it used, behind one small trait.
//!
//! What cannot be the same question for a peer is left out of the bench that asks it, and said there. uWebSockets is C++ and
//! cannot be here at all.

mod fastwebsockets;
mod sansocket;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod websocket_sans_io;
mod yawc;

use bytes::Bytes;

pub use self::fastwebsockets::Fastwebsockets;
pub use self::sansocket::{Sansocket, answer as sansocket_answer};
pub use self::sockudo::{Sockudo, answer as sockudo_answer};
pub use self::soketto::{Soketto, answer as soketto_answer};
pub use self::tokio_websockets::{TokioWebsockets, answer as tokio_websockets_answer};
pub use self::tungstenite::{Tungstenite, answer as tungstenite_answer};
pub use self::web_socket::WebSocket;
pub use self::websocket_sans_io::WebsocketSansIo;
pub use self::yawc::Yawc;

/// Which end a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Unmasks what it receives.
    Server,
}

/// A binary message to be sent, as the application holds it.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "every participant must meet each of them")]
pub enum Payload<'a> {
    /// The application keeps it.
    Borrowed(&'a [u8]),
    /// The application is done with it.
    Owned(Vec<u8>),
    /// It goes to others as well.
    Shared(Bytes),
}

impl Payload<'_> {
    /// For libraries that take nothing else.
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
        }
    }
}

/// One end of an open connection over a transport `T`.
pub trait Endpoint<T> {
    /// An end whose opening handshake is done.
    fn new(role: Role, transport: T) -> Self;

    /// Receives so many messages: whether each is text, and its payload, whole and valid.
    fn receive(&mut self, count: usize, each: impl FnMut(bool, &[u8]));

    /// Sends a binary message, to the last byte.
    fn send(&mut self, payload: Payload<'_>);
}
