//! What a client requires of the response to its opening handshake, RFC 6455 section 4.1 and RFC 8441 section 5.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::key::{ACCEPT_SIZE, accept};
use super::{Agreement, ClientRequest, Extension, Headers, HttpVersion, Response, extension};
use crate::handshake::error::found;
use crate::handshake::syntax::{Single, lists, single};
use crate::handshake::{HandshakeError, MalformedResponse};

/// What a response is compared with.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The value of `Sec-WebSocket-Accept`; none for extended CONNECT.
    accept: Option<[u8; ACCEPT_SIZE]>,
    protocols: Vec<String>,
    /// The names of the extensions offered.
    extensions: Vec<&'static str>,
}

impl ClientRequest {
    /// Checks the response to [`fields`](Self::fields) with this key: 101, the upgrade, the answer to the key, and
    /// nothing that was not offered (RFC 6455 section 4.1). Returns what is agreed on.
    ///
    /// ```
    /// use sansocket::{ClientRequest, HttpVersion, Response, accept_key};
    ///
    /// let request: ClientRequest = "ws://example.com/".parse()?;
    /// let key = "dGhlIHNhbXBsZSBub25jZQ=="; // see `generate_key`
    /// let accept = accept_key(key);
    /// let fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", &accept)];
    /// let response = Response::from_parts(101, HttpVersion::Http11, fields)?;
    /// assert!(request.check_response(key, &response)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`]: the server answered with another status. Others: the response breaks a rule.
    pub fn check_response(&self, key: &str, response: &Response) -> Result<Agreement, HandshakeError> {
        Expected::new(self, key).check(response)
    }

    /// Checks the response to [`connect_fields`](Self::connect_fields): 2xx, and nothing that was not offered (RFC 8441
    /// section 5). Returns what is agreed on.
    ///
    /// # Errors
    ///
    /// As for [`check_response`](Self::check_response).
    pub fn check_connect_response(&self, response: &Response) -> Result<Agreement, HandshakeError> {
        Expected { accept: None, protocols: self.protocols().to_vec(), extensions: Vec::new() }.check(response)
    }
}

impl Expected {
    /// What the response to a request with this key must be.
    pub(crate) fn new(request: &ClientRequest, key: &str) -> Self {
        Self { accept: Some(accept(key)), protocols: request.protocols().to_vec(), extensions: Vec::new() }
    }

    /// Checks a response. Returns what is agreed on.
    pub(crate) fn check(&self, response: &Response) -> Result<Agreement, HandshakeError> {
        let headers = response.headers();
        match &self.accept {
            Some(_) if response.status() != 101 => return Err(HandshakeError::Refused(Box::new(response.clone()))),
            Some(accept) => check_upgrade(response, accept)?,
            None if !(200..300).contains(&response.status()) => {
                return Err(HandshakeError::Refused(Box::new(response.clone())));
            }
            None => {}
        }
        let extensions = self.check_extensions(headers)?;
        // item 6: a subprotocol that was not offered fails the connection; none is a choice of the server's
        let protocol = match single(headers, "Sec-WebSocket-Protocol") {
            Single::Missing => None,
            Single::Repeated => return Err(HandshakeError::ResponseProtocolRepeated),
            Single::Value(protocol) => match self.protocols.iter().find(|offered| *offered == protocol) {
                Some(protocol) => Some(protocol.clone()),
                None => return Err(HandshakeError::ProtocolNotOffered(protocol.into())),
            },
        };
        Ok(Agreement { protocol, extensions })
    }

    /// item 5: an extension that was not offered fails the connection.
    fn check_extensions(&self, headers: &Headers) -> Result<Vec<Extension>, HandshakeError> {
        let field = match single(headers, "Sec-WebSocket-Extensions") {
            Single::Missing => return Ok(Vec::new()),
            Single::Repeated => return Err(HandshakeError::ResponseExtensionsRepeated),
            Single::Value(field) => field,
        };
        let malformed = || HandshakeError::ResponseExtensionsMalformed(field.into());
        let mut extensions: Vec<Extension> = Vec::new();
        for extension in extension::parse([field].into_iter()) {
            let extension = extension.map_err(|_| malformed())?;
            let is_offered = self.extensions.contains(&extension.name.as_str());
            if !is_offered || extensions.iter().any(|agreed| agreed.name == extension.name) {
                return Err(HandshakeError::ExtensionNotOffered(extension.name.into()));
            }
            extensions.push(extension);
        }
        if extensions.is_empty() { Err(malformed()) } else { Ok(extensions) }
    }
}

/// 4.1, "the client MUST validate the server's response as follows", items 2 to 4.
fn check_upgrade(response: &Response, expected: &[u8; ACCEPT_SIZE]) -> Result<(), HandshakeError> {
    // only HTTP/1.1 has a 101
    if response.version() != HttpVersion::Http11 {
        let status_line = format!("{} {} {}", response.version(), response.status(), response.reason());
        return Err(MalformedResponse::of_version(status_line.as_bytes()).into());
    }
    let headers = response.headers();
    // item 2: "an ASCII case-insensitive match for the value "websocket"", and no other
    if !matches!(single(headers, "Upgrade"), Single::Value(value) if value.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::ResponseUpgradeInvalid(found(headers, "Upgrade")));
    }
    // item 3: a token among others, in any case
    if !lists(headers, "Connection", "Upgrade") {
        return Err(HandshakeError::ResponseConnectionWithoutUpgrade(found(headers, "Connection")));
    }
    // item 4: "ignoring any leading and trailing whitespace", but not case
    match single(headers, "Sec-WebSocket-Accept") {
        Single::Missing => Err(HandshakeError::AcceptMissing),
        Single::Repeated => Err(HandshakeError::AcceptRepeated),
        Single::Value(accept) if accept.as_bytes() == expected => Ok(()),
        Single::Value(accept) => Err(HandshakeError::AcceptMismatch(accept.into())),
    }
}
