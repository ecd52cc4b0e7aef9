//! The answers of a server to a request: those of its application, and those of the protocol.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use super::field_list::{FieldFault, FieldList};
use super::{HttpVersion, OriginPolicy, Request};
use crate::data::token::is_field_text;
use crate::handshake::HandshakeError;

/// The acceptance of an opening handshake, as the application describes it.
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
    /// Accepts without a subprotocol, if the driver's policy permits the request's origin: the listener's policy in the
    /// adapters, [`OriginPolicy::SameOrigin`] in this crate.
    pub const fn new() -> Self {
        Self { origin: None, protocol: None, headers: FieldList::new() }
    }

    /// Sets the policy that must permit the request's origin (RFC 6455 section 10.2), in place of the driver's policy.
    #[must_use]
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = Some(policy);
        self
    }

    /// Sets the policy unless [`origin`](Self::origin) has set one. Drivers call it with the policy of the listener.
    #[must_use]
    pub fn default_origin(mut self, policy: &OriginPolicy) -> Self {
        if self.origin.is_none() {
            self.origin = Some(policy.clone());
        }
        self
    }

    /// Selects one of the subprotocols offered.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }

    /// Selects the first subprotocol that the request offers and the server supports, or none.
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
        Ok(self.headers.check()?)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// An HTTP response that refuses an opening handshake, or answers another request.
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

    /// Creates the answer of a server that serves only WebSockets to any other request: 426, with an explanation.
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

    /// Sets the body and its media type, such as `text/plain`. Responses with 204, 205 and 304 have no body.
    #[must_use]
    pub fn body(mut self, content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some((content_type.into(), body.into()));
        self
    }

    /// Creates a response of the protocol, with a text that explains it.
    pub(crate) fn from_protocol(status: u16, text: &str) -> Self {
        let response = Self::new(status).body("text/plain; charset=utf-8", format!("{text}\n"));
        match status {
            // RFC 9110 15.5.6: "The origin server MUST generate an Allow header field in a 405 response"
            405 => response.header("Allow", "GET"),
            _ => response,
        }
    }

    /// Checks the status, and that neither the reason phrase nor a header field ends a line early.
    ///
    /// # Errors
    ///
    /// The status, the reason phrase or a header field is not valid.
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
        Ok(self.headers.check()?)
    }

    /// Returns the status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase of HTTP/1.1: as [set](Self::reason), or the usual one, which may be empty.
    pub fn reason_phrase(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| usual_phrase(self.status))
    }

    /// Returns names and values of the header fields, in order, for this version of HTTP. They include the fields that
    /// the protocol adds, such as `Content-Length`, and in HTTP/1.1 `Connection: close`. HTTP/2 and HTTP/3 have no
    /// `Connection` and no `Upgrade` (RFC 9113 section 8.2.2), and write the names in lower case.
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
        // RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response"; 7.8: `Connection` lists
        // it; RFC 6455 4.4: `Sec-WebSocket-Version` lists the versions that the server supports
        let connection: &[(&str, &str)] = match (version.has_connection_fields(), is_upgrade_required) {
            (true, true) => &[("Connection", "close, Upgrade"), ("Upgrade", "websocket")],
            (true, false) => &[("Connection", "close")],
            (false, _) => &[],
        };
        let supported = is_upgrade_required.then_some(("Sec-WebSocket-Version", "13"));
        let added = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // RFC 9110 15.3.6: "a server MUST NOT generate content in a 205 response"
        let content_type = self.body.as_ref().filter(|_| self.status != 205);
        let content_type = content_type.map(|(content_type, _)| ("Content-Type", content_type.as_str()));
        let fields = connection.iter().copied().chain(supported).chain(added).chain(content_type);
        // RFC 9110 8.6, 15.3.5 and 15.4.5: these two have no body and no length
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

/// Why a request could not be answered in this way. It is still pending, except after
/// [`OriginForbidden`](Self::OriginForbidden).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// RFC 9110 section 5.6.2: the name of a header field is a token.
    #[error("{0:?} is not the name of a header field")]
    HeaderNameInvalid(String),
    /// The opening handshake sets this header field, or the field frames the response.
    #[error("the opening handshake sets the header field {0} itself: remove it")]
    HeaderReserved(String),
    /// RFC 9110 section 5.5: the value of a header field must not have CR, LF, NUL or another control character.
    #[error("the value of the header field {0} holds a control character")]
    HeaderValueInvalid(String),
    /// No request is pending.
    #[error("no request is pending")]
    NoRequest,
    /// The request does not ask for a WebSocket, so it cannot be accepted.
    #[error("the request does not ask for a WebSocket: answer it with `respond`")]
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
    /// The status is not in the range from 200 to 599.
    #[error("{0} is not a status from 200 to 599")]
    StatusInvalid(u16),
}

impl HandshakeError {
    /// Returns the response with which a server refuses the request. `None` if the error is not one of a request.
    pub fn response(&self) -> Option<HttpResponse> {
        match self {
            Self::Refused(_) => None,
            error => error.status().map(|status| HttpResponse::from_protocol(status, &error.to_string())),
        }
    }
}

impl AnswerError {
    /// Returns the response if the client is at fault: 403 for a forbidden origin. `None` if the application is at
    /// fault: it may try another answer.
    pub fn response(&self) -> Option<HttpResponse> {
        matches!(self, Self::OriginForbidden)
            .then(|| HttpResponse::from_protocol(403, "this origin may not open a connection"))
    }
}

impl From<FieldFault> for AnswerError {
    fn from(fault: FieldFault) -> Self {
        match fault {
            FieldFault::NameInvalid(name) => Self::HeaderNameInvalid(name),
            FieldFault::Reserved(name) => Self::HeaderReserved(name),
            FieldFault::ValueInvalid(name) => Self::HeaderValueInvalid(name),
        }
    }
}

/// Returns the usual reason phrase of a status (RFC 9110 section 15, RFC 6585); empty for other statuses.
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
