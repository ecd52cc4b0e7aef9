//! How a socket begins: by connecting, or with a stream that was accepted or upgraded.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use mio::net::TcpStream;
use sansocket_drive::sansocket::{Agreement, ClientRequest, Config, Instant, Role, WebSocket};
use sansocket_drive::{Driver, masking_keys, upgraded, with_keepalive};
use socket2::SockRef;

use super::Socket;
use super::flags::Flags;
use crate::clock;
use crate::error::ConnectError;
use crate::security::{PLAIN, Security};

impl Socket {
    /// Begins to connect, as a client, to the addresses in turn until one can be reached. [`Config::opening_timeout`]
    /// bounds all attempts and the opening handshake together, from `now`.
    /// [`Keepalive::Default`](crate::Keepalive::Default) means 30 s; a shared `Config` with this value is copied.
    ///
    /// # Errors
    ///
    /// The request is not valid, it requires TLS, there is no address, the system has no random numbers, or every
    /// attempt failed at once. If the addresses cannot be reached, the socket reports it as an event,
    /// [`Error::Io`](crate::Error::Io).
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
        let mut socket = Self::new(ws, PLAIN, stream);
        if !untried.is_empty() {
            socket.rare().untried = untried;
        }
        socket.flags.insert(Flags::CONNECTING);
        Ok(socket)
    }

    /// Serves a stream that was just accepted. The client's time for the opening handshake runs from `now`.
    /// [`Keepalive::Default`](crate::Keepalive::Default) means 30 s; a shared `Config` with this value is copied.
    pub fn accepted(stream: TcpStream, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        Self::accepted_through(PLAIN, stream, config, now)
    }

    /// Serves a stream that was just accepted, over TLS. The client's time for the TLS handshake and the opening
    /// handshake together runs from `now`. Otherwise as [`accepted`](Self::accepted).
    #[cfg(feature = "tls")]
    pub fn accepted_tls(
        stream: TcpStream,
        tls: &sansocket_tls::ServerTls,
        config: impl Into<Arc<Config>>,
        now: Instant,
    ) -> Self {
        Self::accepted_through(tls.layer().into(), stream, config, now)
    }

    fn accepted_through(security: Security, stream: TcpStream, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        let mut socket = Self::server(stream, security, config, now);
        socket.log_peer();
        socket
    }

    /// The same, for an event loop, which names the connection and its peer in the log itself.
    pub(crate) fn server(stream: TcpStream, security: Security, config: impl Into<Arc<Config>>, now: Instant) -> Self {
        // if the client is already gone, reading its request reports it
        let _ = stream.set_nodelay(true);
        Self::new(WebSocket::server(with_keepalive(config), now), security, stream)
    }

    /// Adopts a connection whose opening handshake was done elsewhere, such as by an HTTP server. `leftover` has the
    /// bytes that were received after the handshake, `role` is this end's role, and `agreement` is the result of the
    /// handshake. The stream becomes non-blocking. The first event is [`Event::Open`](crate::Event::Open), which
    /// [`drive`](Self::drive) reports. [`Connections::adopt`](crate::Connections::adopt) gives the socket to an event
    /// loop.
    ///
    /// [`Request::check`](crate::Request::check) checks a request that another library has read, and
    /// [`OpeningHandshake::accept`](crate::sansocket::OpeningHandshake::accept) makes the fields of the response.
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
        let ws = upgraded(role, agreement, with_keepalive(config), clock::now())?;
        // a blocking stream, as std makes them, would block all connections of a loop
        SockRef::from(&stream).set_nonblocking(true)?;
        // if the peer is already gone, reading reports it
        let _ = stream.set_nodelay(true);
        let mut socket = Self::new(ws, PLAIN, stream);
        let leftover = Bytes::from(leftover.into());
        if !leftover.is_empty() {
            // a pause that begins in the Open event applies to these bytes
            socket.keep_unreceived(leftover.into());
        }
        socket.log_peer();
        Ok(socket)
    }

    fn new(ws: WebSocket, security: Security, stream: TcpStream) -> Self {
        Self { driver: Driver::with_layer(ws, security), rare: None, stream, flags: Flags::OUTPUT_PENDING }
    }

    /// Checks whether TCP is connected. If the current address failed, begins to connect to the next.
    pub(super) fn finish_connecting(&mut self) -> io::Result<()> {
        let failure = match self.stream.take_error()? {
            Some(error) => error,
            None => match self.stream.peer_addr() {
                Ok(peer) => {
                    self.driver.set_log_peer(peer);
                    self.flags.remove(Flags::CONNECTING);
                    self.rare = None;
                    // if the server is already gone, reading its response reports it
                    let _ = self.stream.set_nodelay(true);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => error,
            },
        };
        self.stream = begin_connecting(&mut self.rare().untried, failure)?;
        self.flags = self.flags.intersection(Flags::PAUSED) | Flags::CONNECTING | Flags::OUTPUT_PENDING;
        Ok(())
    }
}

/// Begins to connect to the last of the addresses for which that does not fail at once. Returns the last failure if
/// there is none; `failure` if `untried` is empty.
fn begin_connecting(untried: &mut Vec<SocketAddr>, mut failure: io::Error) -> io::Result<TcpStream> {
    while let Some(address) = untried.pop() {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
