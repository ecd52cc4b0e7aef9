//! Connector: the settings with which clients connect.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use sansocket_connect::{NameResolver, Settings};
use sansocket_dial::{Destination, DialOptions, ReconnectPolicy};
use sansocket_drive::sansocket::{Config, RequestTemplate};
#[cfg(feature = "tls")]
use sansocket_tls::ClientTls;

/// The settings of clients: the request, the way to the server (proxies, redirects, timeouts), TLS, and whether to
/// connect again. [`Connections::connect_with`](crate::Connections::connect_with),
/// [`Handle::connect`](crate::Handle::connect) and [`Socket::connect`](crate::Socket::connect) take one, which any
/// number of connections can use.
///
/// ```
/// use sansocket_mio::dial::{DialOptions, ProxyRules, ReconnectPolicy};
/// use sansocket_mio::Connector;
///
/// let proxies = ProxyRules::from_environment(|name| std::env::var(name).ok());
/// let connector = Connector::new()
///     .protocol("chat")
///     .header("Authorization", "Bearer 123")
///     .dial(DialOptions::default().proxies(proxies).max_redirects(5))
///     .reconnect(ReconnectPolicy::default());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Connector {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Option<Arc<Config>>,
    pub(crate) reconnect: Option<ReconnectPolicy>,
}

impl Connector {
    /// Returns the defaults: no subprotocol, no additional header field, no proxy, no redirects, the [`Config`] of the
    /// event loop, no reconnection.
    pub fn new() -> Self {
        Self::default()
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

    /// Sets the addresses of the host in the URL, in the order of preference. They replace the lookup of its name, also
    /// at later attempts. They do not apply to a proxy, nor after a redirect to another host. If the list is empty, the
    /// lookup fails.
    pub fn addresses(mut self, addresses: impl Into<Arc<[SocketAddr]>>) -> Self {
        Arc::make_mut(&mut self.settings).addresses = Some(addresses.into());
        self
    }

    /// Sets a function that looks up names, of servers and proxies, instead of the resolver of the system: such as
    /// DNS over HTTPS, or the registry of a cluster. It returns addresses in the order of preference; an empty list, an
    /// error and a panic make the lookup fail. It runs in a thread and may block: [`Config::opening_timeout`] ends the
    /// wait for it, while the function goes on. A loop, or all loops of a [`Threads`](crate::Threads) together,
    /// have eight such threads; further lookups wait.
    pub fn resolver(
        mut self,
        resolve: impl Fn(&Destination) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.settings).resolver = NameResolver::new(resolve);
        self
    }

    /// Sets the limits and timeouts, instead of those of the event loop
    /// ([`Options::config`](crate::Options::config)). [`Config::opening_timeout`] covers everything from the lookup of
    /// the name to the end of the opening handshake.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Connects again when the connection is lost, or cannot be made: see
    /// [`Handler::on_reconnect`](crate::Handler::on_reconnect).
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = Some(policy);
        self
    }

    /// Sets the TLS configuration for `wss` URLs and for proxies that are reached over TLS. The default is
    /// [`ClientTls::new`], which all connectors share: it trusts the certificate authorities that the system trusts.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        Arc::make_mut(&mut self.settings).tls = Some(tls);
        self
    }
}
