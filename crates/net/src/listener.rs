//! Listening: from TCP's `accept` to an open connection, or to an HTTP response.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;

use sansocket::{Accept, Config, Event, HttpResponse, OriginPolicy, Request};

use sansocket_drive::{Clock, is_disconnect};
use socket2::{Domain, Protocol, Socket, Type};

use crate::read_buffers::ReadBuffers;
use crate::stream::Stream;
use crate::unsplit::Unsplit;
use crate::websocket::{WebSocket, finish_opening, opening_event};
use crate::{DEFAULT_BUFFER_SIZE, Error, default_config};

/// Connections that the system completes before they are accepted.
const BACKLOG: i32 = 4096;

/// The settings with which a server answers opening handshakes. A [`Listener`] has one; use it alone over other streams.
#[derive(Clone, Debug)]
#[must_use]
pub struct Acceptor {
    config: Arc<Config>,
    origin: OriginPolicy,
    protocols: Vec<String>,
    buffer_size: usize,
}

impl Acceptor {
    /// [`OriginPolicy::SameOrigin`], no subprotocol, [`default_config`].
    pub fn new() -> Self {
        Self {
            config: Arc::new(default_config()),
            origin: OriginPolicy::SameOrigin,
            protocols: Vec::new(),
            buffer_size: DEFAULT_BUFFER_SIZE,
        }
    }

    /// Sets the limits and timeouts, instead of [`default_config`]. Connections share them.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets which web pages [`Incoming::accept`] accepts. Browsers let any page connect anywhere, with the cookies of the
    /// site it connects to; the server has to refuse.
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

    /// Starts a connection over the stream of a client. Returns at once; the time for the opening handshake
    /// ([`Config::opening_timeout`]) runs from here.
    pub fn incoming<S: Stream>(&self, stream: S) -> Incoming<S> {
        let ws = sansocket::WebSocket::server(Arc::clone(&self.config), Clock::of_process().now());
        Incoming {
            link: Box::new(Unsplit::new(ws, &self.config, stream)),
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

/// Listens for clients. The [`crate`]'s guide shows a server.
#[derive(Debug)]
#[must_use]
pub struct Listener {
    tcp: TcpListener,
    acceptor: Acceptor,
}

impl Listener {
    /// Listens at an address; port 0 lets the system choose one. The backlog is 4,096 connections, or the system's limit.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen at");
        for address in address.to_socket_addrs()? {
            match listen(address) {
                Ok(tcp) => return Ok(tcp.into()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// See [`Acceptor::config`].
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.acceptor = self.acceptor.config(config);
        self
    }

    /// See [`Acceptor::origin`].
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.acceptor = self.acceptor.origin(policy);
        self
    }

    /// See [`Acceptor::protocol`].
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.acceptor = self.acceptor.protocol(protocol);
        self
    }

    /// See [`Acceptor::buffer_size`].
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.acceptor = self.acceptor.buffer_size(bytes);
        self
    }

    /// The address listened at.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Waits for a client to connect. Reads nothing from it yet, so that a slow client does not delay others: call
    /// [`Incoming`]'s methods in a thread of its own. What a connection needs from the system is acquired here, before
    /// the client is answered.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files. Go on listening: most of them pass.
    pub fn accept(&self) -> io::Result<Incoming> {
        loop {
            match self.tcp.accept() {
                Ok((stream, _)) => {
                    // If the client is gone already, reading its request reports it.
                    let _ = stream.set_nodelay(true);
                    return Ok(self.acceptor.incoming(stream));
                }
                // A client that is gone already is not a failure of the listener.
                Err(error) if error.kind() == io::ErrorKind::Interrupted || is_disconnect(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns an endless iterator over the results of [`accept`](Self::accept).
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<Incoming>> {
        std::iter::from_fn(|| Some(self.accept()))
    }
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

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, acceptor: Acceptor::new() }
    }
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

    /// Accepts the request if the listener's origin policy permits it, and selects the first subprotocol that the client
    /// offers and the listener supports.
    ///
    /// # Errors
    ///
    /// As for [`accept_with`](Self::accept_with).
    pub fn accept(mut self) -> Result<WebSocket<S>, Error> {
        let accept = Accept::new().origin(self.acceptor.origin.clone());
        let supported = &self.acceptor.protocols.clone();
        let mut offered = self.request()?.protocols();
        let accept = match offered.find(|&offered| supported.iter().any(|supported| supported == offered)) {
            Some(protocol) => accept.protocol(protocol),
            None => accept,
        };
        drop(offered);
        self.accept_with(accept)
    }

    /// Accepts the request with an origin policy, a subprotocol and headers of the caller's choice.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request), and [`Error::Answer`]: the origin is not permitted and the client got 403,
    /// the client did not ask for a WebSocket and got 426, or this is not a valid answer and the client got 500. TCP
    /// has ended.
    pub fn accept_with(mut self, accept: Accept) -> Result<WebSocket<S>, Error> {
        self.request()?;
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
    /// As for [`request`](Self::request), and [`Error::Answer`]: this is not a valid answer, and the client got 500. Others:
    /// the connection was lost before the whole response was written.
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
