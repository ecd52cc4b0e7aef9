//! Socket: one connection as a mio source. Knows readiness and TCP; no byte of the protocol.

mod congestion;
mod pausing;
mod registration;
mod transfer;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::event;
use mio::net::TcpStream;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use sansocket_drive::sansocket::{
    Agreement, ClientRequest, Config, Connection, Event, Instant, Role, TransportAction, WebSocket,
};
use sansocket_drive::{Driver, with_keepalive};
use socket2::SockRef;

use crate::flags::Flags;
use crate::turn::{self, Driven};
use crate::{ConnectError, Error};

use pausing::Rare;

pub(crate) use transfer::{FLOOD_BYTES, FLOOD_READ, Read};

/// One connection as a mio [`Source`](event::Source), for applications that have a [`Poll`](mio::Poll) of
/// their own.
///
/// mio reports only that readiness begins (it is edge-triggered). The socket keeps track of readiness; its owner calls:
///
/// 1. [`ready`](Self::ready) at every mio event with the socket's token. It reads into the given buffer, which any number of
///    sockets may share, passes the events to the closure, which may send and close, and writes what the kernel takes.
/// 2. [`drive`](Self::drive) after it sent or closed at another time, and after [`Next::Again`]: one call does a bounded
///    amount of work, so that one peer cannot starve others.
/// 3. [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has come.
/// 4. [`update`](Self::update) after any of these. It registers the socket for what it waits for: to write, only while output
///    is pending. It makes no system call if nothing has changed.
///
/// ```no_run
/// use mio::{Events, Poll, Token};
/// use sansocket_mio::{Config, Error, Event, Next, Socket, WebSocket, now};
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(128);
/// let mut buffer = vec![0; 64 * 1024];
/// let (request, address) = ("ws://localhost:9001/".parse()?, "127.0.0.1:9001".parse()?);
/// let mut socket = Socket::connect(request, &[address], Config::default(), now())?;
/// let on_event = |ws: &mut WebSocket, event: Result<Event<'_>, Error>| match event {
///     Ok(Event::Open(_)) => ws.send("Hello").unwrap(),
///     Ok(Event::Message(message)) => println!("{message:?}"),
///     other => println!("{other:?}"),
/// };
/// let mut next = Next::Wait;
/// while next != Next::End {
///     socket.update(poll.registry(), Token(0))?;
///     poll.poll(&mut events, socket.patience(next, now()))?;
///     for event in &events {
///         _ = socket.ready(event, &mut buffer, now(), on_event);
///     }
///     // what is due happens, however busy the peer
///     next = socket.drive(&mut buffer, now(), on_event);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping a socket before [`Next::End`] aborts the connection: TCP is reset, and what the peer has not read is lost. To end
/// it in an orderly way, close it and go on until [`Next::End`]. [`WebSocket::abort`], followed by [`drive`](Self::drive), ends
/// it at once and reports [`Event::Close`].
pub struct Socket {
    pub(crate) driver: Driver,
    /// Absent in most connections.
    rare: Option<Box<Rare>>,
    stream: TcpStream,
    flags: Flags,
}

/// What a [`Socket`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an owner must heed each of these")]
pub enum Next {
    /// To be told when mio has an event for it, or its time has come.
    Wait,
    /// Another turn without an event, once others have had theirs: its peer keeps it busy.
    Again,
    /// Nothing more: TCP has ended. To be dropped.
    End,
}

impl Socket {
    /// The client's end. Begins to connect to the addresses in turn until one can be reached;
    /// [`Config::opening_timeout`] bounds it all, from `now`. [`Keepalive::Default`](crate::Keepalive::Default) means
    /// 30 s; a `Config` that says so is copied if it is shared.
    ///
    /// # Errors
    ///
    /// The request is not valid, it wants TLS, or none of the addresses can even be tried. That none can be reached is
    /// told as an event, [`Error::Io`].
    pub fn connect(
        request: ClientRequest,
        addresses: &[SocketAddr],
        config: impl Into<Arc<Config>>,
        now: Instant,
    ) -> Result<Self, ConnectError> {
        if request.uri().is_secure() {
            return Err(ConnectError::TlsNotBuiltIn);
        }
        let ws = WebSocket::client(request, with_keepalive(config), masking_keys()?, now)?;
        let mut untried: Vec<_> = addresses.iter().rev().copied().collect();
        let stream = begin_connecting(&mut untried, ErrorKind::NotFound.into())?;
        let mut socket = Self::new(ws, stream);
        if !untried.is_empty() {
            socket.rare().untried = untried;
        }
        socket.flags.insert(Flags::CONNECTING);
        Ok(socket)
    }

    /// The server's end of a stream just accepted. The client's time for the opening handshake runs from `now`.
    /// [`Keepalive::Default`](crate::Keepalive::Default) means 30 s; a `Config` that says so is copied if it is shared.
    pub fn accepted(stream: TcpStream, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        let mut socket = Self::server(stream, config, now);
        socket.log_peer();
        socket
    }

