//! The choice of a proxy for a URI.

use sansocket::WsUri;
use thiserror::Error;

use crate::no_proxy::NoProxy;
use crate::proxy::{Proxy, ProxyUrlError};

/// Which proxy to use for which URI. The default is none.
///
/// ```
/// use sansocket_dial::ProxyRules;
///
/// let rules = ProxyRules::from_environment(|name| match name {
///     "https_proxy" => Some("http://proxy.example:3128".into()),
///     "no_proxy" => Some("localhost,10.0.0.0/8".into()),
///     _ => None,
/// });
/// let proxy = rules.select(&"wss://example.com/".parse()?)?.expect("this URI has a proxy");
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// assert_eq!(rules.select(&"wss://localhost/".parse()?)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    ws: Choice,
    wss: Choice,
    no_proxy: NoProxy,
}

/// A proxy, or the reason why the environment names none that can be used, which matters only if it is selected.
type Choice = Option<Result<Proxy, ProxyVariableError>>;

impl ProxyRules {
    /// Uses this proxy for every URI.
    pub fn always(proxy: Proxy) -> Self {
        Self { ws: Some(Ok(proxy.clone())), wss: Some(Ok(proxy)), no_proxy: NoProxy::default() }
    }

    /// Reads the variables that curl reads. `lookup` returns the value of a variable, such as
    /// `|name| std::env::var(name).ok()`. A variable that is empty counts as absent.
    ///
    /// * `ws` uses `http_proxy`: in lower case only, because a CGI server sets `HTTP_PROXY` from a header field of its
    ///   client.
    /// * `wss` uses `https_proxy` or `HTTPS_PROXY`.
    /// * Both then use `all_proxy` or `ALL_PROXY`.
    /// * `no_proxy` or `NO_PROXY` is a [`NoProxy`] list.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&variable| {
                let value = lookup(variable).filter(|value| !value.is_empty())?;
                Some((variable, value))
            })
        };
        let proxy = |names: &[&'static str]| {
            first(names).map(|(variable, url)| {
                url.parse().map_err(|error: ProxyUrlError| ProxyVariableError { variable, error })
            })
        };
        Self {
            ws: proxy(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            wss: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| NoProxy::new(list)).unwrap_or_default(),
        }
    }

    /// Replaces the list of hosts that are reached without a proxy.
    #[must_use]
    pub fn no_proxy(self, no_proxy: NoProxy) -> Self {
        Self { no_proxy, ..self }
    }

    /// Returns the proxy for this URI; `None` if it is reached without one.
    ///
    /// # Errors
    ///
    /// The variable that applies to the URI is not the URL of a proxy.
    pub fn select(&self, uri: &WsUri) -> Result<Option<&Proxy>, ProxyVariableError> {
        let choice = if uri.is_secure() { &self.wss } else { &self.ws };
        match choice {
            Some(choice) if !self.no_proxy.matches(uri.host()) => choice.as_ref().map(Some).map_err(Clone::clone),
            _ => Ok(None),
        }
    }
}

/// A variable of the environment is not the URL of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the variable {variable} is not the URL of a proxy: {error}")]
#[non_exhaustive]
pub struct ProxyVariableError {
    /// The name of the variable.
    pub variable: &'static str,
    /// Why its value is not the URL of a proxy.
    pub error: ProxyUrlError,
}
