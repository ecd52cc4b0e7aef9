//! ListenOptions: the settings of a listener, and the connection count of the loops that share it.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use sansocket_drive::sansocket::{Accept, OriginPolicy, Request};
#[cfg(feature = "tls")]
use sansocket_tls::ServerTls;

#[cfg(not(feature = "tls"))]
use sansocket_connect::PLAIN;
use sansocket_connect::Security;

/// The settings of a listener: [`EventLoop::listen_with`](crate::EventLoop::listen_with),
/// [`Threads::start_with`](crate::Threads::start_with).
///
/// ```
/// use sansocket_mio::{ListenOptions, OriginPolicy};
///
/// let options = ListenOptions::new().origin(OriginPolicy::Any).protocol("echo").max_connections(10_000);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ListenOptions {
    origin: OriginPolicy,
    protocols: Vec<String>,
    max_connections: Option<usize>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
}

impl ListenOptions {
    /// Returns the defaults: [`OriginPolicy::SameOrigin`], no subprotocol, any number of connections, no TLS.
    pub const fn new() -> Self {
        Self {
            origin: OriginPolicy::SameOrigin,
            protocols: Vec::new(),
            max_connections: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets which web pages may connect (default: [`OriginPolicy::SameOrigin`]). Browsers let any page connect
    /// anywhere, with the cookies of the site it connects to; the server has to refuse. An [`Accept`] with a policy of
    /// its own ([`Accept::origin`]) replaces the listener's.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = policy;
        self
    }

    /// Supports a subprotocol. The default [`Handler::on_request`](crate::Handler::on_request) and
    /// [`Connection::default_accept`](crate::Connection::default_accept) select the first that the client offers of
    /// those supported.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Sets how many connections of this listener may exist at the same time (default: any number). At the limit, the
    /// listener accepts no clients; they wait in the system's backlog, connected and unanswered, until a connection has
    /// ended. With 0, it accepts none at all. The loops of [`Threads`](crate::Threads) count together.
    ///
    /// A connection counts from when it is accepted until TCP has ended: also during the opening handshake
    /// ([`Config::opening_timeout`](crate::Config::opening_timeout) bounds it) and the closing handshake.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = Some(count);
        self
    }

    /// Serves `wss` instead of `ws`, with this TLS configuration.
    /// [`Config::opening_timeout`](crate::Config::opening_timeout) bounds the TLS handshake and the opening handshake
    /// together.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The settings and the connection count of a listener, shared by the loops that listen together.
#[derive(Debug)]
pub(crate) struct ListenerShared {
    options: ListenOptions,
    connections: AtomicUsize,
}

impl ListenerShared {
    pub(crate) fn new(options: &ListenOptions) -> Self {
        Self { options: options.clone(), connections: AtomicUsize::new(0) }
    }

    pub(crate) fn origin(&self) -> &OriginPolicy {
        &self.options.origin
    }

    /// Begins the layer of a connection: TLS, or none.
    #[cfg(feature = "tls")]
    pub(crate) fn security(&self) -> Security {
        self.options.tls.as_ref().map(ServerTls::layer).into()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "the TLS configuration of the feature `tls`")]
    pub(crate) const fn security(&self) -> Security {
        PLAIN
    }

    /// Returns an acceptance with the first offered subprotocol that the listener supports.
    pub(crate) fn accept(&self, request: &Request) -> Accept {
        Accept::new().first_protocol(request, &self.options.protocols)
    }

    /// Counts one connection more. Returns false if `max_connections` is reached.
    pub(crate) fn admit(&self) -> bool {
        let Some(max) = self.options.max_connections else { return true };
        let increment = |count| (count < max).then_some(count + 1);
        self.connections.fetch_update(SeqCst, SeqCst, increment).is_ok()
    }

    /// Counts one connection less. Returns whether `max_connections` was reached, so that listeners may be full.
    pub(crate) fn release(&self) -> bool {
        self.options.max_connections.is_some_and(|max| self.connections.fetch_sub(1, SeqCst) == max)
    }
}
