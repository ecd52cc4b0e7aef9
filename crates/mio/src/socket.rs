//! Socket: one connection as a mio source. Knows readiness and TCP; no byte of the protocol.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token, event};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use sansocket::bytes::Buf;
use sansocket::{ClientRequest, Config, Event, Instant, Output, TransportAction, WebSocket};

use crate::drive::{self, Place};
use crate::flags::Flags;
use crate::{ConnectError, Error};

/// Pieces of output handed to one `writev`.
const SLICES: usize = 64;
/// Writes in one turn: a peer that takes without end lets others have theirs.
const WRITES: usize = 16;
/// Events in one read above which a peer floods. The core consumes a read whole, so only shorter reads bound the events
/// of a turn: a buffer of 64 KiB holds 10,922 empty Pings.
const FLOOD_EVENTS: usize = 256;
/// Bytes that so many events take at least: a masked frame takes six. A shorter read is not counted.
pub(crate) const FLOOD_BYTES: usize = 6 * FLOOD_EVENTS;
/// Bytes that a turn reads from a peer that floods: at most 682 empty Pings.
pub(crate) const FLOOD_READ: usize = 4096;
/// Events in one read at or below which a peer that flooded no longer does.
const CALM_EVENTS: usize = 64;
/// Whether a read or write that did less than it could have has met the end of what there is: so say epoll(7) and
/// kqueue(2). Elsewhere mio wants to see `WouldBlock`. (TCP's urgent data, which no WebSocket sends, ends a read as well: who
/// sends it is read on when more comes.)
const SHORT_IS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

/// One connection as a mio [`Source`](event::Source), for whoever has a [`Poll`](mio::Poll) of their own.
///
/// mio tells only when readiness begins ("edge-triggered"), so that whoever is told must take what there is. The socket
/// keeps account of that, and its owner owes it four things:
///
/// 1. [`ready`](Self::ready) at every mio event with its token. It reads into the buffer given, which any number of
///    sockets may share, hands the events to the closure, lets it send and close, and writes what it can.
/// 2. [`drive`](Self::drive) after sending at another time, and when [`Next::Again`] was the answer: a socket does
///    bounded work in one call, so that one peer cannot starve others.
/// 3. [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) has come.
/// 4. [`update`](Self::update) after any of these: it registers the socket for what it now waits for, which is writing
///    only while output waits, and makes no system call if nothing changed.
///
/// ```no_run
/// use mio::{Events, Poll, Token};
/// use sansocket_mio::{Error, Event, Next, Socket, WebSocket, default_config, now};
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(128);
/// let mut buffer = vec![0; 64 * 1024];
/// let mut socket = Socket::connect("ws://localhost:9001/".parse()?, &["127.0.0.1:9001".parse()?], default_config(), now())?;
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
pub struct Socket {
    pub(crate) ws: WebSocket,
    /// Addresses to try when this one cannot be reached.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 24 in every idle connection")]
    untried: Option<Box<Vec<SocketAddr>>>,
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

/// What a read gave.
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    /// The end of the stream; with an error, of both directions.
    End(Option<io::Error>),
}

