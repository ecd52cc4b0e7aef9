//! Listening: the settings of a server, its listeners, and their end.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sansocket::{Config, OriginPolicy};
use sansocket_drive::{Clock, is_disconnect, with_keepalive};
#[cfg(feature = "tls")]
use sansocket_tls::ServerTls;
use socket2::{Domain, Protocol, Socket, Type};

use crate::gate::{Gate, StopSignal, wait_for_client};
use crate::incoming::Incoming;
use crate::read_buffers::{DEFAULT_BUFFER_SIZE, ReadBuffers};
use crate::stream::Stream;
use crate::unsplit::Unsplit;
#[cfg(not(feature = "tls"))]
use sansocket_connect::PLAIN;
use sansocket_connect::Security;

/// The number of connections that the system completes before `accept`.
const BACKLOG: i32 = 4096;
/// The longest time that [`Listener::accept`] waits for a connection to end after a failure.
const PAUSE: Duration = Duration::from_millis(100);
/// The value of [`Listener::failed_at`] after a success.
const NO_FAILURE: usize = usize::MAX;

/// The settings of a server's connections; makes [`Listener`]s, and accepts clients over other streams.
///
/// ```
/// use sansocket_net::{Acceptor, OriginPolicy};
///
/// let acceptor = Acceptor::new().protocol("chat").origin(OriginPolicy::Any).max_connections(1000);
/// let listener = acceptor.bind("127.0.0.1:0")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Acceptor {
    config: Arc<Config>,
    origin: OriginPolicy,
    protocols: Vec<String>,
    buffer_size: usize,
    max_connections: usize,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

impl Acceptor {
    /// [`OriginPolicy::SameOrigin`], no subprotocol, [`Config::default`] with keepalive.
    pub fn new() -> Self {
        Self {
            config: with_keepalive(Config::default()),
            origin: OriginPolicy::SameOrigin,
            protocols: Vec::new(),
            buffer_size: DEFAULT_BUFFER_SIZE,
            max_connections: usize::MAX,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Accepts connections over TLS: the server's URL begins with `wss`. [`Config::opening_timeout`] covers the TLS
    /// handshake too.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the limits and timeouts. Connections share them. [`Keepalive::Default`](sansocket::Keepalive::Default)
    /// means 30 s.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = with_keepalive(config);
        self
    }

    /// Sets which web pages may connect, unless an [`Accept`](sansocket::Accept) chooses another policy
    /// ([`Incoming::accept_with`]). A browser lets any page connect to any server, with the cookies of that server; the
    /// server has to refuse.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = policy;
        self
    }

    /// Supports a subprotocol: [`Incoming::accept`] selects the first that the client offers of those supported.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Sets the largest size of the read buffer, in bytes, at least 256; default 16,398, which holds a
    /// message of 16 KiB with the longest head of a frame. The buffer begins small and grows as needed. A message that fits borrows the buffer; a longer one is assembled.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Sets the largest number of connections that a listener has at a time; default: no limit. At the limit,
    /// [`Listener::accept`] waits, and new clients wait in the system's backlog. A connection counts from `accept`
    /// until its [`Incoming`] or [`WebSocket`](crate::WebSocket) (or the [`Reader`](crate::Reader) and all
    /// [`Writer`](crate::Writer)s) is dropped.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count;
        self
    }

    /// Listens at an address; port 0 lets the system choose one. The backlog is 4,096 connections, or the system's
    /// limit.
    ///
    /// # Errors
    ///
    /// The address is in use, or does not belong to this machine; or the system's, such as too many open files.
    pub fn bind(&self, address: impl ToSocketAddrs) -> io::Result<Listener> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "the list of addresses to listen on is empty");
        for address in address.to_socket_addrs()? {
            match bind_with_backlog(address) {
                Ok(tcp) => return self.listen(tcp),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Makes a listener of a socket that listens already. Makes the socket non-blocking.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files.
    pub fn listen(&self, tcp: TcpListener) -> io::Result<Listener> {
        tcp.set_nonblocking(true)?;
        let (gate, stop_signal) = Gate::new()?;
        Ok(Listener { tcp, acceptor: self.clone(), gate, stop_signal, failed_at: AtomicUsize::new(NO_FAILURE) })
    }

    /// Starts a connection over the stream of a client. Returns at once; the time for the opening handshake
    /// ([`Config::opening_timeout`]) starts now.
    pub fn incoming<S: Stream>(&self, stream: S) -> Incoming<S> {
        let ws = sansocket::WebSocket::server(Arc::clone(&self.config), Clock::of_process().now());
        let link = Box::new(Unsplit::new(ws, self.security(), &self.config, stream));
        let buffers = ReadBuffers::new(self.buffer_size);
        Incoming::new(link, buffers, self.origin.clone(), self.protocols.clone())
    }

    #[cfg(feature = "tls")]
    fn security(&self) -> Security {
        self.tls.as_ref().map(ServerTls::layer).into()
    }

    #[cfg(not(feature = "tls"))]
    const fn security(&self) -> Security {
        PLAIN
    }
}

impl Default for Acceptor {
    fn default() -> Self {
        Self::new()
    }
}

/// Listens for clients. The [`crate`]'s guide shows a server; [`Acceptor::bind`] makes a listener with settings.
///
/// Several threads can accept at the same time. Another thread can stop them, and wait for the connections:
///
/// ```
/// use std::thread;
/// use std::time::Duration;
/// use sansocket_net::{Error, Event, Incoming, Listener, ReadOutcome, Stopper};
///
/// fn echo(incoming: Incoming, stopper: &Stopper) -> Result<(), Error> {
///     let mut ws = incoming.accept()?;
///     loop {
///         match ws.read_timeout(Duration::from_millis(500))? {
///             ReadOutcome::Event(Event::Message(message)) => {
///                 let message = message.into_owned();
///                 ws.send(message)?;
///             }
///             ReadOutcome::Event(_) => {}
///             ReadOutcome::Pending if stopper.is_stopped() => return ws.finish().map(drop),
///             ReadOutcome::Pending => {} // periodic work goes here
///             ReadOutcome::Ended => return Ok(()),
///         }
///     }
/// }
///
/// let listener = Listener::bind("127.0.0.1:0")?;
/// let stopper = listener.stopper();
/// thread::spawn({
///     let stopper = stopper.clone();
///     move || stopper.stop() // such as after Ctrl-C
/// });
/// for incoming in listener.incoming() {
///     let stopper = stopper.clone();
///     let served =
///         incoming.and_then(|incoming| thread::Builder::new().spawn(move || echo(incoming, &stopper)));
///     if let Err(error) = served {
///         eprintln!("{error}"); // such as too many open files: it passes
///     }
/// }
/// // Stopped: the connections close within 500 ms, and each may take `closing_timeout`.
/// let remaining = listener.drain(Duration::from_secs(6));
/// println!("stopped; {remaining} connections remain");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    acceptor: Acceptor,
    gate: Arc<Gate>,
    stop_signal: StopSignal,
    /// The number of permits when `accept` failed last; [`NO_FAILURE`] if the last call succeeded.
    failed_at: AtomicUsize,
}

