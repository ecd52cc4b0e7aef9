//! Policies for the origins that may open a connection, RFC 6455 section 10.2.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use thiserror::Error;

use super::Request;
use crate::data::Authority;
use crate::data::redact::redact_user_info;

/// A policy for the web pages that may open a connection (RFC 6455 section 10.2).
///
/// Browsers let any page open a WebSocket to any server, and send the server's cookies: only the server can check
/// whether it trusts the page. Requests without `Origin` do not come from a browser, and are permitted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Pages of the host and port in the request. The scheme is not compared, since a server behind a proxy does not
    /// know whether the client uses TLS, but it determines the default port.
    #[default]
    SameOrigin,
    /// Pages of these origins: see [`any_of`](Self::any_of).
    AnyOf(Origins),
    /// Any page: for services that use neither cookies nor other credentials that browsers add automatically.
    Any,
}

impl OriginPolicy {
    /// Permits pages of these origins, such as `https://example.com` or `http://localhost:8080`.
    ///
    /// Scheme and host are compared without regard to case. The default port of http and https may be omitted. A
    /// wildcard stands for the first label of a host: `https://*.example.com` permits `https://a.example.com`, but
    /// neither `https://example.com` nor `https://a.b.example.com`. `null`, which many unrelated pages share, and
    /// `file://` are permitted only if they are listed.
    ///
    /// ```
    /// use sansocket::OriginPolicy;
    ///
    /// let policy = OriginPolicy::any_of(["https://example.com", "https://*.example.com"])?;
    /// let error = OriginPolicy::any_of(["example.com"]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "\"example.com\" is not an origin: the scheme is missing; write scheme and host, such as \
    ///      \"https://example.com\" or \"https://example.com:8443\""
    /// );
    /// # let _ = policy;
    /// # Ok::<(), sansocket::OriginError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first text that is not an origin.
    pub fn any_of<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, OriginError> {
        let patterns = origins.into_iter().map(|origin| {
            let origin = origin.as_ref();
            Pattern::parse(origin).map_err(|fault| OriginError { origin: redact_user_info(origin).into_owned(), fault })
        });
        Ok(Self::AnyOf(Origins(patterns.collect::<Result<_, _>>()?)))
    }

    /// Returns whether the request's origin may open a connection, for applications that answer requests without
    /// [`Accept`](super::Accept). If a request that was not [checked](Request::check) has several origins, all must be
    /// permitted.
    ///
    /// ```
    /// use sansocket::{HttpVersion, OriginPolicy, Request};
    ///
    /// let from = |origin| {
    ///     let fields = [("Host", "example.com"), ("Origin", origin)];
    ///     Request::from_parts("GET", "/", HttpVersion::Http11, fields).unwrap()
    /// };
    /// assert!(OriginPolicy::SameOrigin.permits(&from("https://example.com")));
    /// assert!(!OriginPolicy::SameOrigin.permits(&from("https://evil.example")));
    /// ```
    pub fn permits(&self, request: &Request) -> bool {
        request.headers().get_all("Origin").all(|origin| self.permits_origin(origin, request))
    }

    /// Returns whether the origin of a checked request, which has at most one, may open a connection.
    pub(crate) fn permits_checked(&self, request: &Request) -> bool {
        request.origin().is_none_or(|origin| self.permits_origin(origin, request))
    }

    fn permits_origin(&self, origin: &str, request: &Request) -> bool {
        match self {
            Self::Any => true,
            Self::SameOrigin => is_same_origin(origin, request.host()),
            Self::AnyOf(origins) => origins.0.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

/// An origin (RFC 6454 section 6.2).
struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        Some(Self { scheme, authority: Authority::parse(authority)? })
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => Some(80),
            scheme if scheme.eq_ignore_ascii_case("https") => Some(443),
            _ => None,
        }
    }

    /// Returns the port of the origin, or else the default port of its scheme.
    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| self.default_port())
    }
}

fn is_same_origin(origin: &str, host: &str) -> bool {
    let authority = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
    let authority = authority.or_else(|| origin.split_once("://").map(|(_, authority)| authority));
    // a request that was not checked may have no host
    if !host.is_empty() && authority.is_some_and(|authority| authority == host || authority.eq_ignore_ascii_case(host))
    {
        return true;
    }
    let (Some(origin), Some(host)) = (Origin::parse(origin), Authority::parse(host)) else { return false };
    let port = host.port.or_else(|| origin.default_port());
    origin.authority.host.eq_ignore_ascii_case(host.host) && origin.port() == port
}

/// Origins that [`OriginPolicy::any_of`] has parsed. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Arc<[Pattern]>);

