//! Which origins may open a connection, RFC 6455 section 10.2.

use alloc::string::String;
use alloc::vec::Vec;

use super::Request;
use crate::uri::Authority;

/// Which web pages may open a connection (RFC 6455 section 10.2).
///
/// Browsers let any page open a WebSocket to any server, with the cookies that belong to the server: the server alone
/// can tell whether the page is one of its own. Requests without `Origin` come from no browser, and pass.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Pages of the host and port that the request itself names. The scheme is not compared, since a server behind a
    /// proxy does not know whether TLS was spoken; but it gives the port if none is named.
    #[default]
    SameOrigin,
    /// Pages of these origins, such as `https://example.com` or `http://localhost:8080`. `null`, which many unrelated
    /// pages share, can be one of them.
    AnyOf(Vec<String>),
    /// Any page: for services that need no cookie and no other credential that a browser adds by itself.
    Any,
}

impl OriginPolicy {
    /// Whether the request's origin may open a connection: for whoever answers requests without
    /// [`Accept`](super::Accept).
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
        let Some(origin) = request.origin() else { return true };
        match self {
            Self::Any => true,
            Self::SameOrigin => is_same_origin(origin, request.host()),
            Self::AnyOf(permitted) => permitted.iter().any(|permitted| are_equal(origin, permitted)),
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
}

fn is_same_origin(origin: &str, host: &str) -> bool {
    let authority = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
    let authority = authority.or_else(|| origin.split_once("://").map(|(_, authority)| authority));
    // the request's host has been found to be one
    if authority.is_some_and(|authority| authority == host || authority.eq_ignore_ascii_case(host)) {
        return true;
    }
    let (Some(origin), Some(host)) = (Origin::parse(origin), Authority::parse(host)) else { return false };
    let port = |authority: Authority<'_>| authority.port.or_else(|| origin.default_port());
    origin.authority.host.eq_ignore_ascii_case(host.host) && port(origin.authority) == port(host)
}

fn are_equal(origin: &str, permitted: &str) -> bool {
    match (Origin::parse(origin), Origin::parse(permitted)) {
        (Some(origin), Some(permitted)) => {
            let port = |origin: &Origin<'_>| origin.authority.port.or_else(|| origin.default_port());
            origin.scheme.eq_ignore_ascii_case(permitted.scheme)
                && origin.authority.host.eq_ignore_ascii_case(permitted.authority.host)
                && port(&origin) == port(&permitted)
        }
        _ => origin == permitted,
    }
}
