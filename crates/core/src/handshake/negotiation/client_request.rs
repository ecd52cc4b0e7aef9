//! The request of a client, as its application describes it (RFC 6455 section 4.1).

use alloc::borrow::Cow;
use alloc::string::String;
#[cfg(feature = "deflate")]
use alloc::string::ToString;
use alloc::vec::Vec;
use core::iter;
use core::str::FromStr;

use thiserror::Error;

use super::field_list::{FieldFault, FieldList};
use super::values::is_valid_key;
use crate::data::token::is_token;
use crate::data::{Authority, UriError, WsUri};
#[cfg(feature = "deflate")]
use crate::data::{Compression, DeflateOffer};

/// The request of a client: a URI, subprotocols and header fields.
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
    /// Replaces the value of `Host` that the URI has.
    host: Option<String>,
    template: RequestTemplate,
    #[cfg(feature = "deflate")]
    offers: Vec<DeflateOffer>,
}

impl ClientRequest {
    /// Creates a request for the resource of this URI.
    pub const fn new(uri: WsUri) -> Self {
        Self::from_template(uri, RequestTemplate::new())
    }

    /// Creates a request for the resource of this URI, with the subprotocols and header fields of the template.
    pub const fn from_template(uri: WsUri, template: RequestTemplate) -> Self {
        Self {
            uri,
            host: None,
            template,
            #[cfg(feature = "deflate")]
            offers: Vec::new(),
        }
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

    /// Sets the value of `Host`, such as `example.com:8080`, instead of the host and port of the URI: for a server that
    /// is reached under another name.
    #[must_use]
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    /// Offers permessage-deflate (RFC 7692) with these settings, in place of earlier offers; `None` offers nothing.
    ///
    /// [`WebSocket::client`](crate::WebSocket::client) does so with [`Config::compression`](crate::Config). Call it if
    /// another HTTP library sends the request.
    ///
    /// ```
    /// use sansocket::{ClientRequest, Compression};
    ///
    /// let request: ClientRequest = "ws://example.com/".parse()?;
    /// let request = request.with_compression(&Compression::default());
    /// let extensions = request.connect_fields()?.find(|(name, _)| *name == "Sec-WebSocket-Extensions");
    /// assert_eq!(extensions.unwrap().1, "permessage-deflate; client_max_window_bits");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_compression<'a>(self, settings: impl Into<Option<&'a Compression>>) -> Self {
        Self { offers: settings.into().map_or_else(Vec::new, Compression::client_offers), ..self }
    }

    /// Returns the URI.
    pub const fn uri(&self) -> &WsUri {
        &self.uri
    }

    /// Checks whether the request can be sent. [`WebSocket::client`](crate::WebSocket::client) does so too; an adapter
    /// can check before it connects.
    ///
    /// # Errors
    ///
    /// A subprotocol, a header field or the host that the application set is not valid.
    pub fn check(&self) -> Result<(), RequestError> {
        match &self.host {
            Some(host) if Authority::parse(host).is_none() => Err(RequestError::HostInvalid(host.clone())),
            _ => self.template.check(),
        }
    }

