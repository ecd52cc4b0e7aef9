//! The events of a connection.

use alloc::borrow::Cow;

use crate::data::{Chunk, Close, CloseFrame, Message};
use crate::handshake::{Open, Request};

/// An event. It borrows the caller's input (`'b`), never the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// Server: a valid opening handshake. Answer it with [`accept`](crate::WebSocket::accept) or
    /// [`respond`](crate::WebSocket::respond); until then, [`wants_read`](crate::WebSocket::wants_read) is false.
    Request(Request),
    /// Server: an HTTP request that does not ask for a WebSocket, such as a health check. Answer it with
    /// [`respond`](crate::WebSocket::respond) and any response, such as
    /// [`HttpResponse::upgrade_required`](crate::HttpResponse::upgrade_required); until then,
    /// [`wants_read`](crate::WebSocket::wants_read) is false. The client gets 503 if the application does not answer
    /// within [`Config::opening_timeout`](crate::Config::opening_timeout).
    HttpRequest(Request),
    /// The connection is open.
    Open(Open),
    /// A whole message.
    Message(Message<'b>),
    /// A piece of a message, with [`Delivery::Chunks`](crate::Delivery::Chunks).
    Chunk(Chunk<'b>),
    /// A Ping of up to 125 bytes. The Pong is in the output, unless the driver has taken the first byte of our Close
    /// frame, or nothing more can be written.
    Ping(Cow<'b, [u8]>),
    /// A Pong of up to 125 bytes, whether it answers a Ping or not.
    Pong(Cow<'b, [u8]>),
    /// The peer's Close frame, after which the peer sends nothing. Our reply is queued, unless our Close frame was
    /// queued before or nothing more can be written. [`Close`](Self::Close) follows when the connection has ended.
    CloseReceived(CloseFrame),
    /// The connection has ended. This is the last event of a connection that was open, and comes exactly once.
    /// (Exception: if a deadline ends the connection after [`accept`](crate::WebSocket::accept) or
    /// [`opened`](crate::WebSocket::opened) and before the next `receive`, `Open` does not precede it.)
    Close(Close),
}

impl Event<'_> {
    /// Returns the event, with copies of the bytes that it borrows from the input.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Request(request) => Event::Request(request),
            Self::HttpRequest(request) => Event::HttpRequest(request),
            Self::Open(open) => Event::Open(open),
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Chunk(chunk) => Event::Chunk(chunk.into_owned()),
            Self::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Self::CloseReceived(frame) => Event::CloseReceived(frame),
            Self::Close(close) => Event::Close(close),
        }
    }
}