    /// The same, for a loop, which names the connection and its peer in the log itself.
    pub(crate) fn server(stream: TcpStream, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        // a client that is gone already shows when its request is read
        let _ = stream.set_nodelay(true);
        Self::new(WebSocket::server(with_keepalive(config), now), stream)
    }

    /// Adopts a connection whose opening handshake was done elsewhere, such as by an HTTP server: the stream, the bytes that
    /// were received behind the handshake (there may be none), this end's role, what the handshake agreed, and limits and
    /// timeouts. The stream becomes non-blocking. The first event is [`Event::Open`]: [`drive`](Self::drive) passes it.
    /// [`Connections::adopt`](crate::Connections::adopt) gives the socket to an event loop.
    ///
    /// The check of a request and the fields of the response are [`Request::check`](crate::Request::check) and
    /// [`OpeningHandshake::accept`](crate::sansocket::OpeningHandshake::accept), whatever library has read the request.
    ///
    /// # Errors
    ///
    /// The system's: it has no random numbers for a client, or the stream cannot become non-blocking.
    pub fn from_upgraded(
        stream: TcpStream,
        leftover: impl Into<Vec<u8>>,
        role: Role,
        agreement: Agreement,
        config: impl Into<Arc<Config>>,
    ) -> io::Result<Self> {
        let (config, now) = (with_keepalive(config), crate::now());
        let connection = match role {
            Role::Client => Connection::client(config, masking_keys()?, now),
            Role::Server => Connection::server(config, now),
        };
        // a blocking stream, as std makes them, would block all connections of a loop
        SockRef::from(&stream).set_nonblocking(true)?;
        // a peer that is gone already shows when the stream is read
        let _ = stream.set_nodelay(true);
        let mut socket = Self::new(WebSocket::opened(connection.with_agreement(agreement), []), stream);
        let leftover = Bytes::from(leftover.into());
        if !leftover.is_empty() {
            // a pause that begins in the Open event applies to these bytes
            socket.keep_unreceived(leftover.into());
        }
        socket.log_peer();
        Ok(socket)
    }

    fn new(ws: WebSocket, stream: TcpStream) -> Self {
        Self { driver: Driver::new(ws), rare: None, stream, flags: Flags::LEFTOVER }
    }

    /// Adds the peer's address to the log. Without the feature `tracing`, this does nothing.
    pub(crate) fn log_peer(&mut self) {
        if cfg!(feature = "tracing")
            && let Ok(peer) = self.stream.peer_addr()
        {
            self.driver.set_log_peer(peer);
        }
    }

    /// Handles a mio event of this socket. Passes what happened to `on_event`, which may send, answer and close. A failure of
    /// the connection is reported once, as an error; [`Event::Close`] is the last event of a connection that was open.
    ///
    /// The buffer must not be empty. A message that lies whole in it is borrowed from it; a longer message is assembled.
    pub fn ready(
        &mut self,
        event: &event::Event,
        buffer: &mut [u8],
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        self.note(event);
        let mut alone = Alone { socket: self, on_event };
        turn::read(&mut alone, buffer, now);
        turn::finish(&mut alone, now)
    }

    /// Does what can be done now, as [`ready`](Self::ready) does, without a mio event. A deadline that has come takes effect.
    pub fn drive(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        let mut alone = Alone { socket: self, on_event };
        if alone.socket.is_due(now) {
            turn::handle_timeout(&mut alone, Some(buffer), now);
        } else {
            turn::read(&mut alone, buffer, now);
        }
        turn::finish(&mut alone, now)
    }

