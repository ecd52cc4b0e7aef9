//! The client's side of the negotiation: checks the response to its opening handshake, RFC 6455 section 4.1 and RFC
//! 8441 section 5.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::headers::Single;
#[cfg(feature = "deflate")]
use super::permessage_deflate;
use super::values::{ACCEPT_SIZE, hash_key};
use super::{Agreement, ClientRequest, Extension, Headers, HttpVersion, Response, extension};
#[cfg(feature = "deflate")]
use crate::data::DeflateOffer;
#[cfg(feature = "deflate")]
use crate::handshake::CompressionFault;
use crate::handshake::{HandshakeError, MalformedResponse};

/// The values that the response must have.
#[derive(Debug)]
pub(crate) struct ExpectedResponse {
    /// The value of `Sec-WebSocket-Accept`; `None` for extended CONNECT.
    accept: Option<[u8; ACCEPT_SIZE]>,
    protocols: Vec<String>,
    /// The offers of permessage-deflate.
    #[cfg(feature = "deflate")]
    offers: Vec<DeflateOffer>,
}

impl Response {
    /// Creates a response from the parts of its head. Values are decoded as for [`Headers`].
    ///
    /// # Errors
    ///
    /// [`HandshakeError::ResponseMalformed`]: a name is not a token, or a value holds a control character.
    pub fn from_parts(
        status: u16,
        version: HttpVersion,
        fields: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>,
    ) -> Result<Self, HandshakeError> {
        let headers = Headers::from_parts(("", "", &[]), fields)
            .map_err(|(name, value)| MalformedResponse::of_field(&name, &value))?;
        Ok(Self::from_head(status, version, "", headers))
    }
}

impl ClientRequest {
    /// Checks the response to [`fields`](Self::fields) with this key: status 101, the upgrade, the answer to the key,
    /// and that every part was offered (RFC 6455 section 4.1). Returns the agreement.
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
    /// [`HandshakeError::Refused`]: the server answered with another status. Other errors: the response breaks a rule.
    pub fn check_response(&self, key: &str, response: &Response) -> Result<Agreement, HandshakeError> {
        ExpectedResponse::new(self, key).check(response)
    }

    /// Checks the response to [`connect_fields`](Self::connect_fields): status 2xx, and that every part was offered
    /// (RFC 8441 section 5). Returns the agreement.
    ///
    /// # Errors
    ///
    /// As for [`check_response`](Self::check_response).
    pub fn check_connect_response(&self, response: &Response) -> Result<Agreement, HandshakeError> {
        ExpectedResponse::with_accept(self, None).check(response)
    }
}

impl ExpectedResponse {
    /// Computes the values for the response to a request with this key.
    pub(crate) fn new(request: &ClientRequest, key: &str) -> Self {
        Self::with_accept(request, Some(hash_key(key)))
    }

    fn with_accept(request: &ClientRequest, accept: Option<[u8; ACCEPT_SIZE]>) -> Self {
        Self {
            accept,
            protocols: request.protocols().to_vec(),
            #[cfg(feature = "deflate")]
            offers: request.offers().to_vec(),
        }
    }

    /// Checks a response. Returns the agreement.
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
        let mut agreement = Agreement::new();
        self.check_extensions(headers, &mut agreement)?;
        // item 6: a subprotocol that was not offered fails the connection; the server may also select none
        agreement.protocol = match headers.single("Sec-WebSocket-Protocol") {
            Single::Missing => None,
            Single::Repeated => return Err(HandshakeError::ResponseProtocolRepeated),
            Single::Value(protocol) => match self.protocols.iter().find(|offered| *offered == protocol) {
                Some(protocol) => Some(protocol.clone()),
                None => return Err(HandshakeError::ProtocolNotOffered(protocol.into())),
            },
        };
        Ok(agreement)
    }

    /// Checks the extensions, and adds them to the agreement. 4.1 item 5: one that was not offered fails the connection.
    fn check_extensions(&self, headers: &Headers, agreement: &mut Agreement) -> Result<(), HandshakeError> {
        let field = match headers.single("Sec-WebSocket-Extensions") {
            Single::Missing => return Ok(()),
            Single::Repeated => return Err(HandshakeError::ResponseExtensionsRepeated),
            Single::Value(field) => field,
        };
        let mut is_empty = true;
        for extension in extension::parse([field].into_iter()) {
            let extension = extension.map_err(|_| HandshakeError::ResponseExtensionsMalformed(field.into()))?;
            self.agree_on(extension, agreement)?;
            is_empty = false;
        }
        if is_empty { Err(HandshakeError::ResponseExtensionsMalformed(field.into())) } else { Ok(()) }
    }

    #[cfg(feature = "deflate")]
    fn agree_on(&self, extension: Extension, agreement: &mut Agreement) -> Result<(), HandshakeError> {
        let is_deflate = extension.name == permessage_deflate::NAME;
        let Some(answer) = is_deflate.then(|| permessage_deflate::confirm(&extension, &self.offers)).flatten() else {
            return Err(HandshakeError::ExtensionNotOffered(extension.name.into()));
        };
        let fault = match answer {
            Ok(_) if agreement.compression.is_some() => CompressionFault::ElementRepeated,
            Ok(compression) => {
                agreement.compression = Some(compression);
                return Ok(());
            }
            Err(fault) => fault,
        };
        Err(HandshakeError::CompressionInvalid(Box::new(fault)))
    }

    /// Refuses the extension: without permessage-deflate, none is offered.
    #[cfg(not(feature = "deflate"))]
    fn agree_on(&self, extension: Extension, _: &mut Agreement) -> Result<(), HandshakeError> {
        Err(HandshakeError::ExtensionNotOffered(extension.name.into()))
    }
}

/// Checks the upgrade: 4.1, "the client MUST validate the server's response as follows", items 2 to 4.
fn check_upgrade(response: &Response, expected: &[u8; ACCEPT_SIZE]) -> Result<(), HandshakeError> {
    // only HTTP/1.1 has a 101
    if response.version() != HttpVersion::Http11 {
        let status_line = format!("{} {} {}", response.version(), response.status(), response.reason());
        return Err(MalformedResponse::of_version(status_line.as_bytes()).into());
    }
    let headers = response.headers();
    // item 2: "an ASCII case-insensitive match for the value "websocket"", and no other value
    if !matches!(headers.single("Upgrade"), Single::Value(value) if value.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::ResponseUpgradeInvalid(headers.joined("Upgrade")));
    }
    // item 3: a list that has this token, in any case
    if !headers.has_element("Connection", "Upgrade") {
        return Err(HandshakeError::ResponseConnectionWithoutUpgrade(headers.joined("Connection")));
    }
    // item 4: "ignoring any leading and trailing whitespace", but not case
    match headers.single("Sec-WebSocket-Accept") {
        Single::Missing => Err(HandshakeError::AcceptMissing),
        Single::Repeated => Err(HandshakeError::AcceptRepeated),
        Single::Value(accept) if accept.as_bytes() == expected => Ok(()),
        Single::Value(accept) => Err(HandshakeError::AcceptMismatch(accept.into())),
    }
}
