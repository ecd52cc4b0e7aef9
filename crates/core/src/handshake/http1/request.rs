//! Reads the head of a request, RFC 9112 sections 3 and 5.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use httparse::{Header, Status};

use super::head::{HeadFault, HeadReader, as_http11, start_line};
use crate::data::token::is_token_byte;
use crate::data::{Config, Input, LimitExceeded, Subject};
use crate::handshake::{HandshakeError, Headers, Request};

/// The number of header lines that requests rarely exceed.
const FEW_LINES: usize = 32;

/// Reads a request, whose head may arrive in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct RequestReader(HeadReader);

impl RequestReader {
    /// Takes the bytes of the head from the input. Returns the request once the head is complete.
    pub(crate) fn read(&mut self, input: &mut Input<'_>, config: &Config) -> Result<Option<Request>, HandshakeError> {
        let Self(reader) = self;
        // Most heads arrive in one piece. httparse is faster than the search for their end, but restarts with each
        // piece.
        if reader.is_empty()
            && let Some((request, size)) = parse_complete(input.remaining(), config)
        {
            input.take(size);
            return Ok(Some(request));
        }
        let head = reader.read(input, config).map_err(|fault| head_error(fault, config))?;
        head.map(|head| parse(&head, reader.header_lines())).transpose()
    }

    /// Returns whether the head begins with the method HEAD.
    pub(crate) const fn is_method_head(&self) -> bool {
        self.0.is_method_head()
    }
}

fn head_error(fault: HeadFault, config: &Config) -> HandshakeError {
    match fault {
        HeadFault::NotHttp => HandshakeError::RequestNotHttp,
        HeadFault::BareLineFeed => HandshakeError::RequestMalformed,
        HeadFault::TooLong => LimitExceeded::beyond(Subject::RequestHead, config.max_head_size).into(),
        HeadFault::TooManyLines => LimitExceeded::beyond(Subject::RequestLines, config.max_header_lines).into(),
    }
}

/// Parses a head: checks that it is HTTP/1 and has a valid target. [`Request::check`] checks the rest.
fn parse(head: &[u8], header_lines: usize) -> Result<Request, HandshakeError> {
    match parse_whole(head, header_lines) {
        Err(HandshakeError::HttpVersionUnsupported) => {
            let head = as_http11(head, version_position).ok_or(HandshakeError::HttpVersionUnsupported)?;
            parse_whole(&head, header_lines)
        }
        parsed => parsed,
    }
}

/// Parses a head whose end was found.
fn parse_whole(head: &[u8], header_lines: usize) -> Result<Request, HandshakeError> {
    let mut few = [const { MaybeUninit::uninit() }; FEW_LINES];
    let mut many = Vec::new();
    let fields = few.get_mut(..header_lines).unwrap_or_else(|| {
        many.resize(header_lines, MaybeUninit::uninit());
        &mut many
    });
    let (request, size, _) = parse_at_start(head, fields)?;
    // httparse must find the same end as the search did
    (size == head.len()).then_some(request).ok_or(HandshakeError::RequestMalformed)
}

/// Parses the head at the beginning of these bytes. Returns the request and the size of its head. `None` if the head is
/// incomplete, or breaks a rule or limit: then [`HeadReader`] reads it.
fn parse_complete(bytes: &[u8], config: &Config) -> Option<(Request, usize)> {
    // otherwise: empty lines before the request line, or not HTTP
    if !is_token_byte(*bytes.first()?) {
        return None;
    }
    let mut fields = [const { MaybeUninit::uninit() }; FEW_LINES];
    let (request, size, is_strict) = parse_at_start(bytes, &mut fields).ok()?;
    let is_within_limits = size <= config.max_head_size && request.headers().len() <= config.max_header_lines;
    (is_within_limits && is_strict).then_some((request, size))
}

/// Parses the head at the beginning of these bytes. Also returns its size, and whether all lines surely end in CR LF.
fn parse_at_start<'a>(
    bytes: &'a [u8],
    fields: &mut [MaybeUninit<Header<'a>>],
) -> Result<(Request, usize, bool), HandshakeError> {
    let mut request = httparse::Request::new(&mut []);
    let size = match request.parse_with_uninit_headers(bytes, fields) {
        Ok(Status::Complete(size)) => size,
        Err(httparse::Error::Version) if version_position(start_line(bytes)).is_some() => {
            return Err(HandshakeError::HttpVersionUnsupported);
        }
        _ => return Err(HandshakeError::RequestMalformed),
    };
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(HandshakeError::RequestMalformed);
    };
    if !Request::is_target(target, method) {
        return Err(HandshakeError::TargetInvalid);
    }
    let head = bytes.get(..size).unwrap_or_default();
    let start = Header { name: method, value: target.as_bytes() };
    let version = if request.version == Some(0) { " HTTP/1.0" } else { " HTTP/1.1" };
    let (headers, is_strict) = Headers::new(head, start, version, request.headers);
    Ok((Request::from_headers(headers), size, is_strict))
}

/// Returns the position of the major version in a request line, if the line is valid except for the version.
fn version_position(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"))?;
    let is_version = matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    (is_version && words.next().is_none()).then(|| line.len() - version.len())
}
