//! WebSocket: one connection, in one thread.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use sansocket::{CloseCode, Config, Event, Extension, Message, MessageKind, Open, ReadyState, Response, Role};

use crate::buffers::Buffers;
use crate::direct::Direct;
use crate::engine::Engine;
use crate::split::{Reader, Writer};
use crate::stream::{Stream, TryClone};
use crate::{Error, clock};

/// A WebSocket connection over a blocking stream, after its opening handshake.
///
/// [`connect`](crate::connect()) makes a client's, [`Incoming::accept`](crate::Incoming::accept) a server's.
///
/// * **[`read`](Self::read) drives it.** Pings are answered, deadlines kept and the closing handshake finished while a
///   thread waits in `read`, and at no other time. So read until it returns `None`, even to close.
/// * **What is sent has left** when the sending method returns: the operating system has it. That can take as long as the
///   peer takes to read. Two endpoints that both only send, and both wait for the other to read, wait until their
///   keepalive ends them: where that can happen, [`split`](Self::split) the connection. A split client always reads, a
///   server no more above [`Config::high_water_mark`]: split the client, or raise that mark too.
/// * **To drop it ends TCP** at once, with no closing handshake: the peer's side reports
///   [`CloseCode::ABNORMAL`]. To part in good order call [`close`](Self::close), then read until `None`.
///
/// ```no_run
/// use sansocket_net::{CloseCode, Event};
///
/// let mut ws = sansocket_net::connect("ws://localhost:9001/chat")?;
/// ws.send("Hello")?;
/// while let Some(event) = ws.read()? {
///     match event {
///         Event::Message(message) => {
///             println!("{:?}", message.as_text());
///             ws.close(CloseCode::NORMAL, "")?;
///         }
///         Event::Close(close) => println!("closed: {}", close.code),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocket<S = std::net::TcpStream> {
    link: Direct<S>,
    buffers: Buffers,
    open: Open,
    closing_timeout: Duration,
}

impl<S: Stream> WebSocket<S> {
    pub(crate) fn new(link: Direct<S>, buffers: Buffers, open: Open, closing_timeout: Duration) -> Self {
        Self { link, buffers, open, closing_timeout }
    }

    /// Waits for the next event; `None` after [`Event::Close`].
    ///
    /// A message that came in one piece is lent from the read buffer, with no copy; any other owns its memory. The event
    /// must be let go before the connection can be used again: [`Event::into_owned`] parts the two. (The reader of a
    /// [`split`](Self::split) connection lends it while the writer sends.)
    ///
    /// # Errors
    ///
    /// The connection failed. The peer has been told why and TCP has been ended, which may have taken
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout). The error is returned once; the Close event
    /// follows.
    pub fn read(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.buffers.next_event(&mut self.link)
    }

    /// The events that [`read`](Self::read) returns, each owning its memory, until there are no more.
    pub fn events(&mut self) -> Events<'_, S> {
        Events { ws: self }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`]: not sent, and the connection is unharmed. Others: the connection has failed;
    /// [`read`](Self::read) tells how it ended.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.link.engine.queue(|core| core.send(message))?;
        self.link.flush()
    }

    /// Sends a message that others share, such as one that goes to many connections. A server never copies it,
    /// but for frames below 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), Error> {
        self.link.engine.queue(|core| core.send_shared(kind, payload))?;
        self.link.flush()
    }

    /// Sends a fragment of a message, for messages whose length is not known when they begin. Until the last fragment no
    /// other message can be sent. Text may be cut anywhere.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_fragment(&mut self, kind: MessageKind, payload: &[u8], last: bool) -> Result<(), Error> {
        self.link.engine.queue(|core| core.send_fragment(kind, payload, last))?;
        self.link.flush()
    }

    /// Sends a Ping of up to 125 bytes. The answer is an [`Event::Pong`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.engine.queue(|core| core.ping(payload))?;
        self.link.flush()
    }

    /// Sends a Pong of up to 125 bytes that answers nothing, as a heartbeat. Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.engine.queue(|core| core.pong(payload))?;
        self.link.flush()
    }

    /// Begins to close; to close again does nothing. Messages of the peer's still arrive: read until `None`. The peer has
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout) to answer.
    ///
    /// # Errors
    ///
    /// [`Error::Send`]: the code must not be sent, or the reason is too long or comes without a code. That the peer is
    /// gone is not an error here.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.link.engine.queue(|core| core.close(code, reason, clock::now()))?;
        // whether it left, and how the connection ended, is told by `read`
        let _ = self.link.flush();
        Ok(())
    }

    /// Writes what waits to be written. Whatever reads, sends or closes does so too: there is something to do only after
    /// [`Event::Ping`], whose Pong leaves with the next of these calls, and after an error.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn flush(&mut self) -> Result<(), Error> {
        self.link.flush()
    }

    /// The connection as two handles, for two threads: one reads, the other sends.
    ///
    /// # Errors
    ///
    /// The system has no more handles for the stream.
    pub fn split(self) -> io::Result<(Reader<S>, Writer<S>)>
    where
        S: TryClone,
    {
        Reader::split(self.link, self.buffers, self.open, self.closing_timeout)
    }

    /// Where in its life the connection is.
    pub fn ready_state(&self) -> ReadyState {
        self.link.engine.ready_state()
    }

    /// Payload bytes of messages that were sent and that the stream has not taken: zero, but after an error.
    pub fn buffered_amount(&self) -> usize {
        self.link.engine.core.buffered_amount()
    }

    /// The subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// The extensions in use.
    pub fn extensions(&self) -> &[Extension] {
        self.open.extensions()
    }

    /// Client: the head of the server's response.
    pub fn response(&self) -> Option<&Response> {
        self.open.response()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.link.engine.core.role()
    }

    /// The stream: its addresses and options. Its timeouts belong to the connection: to change them disables the deadlines.
    pub fn stream(&self) -> &S {
        &self.link.stream
    }

    /// The stream. Bytes that are read from it or written to it are lost to the connection.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.link.stream
    }

    /// The stream alone, as the connection left it: after [`Event::Close`] both its directions have ended.
    pub fn into_stream(self) -> S {
        self.link.stream
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("ready_state", &self.link.engine.ready_state()).finish_non_exhaustive()
    }
}

/// The events of a connection; see [`WebSocket::events`].
#[derive(Debug)]
pub struct Events<'a, S> {
    ws: &'a mut WebSocket<S>,
}

impl<S: Stream> Iterator for Events<'_, S> {
    type Item = Result<Event<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ws.read().map(|event| event.map(Event::into_owned)).transpose()
    }
}

/// Drives the opening handshake to its next event.
pub(crate) fn opening_event<S: Stream>(link: &mut Direct<S>, buffers: &mut Buffers) -> Result<Event<'static>, Error> {
    match buffers.next_event(link)? {
        Some(event) => Ok(event.into_owned()),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// Drives the opening handshake until the connection is open.
pub(crate) fn finish_opening<S: Stream>(
    mut link: Direct<S>,
    mut buffers: Buffers,
    closing_timeout: Duration,
) -> Result<WebSocket<S>, Error> {
    loop {
        if let Event::Open(open) = opening_event(&mut link, &mut buffers)? {
            // a server's answer must leave though nobody reads yet
            link.flush()?;
            return Ok(WebSocket::new(link, buffers, open, closing_timeout));
        }
    }
}

/// Starts the driver of a connection whose opening handshake is ahead.
pub(crate) fn start<S: Stream>(core: sansocket::WebSocket, config: &Config, stream: S) -> Direct<S> {
    Direct::new(Engine::new(core, config), stream)
}
