//! The errors of the opening handshake.

use alloc::boxed::Box;
use core::fmt;

use thiserror::Error;

#[cfg(feature = "deflate")]
use super::CompressionFault;
use super::{MalformedResponse, NotHttp, Response};
use crate::data::LimitExceeded;
use crate::data::redact::Quoted;

/// Why the opening handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The request, the response, or the bytes that a client sent before its request was answered exceeded a limit of
    /// this endpoint: [`Config::max_head_size`](crate::Config::max_head_size) or
    /// [`Config::max_header_lines`](crate::Config::max_header_lines).
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// The transport ended before the opening handshake was complete.
    #[error("the transport ended before the opening handshake did")]
    UnexpectedEof,

    // Errors of a request, which a server reports.
    /// RFC 9112 section 6: a request for a WebSocket must not announce a body, whose bytes would be read as frames.
    #[error("a request for a WebSocket must not have a body")]
    BodyUnexpected,
    /// RFC 9113 section 8.2.2: HTTP/2 and later have no `Connection`, `Upgrade`, `Transfer-Encoding` and the like.
    #[error("a connection-specific header field has no place in HTTP/2")]
    ConnectionFieldUnexpected,
    /// RFC 6455 section 4.2.1 item 4: `Connection` must list `Upgrade`.
    #[error("the Connection field does not list Upgrade")]
    ConnectionWithoutUpgrade,
    /// RFC 6455 section 9.1: the extensions offered do not follow the grammar. None of them is accepted then.
    #[error("the Sec-WebSocket-Extensions field is malformed")]
    ExtensionsMalformed,
    /// RFC 9112 section 3.2: the value of `Host` is not a host with an optional port.
    #[error("the Host field does not name a host")]
    HostInvalid,
    /// RFC 6455 section 4.2.1 item 2: `Host` is required.
    #[error("the Host field is missing")]
    HostMissing,
    /// RFC 9112 section 3.2: `Host` must not be repeated.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// RFC 6455 section 4.2.1 item 1: the version must be at least HTTP/1.1, which has upgrades.
    #[error("a WebSocket needs HTTP/1.1; this request is HTTP/1.0 (a proxy may have lowered the version)")]
    Http10,
    /// RFC 9110 section 15.6.6: the major version of HTTP is not 1.
    #[error("the major version of HTTP is not 1")]
    HttpVersionUnsupported,
    /// RFC 6455 section 4.2.1 item 5: the key must be the base64 of 16 bytes.
    #[error("the Sec-WebSocket-Key field is not the base64 of 16 bytes")]
    KeyInvalid,
    /// RFC 6455 section 4.2.1 item 5: a key is required.
    #[error("the Sec-WebSocket-Key field is missing")]
    KeyMissing,
    /// RFC 6455 section 11.3.1: the key must not be repeated.
    #[error("there is more than one Sec-WebSocket-Key field")]
    KeyRepeated,
    /// RFC 6455 section 4.2.1 item 1: the method must be GET.
    #[error("the method is not GET")]
    MethodNotGet,
    /// RFC 6454 section 7.3: `Origin` must not be repeated.
    #[error("there is more than one Origin field")]
    OriginRepeated,
    /// RFC 6455 section 4.1 item 10: subprotocols must be tokens, and the field must name at least one.
    #[error("the Sec-WebSocket-Protocol field is not a list of tokens")]
    ProtocolsMalformed,
    /// RFC 6455 section 4.1 item 10: a subprotocol must not be offered twice.
    #[error("the Sec-WebSocket-Protocol field repeats a subprotocol")]
    ProtocolsRepeated,
    /// RFC 9112: the request is not one of HTTP/1, or a part of it is not valid.
    #[error("the request is malformed")]
    RequestMalformed,
    /// The first byte cannot begin a request. For example, the client speaks TLS on a port for ws.
    #[error("this is not HTTP: the client may speak TLS (wss) on a port that expects none (ws)")]
    RequestNotHttp,
    /// RFC 9112 section 3.2: the target is neither a path nor an http or https URI.
    #[error("the target of the request is neither a path nor an http or https URI")]
    TargetInvalid,
    /// RFC 6455 section 11.3.5: `Sec-WebSocket-Version` must not be repeated.
    #[error("there is more than one Sec-WebSocket-Version field")]
    VersionRepeated,
    /// RFC 6455 section 4.2.1 item 6: the version must be 13; this request has another or none.
    #[error("the Sec-WebSocket-Version field is not 13")]
    VersionUnsupported,

    // Errors of a response, which a client reports.
    /// RFC 6455 section 4.1: `Sec-WebSocket-Accept` has this value, which does not belong to the request's key.
    #[error("the server's Sec-WebSocket-Accept is {}, which does not belong to the key", quoted(.0))]
    AcceptMismatch(Box<str>),
    /// RFC 6455 section 4.1: the response has no `Sec-WebSocket-Accept`.
    #[error("the server sent no Sec-WebSocket-Accept")]
    AcceptMissing,
    /// RFC 6455 section 11.3.3: the response has more than one `Sec-WebSocket-Accept`.
    #[error("the server sent more than one Sec-WebSocket-Accept")]
    AcceptRepeated,
    /// RFC 7692 section 7: the server accepted permessage-deflate in a way that the offer does not permit.
    #[cfg(feature = "deflate")]
    #[error("{0}")]
    CompressionInvalid(Box<CompressionFault>),
    /// RFC 6455 section 4.1: the server uses this extension, which was not offered.
    #[error("the server uses the extension {}, which was not offered", quoted(.0))]
    ExtensionNotOffered(Box<str>),
    /// RFC 6455 section 4.1: the server selected this subprotocol, which was not offered.
    #[error("the server selected the subprotocol {}, which was not offered", quoted(.0))]
    ProtocolNotOffered(Box<str>),
    /// The server answered with a status other than 101: it redirects, requires credentials, or reports an error. The
    /// response is complete, except that its body may be cut off at the limit or lost.
    #[error("the server refused with status {}", .0.status())]
    Refused(Box<Response>),
    /// RFC 6455 section 4.1: the response has this `Connection` field, which does not list `Upgrade`, or has none.
    #[error("{}", FieldFault("Connection", .0, "does not list Upgrade"))]
    ResponseConnectionWithoutUpgrade(Option<Box<str>>),
    /// RFC 6455 section 9.1: the response's extensions do not follow the grammar.
    #[error("the server's Sec-WebSocket-Extensions is {}, which is malformed", quoted(.0))]
    ResponseExtensionsMalformed(Box<str>),
    /// RFC 6455 section 11.3.2: the response has more than one `Sec-WebSocket-Extensions`.
    #[error("the server sent more than one Sec-WebSocket-Extensions")]
    ResponseExtensionsRepeated,
    /// RFC 9112: the response is not valid HTTP/1.1.
    #[error("the response is malformed: {0}")]
    ResponseMalformed(Box<MalformedResponse>),
    /// The first bytes cannot begin a response: the server speaks another protocol.
    #[error("{0}")]
    ResponseNotHttp(NotHttp),
    /// RFC 6455 section 11.3.4: the response has more than one `Sec-WebSocket-Protocol`.
    #[error("the server sent more than one Sec-WebSocket-Protocol")]
    ResponseProtocolRepeated,
    /// RFC 6455 section 4.1: the response has this `Upgrade` field, which is not `websocket`, or has none.
    #[error("{}", FieldFault("Upgrade", .0, "is not websocket"))]
    ResponseUpgradeInvalid(Option<Box<str>>),
}

