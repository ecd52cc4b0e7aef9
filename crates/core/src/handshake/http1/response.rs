//! The head of a response, RFC 9112 sections 4 and 5.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use super::head::as_http11;
use crate::handshake::{HandshakeError, Headers, HttpVersion, MalformedResponse, Response};

/// Parses a head.
pub(crate) fn parse(head: &[u8], header_lines: usize) -> Result<Response, HandshakeError> {
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
    let version = if version == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 };
    let (headers, _) = Headers::new(head, httparse::EMPTY_HEADER, "", response.headers);
    Ok(Response::from_head(status, version, response.reason.unwrap_or_default(), headers))
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
