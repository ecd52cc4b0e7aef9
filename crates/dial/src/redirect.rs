//! Redirects (RFC 9110 section 15.4): from a response to the next target.

use fluent_uri::{Uri, UriRef};
use sansocket::{RequestTemplate, Response};
use thiserror::Error;

use crate::target::{Target, TargetError};

/// Returns whether the response redirects: 301, 302, 303, 307 or 308. The next request is GET with all of them.
pub(crate) const fn is_redirect(status: u16) -> bool {
    matches!(status, 301..=303 | 307 | 308)
}

/// Returns the target that the response names.
pub(crate) fn follow(target: &Target, response: &Response, allow_insecure: bool) -> Result<Target, RedirectError> {
    let location = response.headers().get("Location").ok_or(RedirectError::LocationMissing)?;
    let base = Uri::parse(target.uri().to_string()).map_err(|_| RedirectError::LocationInvalid)?;
    let location = UriRef::parse(location).map_err(|_| RedirectError::LocationInvalid)?;
    // 10.2.2: the value is resolved against the URI of the request
    let resolved = location.resolve_against(&base).map_err(|_| RedirectError::LocationInvalid)?;
    let (scheme, rest) = resolved.as_str().split_once(':').ok_or(RedirectError::LocationInvalid)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(RedirectError::SchemeUnsupported),
    };
    // RFC 6455 3: a WebSocket URI has no fragment
    let without_fragment = rest.split('#').next().unwrap_or_default();
    let next: Target = format!("{scheme}:{without_fragment}").parse().map_err(RedirectError::Target)?;
    if target.uri().is_secure() && !next.uri().is_secure() && !allow_insecure {
        return Err(RedirectError::Insecure { location: next.to_string() });
    }
    // a server behind a Unix socket names itself in an absolute `Location`
    Ok(if next.is_same_origin(target) { next.at_socket_of(target) } else { next })
}

/// Returns the template without the header fields that are meant for the first origin only.
pub(crate) fn for_other_origin(template: RequestTemplate) -> RequestTemplate {
    const SECRET: [&str; 4] = ["Authorization", "Cookie", "Cookie2", "WWW-Authenticate"];
    const SECRET_PREFIX: &str = "Proxy-";
    template.without_headers(|name| {
        let has_prefix =
            name.get(..SECRET_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(SECRET_PREFIX));
        has_prefix || SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name))
    })
}

/// Why a redirect was not followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The redirect leads from `wss` to `ws`.
    #[error(
        "the server redirects from wss to {location}, which is not encrypted: allow it (`allow_insecure_redirects`) \
         only if the messages are no secret"
    )]
    Insecure {
        /// The new URL, without credentials.
        location: String,
    },
    /// The value of `Location` is not a URI reference (RFC 3986).
    #[error("the server redirects, but its `Location` is not a URI: the server is faulty")]
    LocationInvalid,
    /// The response has no `Location`.
    #[error("the server redirects without a `Location`: the server is faulty")]
    LocationMissing,
    /// The redirect leads to a URL that was requested before.
    #[error("the server redirects to {location}, which was requested before: its redirects form a loop")]
    Loop {
        /// The URL, without credentials.
        location: String,
    },
    /// The scheme of the new URL is not one of `http`, `https`, `ws` and `wss`.
    #[error("the server redirects to a URL whose scheme is not http, https, ws or wss")]
    SchemeUnsupported,
    /// The new URL is not valid.
    #[error("the server redirects to a URL that is not valid: {0}")]
    Target(TargetError),
    /// There were more redirects than permitted.
    #[error("the server redirects again, to {location}; the limit (`max_redirects`) is {limit}")]
    TooMany {
        /// The limit.
        limit: u32,
        /// The new URL, without credentials.
        location: String,
    },
}
