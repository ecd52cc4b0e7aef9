//! How a server answers a request: what its application chooses, and the responses of the protocol.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use super::field_list::FieldList;
use super::{HttpVersion, OriginPolicy, Request};
use crate::handshake::HandshakeError;
use crate::handshake::syntax::{FieldFault, check_field, is_field_text};
use crate::redact;

/// Accepts an opening handshake.
///
/// ```
/// use sansocket::{Accept, OriginPolicy};
///
/// let same_origin = Accept::new().protocol("chat");
/// let from_anywhere = Accept::new().origin(OriginPolicy::Any).header("Set-Cookie", "seen=1");
/// # let _ = (same_origin, from_anywhere);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Accept {
    pub(crate) origin: Option<OriginPolicy>,
    pub(crate) protocol: Option<String>,
    headers: FieldList,
}

impl Accept {
    /// Accepts without a subprotocol, if the driver's policy permits the request's origin: that of the listener in the
    /// adapters, [`OriginPolicy::SameOrigin`] in the core alone.
    pub const fn new() -> Self {
        Self { origin: None, protocol: None, headers: FieldList::new() }
    }

    /// Accepts if this policy permits the request's origin (RFC 6455 section 10.2), instead of the driver's policy.
    #[must_use]
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = Some(policy);
        self
    }

    /// Sets the policy that applies unless [`origin`](Self::origin) chose one: for drivers whose listeners have a
    /// policy.
    #[must_use]
    pub fn default_origin(mut self, policy: &OriginPolicy) -> Self {
        if self.origin.is_none() {
            self.origin = Some(policy.clone());
        }
        self
    }

    /// Selects a subprotocol out of those offered.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }

    /// Selects the first subprotocol that the request offers and the server supports; none if there is no such.
    ///
    /// ```
    /// use sansocket::{Accept, HttpVersion, Request};
    ///
    /// let fields = [("Host", "example.com"), ("Sec-WebSocket-Protocol", "superchat, chat")];
    /// let request = Request::from_parts("GET", "/", HttpVersion::Http11, fields)?;
    /// assert_eq!(Accept::new().first_protocol(&request, &["chat"]), Accept::new().protocol("chat"));
    /// assert_eq!(Accept::new().first_protocol(&request, &["mqtt"]), Accept::new());
    /// # Ok::<(), sansocket::HandshakeError>(())
    /// ```
    #[must_use]
    pub fn first_protocol(mut self, request: &Request, supported: &[impl AsRef<str>]) -> Self {
        let is_supported = |&offered: &&str| supported.iter().any(|supported| supported.as_ref() == offered);
        self.protocol = request.protocols().find(is_supported).map(Into::into);
        self
    }

    /// Adds a header field to the response, such as `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(name.into(), value.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), AnswerError> {
        check_fields(&self.headers)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Refuses a request, or answers a plain one, with an HTTP response.
///
/// ```
/// use sansocket::HttpResponse;
///
/// let unauthorized = HttpResponse::new(401).header("WWW-Authenticate", "Basic realm=\"chat\"");
/// let moved = HttpResponse::new(307).header("Location", "wss://example.com/chat");
/// let healthy = HttpResponse::new(200).body("text/plain", "I am well");
/// # let _ = (unauthorized, moved, healthy);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HttpResponse {
    status: u16,
    reason: Option<String>,
    headers: FieldList,
    body: Option<(String, Vec<u8>)>,
}

impl HttpResponse {
    /// Creates a response with this status, from 200 to 599.
    pub const fn new(status: u16) -> Self {
        Self { status, reason: None, headers: FieldList::new(), body: None }
    }

    /// Returns the answer to a request that asks for no WebSocket, where nothing else is served: 426, with a text that
    /// says so.
    pub fn upgrade_required() -> Self {
        Self::from_protocol(426, "only opening handshakes of WebSocket connections are answered here")
    }

