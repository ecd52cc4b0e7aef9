//! Listener: accepts clients. After a failure it pauses, since another attempt would fail as well.

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

/// Clients accepted in one turn, so that the connected ones are served in between.
const ACCEPTS: usize = 64;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(100);
/// The length of the backlog; the system may limit it further.
const BACKLOG: i32 = 4096;

pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    /// The backlog may hold clients.
    may_accept: bool,
    /// The end of the pause.
    paused_until: Option<Instant>,
    /// A failure was reported to the handler, and no client has been accepted since.
    is_failing: bool,
    /// The listener has reached its `max_connections`. [`resume`](Self::resume) is called when a connection has ended.
    is_full: bool,
    shared: Arc<ListenerShared>,
}

/// An accepted client. It counts as a connection of its listener.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    /// The number of the listener, in the loop that accepted the client and in all that run with it.
    pub(crate) listener: u16,
}

/// The result of an attempt to accept.
pub(crate) enum AcceptOutcome {
    Client(TcpStream, SocketAddr),
    NoClient,
    /// The first failure in a series.
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

    /// Notes an event of mio for this listener.
    pub(crate) fn note(&mut self) {
        self.may_accept = true;
    }

    /// Returns when to accept; the epoch means at once.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.may_accept && !self.is_full).then(|| self.paused_until.unwrap_or(Instant::EPOCH))
    }

    /// Returns how many clients may be accepted in this turn.
    pub(crate) fn accept_budget(&mut self, now: Instant) -> usize {
        if self.poll_timeout().is_some_and(|at| at <= now) { ACCEPTS } else { 0 }
    }

    /// Counts one connection more, before it is accepted. Returns false if the listener has reached its
    /// `max_connections`.
    pub(crate) fn admit(&mut self) -> bool {
        self.is_full = !self.shared.admit();
        !self.is_full
    }

    /// Notes that a connection has ended, so that another may be accepted.
    pub(crate) fn resume(&mut self) {
        self.is_full = false;
    }

    pub(crate) fn accept(&mut self, now: Instant) -> AcceptOutcome {
        match self.tcp.accept() {
            Ok((stream, peer)) => {
                (self.is_failing, self.paused_until) = (false, None);
                AcceptOutcome::Client(stream, peer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.may_accept = false;
                self.paused_until = None;
                AcceptOutcome::NoClient
            }
            // the client is already gone, which is no failure of the listener: the next turn accepts the others
            Err(error) if error.kind() == ErrorKind::Interrupted || is_disconnect(&error) => AcceptOutcome::NoClient,
            Err(error) => {
                self.paused_until = Some(now + PAUSE);
                if std::mem::replace(&mut self.is_failing, true) {
                    AcceptOutcome::NoClient
                } else {
                    AcceptOutcome::Failed(error)
                }
            }
        }
    }
}

/// Listens at the first of the addresses for which that succeeds.
pub(crate) fn bind(addresses: impl ToSocketAddrs) -> io::Result<std::net::TcpListener> {
    first_of(addresses, |address| listen(socket(address, false)?))
}

/// Listens at the first of the addresses for which that succeeds: `count` times if the system lets several sockets
/// listen at one address, or else once.
pub(crate) fn bind_shared(addresses: impl ToSocketAddrs, count: u16) -> io::Result<Vec<std::net::TcpListener>> {
    if count < 2 || !CAN_SHARE_PORT {
        return Ok(vec![bind(addresses)?]);
    }
    first_of(addresses, |address| {
        // A shared port is shared with other processes, too: binding alone first fails if one of them listens.
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
    let mut failure = io::Error::new(ErrorKind::InvalidInput, "the list of addresses to listen on is empty");
    for address in addresses.to_socket_addrs()? {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Binds a socket to the address, which others may share if `shared` is set.
fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // as std does: a restarted server need not wait for the connections of its predecessor
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

const CAN_SHARE_PORT: bool =
    cfg!(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))));

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
