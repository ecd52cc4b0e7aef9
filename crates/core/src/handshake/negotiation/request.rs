//! Requests that a server receives, RFC 6455 section 4.2.1 and RFC 8441 section 4.

use alloc::format;
use core::{fmt, str};

use super::values::elements;
use super::{Extension, Headers, HttpVersion, extension};
use crate::data::Authority;
use crate::data::token::is_token;
use crate::handshake::HandshakeError;

/// An HTTP request that a server received. Clones are cheap.
///
/// An application with another HTTP server creates a request [from its parts](Self::from_parts), checks it, answers it,
/// and opens the connection:
///
/// ```
/// use sansocket::{Accept, Config, Connection, HttpVersion, Instant, Request, WebSocket};
///
/// let fields = [
///     ("Host", "example.com"),
///     ("Upgrade", "websocket"),
///     ("Connection", "Upgrade"),
///     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
///     ("Sec-WebSocket-Version", "13"),
///     ("Sec-WebSocket-Protocol", "chat"),
/// ];
/// let request = Request::from_parts("GET", "/", HttpVersion::Http11, fields)?;
/// match request.check() {
///     Ok(Some(handshake)) => {
///         let accept = Accept::new().protocol("chat");
///         let acceptance = handshake.accept(&accept)?;
///         assert_eq!(acceptance.status(), 101); // to be sent with `acceptance.fields()`
///         let connection = Connection::server(Config::default(), Instant::EPOCH);
///         let ws = WebSocket::opened(connection.with_agreement(acceptance.agreement()), []);
///         assert_eq!(ws.protocol(), Some("chat"));
///     }
///     Ok(None) => println!("not for a WebSocket: {}", request.path()),
///     Err(error) => println!("refuse with {:?}", error.response()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Request {
    /// Includes the start line: method, target and version.
    headers: Headers,
}

impl Request {
    /// Creates a request from its parts. Values are decoded as for [`Headers`].
    ///
    /// # Errors
    ///
    /// [`HandshakeError::RequestMalformed`]: the method or a name is not a token, or a value has a control character.
    /// [`HandshakeError::TargetInvalid`]: the target is neither a path nor an http or https URI, nor `*` with OPTIONS.
    pub fn from_parts(
        method: &str,
        target: &str,
        version: HttpVersion,
        fields: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>,
    ) -> Result<Self, HandshakeError> {
        Self::collect(method, target, &[" ", version.as_str()], fields)
    }

    /// Creates a request from the parts of an extended CONNECT (RFC 8441 section 4): the values of the pseudo-header
    /// fields `:protocol`, `:scheme`, `:authority` and `:path`, and the header fields. Its target is the whole URI.
    ///
    /// The request is an opening handshake if `:protocol` is `websocket`. Neither request nor response has a key.
    ///
    /// # Errors
    ///
    /// As for [`from_parts`](Self::from_parts), and [`HandshakeError::HostInvalid`]: the authority is not a host with
    /// an optional port. [`HandshakeError::TargetInvalid`]: the scheme is neither http nor https, or the path does not
    /// begin with a slash.
    pub fn extended_connect(
        protocol: &str,
        scheme: &str,
        authority: &str,
        path: &str,
        version: HttpVersion,
        fields: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>,
    ) -> Result<Self, HandshakeError> {
        if !is_token(protocol) {
            return Err(HandshakeError::RequestMalformed);
        }
        if Authority::parse(authority).is_none() {
            return Err(HandshakeError::HostInvalid);
        }
        // otherwise text such as "http://host" in place of a scheme could name another authority
        if !is_http_scheme(scheme) || !path.starts_with('/') {
            return Err(HandshakeError::TargetInvalid);
        }
        let target = format!("{scheme}://{authority}{path}");
        Self::collect("CONNECT", &target, &[" ", version.as_str(), CONNECT_PROTOCOL, protocol], fields)
    }

    fn collect(
        method: &str,
        target: &str,
        after_target: &[&str],
        fields: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>,
    ) -> Result<Self, HandshakeError> {
        if !is_token(method) {
            return Err(HandshakeError::RequestMalformed);
        }
        let headers = Headers::from_parts((method, target, after_target), fields)
            .map_err(|_| HandshakeError::RequestMalformed)?;
        if Self::is_target(target, method) { Ok(Self { headers }) } else { Err(HandshakeError::TargetInvalid) }
    }

    /// Creates a request from a head that was parsed.
    pub(crate) const fn from_headers(headers: Headers) -> Self {
        Self { headers }
    }

