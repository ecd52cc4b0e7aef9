//! Connecting: from a URL to an open connection, or to the reason why there is none.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use sansocket::{ClientRequest, Config, RequestError, RequestTemplate, UriError, WsUri};
use sansocket_drive::{Clock, Error, masking_keys, parse_uri, with_keepalive};
#[cfg(feature = "tls")]
use sansocket_tls::{ClientTls, ConfigError};
use thiserror::Error as ThisError;

use crate::read_buffers::{DEFAULT_BUFFER_SIZE, ReadBuffers};
use crate::security::{PLAIN, Security};
use crate::stream::Stream;
use crate::unsplit::Unsplit;
use crate::websocket::{WebSocket, finish_opening};

/// Connects to a `ws://` URL, or with the feature `tls` to a `wss://` URL, with the settings of [`Connector::new`].
///
/// # Errors
///
/// See [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<TcpStream>, ConnectError> {
    Connector::new().connect(url)
}

/// The settings of a client's connections; connects any number of times.
///
/// RFC 6455 section 4.1 requires a client to make the connections to one address one after another. A connector does
/// not enforce this.
///
/// ```no_run
/// use std::time::Duration;
/// use sansocket_net::Connector;
///
/// let connector = Connector::new().protocol("chat").header("Authorization", "Bearer 123");
/// let ws = connector.connect("ws://localhost:9001/rooms/1")?;
/// assert_eq!(ws.protocol(), Some("chat"));
/// # Ok::<(), sansocket_net::ConnectError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Connector {
    template: RequestTemplate,
    config: Arc<Config>,
    connect_timeout: Duration,
    buffer_size: usize,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
}

impl Connector {
    /// No subprotocol, no additional header, [`Config::default`] with keepalive, 10 s to connect to an address.
    pub fn new() -> Self {
        Self {
            template: RequestTemplate::new(),
            config: with_keepalive(Config::default()),
            connect_timeout: Duration::from_secs(10),
            buffer_size: DEFAULT_BUFFER_SIZE,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Offers a subprotocol; the first one offered is preferred.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.template = self.template.protocol(protocol);
        self
    }

    /// Adds a header field to the request, such as `Authorization`; see [`RequestTemplate::header`].
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.template = self.template.header(name, value);
        self
    }

