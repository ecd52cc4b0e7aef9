//! Listening: from TCP's `accept` to an open connection, or to an HTTP response.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sansocket::{Accept, Config, Event, HttpResponse, OriginPolicy, Request};

use sansocket_drive::{Clock, is_disconnect, with_keepalive};
use socket2::{Domain, Protocol, Socket, Type};

use crate::gate::{Gate, Permit, StopSignal, wait_for_client};
use crate::read_buffers::ReadBuffers;
use crate::stream::Stream;
use crate::unsplit::Unsplit;
use crate::websocket::{WebSocket, finish_opening, opening_event};
use crate::{DEFAULT_BUFFER_SIZE, Error};

/// Connections that the system completes before they are accepted.
const BACKLOG: i32 = 4096;
/// How long [`Listener::accept`] waits at most for a connection to end after it has failed.
const PAUSE: Duration = Duration::from_millis(100);
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
        }
    }

    /// Sets the limits and timeouts. Connections share them. [`Keepalive::Default`](sansocket::Keepalive::Default)
    /// means 30 s.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = with_keepalive(config);
        self
    }

    /// Sets which web pages may connect, unless an [`Accept`] chooses its own policy ([`Incoming::accept_with`]).
    /// Browsers let any page connect anywhere, with the cookies of the site it connects to; the server has to refuse.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = policy;
        self
    }

    /// Supports a subprotocol: [`Incoming::accept`] selects the first that the client offers of those supported.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Sets how much to read at a time, in bytes, at least 256; default 16 KiB. The buffer grows up to this size as needed. A
    /// message that fits is borrowed from the buffer, a longer one is assembled.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Sets how many connections of a listener may exist at a time; default: no limit but the system's. While there are
    /// so many, [`Listener::accept`] waits, and new clients wait in the system's backlog. A connection counts from
    /// `accept` until its [`Incoming`] or [`WebSocket`] (the [`Reader`](crate::Reader) and all
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
    /// The address is in use, or not this machine's; or the system's, such as too many open files.
    pub fn bind(&self, address: impl ToSocketAddrs) -> io::Result<Listener> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen at");
        for address in address.to_socket_addrs()? {
            match listen(address) {
                Ok(tcp) => return self.listen(tcp),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Accepts the clients of a socket that listens already, and makes it non-blocking.
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
    /// ([`Config::opening_timeout`]) runs from here.
    pub fn incoming<S: Stream>(&self, stream: S) -> Incoming<S> {
        self.incoming_with(stream, None)
    }

    fn incoming_with<S: Stream>(&self, stream: S, permit: Option<Permit>) -> Incoming<S> {
        let ws = sansocket::WebSocket::server(Arc::clone(&self.config), Clock::of_process().now());
        Incoming {
            link: Box::new(Unsplit::new(ws, &self.config, stream, permit)),
            buffers: ReadBuffers::new(self.buffer_size),
            acceptor: self.clone(),
            request: None,
            is_plain: false,
        }
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
///             ReadOutcome::Pending => {} // here goes periodic work
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
/// println!("stopped; {remaining} connections are left");
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
    /// See there.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Acceptor::new().bind(address)
    }

    /// The address listened at.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a client to connect; `None` once the listener was stopped. Reads nothing from the client yet, so that
    /// a slow client does not delay others: call [`Incoming`]'s methods in a thread of its own. What a connection needs
    /// from the system, except that thread, is acquired here, before the client is answered.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files. Go on accepting: most of them pass. The call after one that failed
    /// waits until a connection has ended, for 100 ms at most, so that a loop does not spin.
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

    /// Stops the listener, then waits for up to `timeout` until all connections that it accepted have been dropped.
    /// Returns how many have not. Their threads must end them; see the example of [`Listener`].
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
                    // On some systems the stream inherits the mode of the listener.
                    stream.set_nonblocking(false)?;
                    // If the client is gone already, reading its request reports it.
                    let _ = stream.set_nodelay(true);
                    let mut incoming = self.acceptor.incoming_with(stream, Some(permit));
                    incoming.link.engine.driver.set_log_peer(peer);
                    return Ok(Some(incoming));
                }
                // Another thread was faster, or the client is gone already: not a failure of the listener.
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
    /// Makes every call of [`Listener::accept`] return `None`, those that wait and those to come. Connections go on.
    /// Clients in the system's backlog wait until the listener is dropped, which resets them.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Whether the listener was stopped. The threads of its connections can ask, and close them.
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) || is_disconnect(error)
}

