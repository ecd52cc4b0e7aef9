//! Reads the head of a response, RFC 9112 sections 4 and 5.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use super::head::{HeadFault, HeadReader, as_http11};
use super::not_http::{NotHttp, ResponseStart};
use crate::data::{Config, Input, LimitExceeded, Subject};
use crate::handshake::{HandshakeError, Headers, HttpVersion, MalformedResponse, Response, ResponseFault};

/// Reads responses, whose heads may arrive in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    reader: HeadReader,
    start: ResponseStart,
}

impl ResponseReader {
    /// Takes the bytes of the head from the input. Returns the response once the head is complete.
    pub(crate) fn read(&mut self, input: &mut Input<'_>, config: &Config) -> Result<Option<Response>, HandshakeError> {
        let Self { reader, start } = self;
        let room = config.max_head_size.saturating_sub(reader.size());
        if !start.examine(input.remaining(), room).map_err(HandshakeError::ResponseNotHttp)? {
            input.discard();
            return Ok(None);
        }
        let head = reader.read(input, config).map_err(|fault| head_error(fault, reader.received(), config))?;
        let Some(head) = head else { return Ok(None) };
        let response = parse(&head, reader.header_lines())?;
        // only HTTP/1.1 has a 101
        if response.status() == 101 && response.version() != HttpVersion::Http11 {
            return Err(MalformedResponse::of_version(&head).into());
        }
        Ok(Some(response))
    }

    /// Prepares for the response that follows a 1xx. Both count against the limit of the head.
    pub(crate) fn restart(&mut self) {
        self.reader.restart();
        self.start = ResponseStart::default();
    }

    /// Returns the first line received so far if it is not HTTP.
    pub(crate) fn not_http(&self) -> Option<NotHttp> {
        self.start.not_http()
    }
}

fn head_error(fault: HeadFault, head: &[u8], config: &Config) -> HandshakeError {
    match fault {
        // `ResponseStart` refused every first byte that the reader would refuse, except a bare LF
        HeadFault::BareLineFeed | HeadFault::NotHttp => {
            MalformedResponse::at_end(ResponseFault::BareLineFeed, head).into()
        }
        HeadFault::TooLong => LimitExceeded::beyond(Subject::ResponseHead, config.max_head_size).into(),
        HeadFault::TooManyLines => LimitExceeded::beyond(Subject::ResponseLines, config.max_header_lines).into(),
    }
}

fn parse(head: &[u8], header_lines: usize) -> Result<Response, HandshakeError> {
    let malformed = || HandshakeError::from(MalformedResponse::find(head));
    let head = &*unfolded(head);
    let later_version = as_http11(head, version_position);
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

/// Returns the position of the major version in a status line.
fn version_position(line: &[u8]) -> Option<usize> {
    line.starts_with(b"HTTP/").then_some(b"HTTP/".len())
}

/// Joins the lines of folded values, in a head whose lines all end in CR LF. RFC 9112 5.2: "A user agent that receives
/// an obs-fold in a response message [...] MUST replace each received obs-fold with one or more SP octets prior to
/// interpreting the field value."
fn unfolded(head: &[u8]) -> Cow<'_, [u8]> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let lines = || head.split_inclusive(|&byte| byte == b'\n');
    if !lines().any(|line| line.first().is_some_and(is_blank)) {
        return Cow::Borrowed(head);
    }
    let mut unfolded = Vec::with_capacity(head.len());
    let mut started_lines = 0;
    for line in lines() {
        let blanks = line.iter().take_while(|byte| is_blank(byte)).count();
        // 2.2: a line that begins with a blank cannot continue the start line
        if blanks > 0 && started_lines > 1 {
            unfolded.truncate(unfolded.len().saturating_sub(b"\r\n".len()));
            while unfolded.pop_if(|byte| is_blank(byte)).is_some() {}
            unfolded.push(b' ');
            unfolded.extend(line.iter().skip(blanks));
        } else {
            started_lines += usize::from(line != b"\r\n");
            unfolded.extend_from_slice(line);
        }
    }
    Cow::Owned(unfolded)
}
