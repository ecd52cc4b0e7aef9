//! The request of a client: what its application asks for (RFC 6455 section 4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use thiserror::Error;

use super::syntax::{FieldFault, check_field, is_token};
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
    pub(crate) protocols: Vec<String>,
    headers: Vec<(String, String)>,
}

impl ClientRequest {
    /// Asks for the resource that the URI names.
    pub const fn new(uri: WsUri) -> Self {
        Self { uri, protocols: Vec::new(), headers: Vec::new() }
    }

    /// Offers a subprotocol (RFC 6455 section 1.9); the first one offered is preferred.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Adds a header field, such as `Authorization`. `Host` and those of the opening handshake are not to be added. An
    /// `Origin` replaces the one before.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        // RFC 6454 7.3: "the user agent MUST NOT include more than one Origin header field in any HTTP request"
        if name.eq_ignore_ascii_case("Origin") {
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case("Origin"));
        }
        self.headers.push((name, value.into()));
        self
    }

    /// Says on whose behalf the client acts, as a browser does (`Origin`, RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        self.header("Origin", origin)
    }

    /// The resource asked for.
    pub const fn uri(&self) -> &WsUri {
        &self.uri
    }

    /// Whether the request can be sent. [`WebSocket::client`](crate::WebSocket::client) asks too; an adapter may want to
    /// know before it connects.
    ///
    /// # Errors
    ///
    /// What the application added is not valid.
    pub fn check(&self) -> Result<(), RequestError> {
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
                FieldFault::Name => RequestError::HeaderNameInvalid(name.clone()),
                FieldFault::Reserved => RequestError::HeaderReserved(name.clone()),
                FieldFault::Value => RequestError::HeaderValueInvalid(name.clone()),
            })
        })
    }

    /// The head of the request (4.1, "The requirements for this handshake"). Nothing in it can end a line before its
    /// time: the URI is one, and the rest is checked.
    pub(crate) fn encode(&self, key: &str) -> Vec<u8> {
        let mut head = Vec::new();
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
            head.extend_from_slice(b"\r\n");
        };
        line(&["GET ", self.uri.resource_name(), " HTTP/1.1"]);
        line(&["Host: ", &self.uri.host_header()]);
        line(&["Upgrade: websocket"]);
        line(&["Connection: Upgrade"]);
        line(&["Sec-WebSocket-Key: ", key]);
        line(&["Sec-WebSocket-Version: 13"]);
        if !self.protocols.is_empty() {
            line(&["Sec-WebSocket-Protocol: ", &self.protocols.join(", ")]);
        }
        for (name, value) in &self.headers {
            line(&[name, ": ", value]);
        }
        line(&[]);
        head
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
    /// RFC 6455 section 4.1 item 10: subprotocols are unique.
    #[error("the subprotocol {0} is offered twice")]
    ProtocolDuplicate(String),
    /// RFC 6455 section 4.1 item 10: subprotocols are tokens.
    #[error("{0:?} cannot be a subprotocol: it is not a token")]
    ProtocolInvalid(String),
}
