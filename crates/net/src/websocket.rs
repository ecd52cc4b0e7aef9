//! WebSocket: one connection in one thread.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sansocket::{
    Agreement, Close, CloseCode, Config, Event, FragmentPayload, Message, MessageKind, Open, ReadyState, Response, Role,
};
#[cfg(feature = "deflate")]
use sansocket::{Compress, PermessageDeflate};
use sansocket_drive::{Clock, Error, upgraded, with_keepalive};

use crate::engine::Goal;
use crate::read_buffers::{DEFAULT_BUFFER_SIZE, ReadBuffers, ReadOutcome};
use crate::split::{self, Reader, Writer};
use crate::stream::{SplitStream, Stream};
use crate::turn::{self, ReadLimit, write_output};
use crate::unsplit::Unsplit;
use sansocket_connect::PLAIN;

/// A WebSocket connection over a blocking stream, after its opening handshake.
///
/// [`connect`](crate::connect()) returns a client's, [`Incoming::accept`](crate::Incoming::accept) a server's.
///
/// * **[`read`](Self::read) drives the connection.** Only while a thread waits in `read` are Pings answered, deadlines
///   enforced and the closing handshake performed. Read until `None`, even to close.
/// * **A sending method returns when the operating system has taken the message.** That can take as long as the peer
///   takes to read. Two endpoints that only send wait for each other until keepalive ends them: [`split`](Self::split)
///   the connection where that can happen. A split client always reads; a server stops reading above
///   [`Config::high_water_mark`](sansocket::Config::high_water_mark): split the client, or raise that limit.
/// * **Dropping the connection aborts it**: TCP is reset, the peer reports [`CloseCode::ABNORMAL`], and bytes that the
///   peer has not acknowledged are lost. To close in an orderly way, call [`finish`](Self::finish), or
///   [`close`](Self::close) and read until `None`.
pub struct WebSocket<S: Stream = std::net::TcpStream> {
    /// On the heap: threads with small stacks move the connection.
    link: Box<Unsplit<S>>,
    buffers: ReadBuffers,
    open: Open,
}

impl<S: Stream> WebSocket<S> {
    /// Adopts a connection whose opening handshake was done elsewhere, such as by an HTTP server. `leftover` are the
    /// bytes that were received after the handshake, `role` is this end's role, and `agreement` is the result of the
    /// handshake. On a TCP stream, set `TCP_NODELAY` yourself.
    ///
    /// [`Request::check`](sansocket::Request::check) checks a request that another library has read, and
    /// [`OpeningHandshake::accept`](sansocket::OpeningHandshake::accept) makes the fields of the response.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use sansocket_net::sansocket::{Agreement, Role};
    /// use sansocket_net::{Config, Event, Message, WebSocket};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?; // a handshake follows here
    /// let server = listener.accept()?.0;
    /// let agreement = Agreement::new().with_protocol("chat");
    ///
    /// let mut client = WebSocket::from_upgraded(client, [], Role::Client, agreement.clone(), Config::default())?;
    /// let mut server = WebSocket::from_upgraded(server, [], Role::Server, agreement, Config::default())?;
    /// client.send("Hello")?;
    /// assert_eq!(server.read()?, Some(Event::Message(Message::from("Hello"))));
    /// assert_eq!(server.protocol(), Some("chat"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: a client needs random numbers, and the system has none.
    pub fn from_upgraded(
        stream: S,
        leftover: impl Into<Vec<u8>>,
        role: Role,
        agreement: Agreement,
        config: impl Into<Arc<Config>>,
    ) -> Result<Self, Error> {
        let config = with_keepalive(config);
        let ws = upgraded(role, agreement, Arc::clone(&config), Clock::of_process().now())?;
        let link = Box::new(Unsplit::new(ws, PLAIN, &config, stream));
        finish_opening(link, ReadBuffers::with_leftover(DEFAULT_BUFFER_SIZE, leftover.into()))
    }

    /// Waits for the next event; `None` after [`Event::Close`].
    ///
    /// A message that arrived in one piece borrows the read buffer, without a copy; any other message owns its memory.
    /// The event borrows the connection: to use the connection again, drop the event or convert it with
    /// [`Event::into_owned`]. (The writer of a [`split`](Self::split) connection can send meanwhile.)
    ///
    /// # Errors
    ///
    /// The connection failed, and TCP has ended. If the peer broke the protocol, it got a Close frame with the reason,
    /// which may have taken [`Config::closing_timeout`](sansocket::Config::closing_timeout). The error is returned
    /// once; the Close event follows.
    pub fn read(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.buffers.next_event(&mut *self.link)
    }

