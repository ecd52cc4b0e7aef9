//! A proxy, as its URL describes it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::credentials::{Credentials, CredentialsError};
use crate::destination::{Destination, DestinationError};
use crate::target::split_user_info;

/// A proxy that forwards connections.
///
/// The URL is `[scheme://][user:password@]host[:port]`. The schemes are those of [`ProxyScheme`]; without one, it is
/// `http`. As in curl, the port is 1080 if the URL names none, and 443 with `https`. User name and password may be
/// percent-encoded, and are never printed.
///
/// ```
/// use sansocket_dial::Proxy;
///
/// let proxy: Proxy = "http://user:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// # Ok::<(), sansocket_dial::ProxyUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    scheme: ProxyScheme,
    destination: Destination,
    credentials: Option<Credentials>,
}

/// How to ask a proxy for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyScheme {
    /// CONNECT (RFC 9110 section 9.3.6) over TCP.
    Http,
    /// CONNECT (RFC 9110 section 9.3.6) over TLS.
    Https,
    /// SOCKS5 (RFC 1928). This machine looks up the name of the server.
    Socks5,
    /// SOCKS5 (RFC 1928). The proxy looks up the name of the server.
    Socks5h,
}

impl ProxyScheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http | Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

impl Proxy {
    /// Sets the credentials, instead of those of the URL.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Returns the scheme.
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Returns the proxy's host and port.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Returns the credentials.
    pub(crate) const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl FromStr for Proxy {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        let with_scheme;
        let url = match url.contains("://") {
            true => url,
            false => {
                with_scheme = ["http://", url].concat();
                &with_scheme
            }
        };
        let (before, user_info, after) = split_user_info(url);
        let scheme = before.strip_suffix("://").unwrap_or_default();
        let schemes = [ProxyScheme::Http, ProxyScheme::Https, ProxyScheme::Socks5, ProxyScheme::Socks5h];
        let scheme = schemes.into_iter().find(|known| known.name().eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or(ProxyUrlError::SchemeUnknown)?;
        // a path has no meaning, but URLs often end in a slash
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        let destination = Destination::parse(authority, Some(scheme.default_port()))?;
        let credentials = user_info.map(Credentials::parse).transpose()?;
        Ok(Self { scheme, destination, credentials })
    }
}

/// The URL without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.destination)
    }
}

/// Why text is not the URL of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// The credentials are not valid.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The host or the port is not valid.
    #[error("{0}")]
    Destination(#[from] DestinationError),
    /// The scheme is unknown.
    #[error("the scheme of a proxy's URL is http, https, socks5 or socks5h: write one of them")]
    SchemeUnknown,
}
