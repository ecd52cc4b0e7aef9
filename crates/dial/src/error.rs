//! The error of dialing: the layer that failed, who is at fault, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sansocket::{HandshakeError, RequestError, Response};
use sansocket_drive::Error;
use thiserror::Error as ThisError;

use crate::failed_attempt::{FailedAttempt, list};
use crate::proxy_fault::{ProxyFault, is_final, tls_text};
use crate::proxy_rules::ProxyVariableError;
use crate::redirect::RedirectError;
use crate::target::TargetError;

/// Why a client has no connection. `Display` names the layer first, and contains no credentials.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum DialError {
    /// The application, or the end of the event loop, canceled the attempt.
    #[error("canceled: the application or the event loop ended the attempt to connect")]
    Canceled,
    /// The caller is at fault: the dial has ended before, with a connection or another error.
    #[error("this attempt to connect has ended: begin another one")]
    Ended,
    /// The opening handshake failed.
    #[error("{}: {}{}", opening_layer(.0), OpeningText(.0), opening_advice(.0))]
    Opening(Error),
    /// This machine is at fault: a resource is missing, such as random numbers or a socket.
    #[error("this machine: {0}")]
    Local(io::Error),
    /// The name of the server has no address, or the lookup failed.
    #[error("name: no address for {host}: {error}; check the name")]
    Name {
        /// The name.
        host: String,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// The proxy gives no connection.
    #[error("proxy {proxy}: {fault}")]
    Proxy {
        /// The URL of the proxy, without credentials.
        proxy: String,
        /// The reason.
        fault: Box<ProxyFault>,
    },
    /// The variable of the environment that names the proxy is not valid.
    #[error("proxy: {0}")]
    ProxyVariable(#[from] ProxyVariableError),
    /// A redirect was not followed.
    #[error("HTTP: {0}")]
    Redirect(#[from] RedirectError),
    /// The caller is at fault: the request is not valid.
    #[error("request: {0}")]
    Request(#[from] RequestError),
    /// The caller is at fault: the URL is not valid.
    #[error("URL: {0}")]
    Target(#[from] TargetError),
    /// The deadline of dialing came.
    #[error("{layer}: timed out: no connection within {limit:?} (`opening_timeout`), because of {}", slow_part(*layer))]
    TimedOut {
        /// The layer that was not ready.
        layer: FailedLayer,
        /// The limit.
        limit: Duration,
    },
    /// TLS with the server failed.
    #[error("TLS: {}: {}", .host, tls_text(.error))]
    Tls {
        /// The name or the address of the server.
        host: String,
        /// The reason.
        #[source]
        error: io::Error,
        /// Whether the next attempt would fail too, such as with a certificate that is not trusted.
        is_permanent: bool,
    },
    /// The URL or the proxy requires TLS, and the adapter was built without it.
    #[error("TLS: this program was built without TLS: enable the feature `tls` of its WebSocket crate")]
    TlsNotBuiltIn,
    /// The Unix socket cannot be reached.
    #[error("Unix socket: {}: {error}; check the path, and that a server listens there", .path.display())]
    UnixSocket {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// None of the server's addresses could be reached; each is listed with the reason.
    #[error("TCP: cannot connect to {}{}", list(.0), unreachable_advice(.0))]
    Unreachable(Vec<FailedAttempt>),
}

impl DialError {
    /// Returns the layer that failed; `None` if the caller is at fault.
    pub fn layer(&self) -> Option<FailedLayer> {
        Some(match self {
            Self::Canceled | Self::Ended | Self::Local(_) | Self::Request(_) | Self::Target(_) => return None,
            Self::Opening(error) => opening_layer(error),
            Self::Name { .. } => FailedLayer::Name,
            Self::Proxy { .. } | Self::ProxyVariable(_) => FailedLayer::Proxy,
            Self::Redirect(_) => FailedLayer::Http,
            Self::TimedOut { layer, .. } => *layer,
            Self::Tls { .. } | Self::TlsNotBuiltIn => FailedLayer::Tls,
            Self::UnixSocket { .. } => FailedLayer::UnixSocket,
            Self::Unreachable(_) => FailedLayer::Tcp,
        })
    }

    /// Returns the response with which the server refused the opening handshake.
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Opening(error) => refusal(error),
            _ => None,
        }
    }

    /// Returns whether another attempt would fail in the same way: the URL, the request or the configuration must
    /// change first, or the server refused with 3xx or 4xx except 408 and 429.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Canceled
            | Self::Ended
            | Self::ProxyVariable(_)
            | Self::Redirect(_)
            | Self::Request(_)
            | Self::Target(_)
            | Self::TlsNotBuiltIn => true,
            Self::Opening(error) => refusal(error).is_some_and(|response| is_final(response.status())),
            Self::Proxy { fault, .. } => fault.is_permanent(),
            Self::Tls { is_permanent, .. } => *is_permanent,
            Self::Local(_)
            | Self::Name { .. }
            | Self::TimedOut { .. }
            | Self::UnixSocket { .. }
            | Self::Unreachable(_) => false,
        }
    }

    /// Returns how long the server asks to wait before the next attempt: the `Retry-After` of its refusal (RFC 9110
    /// section 10.2.3), which is a number of seconds or a date. A date is compared with `wall_clock`. The value is not
    /// bounded.
    pub fn retry_after(&self, wall_clock: SystemTime) -> Option<Duration> {
        let value = self.response()?.headers().get("Retry-After")?;
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(wall_clock).unwrap_or_default())
    }
}