impl HandshakeError {
    /// Returns the status of the response that ended the handshake, sent by this server or received by this client.
    /// `None` if there was no response.
    pub fn status(&self) -> Option<u16> {
        Some(match self {
            Self::BodyUnexpected
            | Self::ConnectionFieldUnexpected
            | Self::ConnectionWithoutUpgrade
            | Self::ExtensionsMalformed
            | Self::HostInvalid
            | Self::HostMissing
            | Self::HostRepeated
            | Self::Http10
            | Self::KeyInvalid
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::OriginRepeated
            | Self::ProtocolsMalformed
            | Self::ProtocolsRepeated
            | Self::RequestMalformed
            | Self::RequestNotHttp
            | Self::TargetInvalid
            | Self::VersionRepeated => 400,
            Self::MethodNotGet => 405,
            Self::VersionUnsupported => 426,
            Self::LimitExceeded(exceeded) => return exceeded.status(),
            Self::HttpVersionUnsupported => 505,
            Self::Refused(response) => response.status(),
            Self::UnexpectedEof
            | Self::AcceptMismatch(_)
            | Self::AcceptMissing
            | Self::AcceptRepeated
            | Self::ExtensionNotOffered(_)
            | Self::ProtocolNotOffered(_)
            | Self::ResponseConnectionWithoutUpgrade(_)
            | Self::ResponseExtensionsMalformed(_)
            | Self::ResponseExtensionsRepeated
            | Self::ResponseMalformed(_)
            | Self::ResponseNotHttp(_)
            | Self::ResponseProtocolRepeated
            | Self::ResponseUpgradeInvalid(_) => return None,
            #[cfg(feature = "deflate")]
            Self::CompressionInvalid(_) => return None,
        })
    }
}

impl From<MalformedResponse> for HandshakeError {
    fn from(response: MalformedResponse) -> Self {
        Self::ResponseMalformed(Box::new(response))
    }
}

fn quoted(text: &str) -> Quoted<'_> {
    Quoted(text.as_bytes())
}

/// Displays an invalid field of a response: its name, its value and the rule that it breaks.
struct FieldFault<'a>(&'a str, &'a Option<Box<str>>, &'a str);

impl fmt::Display for FieldFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value, rule) = self;
        match value {
            Some(value) => write!(f, "the server's {name} is {}: it {rule}", quoted(value)),
            None => write!(f, "the server sent no {name} field"),
        }
    }
}