impl Socket {
    /// The client's end. Begins to connect to the addresses in turn until one can be reached;
    /// [`Config::opening_timeout`] bounds it all, from `now`.
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
        let rng = StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)?;
        let ws = WebSocket::client(request, config, rng, now)?;
        let mut untried: Vec<_> = addresses.iter().rev().copied().collect();
        let stream = begin_connecting(&mut untried, ErrorKind::NotFound.into())?;
        let untried = Some(untried).filter(|untried| !untried.is_empty()).map(Box::new);
        Ok(Self { untried, flags: Flags::CONNECTING | Flags::LEFTOVER, ..Self::new(ws, stream) })
    }

    /// The server's end of a stream just accepted. The client's time for the opening handshake runs from `now`.
    pub fn accepted(stream: TcpStream, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        // a client that is gone already shows when its request is read
        let _ = stream.set_nodelay(true);
        Self::new(WebSocket::server(config, now), stream)
    }

    fn new(ws: WebSocket, stream: TcpStream) -> Self {
        Self { ws, untried: None, stream, flags: Flags::LEFTOVER }
    }

    /// mio has an event for this socket. `on_event` hears of what happened and may send, answer and close; a failure of
    /// the connection is told once, as an error, and how an open connection ended by [`Event::Close`].
    ///
    /// The buffer must not be empty. A message that lies whole in it is lent, a longer one assembled.
    pub fn ready(
        &mut self,
        event: &event::Event,
        buffer: &mut [u8],
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        self.note(event);
        let mut place = Alone { socket: self, on_event };
        drive::take_in(&mut place, buffer, now);
        drive::settle(&mut place, now)
    }

    /// Does whatever can be done now: as [`ready`](Self::ready), without an event of mio's. A deadline that has come
    /// takes effect.
    pub fn drive(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        let mut place = Alone { socket: self, on_event };
        drive::take_in(&mut place, buffer, now);
        // what the application did at another time, such as to answer a request, may have more to tell
        drive::receive_kept(&mut place, now);
        drive::handle_timeout(&mut place, now);
        drive::settle(&mut place, now)
    }

    /// Time has passed: to be called when [`poll_timeout`](Self::poll_timeout) has come, after the events that mio had at
    /// that time: what has arrived counts. Calls at other times are harmless.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        on_event: impl FnMut(&mut WebSocket, Result<Event<'_>, Error>),
    ) -> Next {
        let mut place = Alone { socket: self, on_event };
        drive::handle_timeout(&mut place, now);
        drive::settle(&mut place, now)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ws.poll_timeout()
    }

    /// How long mio's `poll` may wait for this socket alone.
    pub fn patience(&self, next: Next, now: Instant) -> Option<std::time::Duration> {
        match next {
            Next::Wait => self.poll_timeout().map(|deadline| deadline - now),
            Next::Again | Next::End => Some(std::time::Duration::ZERO),
        }
    }

    /// Registers the socket for what it waits for, if that has changed. The token may not change.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn update(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let wanted = self.wanted();
        match self.flags.among(Flags::WATCHES_READING | Flags::WATCHES_WRITING) {
            watched if watched == wanted => Ok(()),
            Flags::NONE => registry.register(self, token, interests(wanted)),
            _ => registry.reregister(self, token, interests(wanted)),
        }
    }

    /// The connection: its state, and whatever can be done with it. To do it let [`drive`](Self::drive) follow.
    pub fn websocket(&mut self) -> &mut WebSocket {
        &mut self.ws
    }

    /// The stream: its addresses and options. Bytes that are read from it or written to it are lost to the connection.
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What mio should watch for: always for bytes to read, and for room to write only while output waits for it.
    fn wanted(&self) -> Flags {
        if self.flags.any(Flags::WRITE_BLOCKED | Flags::CONNECTING) {
            Flags::WATCHES_READING | Flags::WATCHES_WRITING
        } else {
            Flags::WATCHES_READING
        }
    }

    /// Whether it waits for bytes to read, as mio knows, and for nothing else but its time.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.flags == Flags::WATCHES_READING && self.ws.transport() == TransportAction::Open
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

    /// Reads at the next occasion whether or not mio has told of anything to read, or the owner wants it read: the core
    /// alone knows which silence is excused.
    pub(crate) fn look_again(&mut self) {
        self.flags.insert(Flags::MAY_READ);
        self.flags.remove(Flags::HELD);
    }

    /// Whether the owner wants nothing read for now.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.flags.set(Flags::HELD, is_held);
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

    /// Whether the application is to hear of a failure: the first time.
    pub(crate) fn begin_failing(&mut self) -> bool {
        self.flags.insert(Flags::FAILED)
    }

    /// Nothing more is read, and if the connection was lost nothing more written. Returns whether that is new.
    pub(crate) fn end_reading(&mut self, is_lost: bool) -> bool {
        if is_lost {
            self.flags.insert(Flags::WRITE_ENDED);
        }
        self.flags.insert(Flags::READ_ENDED)
    }

    /// How far connecting has come. An address that cannot be reached gives way to the next.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<()> {
        let failure = match self.stream.take_error()? {
            Some(error) => error,
            None => match self.stream.peer_addr() {
                Ok(_) => {
                    self.flags.remove(Flags::CONNECTING);
                    self.untried = None;
                    // a server that is gone already shows when its answer is read
                    let _ = self.stream.set_nodelay(true);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => error,
            },
        };
        self.stream = begin_connecting(self.untried.as_deref_mut().unwrap_or(&mut Vec::new()), failure)?;
        self.flags = Flags::CONNECTING | Flags::LEFTOVER;
        Ok(())
    }

    #[inline]
    fn reads_now(&self) -> bool {
        const MATTER: Flags = Flags::MAY_READ.and(Flags::READ_ENDED).and(Flags::CONNECTING);
        if self.flags.among(MATTER) != Flags::MAY_READ {
            return false;
        }
        // what a broken connection still holds is read even if the peer could not be answered
        self.flags.any(Flags::WRITE_ENDED) || (!self.flags.any(Flags::HELD) && self.ws.wants_read())
    }

    /// Whether reads are short, because the peer floods.
    #[inline]
    pub(crate) fn is_flooded(&self) -> bool {
        self.flags.any(Flags::FLOODS)
    }

    /// Notes that a read of a peer that did not flood gave this many events. Returns whether it floods now.
    #[inline]
    pub(crate) fn begins_flood(&mut self, events: usize) -> bool {
        events > FLOOD_EVENTS && self.flags.insert(Flags::FLOODS)
    }

    /// Notes that a read of a peer that floods gave this many events.
    pub(crate) fn go_on_flooded(&mut self, events: usize) {
        if events <= CALM_EVENTS {
            self.flags.remove(Flags::FLOODS);
        }
    }

    #[inline(always)]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        if !self.reads_now() || buffer.is_empty() {
            return Read::Nothing;
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Read::End(None),
                Ok(count) => {
                    if count < buffer.len() && SHORT_IS_ALL && !self.flags.any(Flags::HUNG_UP) {
                        self.flags.remove(Flags::MAY_READ);
                    }
                    return Read::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flags.remove(Flags::MAY_READ | Flags::HUNG_UP);
                    return Read::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Read::End(Some(error)),
            }
        }
    }

    /// Whether the last flush left something: only then is there a reason to write before anything else happens.
    #[inline]
    pub(crate) fn has_leftover(&self) -> bool {
        self.flags.among(Flags::LEFTOVER | Flags::WRITE_BLOCKED | Flags::WRITE_ENDED) == Flags::LEFTOVER
    }

    /// Writes what waits, as far as the kernel takes it.
    #[inline(always)]
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let output = self.ws.output();
        let mut writes = WRITES;
        while output.has_remaining() {
            self.flags.insert(Flags::LEFTOVER);
            if self.flags.any(Flags::NO_WRITING) || writes == 0 {
                return Ok(());
            }
            writes -= 1;
            match write(&mut self.stream, output) {
                Ok(false) => {}
                Ok(true) => _ = self.flags.insert(Flags::WRITE_BLOCKED),
                Err(error) if error.kind() == ErrorKind::WouldBlock => _ = self.flags.insert(Flags::WRITE_BLOCKED),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.flags.insert(Flags::WRITE_ENDED | Flags::MAY_READ);
                    return Err(error);
                }
            }
        }
        self.flags.remove(Flags::LEFTOVER);
        Ok(())
    }

    pub(crate) fn shutdown_write(&mut self) {
        if self.flags.insert(Flags::WRITE_ENDED) {
            // if the stream is gone already, reading tells
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    pub(crate) fn next(&self) -> Next {
        const ENDED: Flags = Flags::READ_ENDED.and(Flags::WRITE_ENDED);
        if self.flags.among(ENDED) == ENDED {
            return Next::End;
        }
        let writes_now = self.has_leftover() && !self.is_connecting();
        if writes_now || self.reads_now() { Next::Again } else { Next::Wait }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("stream", &self.stream)
            .field("ready_state", &self.ws.ready_state())
            .finish_non_exhaustive()
    }
}

/// Registers for what the socket itself waits for, whatever interests are given; [`Socket::update`] keeps that up to date.
impl event::Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let wanted = self.wanted();
        self.stream.register(registry, token, interests(wanted))?;
        self.flags.insert(wanted);
        Ok(())
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let wanted = self.wanted();
        self.stream.reregister(registry, token, interests(wanted))?;
        self.flags.set(Flags::WATCHES_WRITING, wanted.any(Flags::WATCHES_WRITING));
        Ok(())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.flags.remove(Flags::WATCHES_READING | Flags::WATCHES_WRITING);
        self.stream.deregister(registry)
    }
}