    /// Sets the `Origin` of the request, as a browser does.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.template = self.template.origin(origin);
        self
    }

    /// Sets the limits and timeouts. Connections share them. [`Keepalive::Default`](sansocket::Keepalive::Default)
    /// means 30 s.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = with_keepalive(config);
        self
    }

    /// Sets how long TCP may take to connect to one address. The opening handshake has its own timeout,
    /// [`Config::opening_timeout`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the size of the read buffer; see [`Acceptor::buffer_size`](crate::Acceptor::buffer_size).
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Sets the TLS configuration for `wss` URLs. The default is [`ClientTls::new`], which all connectors share: it
    /// trusts the certificate authorities that the system trusts.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects to the URL's host, trying its addresses in turn, and completes the opening handshake. The system bounds
    /// the time of a name lookup.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect(&self, url: &str) -> Result<WebSocket<TcpStream>, ConnectError> {
        let uri = parse_uri(url)?;
        self.connect_to_any(&uri, (uri.host(), uri.port()))
    }

    /// Connects to one of these addresses, regardless of what the URL's host resolves to, and completes the opening
    /// handshake.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_to(&self, url: &str, addresses: impl ToSocketAddrs) -> Result<WebSocket<TcpStream>, ConnectError> {
        self.connect_to_any(&parse_uri(url)?, addresses)
    }

    /// Completes the opening handshake over a stream to the URL's host, such as a Unix socket or a TLS stream of
    /// another library. Starts no TLS, even for a `wss` URL.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn handshake<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>, ConnectError> {
        self.open(self.request(parse_uri(url)?), PLAIN, stream, None)
    }

    /// Starts TLS over a stream to the host of a `wss` URL, such as a proxy's tunnel, and completes the opening
    /// handshake. Starts no TLS for a `ws` URL.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    #[cfg(feature = "tls")]
    pub fn handshake_tls<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>, ConnectError> {
        let uri = parse_uri(url)?;
        let security = self.security(&uri)?;
        self.open(self.request(uri), security, stream, None)
    }

    fn connect_to_any(&self, uri: &WsUri, addresses: impl ToSocketAddrs) -> Result<WebSocket<TcpStream>, ConnectError> {
        let request = self.request(uri.clone());
        request.check()?;
        let security = self.security(uri)?;
        let resolve = |error| ConnectError::Resolve { host: uri.host().into(), error };
        let addresses = addresses.to_socket_addrs().map_err(resolve)?;
        let (stream, peer) = tcp(addresses, self.connect_timeout).map_err(|tried| unreachable(uri, tried))?;
        self.open(request, security, stream, Some(peer))
    }

    fn open<S: Stream>(
        &self,
        request: ClientRequest,
        security: Security,
        stream: S,
        peer: Option<SocketAddr>,
    ) -> Result<WebSocket<S>, ConnectError> {
        let now = Clock::of_process().now();
        let ws =
            sansocket::WebSocket::client(request, Arc::clone(&self.config), masking_keys().map_err(Error::Io)?, now)?;
        let mut link = Box::new(Unsplit::new(ws, security, &self.config, stream));
        if let Some(peer) = peer {
            link.engine.driver.set_log_peer(peer);
        }
        Ok(finish_opening(link, ReadBuffers::new(self.buffer_size))?)
    }

    /// Starts TLS for a `wss` URL.
    #[cfg(feature = "tls")]
    fn security(&self, uri: &WsUri) -> Result<Security, ConnectError> {
        if !uri.is_secure() {
            return Ok(PLAIN);
        }
        let tls = self.tls.clone().map_or_else(ClientTls::shared, Ok).map_err(ConnectError::Tls)?;
        Ok(tls.layer(uri.host()).map_err(ConnectError::Tls)?.into())
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "the TLS configuration of the feature `tls`")]
    fn security(&self, uri: &WsUri) -> Result<Security, ConnectError> {
        if uri.is_secure() { Err(ConnectError::TlsNotBuiltIn) } else { Ok(PLAIN) }
    }

    fn request(&self, uri: WsUri) -> ClientRequest {
        ClientRequest::from_template(uri, self.template.clone())
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a client has no connection.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ConnectError {
    /// The caller is at fault: this is not a ws or wss URI.
    #[error("URL: {0}")]
    Uri(#[from] UriError),
    /// The caller is at fault: the request is not valid.
    #[error("request: {0}")]
    Request(#[from] RequestError),
    /// The caller is at fault: the scheme is wss, and the feature `tls` is off.
    #[error("TLS: not built in: enable the feature `tls` of sansocket-net for wss URLs")]
    TlsNotBuiltIn,
    /// The caller is at fault: the TLS configuration is not valid, or the URL's host has no name for a certificate.
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(#[source] ConfigError),
    /// The name has no address, or the lookup failed.
    #[error("transport: {host}: {error}")]
    Resolve {
        /// The host name.
        host: String,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// None of the host's addresses could be reached; each is listed with the reason.
    #[error("transport: {}", list(.0))]
    Unreachable(Vec<(SocketAddr, io::Error)>),
    /// The opening handshake failed.
    #[error(transparent)]
    Handshake(#[from] Error),
}

fn tcp(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> Result<(TcpStream, SocketAddr), Vec<(SocketAddr, io::Error)>> {
    let mut tried = Vec::new();
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, timeout);
        match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => tried.push((address, error)),
        }
    }
    Err(tried)
}

fn unreachable(uri: &WsUri, tried: Vec<(SocketAddr, io::Error)>) -> ConnectError {
    if tried.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "no address");
        return ConnectError::Resolve { host: uri.host().into(), error };
    }
    ConnectError::Unreachable(tried)
}

fn list(tried: &[(SocketAddr, io::Error)]) -> String {
    tried.iter().map(|(address, error)| format!("{address}: {error}")).collect::<Vec<_>>().join("; ")
}
