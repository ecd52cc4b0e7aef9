//! The settings of dialing.

use std::time::Duration;

use crate::destination::Destination;
use crate::proxy_rules::ProxyRules;

/// How to connect. Connections can share one in an [`Arc`](std::sync::Arc).
///
/// ```
/// use std::time::Duration;
/// use sansocket_dial::DialOptions;
///
/// let options = DialOptions::default().connect_timeout(Duration::from_secs(3)).max_redirects(5);
/// assert_eq!(options.attempt_delay, Duration::from_millis(250));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialOptions {
    /// The longest duration of the attempt to connect to one address. Default: 10 s.
    pub connect_timeout: Duration,
    /// The time from the start of an attempt to connect to the start of the next one, to another address (RFC 8305
    /// section 5, "Connection Attempt Delay"). The next attempt starts at once after a failure. RFC 8305 section 8
    /// recommends at least 100 ms and at most 2 s. Default: 250 ms.
    pub attempt_delay: Duration,
    /// Which proxy to use for which URI. Default: none.
    pub proxies: ProxyRules,
    /// The most redirects (301, 302, 303, 307, 308) that are followed. At 0, a redirect is a refusal. Default: 0.
    pub max_redirects: u32,
    /// Whether to follow a redirect from `wss` to `ws`, whose connection is not encrypted. Default: no.
    pub allow_insecure_redirects: bool,
    /// Where to connect, instead of the host and port of the URL. TLS checks the certificate against the host of the
    /// URL nevertheless. Does not apply to Unix sockets, nor after a redirect to another origin. Default: `None`.
    pub connect_to: Option<Destination>,
    /// The value of the header field `Host`, instead of the host and port of the URL. Does not apply after a redirect
    /// to another origin. Default: `None`.
    pub host: Option<String>,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            attempt_delay: Duration::from_millis(250),
            proxies: ProxyRules::default(),
            max_redirects: 0,
            allow_insecure_redirects: false,
            connect_to: None,
            host: None,
        }
    }
}

impl DialOptions {
    /// Sets [`connect_timeout`](Self#structfield.connect_timeout).
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Sets [`attempt_delay`](Self#structfield.attempt_delay).
    #[must_use]
    pub fn attempt_delay(self, attempt_delay: Duration) -> Self {
        Self { attempt_delay, ..self }
    }

    /// Sets [`proxies`](Self#structfield.proxies).
    #[must_use]
    pub fn proxies(self, proxies: ProxyRules) -> Self {
        Self { proxies, ..self }
    }

    /// Sets [`max_redirects`](Self#structfield.max_redirects).
    #[must_use]
    pub fn max_redirects(self, max_redirects: u32) -> Self {
        Self { max_redirects, ..self }
    }

    /// Sets [`allow_insecure_redirects`](Self#structfield.allow_insecure_redirects).
    #[must_use]
    pub fn allow_insecure_redirects(self, allow_insecure_redirects: bool) -> Self {
        Self { allow_insecure_redirects, ..self }
    }

    /// Sets [`connect_to`](Self#structfield.connect_to).
    #[must_use]
    pub fn connect_to(self, connect_to: impl Into<Option<Destination>>) -> Self {
        Self { connect_to: connect_to.into(), ..self }
    }

    /// Sets [`host`](Self#structfield.host).
    #[must_use]
    pub fn host(self, host: impl Into<Option<String>>) -> Self {
        Self { host: host.into(), ..self }
    }
}
