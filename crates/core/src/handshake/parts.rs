//! The parts of a client's opening handshake, RFC 6455 section 4.2.1.

use alloc::vec::Vec;
use core::iter;

use super::headers::Line;
use super::syntax::{Single, has_element, is_token};
use super::{HandshakeError, Headers, HttpVersion, Request, extension, key};
use crate::uri::Authority;

/// What a request asks for, gathered in one pass over its header fields.
pub(crate) struct Parts<'a> {
    request: &'a Request,
    pub(crate) method: &'a str,
    host: Single<'a>,
    origin: Single<'a>,
    key: Single<'a>,
    version: Single<'a>,
    /// `Upgrade` lists `websocket`.
    names_websocket: bool,
    /// `Connection` lists `Upgrade`.
    wants_upgrade: bool,
    has_body: bool,
    has_protocols: bool,
    extensions: Single<'a>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let mut parts = Self {
            request,
            method: request.method(),
            host: Single::Missing,
            origin: Single::Missing,
            key: Single::Missing,
            version: Single::Missing,
            names_websocket: false,
            wants_upgrade: false,
            has_body: false,
            has_protocols: false,
            extensions: Single::Missing,
        };
        request.headers().fields().iter().for_each(|field| parts.add(request.headers(), field));
        parts
    }

    fn add(&mut self, headers: &'a Headers, field: &Line) {
        let is = |name| headers.has_name(field, name);
        let value = || headers.value(field);
        if is("Host") {
            self.host.add(value());
        } else if is("Origin") {
            self.origin.add(value());
        } else if is("Upgrade") {
            // 4.2.1 item 3: the value `websocket`, in any case
            self.names_websocket |= has_element(value(), "websocket");
        } else if is("Connection") {
            // 4.2.1 item 4: `Connection` is a list, in any case, and may come in several lines
            self.wants_upgrade |= has_element(value(), "Upgrade");
        } else if is("Content-Length") {
            self.has_body |= !is_zero(value());
        } else if is("Transfer-Encoding") {
            self.has_body = true;
        } else if is("Sec-WebSocket-Key") {
            self.key.add(value());
        } else if is("Sec-WebSocket-Version") {
            self.version.add(value());
        } else if is("Sec-WebSocket-Protocol") {
            self.has_protocols = true;
        } else if is("Sec-WebSocket-Extensions") {
            self.extensions.add(value());
        }
    }

    /// 4.2.1 item 2; RFC 9112 3.2: "A server MUST respond with a 400 status code to any HTTP/1.1 request message that
    /// lacks a Host header field and to any request message that contains more than one Host header field line or a
    /// Host header field with an invalid field value"
    pub(crate) fn check_host(&self) -> Result<(), HandshakeError> {
        match self.host {
            Single::Missing if self.request.version() == HttpVersion::Http10 => Ok(()),
            Single::Missing => Err(HandshakeError::HostMissing),
            Single::Repeated => Err(HandshakeError::HostRepeated),
            Single::Value(host) => Authority::parse(host).map(drop).ok_or(HandshakeError::HostInvalid),
        }
    }

    /// Whether the request asks for a WebSocket at all.
    pub(crate) const fn ask_for_websocket(&self) -> bool {
        self.names_websocket
    }

    /// Whether they are a valid opening handshake, all of them. The key to answer to.
    pub(crate) fn check(&self) -> Result<&'a str, HandshakeError> {
        // item 1
        if self.request.version() == HttpVersion::Http10 {
            return Err(HandshakeError::Http10);
        }
        if self.method != "GET" {
            return Err(HandshakeError::MethodNotGet);
        }
        if !self.wants_upgrade {
            return Err(HandshakeError::ConnectionWithoutUpgrade);
        }
        // RFC 9110 7.8: another protocol begins when the request is complete, so that there must be no doubt when it is
        if self.has_body {
            return Err(HandshakeError::BodyUnexpected);
        }
        // item 6, before the key: older versions had other keys
        match self.version {
            Single::Value("13") => {}
            Single::Value(_) | Single::Missing => return Err(HandshakeError::VersionUnsupported),
            Single::Repeated => return Err(HandshakeError::VersionRepeated),
        }
        // item 5, 11.3.1
        let key = match self.key {
            Single::Missing => return Err(HandshakeError::KeyMissing),
            Single::Repeated => return Err(HandshakeError::KeyRepeated),
            Single::Value(key) if key::is_valid(key) => key,
            Single::Value(_) => return Err(HandshakeError::KeyInvalid),
        };
        // item 7; RFC 6454 7.3
        if matches!(self.origin, Single::Repeated) {
            return Err(HandshakeError::OriginRepeated);
        }
        self.check_protocols()?;
        self.check_extensions()?;
        Ok(key)
    }

    /// Item 8, 4.1 item 10: "The elements that comprise this value MUST be non-empty strings [...] and MUST all be
    /// unique strings"
    fn check_protocols(&self) -> Result<(), HandshakeError> {
        if !self.has_protocols {
            return Ok(());
        }
        let mut protocols: Vec<&str> = self.request.protocols().collect();
        if protocols.is_empty() || !protocols.iter().all(|protocol| is_token(protocol)) {
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
        let is_empty = match self.extensions {
            Single::Missing => return Ok(()),
            Single::Value(field) => extension::is_empty(iter::once(field)),
            Single::Repeated => extension::is_empty(self.request.headers().get_all("Sec-WebSocket-Extensions")),
        };
        if matches!(is_empty, Ok(false)) { Ok(()) } else { Err(HandshakeError::ExtensionsMalformed) }
    }
}

fn is_zero(length: &str) -> bool {
    !length.is_empty() && length.bytes().all(|digit| digit == b'0')
}
