//! Listening. A listener that cannot accept pauses: to try again at once would only fail again.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use sansocket_drive::is_disconnect;
use sansocket_drive::sansocket::Instant;
use socket2::{Domain, Protocol, Socket, Type};

use crate::listen_options::ListenerShared;

/// Clients accepted in one turn: those that are connected have theirs in between.
const ACCEPTS: usize = 64;
/// How long to wait before trying again, after accepting has failed.
const PAUSE: Duration = Duration::from_millis(100);
/// Clients that may wait to be accepted; the system has a limit of its own.
const BACKLOG: i32 = 4096;

pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    /// Clients may be waiting.
    may_accept: bool,
    /// When to try again.
    paused_until: Option<Instant>,
    /// The handler knows that this listener cannot accept.
    is_failing: bool,
    /// The listener has reached its `max_connections`. [`resume`](Self::resume) is called when a connection has ended.
    is_full: bool,
    shared: Arc<ListenerShared>,
}

/// What accepting gave.
pub(crate) enum Accepted {
    Client(TcpStream, SocketAddr),
    Nobody,
    /// It fails, and has not before.
    Failed(io::Error),
}

impl Listener {
    pub(crate) fn new(tcp: std::net::TcpListener, shared: Arc<ListenerShared>) -> io::Result<Self> {
        tcp.set_nonblocking(true)?;
        let address = tcp.local_addr()?;
        let tcp = TcpListener::from_std(tcp);
        Ok(Self { tcp, address, may_accept: false, paused_until: None, is_failing: false, is_full: false, shared })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.tcp, token, Interest::READABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.tcp)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// mio has an event for it.
    pub(crate) fn note(&mut self) {
        self.may_accept = true;
    }

    /// When it is to be asked again; the epoch if at once.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.may_accept && !self.is_full).then(|| self.paused_until.unwrap_or(Instant::EPOCH))
    }

    /// How many clients may be accepted now.
    pub(crate) fn turns(&mut self, now: Instant) -> usize {
        if self.poll_timeout().is_some_and(|at| at <= now) { ACCEPTS } else { 0 }
    }

    /// Counts one connection more, before it is accepted, unless the listener has reached its `max_connections`.
    pub(crate) fn admit(&mut self) -> bool {
        self.is_full = !self.shared.admit();
        !self.is_full
    }

    /// A connection has ended: there may be room again.
    pub(crate) fn resume(&mut self) {
        self.is_full = false;
    }

    pub(crate) fn accept(&mut self, now: Instant) -> Accepted {
        match self.tcp.accept() {
            Ok((stream, peer)) => {
                (self.is_failing, self.paused_until) = (false, None);
                Accepted::Client(stream, peer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.may_accept = false;
                self.paused_until = None;
                Accepted::Nobody
            }
            // a client that is gone already is not the listener's trouble: the next turn sees to the others
            Err(error) if error.kind() == ErrorKind::Interrupted || is_disconnect(&error) => Accepted::Nobody,
            Err(error) => {
                self.paused_until = Some(now + PAUSE);
                if std::mem::replace(&mut self.is_failing, true) { Accepted::Nobody } else { Accepted::Failed(error) }
            }
        }
    }
}

/// Listens at the first of these addresses that can be had.
pub(crate) fn bind(addresses: impl ToSocketAddrs) -> io::Result<std::net::TcpListener> {
    first_of(addresses, |address| listen(socket(address, false)?))
}

/// Listens so many times at the first of these addresses that can be had: each listener gets some of the clients.
pub(crate) fn bind_shared(addresses: impl ToSocketAddrs, count: u16) -> io::Result<Vec<std::net::TcpListener>> {
    if count < 2 {
        return Ok(vec![bind(addresses)?]);
    }
    first_of(addresses, |address| {
        // sockets that share with each other share with those of another process, too: so is anybody there?
        drop(socket(address, false)?);
        let mut listeners = vec![listen(socket(address, true)?)?];
        let address = listeners[0].local_addr()?;
        for _ in 1..count {
            listeners.push(listen(socket(address, true)?)?);
        }
        Ok(listeners)
    })
}

fn first_of<T>(addresses: impl ToSocketAddrs, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failure = io::Error::new(ErrorKind::InvalidInput, "no address to listen at");
    for address in addresses.to_socket_addrs()? {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A socket that has this address: alone, or as one of many.
fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // as std does: a server that restarts need not wait for the connections of the one before
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if shared {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<std::net::TcpListener> {
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
