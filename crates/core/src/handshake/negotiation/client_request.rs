//! The request of a client: what its application asks for (RFC 6455 section 4.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::iter;
use core::str::FromStr;

use thiserror::Error;

use super::field_list::FieldList;
use super::key;
use crate::handshake::syntax::{FieldFault, check_field, is_token};
use crate::redact;
use crate::uri::{UriError, WsUri};

/// What a client asks for.
///
/// ```
/// use sansocket::ClientRequest;
///
/// let request: ClientRequest = "wss://example.com/chat".parse()?;
/// let request = request.protocol("chat").header("Authorization", "Bearer token");
/// assert!(request.uri().is_secure());
/// # Ok::<(), sansocket::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    uri: WsUri,
    template: RequestTemplate,
}

impl ClientRequest {
    /// Asks for the resource that the URI names.
    pub const fn new(uri: WsUri) -> Self {
        Self::from_template(uri, RequestTemplate::new())
    }

    /// Asks for the resource that the URI names, with the subprotocols and header fields of the template.
    pub const fn from_template(uri: WsUri, template: RequestTemplate) -> Self {
        Self { uri, template }
    }

    /// Offers a subprotocol (RFC 6455 section 1.9); the first one offered is preferred.
    #[must_use]
    pub fn protocol(self, protocol: impl Into<String>) -> Self {
        Self { template: self.template.protocol(protocol), ..self }
    }

    /// Adds a header field; see [`RequestTemplate::header`].
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { template: self.template.header(name, value), ..self }
    }

    /// Sets the `Origin`; see [`RequestTemplate::origin`].
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        Self { template: self.template.origin(origin), ..self }
    }

    /// Returns the resource asked for.
    pub const fn uri(&self) -> &WsUri {
        &self.uri
    }

    /// Returns whether the request can be sent. [`WebSocket::client`](crate::WebSocket::client) asks too; an adapter
    /// may want to know before it connects.
    ///
    /// # Errors
    ///
    /// What the application added is not valid.
    pub fn check(&self) -> Result<(), RequestError> {
        self.template.check()
    }

    /// Returns the subprotocols offered, in order.
    pub(crate) fn protocols(&self) -> &[String] {
        &self.template.protocols
    }

    /// Returns names and values of the header fields to send with GET (RFC 6455 section 4.1, "The requirements for this
    /// handshake"), in order. `key` is that of [`generate_key`](crate::generate_key); keep it for
    /// [`check_response`](Self::check_response).
    ///
    /// # Errors
    ///
    /// What the application added is not valid, or the key is none ([`RequestError::KeyInvalid`]).
    pub fn fields<'a>(
        &'a self,
        key: &'a str,
    ) -> Result<impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a>, RequestError> {
        self.check()?;
        if !key::is_valid(key) {
            return Err(RequestError::KeyInvalid);
        }
        Ok(self.checked_fields(key))
    }

    /// Returns the [`fields`](Self::fields) of a request that was checked.
    pub(crate) fn checked_fields<'a>(
        &'a self,
        key: &'a str,
    ) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key)];
        let upgrade = upgrade.map(|(name, value)| (name, Cow::Borrowed(value)));
        iter::once(("Host", Cow::Owned(self.uri.host_header()))).chain(upgrade).chain(self.offer())
    }

    /// Returns names and values of the pseudo-header fields and then the header fields of an extended CONNECT (RFC 8441
    /// section 5), in order, for HTTP/2 and HTTP/3. They write names in lower case. The check of the response is
    /// [`check_connect_response`](Self::check_connect_response).
    ///
    /// # Errors
    ///
    /// What the application added is not valid.
    pub fn connect_fields(&self) -> Result<impl Iterator<Item = (&str, Cow<'_, str>)>, RequestError> {
        self.check()?;
        let scheme = if self.uri.is_secure() { "https" } else { "http" };
        let pseudo = [
            (":method", Cow::Borrowed("CONNECT")),
            (":protocol", Cow::Borrowed("websocket")),
            (":scheme", Cow::Borrowed(scheme)),
            (":authority", Cow::Owned(self.uri.host_header())),
            (":path", Cow::Borrowed(self.uri.resource_name())),
        ];
        Ok(pseudo.into_iter().chain(self.offer()))
    }

    /// The fields that do not depend on how the connection opens.
    fn offer<'a>(&'a self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let version = iter::once(("Sec-WebSocket-Version", Cow::Borrowed("13")));
        let protocols = (!self.protocols().is_empty()).then(|| self.protocols().join(", "));
        let protocols = protocols.map(|protocols| ("Sec-WebSocket-Protocol", Cow::Owned(protocols)));
        let added = self.template.headers.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
        version.chain(protocols).chain(added)
    }
}