    /// Returns whether a target names a resource (4.2.1 item 1); with OPTIONS, `*` names the whole server.
    pub(crate) fn is_target(target: &str, method: &str) -> bool {
        if target == ASTERISK {
            return method == "OPTIONS";
        }
        // section 3: no fragment. RFC 3986 requires some permitted characters to be encoded, but browsers do not do so.
        target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && split_target(target)
                .is_some_and(|(authority, _)| authority.is_none_or(|authority| Authority::parse(authority).is_some()))
    }

    /// Returns the method: `GET` in an opening handshake of HTTP/1.1.
    pub fn method(&self) -> &str {
        self.headers.start().0
    }

    /// Returns the version of HTTP. HTTP/1.2 to 1.9 count as 1.1 (RFC 9110 section 2.5).
    pub fn version(&self) -> HttpVersion {
        HttpVersion::at_start(self.headers.after_target())
    }

    /// Returns the value of `:protocol`, if the request is an [extended CONNECT](Self::extended_connect).
    pub fn connect_protocol(&self) -> Option<&str> {
        // in a head of HTTP/1.1, CR LF follows the version
        let behind = self.headers.after_target().strip_prefix(self.version().as_str().as_bytes())?;
        behind.strip_prefix(CONNECT_PROTOCOL.as_bytes()).and_then(|protocol| str::from_utf8(protocol).ok())
    }

    /// Returns the target as it was sent: a path, with or without a query, or an http or https URI; `*` only with
    /// OPTIONS.
    ///
    /// It may have characters that RFC 3986 requires to be percent-encoded, such as `|`: browsers do not encode them.
    pub fn target(&self) -> &str {
        self.headers.start().1
    }

    /// Returns the path of the target, not decoded: at least `/`; `*` if that is the target (RFC 9112 section 3.2.4).
    pub fn path(&self) -> &str {
        if self.target() == ASTERISK {
            return ASTERISK;
        }
        let resource = self.resource();
        match resource.split_once('?').map_or(resource, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// Returns the query of the target, without the question mark, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.resource().split_once('?').map(|(_, query)| query)
    }

    /// Returns the host that the client addressed, with the port if the client named it: the value of `Host`, unless
    /// the target is a whole URI (RFC 9112 section 3.2.2).
    pub fn host(&self) -> &str {
        match split_target(self.target()) {
            Some((Some(authority), _)) => authority,
            _ => self.headers.get("Host").unwrap_or_default(),
        }
    }

    /// Returns the value of `Origin`: the origin of the page, if a browser sent the request (RFC 6455 section 10.2).
    pub fn origin(&self) -> Option<&str> {
        self.headers().get("Origin")
    }

    /// Returns the subprotocols offered, in all fields, the most preferred first (RFC 6455 sections 1.9 and 11.3.4).
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.headers().get_all("Sec-WebSocket-Protocol").flat_map(elements)
    }

    /// Returns the extensions offered, in all fields, the most preferred first (RFC 6455 sections 9.1 and 11.3.2).
    pub fn extensions(&self) -> impl Iterator<Item = Extension> {
        extension::parse(self.headers().get_all("Sec-WebSocket-Extensions")).filter_map(Result::ok)
    }

    /// Returns all header fields.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    fn resource(&self) -> &str {
        split_target(self.target()).map_or("", |(_, resource)| resource)
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.version() == other.version()
            && self.method() == other.method()
            && self.target() == other.target()
            && self.connect_protocol() == other.connect_protocol()
            && self.headers == other.headers
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut request = f.debug_struct("Request");
        request.field("method", &self.method()).field("target", &self.target()).field("version", &self.version());
        if let Some(protocol) = self.connect_protocol() {
            request.field("connect_protocol", &protocol);
        }
        request.field("headers", &self.headers).finish()
    }
}

/// The target that stands for the whole server (RFC 9112 section 3.2.4).
const ASTERISK: &str = "*";

/// Separates the version from the value of `:protocol` in the stored start line.
const CONNECT_PROTOCOL: &str = " ";

/// Splits a target into an authority, which only absolute-form has (RFC 9112 section 3.2.2), and path with query.
/// `None` for forms other than this and origin-form (3.2.1), and for schemes other than http and https.
fn split_target(target: &str) -> Option<(Option<&str>, &str)> {
    if target.starts_with('/') {
        return Some((None, target));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !is_http_scheme(scheme) {
        return None;
    }
    let size = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, resource) = rest.split_at_checked(size)?;
    Some((Some(authority), resource))
}

fn is_http_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}
