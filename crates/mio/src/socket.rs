//! Socket: one connection as a mio source. It tracks readiness and controls TCP; it parses no bytes of the protocol.

mod backpressure;
mod begin;
mod client;
mod dial;
mod drive;
mod flags;
mod registration;
mod transfer;
pub(crate) mod turn;

pub use client::Reconnection;

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use mio::event;
use mio::net::TcpStream;
use sansocket_drive::Driver;
use sansocket_drive::sansocket::{Instant, WebSocket};
use socket2::SockRef;

use client::Client;
use flags::Flags;

use sansocket_connect::Security;

/// One connection as a mio [`Source`](event::Source), for applications that have a [`Poll`](mio::Poll) of their own.
///
/// mio reports only that readiness begins (it is edge-triggered). The socket keeps track of readiness; its owner calls:
///
/// 1. [`ready`](Self::ready) at every mio event with the socket's token. It reads into the given buffer, which any
///    number of sockets may share, passes the events to the closure, which may send and close, and writes what the
///    kernel takes.
/// 2. [`drive`](Self::drive) after it sent or closed at another time, and after [`NextStep::Again`]: one call does a
///    bounded amount of work, so that one peer cannot starve others.
/// 3. [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has come.
/// 4. [`update`](Self::update) after any of these. It registers the socket for reading, and for writing only while
///    output is pending. It makes no system call if nothing has changed.
///
/// ```no_run
/// use mio::{Events, Poll, Token};
/// use sansocket_mio::{Connector, Error, Event, NextStep, ReadBuffer, Socket, WebSocket, now};
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(128);
/// let mut buffer = ReadBuffer::new(64 * 1024);
/// let mut socket = Socket::connect(&Connector::new(), "ws://127.0.0.1:9001/".parse()?, now())?;
/// let on_event = |ws: &mut WebSocket, event: Result<Event<'_>, Error>| match event {
///     Ok(Event::Open(_)) => ws.send("Hello").unwrap(),
///     Ok(Event::Message(message)) => println!("{message:?}"),
///     other => println!("{other:?}"),
/// };
/// let mut next = NextStep::Wait;
/// while next != NextStep::End {
///     socket.update(poll.registry(), Token(0))?;
///     poll.poll(&mut events, socket.max_wait(next, now()))?;
///     for event in &events {
///         _ = socket.ready(event, &mut buffer, now(), on_event);
///     }
///     // handles deadlines, however busy the peer keeps the socket
///     next = socket.drive(&mut buffer, now(), on_event);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping a socket before [`NextStep::End`] aborts the connection: TCP is reset, and what the peer has not read is
/// lost. To end it in an orderly way, close it and go on until [`NextStep::End`]. [`WebSocket::abort`], followed by
/// [`drive`](Self::drive), ends it at once and reports [`Event::Close`](crate::Event::Close).
pub struct Socket {
    pub(crate) driver: Driver<Security>,
    /// Absent in most connections.
    rare: Option<Box<RareState>>,
    /// Absent in a client that is not connected.
    stream: Option<TcpStream>,
    flags: Flags,
}

/// State that most sockets do not have.
#[derive(Default)]
struct RareState {
    /// Absent in servers, and in clients that are open and do not reconnect.
    client: Option<Client>,
    /// Bytes that were read before a pause, or before the socket was made, and that the core has not received.
    unreceived: BytesMut,
}

/// What the owner of a [`Socket`] must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an owner must handle each of these")]
pub enum NextStep {
    /// Wait for a mio event or for [`Socket::poll_timeout`].
    Wait,
    /// Call [`Socket::drive`] after other sockets have had their turn, without waiting: more work is pending.
    Again,
    /// Drop the socket: TCP has ended.
    End,
}

impl Socket {
    /// Returns the connection: its state, and methods to send and to close. Call [`drive`](Self::drive) after those.
    pub fn websocket(&mut self) -> &mut WebSocket {
        self.driver.websocket_mut()
    }

    /// Returns the stream, for its addresses and options. `None` as long as a client is not connected. Reading from it
    /// or writing to it corrupts the connection. The stream of a `ws+unix` URL has no IP addresses.
    pub const fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Returns the TLS connection, for its version, certificates and the like; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&sansocket_tls::Tls> {
        self.driver.layer().tls()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout).
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_connecting() {
            return self.dial_timeout();
        }
        self.driver.websocket().poll_timeout()
    }

    /// Returns whether a deadline has come.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|deadline| deadline <= now)
    }

    /// Returns whether the socket is registered for reading only, and waits for nothing but bytes and its deadline.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.flags == Flags::WATCHES_READING && self.driver.is_quiet()
    }

    /// Notes the readiness that mio reports.
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
        // an event may concern a stream that was dropped in favour of a faster one
        if is_broken && !self.is_connecting() && !self.is_dialing() {
            self.flags.insert(Flags::LOST);
        }
    }

    /// Adds the peer's address to the log. Without the feature `tracing`, this does nothing.
    pub(crate) fn log_peer(&mut self) {
        if cfg!(feature = "tracing")
            && let Some(Ok(peer)) = self.stream.as_ref().map(TcpStream::peer_addr)
        {
            self.driver.set_log_peer(peer);
        }
    }

    fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// Releases the rare state if it is empty.
    fn release_rare(&mut self) {
        self.rare.take_if(|rare| rare.client.is_none() && rare.unreceived.is_empty());
    }
}

/// Aborts a connection that has not ended: the kernel then does not keep output for a peer that does not read it.
impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream
            && !self.flags.intersects(Flags::CLOSED)
        {
            // if this fails, TCP ends without a reset
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
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