/// Listens at an address, as [`TcpListener::bind`] does, with a longer backlog.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that restarts need not wait for the connections of the previous one.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A client that has connected; its request may not have arrived yet.
///
/// ```no_run
/// use sansocket_net::{Error, Incoming, HttpResponse, WebSocket};
///
/// fn open(mut incoming: Incoming) -> Result<Option<WebSocket>, Error> {
///     match incoming.request()?.path() {
///         "/chat" => incoming.accept().map(Some),
///         "/health" => incoming.respond(HttpResponse::new(200).body("text/plain", "well")).map(|()| None),
///         _ => incoming.respond(HttpResponse::new(404)).map(|()| None),
///     }
/// }
/// ```
///
/// Dropping it without an answer aborts the connection.
pub struct Incoming<S: Stream = TcpStream> {
    link: Box<Unsplit<S>>,
    buffers: ReadBuffers,
    acceptor: Acceptor,
    request: Option<Request>,
    is_plain: bool,
}

impl<S: Stream> Incoming<S> {
    /// Reads the request, or returns the one read before.
    ///
    /// # Errors
    ///
    /// No valid request arrived in time. The client got a response with the status that
    /// [`HandshakeError::status`](sansocket::HandshakeError::status) returns, and TCP has ended.
    pub fn request(&mut self) -> Result<&Request, Error> {
        let request = match self.request.take() {
            Some(request) => request,
            None => self.read_request()?,
        };
        Ok(self.request.insert(request))
    }

    /// Whether the request asks for something other than a WebSocket, such as a page or a health check: answer it with
    /// [`respond`](Self::respond). If it is accepted nevertheless, the client gets 426, Upgrade Required.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn is_plain(&mut self) -> Result<bool, Error> {
        self.request()?;
        Ok(self.is_plain)
    }

    /// Accepts the request if the policy of [`Acceptor::origin`] permits its origin, and selects the first subprotocol
    /// that the client offers and the server supports ([`Acceptor::protocol`]).
    ///
    /// # Errors
    ///
    /// As for [`accept_with`](Self::accept_with).
    pub fn accept(mut self) -> Result<WebSocket<S>, Error> {
        let request = self.request()?.clone();
        let accept = Accept::new().first_protocol(&request, &self.acceptor.protocols);
        self.accept_with(accept)
    }

    /// Accepts the request with a subprotocol and headers of the caller's choice. The policy of [`Acceptor::origin`]
    /// applies, unless [`Accept::origin`] chose another.
    ///
    /// ```no_run
    /// # use sansocket_net::{Accept, Error, Incoming, OriginPolicy, WebSocket};
    /// # fn open(mut incoming: Incoming) -> Result<WebSocket, Error> {
    /// let accept = Accept::new().header("Set-Cookie", "session=1");
    /// let is_public = incoming.request()?.path() == "/public";
    /// incoming.accept_with(if is_public { accept.origin(OriginPolicy::Any) } else { accept })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request), and [`Error::Answer`]: the origin is not permitted and the client got 403, the
    /// client did not ask for a WebSocket and got 426, or this is not a valid answer and the client got 500.
    /// [`Error::Io`]: the client is gone. TCP has ended. A client that has only shut down its sending direction is
    /// accepted, and the connection ends with the next event.
    pub fn accept_with(mut self, accept: Accept) -> Result<WebSocket<S>, Error> {
        self.request()?;
        let accept = accept.default_origin(&self.acceptor.origin);
        if let Err(error) = self.link.engine.driver.accept(accept, Clock::of_process().now()) {
            // The driver has answered with 403, 426 or 500.
            let _ = self.finish();
            return Err(error);
        }
        finish_opening(self.link, self.buffers)
    }

    /// Answers with an HTTP response other than 101, delivers it, and waits for the end of TCP: up to
    /// [`Config::closing_timeout`] without progress.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request), and [`Error::Answer`]: this is not a valid answer, and the client got 500.
    /// [`Error::Io`]: the client is gone. Others: it did not take the whole response in time.
    pub fn respond(mut self, response: HttpResponse) -> Result<(), Error> {
        self.request()?;
        let answered = self.link.engine.driver.respond(response, Clock::of_process().now());
        let finished = self.finish();
        answered.and(finished)
    }

    /// The stream: its addresses and options.
    pub fn stream(&self) -> &S {
        &self.link.stream
    }

    /// The stream.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.link.stream
    }

    fn read_request(&mut self) -> Result<Request, Error> {
        loop {
            match opening_event(&mut *self.link, &mut self.buffers)? {
                Event::Request(request) => return Ok(request),
                Event::HttpRequest(request) => {
                    self.is_plain = true;
                    return Ok(request);
                }
                _ => {}
            }
        }
    }

    /// Drives the connection until the response was delivered and TCP has ended.
    fn finish(&mut self) -> Result<(), Error> {
        while self.buffers.next_event(&mut *self.link)?.is_some() {}
        self.link.engine.check_written()
    }
}

impl<S: Stream> std::fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}
