//! ws and wss URIs, RFC 6455 section 3, and the authorities that `Host` and `Origin` hold.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use fluent_uri::{Uri, UriRef};
use thiserror::Error;

const WS_PORT: u16 = 80;
const WSS_PORT: u16 = 443;

/// A ws or wss URI (RFC 6455 section 3).
///
/// ```
/// use sansocket::WsUri;
///
/// let uri: WsUri = "wss://[2001:db8::1]/chat?room=1".parse()?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("2001:db8::1", 443));
/// assert_eq!(uri.host_header(), "[2001:db8::1]");
/// assert_eq!(uri.resource_name(), "/chat?room=1");
/// # Ok::<(), sansocket::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WsUri {
    is_secure: bool,
    /// In lower case, without brackets.
    host: String,
    is_ip_literal: bool,
    port: u16,
    resource: String,
}

impl WsUri {
    /// Whether the scheme is wss: TLS is to be spoken below the WebSocket.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host to connect to: a name or an address, in lower case, without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 80 for ws and 443 for wss if the URI names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host`: brackets around an IPv6 literal, the port only if it is not the scheme's default.
    pub fn host_header(&self) -> String {
        // 4.1: the port is named "if not using the default port"
        let default_port = if self.is_secure { WSS_PORT } else { WS_PORT };
        match (self.is_ip_literal, self.port == default_port) {
            (false, true) => self.host.clone(),
            (false, false) => format!("{}:{}", self.host, self.port),
            (true, true) => format!("[{}]", self.host),
            (true, false) => format!("[{}]:{}", self.host, self.port),
        }
    }

    /// Path and query: what a request asks for. At least `/`.
    pub fn resource_name(&self) -> &str {
        &self.resource
    }
}

impl FromStr for WsUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri = Uri::parse(text).map_err(|_| UriError::Malformed)?;
        let scheme = uri.scheme().as_str();
        let is_secure = scheme.eq_ignore_ascii_case("wss");
        if !is_secure && !scheme.eq_ignore_ascii_case("ws") {
            return Err(UriError::SchemeUnknown);
        }
        // 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used"
        if uri.has_fragment() {
            return Err(UriError::Fragment);
        }
        let authority = uri.authority().ok_or(UriError::HostMissing)?;
        // 3 defines no user information, and it must never enter `Host`
        if authority.has_userinfo() {
            return Err(UriError::UserInfo);
        }
        let host = authority.host();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if host.is_empty() {
            return Err(UriError::HostMissing);
        }
        let port = match authority.port_to_u16() {
            Ok(Some(0)) | Err(_) => return Err(UriError::PortInvalid),
            Ok(Some(port)) => port,
            Ok(None) if is_secure => WSS_PORT,
            Ok(None) => WS_PORT,
        };
        // 3: the resource name is "/" if the path is empty, then the path, then "?" and the query if there is one
        let path = if uri.path().is_empty() { "/" } else { uri.path().as_str() };
        let resource = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let host_name = literal.unwrap_or(host).to_ascii_lowercase();
        Ok(Self { is_secure, host: host_name, is_ip_literal: literal.is_some(), port, resource })
    }
}

impl TryFrom<&str> for WsUri {
    type Error = UriError;

    fn try_from(uri: &str) -> Result<Self, UriError> {
        uri.parse()
    }
}

/// The URI with its host in lower case, without the scheme's default port, and with a path.
impl fmt::Display for WsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.resource)
    }
}

/// What is wrong with a ws or wss URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum UriError {
    /// RFC 6455 section 3: fragment identifiers must not be used. A `#` that is meant is written `%23`.
    #[error("a WebSocket URI must not have a fragment: write %23 if # is meant")]
    Fragment,
    /// RFC 6455 section 3: there is a host.
    #[error("the URI names no host")]
    HostMissing,
    /// RFC 3986: this is not a URI. Blanks, `|` and whatever is not ASCII are written in percent encoding.
    #[error("this is not a URI")]
    Malformed,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    /// RFC 6455 section 3: the scheme is ws or wss.
    #[error("the scheme is neither ws nor wss")]
    SchemeUnknown,
    /// RFC 6455 section 3 knows no user information. Credentials go into a header field.
    #[error("a WebSocket URI must not have user information: send credentials in a header field")]
    UserInfo,
}

/// Host and port, as `Host` and `Origin` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// With the brackets of an IP literal. Not empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host [":" port]` (RFC 9112 section 3.2). User information, and a comma, which RFC 3986 would let into a
    /// name, are refused: two hosts are none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        Self::parse_name(text).or_else(|| Self::parse_any(text))
    }

    /// What nearly all are: letters, digits, `-`, `.`, `_` and `~`, which RFC 3986 section 2.3 leaves as they are, and a
    /// port.
    fn parse_name(text: &'a str) -> Option<Self> {
        let is_unreserved = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
        };
        let size = text.bytes().position(|byte| !is_unreserved(byte)).unwrap_or(text.len());
        let (host, rest) = text.split_at_checked(size)?;
        let port = match rest.strip_prefix(':') {
            Some(port) if port.starts_with(|first: char| first.is_ascii_digit()) => Some(port.parse().ok()?),
            _ if rest.is_empty() => None,
            _ => return None,
        };
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn parse_any(text: &'a str) -> Option<Self> {
        if text.contains(['/', '?', '#', '@', ',']) {
            return None;
        }
        let reference = ["//", text].concat();
        let reference = UriRef::parse(reference.as_str()).ok()?;
        let authority = reference.authority()?;
        let host = text.get(..authority.host().len())?;
        let port = authority.port_to_u16().ok()?;
        (!host.is_empty()).then_some(Self { host, port })
    }
}
