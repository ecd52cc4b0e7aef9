//! The server's side of the negotiation: checks a client's opening handshake (RFC 6455 section 4.2.1, RFC 8441 section
//! 5), and creates the response that accepts it (4.2.2).

#[cfg(feature = "deflate")]
use alloc::string::String;
use alloc::vec::Vec;
use core::{iter, str};

use super::headers::{Line, Single};
#[cfg(feature = "deflate")]
use super::permessage_deflate;
use super::values::{ACCEPT_SIZE, has_element, hash_key, is_valid_key};
use super::{Accept, Agreement, AnswerError, Headers, HttpVersion, OriginPolicy, Request, extension};
use crate::data::Authority;
use crate::data::token::is_token;
#[cfg(feature = "deflate")]
use crate::data::{Compression, PermessageDeflate};
use crate::handshake::HandshakeError;

impl Request {
    /// Checks the request. Returns the opening handshake if it is one, `None` if it does not ask for a WebSocket.
    ///
    /// # Errors
    ///
    /// The request breaks a rule. [`HandshakeError::response`] is the response that refuses it.
    pub fn check(&self) -> Result<Option<OpeningHandshake>, HandshakeError> {
        let parts = RequestParts::collect(self);
        parts.check_host()?;
        if !parts.http.has_connection_fields() {
            parts.check_connection_fields()?;
            if self.connect_protocol() != Some("websocket") {
                return Ok(None);
            }
            parts.check_connect()?;
            return Ok(Some(OpeningHandshake { request: self.clone(), accept: None }));
        }
        if !parts.names_websocket {
            return Ok(None);
        }
        let accept = hash_key(parts.check_upgrade()?);
        Ok(Some(OpeningHandshake { request: self.clone(), accept: Some(accept) }))
    }
}

/// A valid opening handshake: a request that passed [`Request::check`].
#[derive(Clone, Debug)]
pub struct OpeningHandshake {
    request: Request,
    /// The value of `Sec-WebSocket-Accept`; `None` for extended CONNECT.
    accept: Option<[u8; ACCEPT_SIZE]>,
}

impl OpeningHandshake {
    /// Returns the request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Checks that the request can be accepted in this way, and returns the response.
    ///
    /// # Errors
    ///
    /// The subprotocol was not offered, a header field is not valid, or the origin may not open a connection
    /// ([`AnswerError::OriginForbidden`], which has a [response](AnswerError::response)).
    pub fn accept<'a>(&'a self, accept: &'a Accept) -> Result<Acceptance<'a>, AnswerError> {
        // 4.2.2 item 5: a value "derived from the client's handshake, specifically by selecting one of the values"
        if let Some(protocol) = &accept.protocol
            && !self.request.protocols().any(|offered| offered == protocol)
        {
            return Err(AnswerError::ProtocolNotOffered(protocol.clone()));
        }
        accept.check()?;
        // 10.2: "If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket
        // handshake with a reply containing HTTP 403 Forbidden status code"
        if !accept.origin.as_ref().unwrap_or(&OriginPolicy::SameOrigin).permits_checked(&self.request) {
            return Err(AnswerError::OriginForbidden);
        }
        Ok(Acceptance {
            handshake: self,
            accept,
            #[cfg(feature = "deflate")]
            compression: None,
        })
    }
}

/// The response that accepts an opening handshake: a status and header fields, and the agreement.
#[derive(Clone, Debug)]
pub struct Acceptance<'a> {
    handshake: &'a OpeningHandshake,
    accept: &'a Accept,
    /// The agreement about permessage-deflate, and the element that answers the offer.
    #[cfg(feature = "deflate")]
    compression: Option<(PermessageDeflate, String)>,
}