    /// Handles a deadline. Call it when [`poll_timeout`](Self::poll_timeout) has come, after the events that mio reported at
    /// that time, because bytes that have arrived count. Calls at other times are harmless.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        let mut alone = Alone { socket: self, on_event };
        if alone.socket.is_due(now) {
            turn::handle_timeout(&mut alone, None, now);
        }
        turn::finish(&mut alone, now)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), unless something else happens before.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.driver.websocket().poll_timeout()
    }

    /// How long mio's `poll` may wait for this socket alone.
    pub fn patience(&self, next: Next, now: Instant) -> Option<Duration> {
        match next {
            Next::Wait => self.poll_timeout().map(|deadline| deadline - now),
            Next::Again | Next::End => Some(Duration::ZERO),
        }
    }

    /// The connection: its state, and whatever can be done with it. To do it let [`drive`](Self::drive) follow.
    pub fn websocket(&mut self) -> &mut WebSocket {
        self.driver.websocket_mut()
    }

    /// The stream: its addresses and options. Bytes that are read from it or written to it are lost to the connection.
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it waits for bytes to read, as mio knows, and for nothing else but its time.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.flags == Flags::WATCHES_READING && self.driver.is_quiet()
    }

    #[inline]
    pub(crate) fn note(&mut self, event: &event::Event) {
        let is_broken = event.is_error();
        if event.is_readable() {
            self.flags.insert(Flags::MAY_READ);
        }
        if is_broken || event.is_read_closed() {
            self.flags.insert(Flags::MAY_READ | Flags::HUNG_UP);
        }
        if is_broken || event.is_writable() {
            self.flags.remove(Flags::WRITE_BLOCKED);
        }
        if is_broken && !self.flags.any(Flags::CONNECTING) {
            self.flags.insert(Flags::LOST);
        }
    }

    /// Whether a deadline has come.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|deadline| deadline <= now)
    }

    /// Reports a deadline that has come.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if self.is_reading_paused() {
            self.excuse_silence(now);
        }
        self.driver.timeout(sansocket_acked::outstanding(&self.stream), now);
    }

    #[inline]
    pub(crate) fn is_connecting(&self) -> bool {
        self.flags.any(Flags::CONNECTING)
    }

    /// Whether there is perhaps more to read, or nothing any more.
    #[inline]
    pub(crate) fn may_hold_more(&self) -> bool {
        self.flags.any(Flags::MAY_READ | Flags::LOST)
    }

    /// Whether the connection is broken and nothing that came before will be read.
    pub(crate) fn is_lost(&self) -> bool {
        self.flags.any(Flags::LOST) && !self.reads_now()
    }

    /// The connection is broken, and reading says nothing of it.
    pub(crate) fn lose(&mut self, now: Instant) {
        self.flags.remove(Flags::LOST);
        self.driver.read_lost(ErrorKind::ConnectionReset.into(), now);
    }

    /// Whether something comes before reading.
    #[inline]
    pub(crate) fn needs_preparation(&self) -> bool {
        self.flags.any(Flags::CONNECTING | Flags::UNRECEIVED) || self.has_leftover()
    }

    /// What comes before reading: sees how far connecting has come, and writes, since a peer that takes its answers may be
    /// read again.
    pub(crate) fn prepare(&mut self, now: Instant) {
        if self.is_connecting()
            && self.driver.websocket().transport() == TransportAction::Open
            && let Err(error) = self.finish_connecting()
        {
            self.driver.read_lost(error, now);
        }
        if self.has_leftover() {
            self.flush(now);
        }
    }

    /// How far connecting has come. An address that cannot be reached gives way to the next.
    fn finish_connecting(&mut self) -> io::Result<()> {
        let failure = match self.stream.take_error()? {
            Some(error) => error,
            None => match self.stream.peer_addr() {
                Ok(peer) => {
                    self.driver.set_log_peer(peer);
                    self.flags.remove(Flags::CONNECTING);
                    self.rare = None;
                    // a server that is gone already shows when its answer is read
                    let _ = self.stream.set_nodelay(true);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => error,
            },
        };
        self.stream = begin_connecting(&mut self.rare().untried, failure)?;
        self.flags = self.flags.among(Flags::PAUSED) | Flags::CONNECTING | Flags::LEFTOVER;
        Ok(())
    }

    pub(crate) fn shutdown_write(&mut self) {
        // if the stream is lost, reading says so
        let _ = self.stream.shutdown(Shutdown::Write);
        self.driver.write_shut_down();
    }

    /// The connection is over, and all output was delivered.
    pub(crate) fn close(&mut self) {
        self.flags.insert(Flags::CLOSED);
    }

    /// Whether it can do something at once.
    pub(crate) fn next(&self) -> Next {
        if self.has_leftover() || self.reads_now() || self.can_receive_kept() { Next::Again } else { Next::Wait }
    }
}

/// Aborts a connection that has not ended: the kernel does not keep what the peer does not read.
impl Drop for Socket {
    fn drop(&mut self) {
        if !self.flags.any(Flags::CLOSED) {
            // without it, TCP ends in another way
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("stream", &self.stream)
            .field("ready_state", &self.driver.websocket().ready_state())
            .finish_non_exhaustive()
    }
}

/// A socket that has an owner's closure to talk to.
struct Alone<'a, F> {
    socket: &'a mut Socket,
    on_event: F,
}

impl<F: FnMut(&mut WebSocket, Result<Event<'_>, Error>)> Driven for Alone<'_, F> {
    fn socket(&mut self) -> &mut Socket {
        self.socket
    }

    fn dispatch(&mut self, event: Result<Event<'_>, Error>) {
        (self.on_event)(self.socket.websocket(), event);
    }

    /// The owner cannot reach the socket while it has an event.
    fn may_be_paused(&self) -> bool {
        false
    }
}

/// Returns the source of a client's masking keys, seeded by the system.
fn masking_keys() -> io::Result<StdRng> {
    StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)
}

/// Begins to connect to the last of the addresses that can be tried; if there is none, `failure` is why.
fn begin_connecting(untried: &mut Vec<SocketAddr>, mut failure: io::Error) -> io::Result<TcpStream> {
    while let Some(address) = untried.pop() {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
