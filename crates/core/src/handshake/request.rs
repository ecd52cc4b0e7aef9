//! Requests as a server receives them, RFC 6455 section 4.2.1.

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;

use httparse::{Header, Status};

use super::head::{as_http11, start_line};
use super::syntax::{elements, is_token_byte};
use super::{Extension, HandshakeError, Headers, HttpVersion, extension};
use crate::config::Config;
use crate::uri::Authority;

/// An HTTP request, as a server's application sees it. To clone it is cheap.
#[derive(Clone)]
pub struct Request {
    /// And the method and the target: the start line of the head that they came in.
    headers: Headers,
}

/// Requests seldom have more header lines than this.
const FEW_LINES: usize = 32;

impl Request {
    /// Parses a head: checks that it is HTTP/1 and has a valid target. [`Parts`](super::parts::Parts) checks the rest.
    pub(crate) fn parse(head: &[u8], header_lines: usize) -> Result<Self, HandshakeError> {
        match Self::parse_whole(head, header_lines) {
            Err(HandshakeError::HttpVersionUnsupported) => {
                let head = as_http11(head, version_digit).ok_or(HandshakeError::HttpVersionUnsupported)?;
                Self::parse_whole(&head, header_lines)
            }
            parsed => parsed,
        }
    }

    fn parse_whole(head: &[u8], header_lines: usize) -> Result<Self, HandshakeError> {
        let mut few = [const { MaybeUninit::uninit() }; FEW_LINES];
        let mut many = Vec::new();
        let fields = few.get_mut(..header_lines).unwrap_or_else(|| {
            many.resize(header_lines, MaybeUninit::uninit());
            &mut many
        });
        let (request, size, _) = Self::parse_at_start(head, fields)?;
        // nothing may lie between the end that httparse has found and the one that was searched for
        (size == head.len()).then_some(request).ok_or(HandshakeError::RequestMalformed)
    }

    /// Reads the head that lies whole at the beginning of these bytes, if it breaks no rule and no limit. Returns also its
    /// size.
    pub(crate) fn find(bytes: &[u8], config: &Config) -> Option<(Self, usize)> {
        // empty lines before the request line are for the search, and what is not HTTP
        if !is_token_byte(*bytes.first()?) {
            return None;
        }
        let mut fields = [const { MaybeUninit::uninit() }; FEW_LINES];
        let (request, size, is_strict) = Self::parse_at_start(bytes, &mut fields).ok()?;
        let is_within_limits = size <= config.max_head_size && request.headers.len() <= config.max_header_lines;
        (is_within_limits && is_strict).then_some((request, size))
    }

    /// Reads the head at the beginning of these bytes. Returns also its size, and whether every line is known to end in CR LF.
    fn parse_at_start<'a>(
        bytes: &'a [u8],
        fields: &mut [MaybeUninit<Header<'a>>],
    ) -> Result<(Self, usize, bool), HandshakeError> {
        let mut request = httparse::Request::new(&mut []);
        let size = match request.parse_with_uninit_headers(bytes, fields) {
            Ok(Status::Complete(size)) => size,
            Err(httparse::Error::Version) if version_digit(start_line(bytes)).is_some() => {
                return Err(HandshakeError::HttpVersionUnsupported);
            }
            _ => return Err(HandshakeError::RequestMalformed),
        };
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(HandshakeError::RequestMalformed);
        };
        if !is_target(target, method) {
            return Err(HandshakeError::TargetInvalid);
        }
        let head = bytes.get(..size).unwrap_or_default();
        let start = Header { name: method, value: target.as_bytes() };
        let version = if request.version == Some(0) { " HTTP/1.0" } else { " HTTP/1.1" };
        let (headers, is_strict) = Headers::new(head, start, version, request.headers);
        Ok((Self { headers }, size, is_strict))
    }

    /// The method: `GET`, but for a plain HTTP request.
    pub fn method(&self) -> &str {
        self.headers.start().0
    }

    /// The version of HTTP. HTTP/1.2 to 1.9 count as 1.1 (RFC 9110 section 2.5).
    pub fn version(&self) -> HttpVersion {
        let (_, _, behind) = self.headers.start();
        if behind.starts_with(" HTTP/1.0") { HttpVersion::Http10 } else { HttpVersion::Http11 }
    }

    /// The target as it was sent: a path with or without a query, or a whole http or https URI; with OPTIONS, perhaps `*`.
    ///
    /// It may hold characters that a URI has in percent encoding only, such as `|`: browsers do not encode them.
    pub fn target(&self) -> &str {
        self.headers.start().1
    }

    /// The path of the target, not decoded; at least `/`, except that it is `*` if the target is (RFC 9112 section 3.2.4).
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
        self.version() == other.version()
            && self.method() == other.method()
            && self.target() == other.target()
            && self.headers == other.headers
    }
}

impl Eq for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut request = f.debug_struct("Request");
        request.field("method", &self.method()).field("target", &self.target()).field("version", &self.version());
        request.field("headers", &self.headers).finish()
    }
}

/// The target that stands for the whole server (RFC 9112 section 3.2.4).
const ASTERISK: &str = "*";

/// Whether a target names a resource (4.2.1 item 1), or, with OPTIONS alone, the whole server.
fn is_target(target: &str, method: &str) -> bool {
    if target == ASTERISK {
        return method == "OPTIONS";
    }
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

/// Returns where in a request line the major version begins, if the line is sound but for the version.
fn version_digit(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"))?;
    let is_version = matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    (is_version && words.next().is_none()).then(|| line.len() - version.len())
}