/// The layer of a connection that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailedLayer {
    /// The lookup of a name.
    Name,
    /// TCP.
    Tcp,
    /// A Unix socket.
    UnixSocket,
    /// A proxy.
    Proxy,
    /// TLS with the server.
    Tls,
    /// HTTP: the server refused the opening handshake, or does not speak HTTP.
    Http,
    /// WebSocket: the response breaks RFC 6455.
    WebSocket,
}

impl fmt::Display for FailedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::UnixSocket => "Unix socket",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::WebSocket => "WebSocket",
        })
    }
}

fn unreachable_advice(attempts: &[FailedAttempt]) -> &'static str {
    let all = |kind| attempts.iter().all(|attempt| attempt.error.kind() == kind);
    if all(io::ErrorKind::ConnectionRefused) {
        "; check that a server listens there"
    } else if all(io::ErrorKind::TimedOut) {
        "; check the address, and that no firewall drops the packets"
    } else {
        ""
    }
}

const fn slow_part(layer: FailedLayer) -> &'static str {
    match layer {
        FailedLayer::Name => "the lookup of the name",
        FailedLayer::Tcp => "TCP",
        FailedLayer::UnixSocket => "the Unix socket",
        FailedLayer::Proxy => "the proxy, which did not answer in time",
        FailedLayer::Tls => "the TLS handshake, which the server did not complete in time",
        FailedLayer::Http | FailedLayer::WebSocket => "the server, which did not answer in time",
    }
}

/// Returns the response of a server that refused.
pub(crate) fn refusal(error: &Error) -> Option<&Response> {
    match error {
        Error::Peer(sansocket::Error::Handshake(HandshakeError::Refused(response))) => Some(response),
        _ => None,
    }
}

/// Returns the layer at which an opening handshake failed.
fn opening_layer(error: &Error) -> FailedLayer {
    let Error::Peer(sansocket::Error::Handshake(error)) = error else { return FailedLayer::Http };
    match error {
        HandshakeError::LimitExceeded(_)
        | HandshakeError::Refused(_)
        | HandshakeError::ResponseMalformed(_)
        | HandshakeError::ResponseNotHttp(_)
        | HandshakeError::UnexpectedEof => FailedLayer::Http,
        _ => FailedLayer::WebSocket,
    }
}

/// Displays the error of an opening handshake, with the reason phrase that the server sent.
struct OpeningText<'a>(&'a Error);

impl fmt::Display for OpeningText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match refusal(self.0) {
            Some(response) => write!(f, "the server refused the opening handshake with status {}", response.status()),
            None => self.0.fmt(f),
        }
    }
}

fn opening_advice(error: &Error) -> &'static str {
    match refusal(error).map(Response::status) {
        Some(401) => ": it requires credentials: write them in the URL, or in the header field Authorization",
        Some(403) => ": it does not permit this request: check the credentials and the origin",
        Some(404 | 410) => ": it has nothing at this path: check the URL",
        Some(408) => ": the request arrived too slowly: try again",
        Some(426) => ": it requires another protocol or version",
        Some(429 | 503) => ": it is overloaded: try again later",
        Some(200..=299) => ": this is not a WebSocket at this path: check the URL",
        Some(300..=399) => ": it redirects: allow redirects (`max_redirects`), or correct the URL",
        Some(500..=599) => ": the server, or a proxy in front of it, failed: see its log",
        _ => "",
    }
}
