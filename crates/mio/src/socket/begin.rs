//! How a socket begins with a stream that was accepted or upgraded.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mio::net::TcpStream;
use sansocket_drive::sansocket::{Agreement, Config, Instant, Role, WebSocket};
use sansocket_drive::{Driver, upgraded, with_keepalive};
use socket2::SockRef;

use super::Socket;
use super::flags::Flags;
use crate::clock;
use sansocket_connect::{PLAIN, Security};

impl Socket {
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
        Self {
            driver: Driver::with_layer(ws, security),
            rare: None,
            stream: Some(stream),
            flags: Flags::OUTPUT_PENDING,
        }
    }
}