fn interests(wanted: Flags) -> Interest {
    if wanted.any(Flags::WATCHES_WRITING) { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

/// A socket that has an owner's closure to talk to.
struct Alone<'a, F> {
    socket: &'a mut Socket,
    on_event: F,
}

impl<F: FnMut(&mut WebSocket, Result<Event<'_>, Error>)> Place for Alone<'_, F> {
    fn socket(&mut self) -> &mut Socket {
        self.socket
    }

    fn tell(&mut self, event: Result<Event<'_>, Error>) {
        (self.on_event)(&mut self.socket.ws, event);
    }
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

/// Writes once; returns whether the kernel takes no more for now.
#[inline(always)]
fn write(stream: &mut TcpStream, output: &mut Output) -> io::Result<bool> {
    let chunk = output.chunk();
    let (offered, taken) = if chunk.len() == output.remaining() {
        (chunk.len(), stream.write(chunk)?)
    } else {
        write_vectored(stream, output)?
    };
    output.advance(taken);
    Ok(taken < offered && SHORT_IS_ALL)
}

/// Writes many pieces at once; returns how many bytes were offered and taken.
#[inline(never)]
fn write_vectored(stream: &mut TcpStream, output: &Output) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.chunks_vectored(&mut slices);
    let slices = &slices[..count];
    Ok((slices.iter().map(|slice| slice.len()).sum(), stream.write_vectored(slices)?))
}
