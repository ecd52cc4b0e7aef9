//! A valid opening handshake, and the response that accepts it, RFC 6455 section 4.2.2.

use core::str;

use super::key::ACCEPT_SIZE;
use super::{Accept, Agreement, AnswerError, Request};
use crate::handshake::OriginPolicy;

/// A request that [`Request::check`] has found to be a valid opening handshake.
#[derive(Clone, Debug)]
pub struct OpeningHandshake {
    request: Request,
    /// The value of `Sec-WebSocket-Accept`; none for extended CONNECT.
    accept: Option<[u8; ACCEPT_SIZE]>,
}

impl OpeningHandshake {
    pub(crate) const fn new(request: Request, accept: Option<[u8; ACCEPT_SIZE]>) -> Self {
        Self { request, accept }
    }

    /// Returns the request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Decides whether the request can be accepted like this, and returns the response.
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
        Ok(Acceptance { handshake: self, accept })
    }
}

/// The response that accepts an opening handshake: a status and header fields.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    handshake: &'a OpeningHandshake,
    accept: &'a Accept,
}

impl<'a> Acceptance<'a> {
    /// Returns the status: 101, or 200 for extended CONNECT (RFC 8441 section 5).
    pub const fn status(&self) -> u16 {
        if self.handshake.accept.is_some() { 101 } else { 200 }
    }

    /// Returns names and values of the header fields, in order. HTTP/2 and HTTP/3 write the names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        // each of them is text
        self.byte_fields().map(|(name, value)| (name, str::from_utf8(value).unwrap_or_default()))
    }

    /// The same without the validation of the answer to the key as UTF-8.
    pub(crate) fn byte_fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let upgrade = self.handshake.accept.as_ref().map(|accept| {
            let accept = ("Sec-WebSocket-Accept", accept.as_slice());
            [("Upgrade", b"websocket".as_slice()), ("Connection", b"Upgrade".as_slice()), accept]
        });
        let protocol = self.accept.protocol.as_deref().map(|protocol| ("Sec-WebSocket-Protocol", protocol.as_bytes()));
        let added = self.accept.fields().map(|(name, value)| (name, value.as_bytes()));
        upgrade.into_iter().flatten().chain(protocol).chain(added)
    }

    /// Returns what is agreed on with this response, for
    /// [`Connection::with_agreement`](crate::Connection::with_agreement).
    pub fn agreement(&self) -> Agreement {
        Agreement { protocol: self.accept.protocol.clone(), ..Agreement::new() }
    }
}