    /// Waits for the next event as [`read`](Self::read) does, but not longer than `timeout`, so that one thread can
    /// read and do periodic work. Returns in time even if the peer sends parts of a message; the system's timers may
    /// add a few milliseconds. With [`Duration::ZERO`] it is [`try_read`](Self::try_read), with [`Duration::MAX`]
    /// `read`.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use sansocket_net::{Event, ReadOutcome};
    ///
    /// let mut ws = sansocket_net::connect("ws://localhost:9001/chat")?;
    /// let mut next_report = Instant::now();
    /// loop {
    ///     match ws.read_timeout(next_report.saturating_duration_since(Instant::now()))? {
    ///         ReadOutcome::Event(Event::Message(message)) => println!("{message:?}"),
    ///         ReadOutcome::Event(_) => {}
    ///         ReadOutcome::Pending => {
    ///             ws.send("still here")?;
    ///             next_report = Instant::now() + Duration::from_secs(10);
    ///         }
    ///         ReadOutcome::Ended => break,
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<ReadOutcome<'_>, Error> {
        self.buffers.next_event_within(&mut *self.link, ReadLimit::after(timeout))
    }

    /// Returns the next event if it has arrived. Reads a socket without waiting, other streams as [`Stream::try_read`]
    /// describes. If output is pending that the stream does not take, such as a Pong, waits for the shortest write
    /// timeout of the stream (for sockets 1 ms, which the system rounds up to at most 10 ms).
    ///
    /// [`Pending`](ReadOutcome::Pending) may also mean that a part of a long message has arrived: one call reads at
    /// most 16 times.
    ///
    /// ```no_run
    /// use sansocket_net::{Event, ReadOutcome};
    ///
    /// let mut ws = sansocket_net::connect("ws://localhost:9001/game")?;
    /// loop {
    ///     // Handles the events that have arrived since the last frame.
    ///     while let ReadOutcome::Event(event) = ws.try_read()? {
    ///         if let Event::Message(message) = event {
    ///             println!("{message:?}");
    ///         }
    ///     }
    ///     # let is_lost = true;
    ///     // Draws the frame.
    ///     if is_lost {
    ///         ws.abort();
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn try_read(&mut self) -> Result<ReadOutcome<'_>, Error> {
        self.read_timeout(Duration::ZERO)
    }

    /// Returns an iterator over the events that [`read`](Self::read) returns, each owning its memory.
    pub fn events(&mut self) -> Events<'_, S> {
        Events { ws: self }
    }

    /// Drives the connection to its end, and returns how it ended. Closes it with [`CloseCode::NORMAL`] if it is open;
    /// discards the messages that still arrive. Every message sent before is delivered to a peer that keeps reading,
    /// within [`Config::closing_limit`](sansocket::Config::closing_limit). The connection to a silent peer ends after
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout).
    ///
    /// ```no_run
    /// let mut ws = sansocket_net::connect("ws://localhost:9001/chat")?;
    /// ws.send("Hello")?;
    /// let close = ws.finish()?;
    /// println!("closed with {}, clean: {}", close.code, close.was_clean);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The connection failed, as for [`read`](Self::read). A connection that ends without a closing handshake is not an
    /// error: [`Close::was_clean`] is false.
    pub fn finish(mut self) -> Result<Close, Error> {
        self.buffers.finish(&mut *self.link)
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`]: the message was not sent, and is dropped; the connection is unaffected, or closing. Other
    /// errors: the connection was lost before the whole message was written; [`read`](Self::read) reports how it ended.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send(message))?;
        self.flush()
    }

    /// Sends a shared payload, such as one that goes to many connections. A server does not copy it, except for frames
    /// below 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send_shared(kind, payload))?;
        self.flush()
    }

    /// Sends a fragment of a message, for messages whose length is not known when they begin. Before the last fragment,
    /// no other message can be sent. A fragment of text may end within a character.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_fragment<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send_fragment(kind, payload, last))?;
        self.flush()
    }

    /// Sends a message as [`send`](Self::send) does, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(&mut self, message: impl Into<Message<'m>>, compress: Compress) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send_with(message, compress))?;
        self.flush()
    }

    /// Sends a shared payload as [`send_shared`](Self::send_shared) does, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_shared_with(&mut self, kind: MessageKind, payload: Bytes, compress: Compress) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send_shared_with(kind, payload, compress))?;
        self.flush()
    }

    /// Sends a fragment as [`send_fragment`](Self::send_fragment) does. The first fragment of a message decides whether
    /// the message is compressed.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_fragment_with<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
        compress: Compress,
    ) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.send_fragment_with(kind, payload, last, compress))?;
        self.flush()
    }

    /// Sends a Ping of up to 125 bytes. The answer is an [`Event::Pong`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.ping(payload))?;
        self.flush()
    }

    /// Sends a Pong of up to 125 bytes that answers no Ping, as a heartbeat. The connection answers Pings itself.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.link.engine.queue(|ws, _| ws.pong(payload))?;
        self.flush()
    }

    /// Begins the closing handshake: queues a Close frame after the messages sent before, writes as much as the stream
    /// takes at once, and does not wait for the peer. Closing again does nothing. Messages of the peer may still
    /// arrive: read until `None`, or call [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// [`Error::Send`]: the code must not be sent, or the reason is too long or has no code. A lost connection is not
    /// an error here.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        turn::close(&mut *self.link, code, reason)
    }

    /// Writes pending output, as reading, sending and closing do too. Output is pending only after [`Event::Ping`] (the
    /// Pong), after [`close`](Self::close), and after an error.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn flush(&mut self) -> Result<(), Error> {
        write_output(&mut *self.link, Goal::AllWritten).map(drop)
    }

    /// Ends the connection without a closing handshake, as dropping it does: TCP is reset, the peer reports
    /// [`CloseCode::ABNORMAL`], and bytes that it has not acknowledged are lost.
    pub fn abort(self) {
        drop(self);
    }

    /// Splits the connection into two handles, for two threads: one reads, the other sends.
    ///
    /// # Errors
    ///
    /// Those of [`SplitStream::split`]: none for sockets, whose handles share one descriptor.
    pub fn split(self) -> io::Result<(Reader<S>, Writer<S>)>
    where
        S: SplitStream,
    {
        split::split(*self.link, self.buffers, self.open)
    }

    /// Returns the state of the connection.
    pub fn ready_state(&self) -> ReadyState {
        self.link.engine.driver.websocket().ready_state()
    }

    /// Returns the payload bytes of messages that the stream has not taken yet. It is zero when a sending method
    /// returns `Ok`; after [`close`](Self::close), output may be pending until [`read`](Self::read) has written it.
    pub fn buffered_amount(&self) -> usize {
        self.link.engine.driver.websocket().buffered_amount()
    }

    /// Returns the subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// Returns what both ends agreed about permessage-deflate ([`Config::compression`](sansocket::Config)); `None` if messages are not
    /// compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.open.compression()
    }

    /// Returns the TLS connection, for its version, certificates and the like; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&sansocket_tls::Tls> {
        self.link.engine.driver.layer().tls()
    }

    /// Client: returns the head of the server's response.
    pub fn response(&self) -> Option<&Response> {
        self.open.response()
    }

    /// Returns the role of this end.
    pub fn role(&self) -> Role {
        self.link.engine.driver.websocket().role()
    }

    /// Returns the stream, for its addresses and options. Do not change its timeouts: they enforce the deadlines.
    pub fn stream(&self) -> &S {
        &self.link.stream
    }

    /// Returns the stream. Do not read from it or write to it: that would corrupt the connection.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.link.stream
    }

    /// Returns the stream without ending it. After [`Event::Close`], both of its directions have ended.
    pub fn into_stream(self) -> S {
        self.link.stream.into_inner()
    }
}

impl<S: Stream> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("ready_state", &self.ready_state()).finish_non_exhaustive()
    }
}

/// The events of a connection; see [`WebSocket::events`].
#[derive(Debug)]
pub struct Events<'a, S: Stream> {
    ws: &'a mut WebSocket<S>,
}

impl<S: Stream> Iterator for Events<'_, S> {
    type Item = Result<Event<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ws.read().map(|event| event.map(Event::into_owned)).transpose()
    }
}

/// Drives the opening handshake until the connection is open.
pub(crate) fn finish_opening<S: Stream>(link: Box<Unsplit<S>>, buffers: ReadBuffers) -> Result<WebSocket<S>, Error> {
    try_opening(link, buffers).map_err(|(error, _)| error)
}

/// Drives the opening handshake until the connection is open. Returns the connection with the error if it fails.
pub(crate) fn try_opening<S: Stream>(
    mut link: Box<Unsplit<S>>,
    mut buffers: ReadBuffers,
) -> Result<WebSocket<S>, (Error, Box<Unsplit<S>>)> {
    match await_open(&mut link, &mut buffers) {
        Ok(open) => Ok(WebSocket { link, buffers, open }),
        Err(error) => Err((error, link)),
    }
}

fn await_open<S: Stream>(link: &mut Unsplit<S>, buffers: &mut ReadBuffers) -> Result<Open, Error> {
    loop {
        if let Event::Open(open) = buffers.next_opening_event(link)? {
            // The server's response must be sent before the application first reads.
            write_output(link, Goal::AllWritten)?;
            return Ok(open);
        }
    }
}
