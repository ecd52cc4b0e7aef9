//! Connecting: from a URL to an open connection, or to the reason why there is none.

use std::io;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use sansocket::{ClientRequest, Config, RequestTemplate};
use sansocket_connect::{Dialing, NameResolver, Opens, PLAIN, Progress, Security, Settings};
use sansocket_dial::{Destination, DialError, DialOptions, Target};
use sansocket_drive::{Clock, masking_keys, with_keepalive};
#[cfg(feature = "tls")]
use sansocket_tls::ClientTls;

use crate::dial_waiter::DialWaiter;
use crate::read_buffers::{DEFAULT_BUFFER_SIZE, ReadBuffers};
use crate::stream::Stream;
use crate::unsplit::Unsplit;
use crate::websocket::{WebSocket, try_opening};

/// Connects to a `ws` or `ws+unix` URL, or with the feature `tls` to a `wss` URL, with the settings of
/// [`Connector::new`].
///
/// # Errors
///
/// See [`DialError`].
pub fn connect(url: &str) -> Result<WebSocket, DialError> {
    Connector::new().connect(url)
}

/// The settings of a client's connections; connects any number of times.
///
/// RFC 6455 section 4.1 requires a client to make the connections to one address one after another. A connector does
/// not enforce this.
///
/// ```no_run
/// use sansocket_net::Connector;
/// use sansocket_net::dial::{DialOptions, ProxyRules};
///
/// let proxies = ProxyRules::from_environment(|name| std::env::var(name).ok());
/// let connector = Connector::new()
///     .protocol("chat")
///     .header("Authorization", "Bearer 123")
///     .dial(DialOptions::default().proxies(proxies).max_redirects(5));
/// let ws = connector.connect("ws://localhost:9001/rooms/1")?;
/// assert_eq!(ws.protocol(), Some("chat"));
/// # Ok::<(), sansocket_net::DialError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Connector {
    settings: Arc<Settings>,
    config: Arc<Config>,
    buffer_size: usize,
}

impl Connector {
    /// Returns the defaults: no subprotocol, no additional header field, no proxy, no redirects, [`Config::default`]
    /// with keepalive.
    pub fn new() -> Self {
        Self { settings: Arc::default(), config: with_keepalive(Config::default()), buffer_size: DEFAULT_BUFFER_SIZE }
    }

    /// Offers a subprotocol; the first one offered is preferred.
    pub fn protocol(self, protocol: impl Into<String>) -> Self {
        self.change_template(|template| template.protocol(protocol))
    }

