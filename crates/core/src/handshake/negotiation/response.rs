//! Responses that a client receives, RFC 9110 section 15.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Headers, HttpVersion};

/// An HTTP response that a client received.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    version: HttpVersion,
    reason: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Response {
    /// Creates a response without a body from a head that was parsed or checked.
    pub(crate) fn from_head(status: u16, version: HttpVersion, reason: &str, headers: Headers) -> Self {
        Self { status, version, reason: reason.into(), headers, body: Vec::new() }
    }

    /// Adds a body, such as the text of a refusal.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Returns the status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the version of HTTP. HTTP/1.2 to 1.9 count as 1.1 (RFC 9110 section 2.5).
    pub const fn version(&self) -> HttpVersion {
        self.version
    }

    /// Returns the reason phrase; often empty. A phrase with bytes outside ASCII is replaced by an empty one.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the header fields.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the body: the part that arrived, up to [`Config::max_head_size`](crate::Config::max_head_size).
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Omits the body.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, version, reason, headers, body } = self;
        let mut response = f.debug_struct("Response");
        response.field("status", status).field("version", version).field("reason", reason).field("headers", headers);
        response.field("body_len", &body.len()).finish_non_exhaustive()
    }
}