impl Listener {
    /// Listens at an address with the settings of [`Acceptor::new`]; see [`Acceptor::bind`].
    ///
    /// # Errors
    ///
    /// As for [`Acceptor::bind`].
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Acceptor::new().bind(address)
    }

    /// Returns the address of the listening socket.
    ///
    /// # Errors
    ///
    /// Returns the error of the system, such as too many open files.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a client to connect; `None` once the listener is stopped. Reads nothing from the client, so that a
    /// slow client does not delay others: call the methods of [`Incoming`] in another thread. Except for that thread,
    /// `accept` acquires all system resources of the connection, before the client gets a response.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files. Keep accepting: most such errors pass. The call after a failure waits
    /// until a connection has ended, for 100 ms at most, so that a loop does not spin.
    pub fn accept(&self) -> io::Result<Option<Incoming>> {
        let permits = self.failed_at.load(Ordering::Relaxed);
        if permits != NO_FAILURE {
            self.gate.pause(permits, PAUSE);
        }
        let accepted = self.wait_and_accept();
        let failed_at = if accepted.is_err() { self.gate.permits() } else { NO_FAILURE };
        self.failed_at.store(failed_at, Ordering::Relaxed);
        accepted
    }

    /// Returns an iterator over the results of [`accept`](Self::accept). It ends when the listener is stopped.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<Incoming>> {
        std::iter::from_fn(|| self.accept().transpose())
    }

    /// Returns a handle with which any thread can stop the listener.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.gate))
    }

    /// Stops the listener, then waits for up to `timeout` until all connections that it accepted are dropped. Returns
    /// the number of those that remain. Their threads must end them; see the example of [`Listener`].
    pub fn drain(&self, timeout: Duration) -> usize {
        self.gate.stop();
        self.gate.drain(timeout)
    }

    fn wait_and_accept(&self) -> io::Result<Option<Incoming>> {
        let Some(permit) = self.gate.enter(self.acceptor.max_connections) else { return Ok(None) };
        loop {
            if wait_for_client(&self.tcp, &self.stop_signal)? {
                return Ok(None);
            }
            match self.tcp.accept() {
                Ok((stream, peer)) => {
                    // On some systems the stream inherits the non-blocking mode of the listener.
                    stream.set_nonblocking(false)?;
                    // If this fails because the client has disconnected, reading the request reports it.
                    let _ = stream.set_nodelay(true);
                    let mut incoming = self.acceptor.incoming(stream);
                    incoming.link.permit = Some(permit);
                    incoming.link.engine.driver.set_log_peer(peer);
                    return Ok(Some(incoming));
                }
                // Another thread was faster, or the client has disconnected: not a failure of the listener.
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Stops a [`Listener`]; see [`Listener::stopper`]. Clones stop the same listener.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Gate>);

impl Stopper {
    /// Makes all current and later calls of [`Listener::accept`] return `None`. Connections continue. Clients in the
    /// system's backlog wait until the listener is dropped, which resets them.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Returns whether the listener is stopped. The threads of its connections can call this, and close them.
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) || is_disconnect(error)
}

/// Listens at an address as [`TcpListener::bind`] does, with a longer backlog.
fn bind_with_backlog(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts need not wait for the connections of the previous one.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
