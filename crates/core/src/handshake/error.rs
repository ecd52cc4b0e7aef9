//! What a peer did wrong in the opening handshake.

use alloc::boxed::Box;

use thiserror::Error;

use super::Response;

/// How the opening handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The transport ended within the opening handshake.
    #[error("the transport ended before the opening handshake did")]
    UnexpectedEof,

    // What a server refuses.
    /// RFC 9112 section 6: the request announces a body, whose bytes would be taken for frames.
    #[error("a request for a WebSocket must not have a body")]
    BodyUnexpected,
    /// RFC 9113 section 8.2.2: HTTP/2 and later have no `Connection`, `Upgrade`, `Transfer-Encoding` and the like.
    #[error("a connection-specific header field has no place in HTTP/2")]
    ConnectionFieldUnexpected,
    /// RFC 6455 section 4.2.1 item 4: `Connection` lists `Upgrade`.
    #[error("the Connection field does not list Upgrade")]
    ConnectionWithoutUpgrade,
    /// RFC 6455 section 9.1: the extensions offered do not follow the grammar.
    #[error("the Sec-WebSocket-Extensions field is malformed")]
    ExtensionsMalformed,
    /// More than [`Config::max_head_size`](crate::Config::max_head_size) came before the application answered.
    #[error("too many bytes came before the request was answered")]
    FramesTooEarly,
    /// RFC 9112 section 3.2: the value of `Host` is not a host with an optional port.
    #[error("the Host field does not name a host")]
    HostInvalid,
    /// RFC 6455 section 4.2.1 item 2: there is a `Host`.
    #[error("the Host field is missing")]
    HostMissing,
    /// RFC 9112 section 3.2: there is one `Host`.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// RFC 6455 section 4.2.1 item 1: the version is at least HTTP/1.1, which has the upgrade.
    #[error("a WebSocket needs HTTP/1.1; this request is HTTP/1.0 (a proxy may have lowered the version)")]
    Http10,
    /// RFC 9110 section 15.6.6: the major version of HTTP is not 1.
    #[error("the major version of HTTP is not 1")]
    HttpVersionUnsupported,
    /// RFC 6455 section 4.2.1 item 5: the key is the base64 of 16 bytes.
    #[error("the Sec-WebSocket-Key field is not the base64 of 16 bytes")]
    KeyInvalid,
    /// RFC 6455 section 4.2.1 item 5: there is a key.
    #[error("the Sec-WebSocket-Key field is missing")]
    KeyMissing,
    /// RFC 6455 section 11.3.1: there is one key.
    #[error("there is more than one Sec-WebSocket-Key field")]
    KeyRepeated,
    /// RFC 6455 section 4.2.1 item 1: the method is GET.
    #[error("the method is not GET")]
    MethodNotGet,
    /// RFC 6454 section 7.3: there is one `Origin` at most.
    #[error("there is more than one Origin field")]
    OriginRepeated,
    /// RFC 6455 section 4.1 item 10: subprotocols are tokens, and there is one if the field is there.
    #[error("the Sec-WebSocket-Protocol field is not a list of tokens")]
    ProtocolsMalformed,
    /// RFC 6455 section 4.1 item 10: no subprotocol is offered twice.
    #[error("the Sec-WebSocket-Protocol field repeats a subprotocol")]
    ProtocolsRepeated,
    /// More header lines than [`Config::max_header_lines`](crate::Config::max_header_lines).
    #[error("the request has too many header lines")]
    RequestLinesTooMany,
    /// RFC 9112: this is not a request of HTTP/1, or its parts are not valid.
    #[error("the request is malformed")]
    RequestMalformed,
    /// The first byte cannot begin a request: a client speaks TLS to a port for ws, for example.
    #[error("this is not HTTP")]
    RequestNotHttp,
    /// The head of the request is longer than [`Config::max_head_size`](crate::Config::max_head_size).
    #[error("the head of the request is too long")]
    RequestTooLong,
    /// RFC 9112 section 3.2: the target is neither a path nor an http or https URI.
    #[error("the target of the request is neither a path nor an http or https URI")]
    TargetInvalid,
    /// RFC 6455 section 11.3.5: there is one `Sec-WebSocket-Version`.
    #[error("there is more than one Sec-WebSocket-Version field")]
    VersionRepeated,
    /// RFC 6455 section 4.2.1 item 6: the version is 13; this request names another or none.
    #[error("the Sec-WebSocket-Version field is not 13")]
    VersionUnsupported,

    // What a client refuses.
    /// RFC 6455 section 4.1: `Sec-WebSocket-Accept` does not belong to the key that was sent.
    #[error("the server's Sec-WebSocket-Accept does not belong to the key")]
    AcceptMismatch,
    /// RFC 6455 section 4.1: the response has no `Sec-WebSocket-Accept`.
    #[error("the server sent no Sec-WebSocket-Accept")]
    AcceptMissing,
    /// RFC 6455 section 11.3.3: the response has more than one `Sec-WebSocket-Accept`.
    #[error("the server sent more than one Sec-WebSocket-Accept")]
    AcceptRepeated,
    /// RFC 6455 section 4.1: the server uses an extension that was not offered, or one twice, or in a way that the
    /// offer did not allow.
    #[error("the server uses extensions that were not offered")]
    ExtensionNotOffered,
    /// RFC 6455 section 4.1: the server selected a subprotocol that was not offered.
    #[error("the server selected a subprotocol that was not offered")]
    ProtocolNotOffered,
    /// The server answered with another status than 101: it redirects, or wants credentials, or has met an error. The
    /// response is complete but for a body that did not fit or did not come.
    #[error("the server refused with status {}", .0.status())]
    Refused(Box<Response>),
    /// RFC 6455 section 4.1: the response's `Connection` does not list `Upgrade`.
    #[error("the server's Connection field does not list Upgrade")]
    ResponseConnectionWithoutUpgrade,
    /// RFC 6455 section 9.1: the response's extensions do not follow the grammar.
    #[error("the server's Sec-WebSocket-Extensions field is malformed")]
    ResponseExtensionsMalformed,
    /// RFC 6455 section 11.3.2: the response has more than one `Sec-WebSocket-Extensions`.
    #[error("the server sent more than one Sec-WebSocket-Extensions")]
    ResponseExtensionsRepeated,
    /// The response has more header lines than [`Config::max_header_lines`](crate::Config::max_header_lines).
    #[error("the response has too many header lines")]
    ResponseLinesTooMany,
    /// RFC 9112: this is not a response of HTTP/1.1.
    #[error("the response is malformed")]
    ResponseMalformed,
    /// The first byte cannot begin a response.
    #[error("the server does not speak HTTP")]
    ResponseNotHttp,
    /// RFC 6455 section 11.3.4: the response has more than one `Sec-WebSocket-Protocol`.
    #[error("the server sent more than one Sec-WebSocket-Protocol")]
    ResponseProtocolRepeated,
    /// The head of the response is longer than [`Config::max_head_size`](crate::Config::max_head_size).
    #[error("the head of the response is too long")]
    ResponseTooLong,
    /// RFC 6455 section 4.1: the response's `Upgrade` is not `websocket`.
    #[error("the server's Upgrade field is not websocket")]
    ResponseUpgradeInvalid,
}

impl HandshakeError {
    /// The status of the response that ended the handshake: the one that this server answered with, or the one that
    /// this client was refused with. `None` if there was no such response.
    pub fn status(&self) -> Option<u16> {
        Some(match self {
            Self::BodyUnexpected
            | Self::ConnectionFieldUnexpected
            | Self::ConnectionWithoutUpgrade
            | Self::ExtensionsMalformed
            | Self::FramesTooEarly
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
            Self::RequestLinesTooMany | Self::RequestTooLong => 431,
            Self::HttpVersionUnsupported => 505,
            Self::Refused(response) => response.status(),
            Self::UnexpectedEof
            | Self::AcceptMismatch
            | Self::AcceptMissing
            | Self::AcceptRepeated
            | Self::ExtensionNotOffered
            | Self::ProtocolNotOffered
            | Self::ResponseConnectionWithoutUpgrade
            | Self::ResponseExtensionsMalformed
            | Self::ResponseExtensionsRepeated
            | Self::ResponseLinesTooMany
            | Self::ResponseMalformed
            | Self::ResponseNotHttp
            | Self::ResponseProtocolRepeated
            | Self::ResponseTooLong
            | Self::ResponseUpgradeInvalid => return None,
        })
    }
}