    /// Adds a header field to the request, such as `Authorization`; see [`RequestTemplate::header`].
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change_template(|template| template.header(name, value))
    }

    /// Sets the `Origin` of the request, as a browser does.
    pub fn origin(self, origin: impl Into<String>) -> Self {
        self.change_template(|template| template.origin(origin))
    }

    fn change_template(mut self, change: impl FnOnce(RequestTemplate) -> RequestTemplate) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        settings.template = change(mem::take(&mut settings.template));
        self
    }

    /// Sets the way to the server: proxies, redirects, another address or `Host`, and the timeouts of TCP.
    pub fn dial(mut self, options: impl Into<Arc<DialOptions>>) -> Self {
        Arc::make_mut(&mut self.settings).dial = options.into();
        self
    }

    /// Sets the addresses of the host in the URL, in the order of preference. They replace the lookup of its name. They
    /// do not apply to a proxy, nor after a redirect to another host. If the list is empty, the lookup fails.
    pub fn addresses(mut self, addresses: impl Into<Arc<[SocketAddr]>>) -> Self {
        Arc::make_mut(&mut self.settings).addresses = Some(addresses.into());
        self
    }

    /// Sets a function that looks up names, of servers and proxies, instead of the resolver of the system: such as
    /// DNS over HTTPS, or the registry of a cluster. It returns addresses in the order of preference; an empty list, an
    /// error and a panic make the lookup fail. It runs in a thread and may block: [`Config::opening_timeout`] ends the
    /// wait for it, while the function goes on.
    pub fn resolver(
        mut self,
        resolve: impl Fn(&Destination) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).resolver = NameResolver::new(resolve);
        self
    }

    /// Sets the limits and timeouts. Connections share them. [`Keepalive::Default`](sansocket::Keepalive::Default)
    /// means 30 s.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = with_keepalive(config);
        self
    }

    /// Sets the size of the read buffer; see [`Acceptor::buffer_size`](crate::Acceptor::buffer_size).
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Sets the TLS configuration for `wss` URLs and for proxies that are reached over TLS. The default is
    /// [`ClientTls::new`], which all connectors share: it trusts the certificate authorities that the system trusts.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        Arc::make_mut(&mut self.settings).tls = Some(tls);
        self
    }

    /// Connects to a `ws`, `wss` or `ws+unix` URL, and completes the opening handshake.
    /// [`Config::opening_timeout`] covers everything, from the lookup of the name on.
    ///
    /// The stream of a `ws+unix` URL is a Unix socket in a `TcpStream`, which has no IP addresses: both are descriptors.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub fn connect(&self, url: &str) -> Result<WebSocket, DialError> {
        self.connect_to(url.parse()?)
    }

    /// Connects to a target, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub fn connect_to(&self, target: Target) -> Result<WebSocket, DialError> {
        let clock = Clock::of_process();
        let (settings, config) = (Arc::clone(&self.settings), Arc::clone(&self.config));
        let mut dialing = Dialing::new(settings, target, config, clock.now())?;
        let mut waiter = DialWaiter::default();
        loop {
            match dialing.advance(clock.now())? {
                Progress::Waits => waiter.wait(&mut dialing, clock).map_err(DialError::Local)?,
                Progress::Opens(opens) => match self.open_dialed(*opens, &mut dialing)? {
                    Some(ws) => return Ok(ws),
                    None => waiter = DialWaiter::default(),
                },
            }
        }
    }

    /// Completes the opening handshake over a stream to the URL's host, such as a TLS stream of another library. Starts
    /// no TLS, even for a `wss` URL. Does not dial: the [`DialOptions`] do not apply.
    ///
    /// # Errors
    ///
    /// [`DialError::Target`], [`DialError::Request`], [`DialError::Opening`], [`DialError::TimedOut`],
    /// [`DialError::Local`].
    pub fn handshake<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>, DialError> {
        self.handshake_through(PLAIN, &url.parse()?, stream)
    }

    /// Starts TLS over a stream to the host of a `wss` URL, such as a tunnel, and completes the opening handshake.
    /// Starts no TLS for a `ws` URL.
    ///
    /// # Errors
    ///
    /// Those of [`handshake`](Self::handshake), and [`DialError::Tls`].
    #[cfg(feature = "tls")]
    pub fn handshake_tls<S: Stream>(&self, url: &str, stream: S) -> Result<WebSocket<S>, DialError> {
        let target: Target = url.parse()?;
        let uri = target.uri();
        if !uri.is_secure() {
            return self.handshake_through(PLAIN, &target, stream);
        }
        let config = self.settings.tls.clone().map_or_else(ClientTls::shared, Ok);
        let layer = config.and_then(|config| config.layer(uri.host()));
        let layer = layer.map_err(|error| DialError::Tls {
            host: uri.host().to_owned(),
            error: io::Error::new(io::ErrorKind::InvalidInput, error),
            is_permanent: true,
        })?;
        self.handshake_through(layer.into(), &target, stream)
    }

    fn handshake_through<S: Stream>(
        &self,
        security: Security,
        target: &Target,
        stream: S,
    ) -> Result<WebSocket<S>, DialError> {
        let uri = target.uri().clone();
        let host = uri.host().to_owned();
        let request = ClientRequest::from_template(uri, target.authorize(self.settings.template.clone()));
        let keys = masking_keys().map_err(DialError::Local)?;
        let now = Clock::of_process().now();
        let ws = sansocket::WebSocket::client(request, Arc::clone(&self.config), keys, now)?;
        let link = Box::new(Unsplit::new(ws, security, &self.config, stream));
        try_opening(link, ReadBuffers::new(self.buffer_size)).map_err(|(error, link)| {
            let limit = self.config.opening_timeout;
            Dialing::error_without_dial(&host, error, link.engine.driver.layer(), limit)
        })
    }

    /// Completes the opening handshake over a stream that was dialed. Returns `None` if it failed, which is reported to
    /// `dialing`.
    fn open_dialed(&self, opens: Opens, dialing: &mut Dialing) -> Result<Option<WebSocket>, DialError> {
        let Opens { ws, security, stream, received, .. } = opens;
        let stream = TcpStream::from(stream);
        stream.set_nonblocking(false).map_err(DialError::Local)?;
        // fails for a Unix socket; if the server is already gone, reading its response reports it
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr();
        let mut link = Box::new(Unsplit::new(ws, security, &self.config, stream));
        if let Ok(peer) = peer {
            link.engine.driver.set_log_peer(peer);
        }
        match try_opening(link, ReadBuffers::with_leftover(self.buffer_size, received)) {
            Ok(ws) => Ok(Some(ws)),
            Err((error, link)) => {
                dialing.opening_failed(error, link.engine.driver.layer());
                Ok(None)
            }
        }
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}