impl Acceptance<'_> {
    /// Accepts the first valid offer of permessage-deflate, if there is one (RFC 7692 section 5.1), with these settings;
    /// `None` accepts none. The server accepts none unless this is called.
    ///
    /// A server of [`WebSocket`](crate::WebSocket) does so with [`Config::compression`](crate::Config).
    ///
    /// ```
    /// use sansocket::{Accept, Compression, HttpVersion, Request};
    ///
    /// let fields = [
    ///     ("Sec-WebSocket-Version", "13"),
    ///     ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    /// ];
    /// let request =
    ///     Request::extended_connect("websocket", "https", "example.com", "/", HttpVersion::Http2, fields)?;
    /// let handshake = request.check()?.unwrap();
    /// let accept = Accept::new();
    /// let acceptance = handshake.accept(&accept)?.with_compression(&Compression::default());
    /// let answer = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
    /// assert!(acceptance.fields().eq([("Sec-WebSocket-Extensions", answer)]));
    /// assert_eq!(acceptance.agreement().compression().unwrap().client_max_window_bits.get(), 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_compression<'s>(self, settings: impl Into<Option<&'s Compression>>) -> Self {
        let extensions = self.handshake.request.extensions();
        Self { compression: settings.into().and_then(|it| permessage_deflate::choose(extensions, it)), ..self }
    }

    /// Returns the status: 101, or 200 for extended CONNECT (RFC 8441 section 5).
    pub const fn status(&self) -> u16 {
        if self.handshake.accept.is_some() { 101 } else { 200 }
    }

    /// Returns names and values of the header fields, in order. HTTP/2 and HTTP/3 write the names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        // every value is text
        self.byte_fields().map(|(name, value)| (name, str::from_utf8(value).unwrap_or_default()))
    }

    /// Returns the fields with values as bytes, which saves validating the answer to the key as UTF-8.
    pub(crate) fn byte_fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let upgrade = self.handshake.accept.as_ref().map(|accept| {
            let accept = ("Sec-WebSocket-Accept", accept.as_slice());
            [("Upgrade", b"websocket".as_slice()), ("Connection", b"Upgrade".as_slice()), accept]
        });
        let protocol = self.accept.protocol.as_deref().map(|protocol| ("Sec-WebSocket-Protocol", protocol.as_bytes()));
        #[cfg(feature = "deflate")]
        let protocol = protocol
            .into_iter()
            .chain(self.compression.as_ref().map(|(_, answer)| ("Sec-WebSocket-Extensions", answer.as_bytes())));
        let added = self.accept.fields().map(|(name, value)| (name, value.as_bytes()));
        upgrade.into_iter().flatten().chain(protocol).chain(added)
    }

    /// Returns the agreement, for [`Connection::with_agreement`](crate::Connection::with_agreement).
    pub fn agreement(&self) -> Agreement {
        Agreement {
            protocol: self.accept.protocol.clone(),
            #[cfg(feature = "deflate")]
            compression: self.compression.as_ref().map(|(agreement, _)| *agreement),
        }
    }
}

/// The parts of a request that are checked, collected in one pass over the header fields.
struct RequestParts<'a> {
    request: &'a Request,
    http: HttpVersion,
    host: Single<'a>,
    origin: Single<'a>,
    key: Single<'a>,
    version: Single<'a>,
    /// Whether `Upgrade` lists `websocket`.
    names_websocket: bool,
    /// Whether `Connection` lists `Upgrade`.
    wants_upgrade: bool,
    /// Whether the request has a field that HTTP/2 forbids.
    has_connection_field: bool,
    has_body: bool,
    has_protocols: bool,
    extensions: Single<'a>,
}

