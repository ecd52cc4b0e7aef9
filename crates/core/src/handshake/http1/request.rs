//! The head of a request, RFC 9112 sections 3 and 5.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use httparse::{Header, Status};

use super::head::{as_http11, start_line};
use crate::config::Config;
use crate::handshake::syntax::is_token_byte;
use crate::handshake::{HandshakeError, Headers, Request};

/// Requests seldom have more header lines than this.
const FEW_LINES: usize = 32;

/// Parses a head: checks that it is HTTP/1 and has a valid target. [`Request::check`] checks the rest.
pub(crate) fn parse(head: &[u8], header_lines: usize) -> Result<Request, HandshakeError> {
    match parse_whole(head, header_lines) {
        Err(HandshakeError::HttpVersionUnsupported) => {
            let head = as_http11(head, version_digit).ok_or(HandshakeError::HttpVersionUnsupported)?;
            parse_whole(&head, header_lines)
        }
        parsed => parsed,
    }
}

fn parse_whole(head: &[u8], header_lines: usize) -> Result<Request, HandshakeError> {
    let mut few = [const { MaybeUninit::uninit() }; FEW_LINES];
    let mut many = Vec::new();
    let fields = few.get_mut(..header_lines).unwrap_or_else(|| {
        many.resize(header_lines, MaybeUninit::uninit());
        &mut many
    });
    let (request, size, _) = parse_at_start(head, fields)?;
    // nothing may lie between the end that httparse has found and the one that was searched for
    (size == head.len()).then_some(request).ok_or(HandshakeError::RequestMalformed)
}

/// Reads the head that lies whole at the beginning of these bytes, if it breaks no rule and no limit. Returns also its
/// size.
pub(crate) fn find(bytes: &[u8], config: &Config) -> Option<(Request, usize)> {
    // empty lines before the request line are for the search, and what is not HTTP
    if !is_token_byte(*bytes.first()?) {
        return None;
    }
    let mut fields = [const { MaybeUninit::uninit() }; FEW_LINES];
    let (request, size, is_strict) = parse_at_start(bytes, &mut fields).ok()?;
    let is_within_limits = size <= config.max_head_size && request.headers().len() <= config.max_header_lines;
    (is_within_limits && is_strict).then_some((request, size))
}

/// Reads the head at the beginning of these bytes. Returns also its size, and whether every line is known to end in CR
/// LF.
fn parse_at_start<'a>(
    bytes: &'a [u8],
    fields: &mut [MaybeUninit<Header<'a>>],
) -> Result<(Request, usize, bool), HandshakeError> {
    let mut request = httparse::Request::new(&mut []);
    let size = match request.parse_with_uninit_headers(bytes, fields) {
        Ok(Status::Complete(size)) => size,
        Err(httparse::Error::Version) if version_digit(start_line(bytes)).is_some() => {
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

/// Returns where in a request line the major version begins, if the line is sound but for the version.
fn version_digit(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).and_then(|word| word.strip_prefix(b"HTTP/"))?;
    let is_version = matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    (is_version && words.next().is_none()).then(|| line.len() - version.len())
}
