//! Responses as a client receives them, RFC 9112 section 4.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::http1::as_http11;
use super::{HandshakeError, Headers, HttpVersion, MalformedResponse};

/// An HTTP response.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    version: HttpVersion,
    reason: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Response {
    /// Makes a response of the parts of its head, however they came. Values are decoded as [`Headers`] says.
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
        Ok(Self { status, version, reason: String::new(), headers, body: Vec::new() })
    }

    /// Reads a head.
    pub(crate) fn parse(head: &[u8], header_lines: usize) -> Result<Self, HandshakeError> {
        let malformed = || HandshakeError::from(MalformedResponse::find(head));
        let head = &*unfolded(head);
        let later_version = as_http11(head, version_digit);
        let head = later_version.as_deref().unwrap_or(head);
        let mut fields = vec![httparse::EMPTY_HEADER; header_lines];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(size)) if size == head.len() => {}
            _ => return Err(malformed()),
        }
        let (Some(version), Some(status)) = (response.version, response.code) else {
            return Err(malformed());
        };
        let reason = response.reason.unwrap_or_default().to_owned();
        let (headers, _) = Headers::new(head, httparse::EMPTY_HEADER, "", response.headers);
        let version = if version == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 };
        Ok(Self { status, version, reason, headers, body: Vec::new() })
    }

    /// Adds a body, such as the text of a refusal.
    #[must_use]
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The version of HTTP. HTTP/1.2 to 1.9 count as 1.1 (RFC 9110 section 2.5).
    pub const fn version(&self) -> HttpVersion {
        self.version
    }

    /// The reason phrase; often empty. One with bytes outside ASCII is taken for an empty one.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The header fields.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body, or as much of it as came and as [`Config::max_head_size`](crate::Config::max_head_size) allows.
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

/// Returns where in a status line the major version begins.
fn version_digit(line: &[u8]) -> Option<usize> {
    line.starts_with(b"HTTP/").then_some(b"HTTP/".len())
}

/// The head, whose lines all end in CR LF, with every value in one line. RFC 9112 5.2: "A user agent that receives an
/// obs-fold in a response message [...] MUST replace each received obs-fold with one or more SP octets prior to
/// interpreting the field value."
fn unfolded(head: &[u8]) -> Cow<'_, [u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let lines = || head.split_inclusive(|&byte| byte == b'\n');
    if !lines().any(|line| line.first().is_some_and(is_blank)) {
        return Cow::Borrowed(head);
    }
    let mut unfolded = Vec::with_capacity(head.len());
    let mut begun = 0;
    for line in lines() {
        let blanks = line.iter().take_while(|byte| is_blank(byte)).count();
        // 2.2: the start line has no such lines behind it, and is not to be mistaken for a field
        if blanks > 0 && begun > 1 {
            unfolded.truncate(unfolded.len().saturating_sub(b"\r\n".len()));
            while unfolded.pop_if(|byte| is_blank(byte)).is_some() {}
            unfolded.push(b' ');
            unfolded.extend(line.iter().skip(blanks));
        } else {
            begun += usize::from(line != b"\r\n");
            unfolded.extend_from_slice(line);
        }
    }
    Cow::Owned(unfolded)
}
