//! What a connection tells its application, and its driver.

use alloc::borrow::Cow;

use crate::closing::Close;
use crate::handshake::{Open, Request};
use crate::message::{Chunk, Message};

/// One thing that happened. Events borrow the caller's input (`'b`), never the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// Server: a valid opening handshake. Answer with [`accept`](crate::WebSocket::accept) or
    /// [`respond`](crate::WebSocket::respond); until then nothing is read.
    Request(Request),
    /// Server: an HTTP request that does not ask for a WebSocket. Answer it with [`respond`](crate::WebSocket::respond)
    /// and any response; unless that is done at once, the answer is 426.
    HttpRequest(Request),
    /// The connection is open.
    Open(Open),
    /// A whole message.
    Message(Message<'b>),
    /// A piece of a message, if [`Delivery::Chunks`](crate::Delivery::Chunks) asks for pieces.
    Chunk(Chunk<'b>),
    /// A Ping, up to 125 bytes. Its Pong is already in the output, unless our Close frame has begun to leave.
    Ping(Cow<'b, [u8]>),
    /// A Pong, up to 125 bytes, whether it answers a Ping or not.
    Pong(Cow<'b, [u8]>),
    /// The connection is closed: the last event, and the only one of its kind, of a connection that was open. (If a server
    /// that has accepted is out of time before `receive` is called again, `Open` is not told any more.)
    Close(Close),
}

impl Event<'_> {
    /// The event, copied as far as it borrows the input.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Request(request) => Event::Request(request),
            Self::HttpRequest(request) => Event::HttpRequest(request),
            Self::Open(open) => Event::Open(open),
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Chunk(chunk) => Event::Chunk(chunk.into_owned()),
            Self::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Self::Close(close) => Event::Close(close),
        }
    }
}

/// Which side of the connection an endpoint is: the client masks what it sends (RFC 6455 section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a WebSocket connection has two ends")]
pub enum Role {
    /// The endpoint that opened the connection.
    Client,
    /// The endpoint that accepted it.
    Server,
}

/// The life of a connection, numbered as in the WebSocket API of browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the WebSocket API has these four")]
#[repr(u8)]
pub enum ReadyState {
    /// The opening handshake is under way.
    Connecting = 0,
    /// Messages can be sent.
    Open = 1,
    /// A Close frame was queued or received, or the connection failed.
    Closing = 2,
    /// The connection is over.
    Closed = 3,
}

/// What the driver should do with TCP now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must obey each of these")]
pub enum TransportAction {
    /// Go on reading and writing.
    Open,
    /// All output is taken and none will follow: close the sending direction, and go on reading until the end of the
    /// stream, which `receive_eof` is told, or until the timer.
    ShutdownWrite,
    /// Close TCP at once. Whatever remains in the output has nowhere to go.
    Close,
}