impl<'a> RequestParts<'a> {
    fn collect(request: &'a Request) -> Self {
        let mut parts = Self {
            request,
            http: request.version(),
            host: Single::Missing,
            origin: Single::Missing,
            key: Single::Missing,
            version: Single::Missing,
            names_websocket: false,
            wants_upgrade: false,
            has_connection_field: false,
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
            self.has_connection_field = true;
            self.names_websocket |= has_element(value(), "websocket");
        } else if is("Connection") {
            // 4.2.1 item 4: `Connection` is a list, in any case, and may come in several lines
            self.has_connection_field = true;
            self.wants_upgrade |= has_element(value(), "Upgrade");
        } else if is("Content-Length") {
            self.has_body |= !is_zero(value());
        } else if is("Transfer-Encoding") {
            self.has_connection_field = true;
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

    /// Checks `Host` (4.2.1 item 2). RFC 9112 3.2: "A server MUST respond with a 400 status code to any HTTP/1.1
    /// request message that lacks a Host header field and to any request message that contains more than one Host
    /// header field line or a Host header field with an invalid field value"
    fn check_host(&self) -> Result<(), HandshakeError> {
        match self.host {
            Single::Missing if self.http == HttpVersion::Http10 => Ok(()),
            // RFC 9113 8.3.1: `:authority`, which is part of the target, replaces it
            Single::Missing if !self.http.has_connection_fields() && !self.request.host().is_empty() => Ok(()),
            Single::Missing => Err(HandshakeError::HostMissing),
            Single::Repeated => Err(HandshakeError::HostRepeated),
            Single::Value(host) => Authority::parse(host).map(drop).ok_or(HandshakeError::HostInvalid),
        }
    }

    /// Checks a request of HTTP/2 or HTTP/3. RFC 9113 8.2.2: "Any message containing connection-specific header fields
    /// MUST be treated as malformed"
    fn check_connection_fields(&self) -> Result<(), HandshakeError> {
        let headers = self.request.headers();
        let others = ["Keep-Alive", "Proxy-Connection"];
        // "The only exception to this is the TE header field [...]; when it is [present], it MUST NOT contain any value
        // other than "trailers"."
        let has_coding = || headers.get_all("TE").any(|value| !value.eq_ignore_ascii_case("trailers"));
        if self.has_connection_field || others.iter().any(|name| headers.get(name).is_some()) || has_coding() {
            return Err(HandshakeError::ConnectionFieldUnexpected);
        }
        Ok(())
    }

    /// Checks an opening handshake that upgrades its connection. Returns its key.
    fn check_upgrade(&self) -> Result<&'a str, HandshakeError> {
        // item 1
        if self.http == HttpVersion::Http10 {
            return Err(HandshakeError::Http10);
        }
        if !self.request.headers().has_method("GET") {
            return Err(HandshakeError::MethodNotGet);
        }
        if !self.wants_upgrade {
            return Err(HandshakeError::ConnectionWithoutUpgrade);
        }
        self.check_body_and_version()?;
        // item 5, 11.3.1
        let key = match self.key {
            Single::Missing => return Err(HandshakeError::KeyMissing),
            Single::Repeated => return Err(HandshakeError::KeyRepeated),
            Single::Value(key) if is_valid_key(key) => key,
            Single::Value(_) => return Err(HandshakeError::KeyInvalid),
        };
        self.check_lists()?;
        Ok(key)
    }

    /// Checks an opening handshake by extended CONNECT, which has no key (RFC 8441 section 5).
    fn check_connect(&self) -> Result<(), HandshakeError> {
        self.check_body_and_version()?;
        self.check_lists()
    }

    fn check_body_and_version(&self) -> Result<(), HandshakeError> {
        // RFC 9110 7.8: the new protocol begins behind the request, so the end of the request must be certain
        if self.has_body {
            return Err(HandshakeError::BodyUnexpected);
        }
        // item 6, before the key: older versions had other keys
        match self.version {
            Single::Value("13") => Ok(()),
            Single::Value(_) | Single::Missing => Err(HandshakeError::VersionUnsupported),
            Single::Repeated => Err(HandshakeError::VersionRepeated),
        }
    }

    /// Checks origin, subprotocols and extensions (items 7 to 9).
    fn check_lists(&self) -> Result<(), HandshakeError> {
        // RFC 6454 7.3
        if matches!(self.origin, Single::Repeated) {
            return Err(HandshakeError::OriginRepeated);
        }
        self.check_protocols()?;
        self.check_extensions()
    }

    /// Checks the subprotocols. Item 8, 4.1 item 10: "The elements that comprise this value MUST be non-empty strings
    /// [...] and MUST all be unique strings"
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

    /// Checks the extensions. 9.1: "If a value is received by either the client or the server during negotiation that
    /// does not conform to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket
    /// Connection_"
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