/// A permitted origin, in lower case.
#[derive(Clone, PartialEq, Eq)]
enum Pattern {
    /// An origin without host.
    Opaque(&'static str),
    Tuple {
        scheme: String,
        /// Without the wildcard and its dot.
        host: String,
        has_wildcard: bool,
        port: Option<u16>,
    },
}

/// The origins without host that browsers send.
const OPAQUE: [&str; 2] = ["null", "file://"];

impl Pattern {
    fn parse(text: &str) -> Result<Self, OriginFault> {
        let lower = text.to_ascii_lowercase();
        if let Some(opaque) = OPAQUE.into_iter().find(|opaque| *opaque == lower) {
            return Ok(Self::Opaque(opaque));
        }
        check_shape(&lower)?;
        let (scheme, authority) = lower.split_once("://").ok_or(OriginFault::SchemeMissing)?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        match scheme {
            "ws" | "wss" => return Err(OriginFault::SchemeOfWebSocket),
            scheme
                if !scheme.starts_with(|first: char| first.is_ascii_lowercase()) || !scheme.bytes().all(is_scheme) =>
            {
                return Err(OriginFault::SchemeMissing);
            }
            _ => {}
        }
        let authority = check_authority(authority)?;
        let (authority, has_wildcard) = match authority.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (authority, false),
        };
        if authority.contains('*') || (has_wildcard && (authority.is_empty() || authority.starts_with(['[', '.', ':'])))
        {
            return Err(OriginFault::WildcardMisplaced);
        }
        let authority = Authority::parse(authority).ok_or_else(|| match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') && Authority::parse(host).is_some() => OriginFault::PortInvalid,
            _ => OriginFault::HostInvalid,
        })?;
        if authority.port == Some(0) {
            return Err(OriginFault::PortInvalid);
        }
        let origin = Origin { scheme, authority };
        let (scheme, host) = (scheme.to_owned(), authority.host.to_owned());
        Ok(Self::Tuple { scheme, host, has_wildcard, port: origin.port() })
    }

    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Opaque(opaque) => origin.eq_ignore_ascii_case(opaque),
            Self::Tuple { scheme, host, has_wildcard, port } => Origin::parse(origin).is_some_and(|origin| {
                let rest = match origin.authority.host.split_once('.') {
                    Some((label, rest)) if *has_wildcard && !label.is_empty() => Some(rest),
                    _ if *has_wildcard => None,
                    _ => Some(origin.authority.host),
                };
                origin.scheme.eq_ignore_ascii_case(scheme)
                    && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
                    && origin.port() == *port
            }),
        }
    }
}

/// Displays the origin as users write it.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque(opaque) => write!(f, "{opaque}"),
            Self::Tuple { scheme, host, has_wildcard, port } => {
                let wildcard = if *has_wildcard { "*." } else { "" };
                write!(f, "{scheme}://{wildcard}{host}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// Rejects text that is not a single origin.
fn check_shape(text: &str) -> Result<(), OriginFault> {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    match text {
        "" => Err(OriginFault::Empty),
        "*" => Err(OriginFault::Any),
        text if text.contains([',', ';']) => Err(OriginFault::Several),
        text if text.split(is_blank).filter(|word| word.contains("://")).count() > 1 => Err(OriginFault::Several),
        text if text.contains(is_blank) => Err(OriginFault::Blank),
        _ => Ok(()),
    }
}

/// Checks that only host and port follow the scheme, and returns them. A slash may follow.
fn check_authority(text: &str) -> Result<&str, OriginFault> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let end = text.find(['/', '\\', '?', '#']).unwrap_or(text.len());
    let (authority, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if authority.contains('@') {
        return Err(OriginFault::UserInfo);
    }
    match rest.bytes().next() {
        Some(b'?') => return Err(OriginFault::Query),
        Some(b'#') => return Err(OriginFault::Fragment),
        Some(_) => return Err(OriginFault::Path),
        None => {}
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(OriginFault::HostMissing);
    }
    if authority.is_ascii() { Ok(authority) } else { Err(OriginFault::HostNotAscii) }
}

/// Why text is not an origin that [`OriginPolicy::any_of`] could permit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct OriginError {
    origin: String,
    fault: OriginFault,
}

impl OriginError {
    /// Returns the text, with user information redacted.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the fault.
    pub const fn fault(&self) -> OriginFault {
        self.fault
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin: {}", self.origin, self.fault)?;
        match self.fault {
            OriginFault::Any | OriginFault::Several | OriginFault::WildcardMisplaced => Ok(()),
            _ => {
                f.write_str("; write scheme and host, such as \"https://example.com\" or \"https://example.com:8443\"")
            }
        }
    }
}

/// The fault in text that should be an origin (RFC 6454 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OriginFault {
    /// It is `*`.
    #[error("to permit pages of any origin, use OriginPolicy::Any")]
    Any,
    /// There is a blank or a control character in it.
    #[error("it has a blank or a control character")]
    Blank,
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// A fragment follows the host.
    #[error("it has a fragment")]
    Fragment,
    /// The host is not a name or an address.
    #[error("the host is malformed")]
    HostInvalid,
    /// There is no host.
    #[error("the host is missing")]
    HostMissing,
    /// The host is not ASCII. Browsers send its form in ASCII.
    #[error("the host is not ASCII, write it as browsers send it, such as \"xn--bcher-kva.example\"")]
    HostNotAscii,
    /// A path follows the host.
    #[error("it has a path")]
    Path,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    /// A query follows the host.
    #[error("it has a query")]
    Query,
    /// There is no scheme, or it is malformed.
    #[error("the scheme is missing")]
    SchemeMissing,
    /// The scheme is ws or wss. An origin has the scheme of the page.
    #[error("browsers send the scheme of the page, which is http or https")]
    SchemeOfWebSocket,
    /// It names more than one origin.
    #[error("it is more than one; pass each origin separately")]
    Several,
    /// User information precedes the host.
    #[error("it has user information")]
    UserInfo,
    /// The wildcard is not the whole first label of a host, or there are several.
    #[error("a wildcard stands for the first label of a host only, such as in \"https://*.example.com\"")]
    WildcardMisplaced,
}