    /// Returns the value of `Host`.
    pub(crate) fn host_header(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.uri.host_header())
    }

    /// Returns the subprotocols offered, in order.
    pub(crate) fn protocols(&self) -> &[String] {
        &self.template.protocols
    }

    /// Returns the offers of permessage-deflate, in order.
    #[cfg(feature = "deflate")]
    pub(crate) fn offers(&self) -> &[DeflateOffer] {
        &self.offers
    }

    /// Returns names and values of the header fields to send with GET (RFC 6455 section 4.1, "The requirements for this
    /// handshake"), in order. `key` is that of [`generate_key`](crate::generate_key); keep it for
    /// [`check_response`](Self::check_response).
    ///
    /// # Errors
    ///
    /// A subprotocol or header field is not valid, or the key is not ([`RequestError::KeyInvalid`]).
    pub fn fields<'a>(
        &'a self,
        key: &'a str,
    ) -> Result<impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a>, RequestError> {
        self.check()?;
        if !is_valid_key(key) {
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
        iter::once(("Host", Cow::Owned(self.host_header()))).chain(upgrade).chain(self.common_fields())
    }

    /// Returns names and values of the pseudo-header fields and then the header fields of an extended CONNECT (RFC 8441
    /// section 5), in order, for HTTP/2 and HTTP/3, which write names in lower case. Check the response with
    /// [`check_connect_response`](Self::check_connect_response).
    ///
    /// # Errors
    ///
    /// A subprotocol or header field that the application added is not valid.
    pub fn connect_fields(&self) -> Result<impl Iterator<Item = (&str, Cow<'_, str>)>, RequestError> {
        self.check()?;
        let scheme = if self.uri.is_secure() { "https" } else { "http" };
        let pseudo = [
            (":method", Cow::Borrowed("CONNECT")),
            (":protocol", Cow::Borrowed("websocket")),
            (":scheme", Cow::Borrowed(scheme)),
            (":authority", Cow::Owned(self.host_header())),
            (":path", Cow::Borrowed(self.uri.resource_name())),
        ];
        Ok(pseudo.into_iter().chain(self.common_fields()))
    }

    /// Returns the fields that GET and extended CONNECT have in common.
    fn common_fields<'a>(&'a self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let version = iter::once(("Sec-WebSocket-Version", Cow::Borrowed("13")));
        let protocols = (!self.protocols().is_empty()).then(|| self.protocols().join(", "));
        let protocols = protocols.map(|protocols| ("Sec-WebSocket-Protocol", Cow::Owned(protocols)));
        #[cfg(feature = "deflate")]
        let protocols = protocols.into_iter().chain(self.extensions_field());
        let added = self.template.headers().map(|(name, value)| (name, Cow::Borrowed(value)));
        version.chain(protocols).chain(added)
    }

    /// Returns the field that offers permessage-deflate (RFC 7692 section 5.1), if there are offers.
    #[cfg(feature = "deflate")]
    fn extensions_field(&self) -> Option<(&'static str, Cow<'static, str>)> {
        let offers = self.offers.iter().map(DeflateOffer::to_string).reduce(|list, offer| list + ", " + &offer);
        offers.map(|offers| ("Sec-WebSocket-Extensions", Cow::Owned(offers)))
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

/// Subprotocols and header fields for requests to any server. A [`ClientRequest`] is a template and a URI.
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

    /// Adds a header field, such as `Authorization`, but not `Host` or another field of the opening handshake.
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

    /// Removes all header fields that `is_unwanted` selects by their names, such as credentials before a request to
    /// another server.
    #[must_use]
    pub fn without_headers(mut self, is_unwanted: impl Fn(&str) -> bool) -> Self {
        self.headers.retain(|name| !is_unwanted(name));
        self
    }

    /// Returns names and values of the header fields that were added, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
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
        Ok(self.headers.check()?)
    }
}

/// Why a client's request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// RFC 9110 section 5.6.2: the name of a header field is a token.
    #[error("{0:?} is not the name of a header field")]
    HeaderNameInvalid(String),
    /// The opening handshake sets this header field, or the field frames the request.
    #[error("the opening handshake sets the header field {0} itself: remove it")]
    HeaderReserved(String),
    /// RFC 9110 section 5.5: the value of a header field must not have CR, LF, NUL or another control character.
    #[error("the value of the header field {0} holds a control character")]
    HeaderValueInvalid(String),
    /// RFC 9112 section 3.2: the value of `Host` is a host and an optional port ([`ClientRequest::host`]).
    #[error("{0:?} is not a value of the header field Host: write a host and an optional port")]
    HostInvalid(String),
    /// RFC 6455 section 4.1 item 7: the key is the base64 of 16 bytes (see [`generate_key`](crate::generate_key)).
    #[error("the key is not the base64 of 16 bytes: generate it with `generate_key`")]
    KeyInvalid,
    /// RFC 6455 section 4.1 item 10: subprotocols are unique.
    #[error("the subprotocol {0} is offered twice")]
    ProtocolDuplicate(String),
    /// RFC 6455 section 4.1 item 10: subprotocols are tokens.
    #[error("the subprotocol {0:?} is not a token")]
    ProtocolInvalid(String),
    /// The URI is longer than the 65,534 bytes that the `http` crate permits.
    #[cfg(feature = "http")]
    #[error("the URI is too long for the http crate: the limit is 65,534 bytes")]
    UriTooLong,
}

impl From<FieldFault> for RequestError {
    fn from(fault: FieldFault) -> Self {
        match fault {
            FieldFault::NameInvalid(name) => Self::HeaderNameInvalid(name),
            FieldFault::Reserved(name) => Self::HeaderReserved(name),
            FieldFault::ValueInvalid(name) => Self::HeaderValueInvalid(name),
        }
    }
}
