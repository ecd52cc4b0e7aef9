//! Requests as a server receives them, RFC 6455 section 4.2.1.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::syntax::{Single, elements, is_token, lists, single};
use super::{Extension, HandshakeError, Headers, extension, key};
use crate::uri::Authority;

/// An HTTP request, as a server's application sees it. To clone it is cheap.
#[derive(Clone)]
pub struct Request {
    /// And the head that they came in, which begins with the request line.
    headers: Headers,
}

impl Request {
    /// Reads a head: whether it is HTTP/1.1 and says whom it addresses. What it asks for is another question.
    pub(crate) fn parse(head: &[u8], header_lines: usize) -> Result<Self, HandshakeError> {
        let head = without_empty_lines(head);
        let mut fields = vec![httparse::EMPTY_HEADER; header_lines];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(size)) if size == head.len() => {}
            Err(httparse::Error::Version) if names_another_version(head) => {
                return Err(HandshakeError::HttpVersionUnsupported);
            }
            _ => return Err(HandshakeError::RequestMalformed),
        }
        // 4.2.1 item 1: an HTTP/1.1 or higher GET request; what is higher is not framed like this
        if request.version != Some(1) {
            return Err(HandshakeError::HttpVersionUnsupported);
        }
        if !request.path.is_some_and(is_target) {
            return Err(HandshakeError::TargetInvalid);
        }
        let headers = Headers::new(head, request.headers);
        // 4.2.1 item 2; RFC 9112 3.2: "A server MUST respond with a 400 status code to any HTTP/1.1 request message that
        // lacks a Host header field and to any request message that contains more than one Host header field line or a
        // Host header field with an invalid field value"
        match single(&headers, "Host") {
            Single::Missing => return Err(HandshakeError::HostMissing),
            Single::Repeated => return Err(HandshakeError::HostRepeated),
            Single::Value(host) => Authority::parse(host).ok_or(HandshakeError::HostInvalid)?,
        };
        Ok(Self { headers })
    }

    /// Whether it asks for a WebSocket at all. 4.2.1 item 3: `Upgrade` contains the value `websocket`, in any case
    pub(crate) fn asks_for_websocket(&self) -> bool {
        lists(self.headers(), "Upgrade", "websocket")
    }

    /// Whether it is a valid opening handshake, all of it. The value to answer with in `Sec-WebSocket-Accept`.
    pub(crate) fn check(&self) -> Result<String, HandshakeError> {
        let headers = &self.headers;
        // 4.2.1 item 1
        if self.method() != "GET" {
            return Err(HandshakeError::MethodNotGet);
        }
        // 4.2.1 item 4: `Connection` is a list, in any case, and may come in several lines
        if !lists(headers, "Connection", "Upgrade") {
            return Err(HandshakeError::ConnectionWithoutUpgrade);
        }
        // RFC 9110 7.8: another protocol begins when the request is complete, so that there must be no doubt when it is
        let is_zero = |length: &str| !length.is_empty() && length.bytes().all(|digit| digit == b'0');
        if headers.get("Transfer-Encoding").is_some() || !headers.get_all("Content-Length").all(is_zero) {
            return Err(HandshakeError::BodyUnexpected);
        }
        // 4.2.1 item 6, before the key: older versions had other keys
        match single(headers, "Sec-WebSocket-Version") {
            Single::Value("13") => {}
            Single::Value(_) | Single::Missing => return Err(HandshakeError::VersionUnsupported),
            Single::Repeated => return Err(HandshakeError::VersionRepeated),
        }
        // 4.2.1 item 5, 11.3.1
        let key = match single(headers, "Sec-WebSocket-Key") {
            Single::Missing => return Err(HandshakeError::KeyMissing),
            Single::Repeated => return Err(HandshakeError::KeyRepeated),
            Single::Value(key) => key,
        };
        if !key::is_valid(key) {
            return Err(HandshakeError::KeyInvalid);
        }
        // 4.2.1 item 7; RFC 6454 7.3
        if matches!(single(headers, "Origin"), Single::Repeated) {
            return Err(HandshakeError::OriginRepeated);
        }
        self.check_protocols()?;
        self.check_extensions()?;
        Ok(key::accept(key))
    }

    /// 4.2.1 item 8, 4.1 item 10: "The elements that comprise this value MUST be non-empty strings [...] and MUST all be
    /// unique strings"
    fn check_protocols(&self) -> Result<(), HandshakeError> {
        let mut protocols: Vec<&str> = self.protocols().collect();
        let is_present = self.headers().get("Sec-WebSocket-Protocol").is_some();
        if is_present && protocols.is_empty() || !protocols.iter().all(|protocol| is_token(protocol)) {
            return Err(HandshakeError::ProtocolsMalformed);
        }
        protocols.sort_unstable();
        let mut next = protocols.iter().skip(1);
        if protocols.iter().any(|protocol| next.next() == Some(protocol)) {
            return Err(HandshakeError::ProtocolsRepeated);
        }
        Ok(())
    }

    /// 9.1: "If a value is received by either the client or the server during negotiation that does not conform to the
    /// ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_"
    fn check_extensions(&self) -> Result<(), HandshakeError> {
        let fields = || self.headers().get_all("Sec-WebSocket-Extensions");
        match extension::is_empty(fields()) {
            Ok(is_empty) if is_empty == fields().next().is_none() => Ok(()),
            _ => Err(HandshakeError::ExtensionsMalformed),
        }
    }

    /// The method: `GET`, but for a plain HTTP request.
    pub fn method(&self) -> &str {
        self.headers.start_line().next().unwrap_or_default()
    }

    /// The target as it was sent: a path with or without a query, or a whole http or https URI.
    ///
    /// It may hold characters that a URI has in percent encoding only, such as `|`: browsers do not encode them.
    pub fn target(&self) -> &str {
        self.headers.start_line().nth(1).unwrap_or_default()
    }

    /// The path of the target, not decoded; at least `/`.
    pub fn path(&self) -> &str {
        let resource = self.resource();
        match resource.split_once('?').map_or(resource, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// The query of the target, without the question mark, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.resource().split_once('?').map(|(_, query)| query)
    }

    /// The host, and port if it is named, that the client addressed: the value of `Host`, unless the target is a whole
    /// URI (RFC 9112 section 3.2.2).
    pub fn host(&self) -> &str {
        match split_target(self.target()) {
            Some((Some(authority), _)) => authority,
            _ => self.headers.get("Host").unwrap_or_default(),
        }
    }

    /// The value of `Origin`: the page whose script opens the connection, if a browser does (RFC 6455 section 10.2).
    pub fn origin(&self) -> Option<&str> {
        self.headers().get("Origin")
    }

    /// The subprotocols offered, the most preferred first (RFC 6455 section 1.9). All fields are one list (11.3.4).
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.headers().get_all("Sec-WebSocket-Protocol").flat_map(elements)
    }

    /// The extensions offered, the most preferred first (RFC 6455 section 9.1). All fields are one list (11.3.2).
    pub fn extensions(&self) -> impl Iterator<Item = Extension> {
        extension::parse(self.headers().get_all("Sec-WebSocket-Extensions")).filter_map(Result::ok)
    }

    /// All header fields.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    fn resource(&self) -> &str {
        split_target(self.target()).map_or("", |(_, resource)| resource)
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.method() == other.method() && self.target() == other.target() && self.headers == other.headers
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut request = f.debug_struct("Request");
        request.field("method", &self.method()).field("target", &self.target()).field("headers", &self.headers).finish()
    }
}

/// The head from its start line on.
fn without_empty_lines(mut head: &[u8]) -> &[u8] {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    head
}

/// Whether a target names a resource (4.2.1 item 1).
fn is_target(target: &str) -> bool {
    // Section 3 has no fragment. What RFC 3986 wants encoded, but browsers send as it is, passes.
    target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && split_target(target)
            .is_some_and(|(authority, _)| authority.is_none_or(|authority| Authority::parse(authority).is_some()))
}

/// The authority in a target of absolute-form (RFC 9112 section 3.2.2), and path and query: in origin-form (3.2.1) there
/// is nothing else. Other forms, and schemes other than http and https, name no resource here.
fn split_target(target: &str) -> Option<(Option<&str>, &str)> {
    if target.starts_with('/') {
        return Some((None, target));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let size = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, resource) = rest.split_at_checked(size)?;
    Some((Some(authority), resource))
}

/// Whether the request line is sound but for its version.
fn names_another_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"));
    words.next().is_none()
        && matches!(version, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}