impl From<WsUri> for ClientRequest {
    fn from(uri: WsUri) -> Self {
        Self::new(uri)
    }
}

impl FromStr for ClientRequest {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        uri.parse().map(Self::new)
    }
}

impl TryFrom<&str> for ClientRequest {
    type Error = UriError;

    fn try_from(uri: &str) -> Result<Self, UriError> {
        uri.parse()
    }
}

/// What a client asks of any server: subprotocols and header fields. A [`ClientRequest`] is a template and a URI.
///
/// ```
/// use sansocket::{ClientRequest, RequestTemplate};
///
/// let template = RequestTemplate::new().protocol("chat").header("Authorization", "Bearer token");
/// for uri in ["ws://a.example/", "ws://b.example/"] {
///     let request = ClientRequest::from_template(uri.parse()?, template.clone());
///     request.check()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestTemplate {
    protocols: Vec<String>,
    headers: FieldList,
}

impl RequestTemplate {
    /// Creates a template without subprotocols and header fields.
    pub const fn new() -> Self {
        Self { protocols: Vec::new(), headers: FieldList::new() }
    }

    /// Offers a subprotocol (RFC 6455 section 1.9); the first one offered is preferred.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Adds a header field, such as `Authorization`. `Host` and the fields of the opening handshake must not be added.
    ///
    /// `Authorization`, `Proxy-Authorization` and `Origin` replace the previous field of the same name. `Cookie` fields
    /// are joined to one with `; ` (RFC 6265 section 5.4).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push_to_request(name.into(), value.into());
        self
    }

    /// Sets the `Origin`: the page on whose behalf the client acts, as a browser does (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        self.header("Origin", origin)
    }

    fn check(&self) -> Result<(), RequestError> {
        // 4.1 item 10: subprotocols are tokens and "MUST all be unique strings"
        let mut offered: Vec<&String> = Vec::new();
        for protocol in &self.protocols {
            if !is_token(protocol) {
                return Err(RequestError::ProtocolInvalid(protocol.clone()));
            }
            if offered.contains(&protocol) {
                return Err(RequestError::ProtocolDuplicate(protocol.clone()));
            }
            offered.push(protocol);
        }
        self.headers.iter().try_for_each(|(name, value)| {
            check_field(name, value).map_err(|fault| match fault {
                FieldFault::Name => RequestError::HeaderNameInvalid(redact::field_name(name)),
                FieldFault::Reserved => RequestError::HeaderReserved(name.clone()),
                FieldFault::Value => RequestError::HeaderValueInvalid(name.clone()),
            })
        })
    }
}

/// Why a client's request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// RFC 9110 section 5.6.2: the name of a header field is a token.
    #[error("{0:?} is not the name of a header field")]
    HeaderNameInvalid(String),
    /// The header field belongs to the opening handshake, or frames the request.
    #[error("the header field {0} is the opening handshake's own")]
    HeaderReserved(String),
    /// RFC 9110 section 5.5: no CR, LF, NUL or other control character in the value of a header field.
    #[error("the value of the header field {0} holds a control character")]
    HeaderValueInvalid(String),
    /// RFC 6455 section 4.1 item 7: the key is the base64 of 16 bytes, as [`generate_key`](crate::generate_key) returns
    /// it.
    #[error("the key is not the base64 of 16 bytes: generate it with `generate_key`")]
    KeyInvalid,
    /// RFC 6455 section 4.1 item 10: subprotocols are unique.
    #[error("the subprotocol {0} is offered twice")]
    ProtocolDuplicate(String),
    /// RFC 6455 section 4.1 item 10: subprotocols are tokens.
    #[error("{0:?} cannot be a subprotocol: it is not a token")]
    ProtocolInvalid(String),
    /// The `http` crate takes no URI of more than 65,534 bytes.
    #[cfg(feature = "http")]
    #[error("the URI is too long for the http crate")]
    UriTooLong,
}
