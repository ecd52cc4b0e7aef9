//! What a connection tells its application, and its driver.

use alloc::borrow::Cow;

use crate::closing::{Close, CloseFrame};
use crate::handshake::{Open, Request};
use crate::message::{Chunk, Message};

/// One thing that happened. Events borrow the caller's input (`'b`), never the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// Server: a valid opening handshake. Answer with [`accept`](crate::WebSocket::accept) or
    /// [`respond`](crate::WebSocket::respond); until then nothing is read.
    Request(Request),
    /// Server: an HTTP request that does not ask for a WebSocket, such as a health check. Answer it with
    /// [`respond`](crate::WebSocket::respond) and any response, such as
    /// [`HttpResponse::upgrade_required`](crate::HttpResponse::upgrade_required), now or later; until then nothing is
    /// read. If no answer comes within [`Config::opening_timeout`](crate::Config::opening_timeout), the client gets
    /// 503.
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
    /// The peer's Close frame arrived: it sends nothing more. Our reply is queued, unless our Close frame was before.
    /// [`Close`](Self::Close) follows when the connection has ended.
    CloseReceived(CloseFrame),
    /// The connection has ended. The last event, exactly once, of a connection that was open. (Exception: if a deadline
    /// ends the connection after [`accept`](crate::WebSocket::accept) or [`opened`](crate::WebSocket::opened) and
    /// before the next `receive`, `Open` does not precede it.)
    Close(Close),
}

impl Event<'_> {
    /// Returns the event, copied as far as it borrows the input.
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

/// What the driver should do with the transport now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must obey each of these")]
pub enum TransportAction {
    /// Keep reading and writing.
    Open,
    /// All output is delivered and none will follow: close the sending direction (`shutdown(SHUT_WR)`), and keep
    /// reading until the end of the stream, which `receive_eof` reports, or the deadline. The bytes read are discarded.
    ShutdownWrite,
    /// The connection is over, and all output was delivered: close the transport.
    Close,
    /// The connection is over, and the rest of the output was dropped: drop the transport without waiting for the peer.
    /// On TCP, set `SO_LINGER` to zero before closing; otherwise a peer that never reads keeps megabytes in the kernel.
    Abort,
}