    /// Sets the reason phrase, instead of the usual one for the status.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a header field, such as `WWW-Authenticate` or `Location`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(name.into(), value.into());
        self
    }

    /// Sets the body and its media type, such as `text/plain`. With 204, 205 and 304 none is sent.
    #[must_use]
    pub fn body(mut self, content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some((content_type.into(), body.into()));
        self
    }

    /// The response that says why the protocol refuses.
    pub(crate) fn from_protocol(status: u16, why: &str) -> Self {
        let response = Self::new(status).body("text/plain; charset=utf-8", format!("{why}\n"));
        match status {
            // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response"
            405 => response.header("Allow", "GET"),
            _ => response,
        }
    }

    /// Checks the response: its status, and that nothing in it ends a line before its time.
    ///
    /// # Errors
    ///
    /// What the application added is not valid.
    pub fn check(&self) -> Result<(), AnswerError> {
        if !(200..=599).contains(&self.status) {
            return Err(AnswerError::StatusInvalid(self.status));
        }
        if self.reason.as_ref().is_some_and(|reason| !is_field_text(reason.as_bytes())) {
            return Err(AnswerError::ReasonInvalid);
        }
        if let Some((content_type, _)) = &self.body
            && !is_field_text(content_type.as_bytes())
        {
            return Err(AnswerError::HeaderValueInvalid("Content-Type".to_string()));
        }
        check_fields(&self.headers)
    }

    /// Returns the status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase, which only HTTP/1.1 has: the one that was [set](Self::reason), or the usual one. May
    /// be empty.
    pub fn reason_phrase(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| usual_phrase(self.status))
    }

    /// Returns names and values of the header fields, in order, for this version of HTTP. They include the fields that
    /// the protocol adds, such as `Content-Length`. HTTP/1.1 closes the connection after the response and says so; HTTP/2 and HTTP/3
    /// have no `Connection` and no `Upgrade` (RFC 9113 section 8.2.2), and write the names in lower case.
    ///
    /// # Errors
    ///
    /// As for [`check`](Self::check).
    pub fn fields(
        &self,
        version: HttpVersion,
    ) -> Result<impl Iterator<Item = (&str, Cow<'_, str>)> + use<'_>, AnswerError> {
        self.check()?;
        Ok(self.checked_fields(version))
    }

    /// Returns the [`fields`](Self::fields) of a response that was checked.
    pub(crate) fn checked_fields(&self, version: HttpVersion) -> impl Iterator<Item = (&str, Cow<'_, str>)> + use<'_> {
        let is_upgrade_required = self.status == 426;
        // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response"; 7.8: and list it in
        // `Connection`. RFC 6455 4.4: and the versions that it understands
        let connection: &[(&str, &str)] = match (version.has_connection_fields(), is_upgrade_required) {
            (true, true) => &[("Connection", "close, Upgrade"), ("Upgrade", "websocket")],
            (true, false) => &[("Connection", "close")],
            (false, _) => &[],
        };
        let understood = is_upgrade_required.then_some(("Sec-WebSocket-Version", "13"));
        let added = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // RFC 9110 15.3.6: "a server MUST NOT generate content in a 205 response"
        let content_type = self.body.as_ref().filter(|_| self.status != 205);
        let content_type = content_type.map(|(content_type, _)| ("Content-Type", content_type.as_str()));
        let fields = connection.iter().copied().chain(understood).chain(added).chain(content_type);
        // RFC 9110 8.6, 15.3.5 and 15.4.5: with these two there is no body, and no length of it
        let has_length = !matches!(self.status, 204 | 304);
        let length = has_length.then(|| ("Content-Length", Cow::Owned(self.content().len().to_string())));
        fields.map(|(name, value)| (name, Cow::Borrowed(value))).chain(length)
    }

    /// Returns the body as it is sent, unless the response answers HEAD: empty with 204, 205 and 304.
    pub fn content(&self) -> &[u8] {
        match &self.body {
            Some((_, body)) if !matches!(self.status, 204 | 205 | 304) => body,
            _ => &[],
        }
    }
}

/// Omits the body.
impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, headers, body } = self;
        let (content_type, size) = body.as_ref().map(|(content_type, body)| (content_type, body.len())).unzip();
        let mut response = f.debug_struct("HttpResponse");
        response.field("status", status).field("reason", reason).field("headers", headers);
        response.field("content_type", &content_type).field("body_len", &size.unwrap_or_default());
        response.finish_non_exhaustive()
    }
}

/// Why a request was not answered as asked. The request is still unanswered, except after
/// [`OriginForbidden`](Self::OriginForbidden).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// RFC 9110 section 5.6.2: the name of a header field is a token.
    #[error("{0:?} is not the name of a header field")]
    HeaderNameInvalid(String),
    /// The header field belongs to the opening handshake, or frames the response.
    #[error("the header field {0} is the opening handshake's own")]
    HeaderReserved(String),
    /// RFC 9110 section 5.5: no CR, LF, NUL or other control character in the value of a header field.
    #[error("the value of the header field {0} holds a control character")]
    HeaderValueInvalid(String),
    /// No request is pending.
    #[error("there is no request to answer")]
    NoRequest,
    /// The request asks for no WebSocket, so that it cannot be accepted.
    #[error("the request asks for no WebSocket: respond to it instead")]
    NotWebSocket,
    /// The policy does not permit the request's origin (RFC 6455 section 10.2). The request was refused with 403.
    #[error("the origin may not open a connection: refused with 403")]
    OriginForbidden,
    /// RFC 6455 section 4.2.2: the server selects one of the subprotocols offered, or none.
    #[error("the subprotocol {0:?} was not offered")]
    ProtocolNotOffered(String),
    /// The reason phrase holds a control character.
    #[error("the reason phrase holds a control character")]
    ReasonInvalid,
    /// The status is not one from 200 to 599.
    #[error("{0} is not a status from 200 to 599")]
    StatusInvalid(u16),
}

impl HandshakeError {
    /// Returns the response to a request that a server refuses. `None` for the errors of a client, and if the transport
    /// ended.
    pub fn response(&self) -> Option<HttpResponse> {
        match self {
            Self::Refused(_) => None,
            error => error.status().map(|status| HttpResponse::from_protocol(status, &error.to_string())),
        }
    }
}

impl AnswerError {
    /// Returns the response to a request whose client is at fault: 403 for a forbidden origin. `None` for the errors of
    /// the application, which may try another answer.
    pub fn response(&self) -> Option<HttpResponse> {
        matches!(self, Self::OriginForbidden)
            .then(|| HttpResponse::from_protocol(403, "this origin may not open a connection"))
    }
}

fn check_fields(fields: &[(String, String)]) -> Result<(), AnswerError> {
    fields.iter().try_for_each(|(name, value)| {
        check_field(name, value).map_err(|fault| match fault {
            FieldFault::Name => AnswerError::HeaderNameInvalid(redact::field_name(name)),
            FieldFault::Reserved => AnswerError::HeaderReserved(name.clone()),
            FieldFault::Value => AnswerError::HeaderValueInvalid(name.clone()),
        })
    })
}

/// The usual phrase (RFC 9110 section 15, RFC 6585). It may be empty.
const fn usual_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
