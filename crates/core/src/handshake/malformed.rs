//! Malformed responses: finds the line that breaks a rule.

use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::data::redact::{self, Escaped, Quoted};
use crate::data::token::{is_field_text, is_token};

/// A response that breaks RFC 9112, or cannot answer an opening handshake: the fault, its line, and the head as far as
/// it was read.
///
/// `Display` and `Debug` escape the head and redact credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct MalformedResponse {
    fault: ResponseFault,
    line_number: usize,
    head: Vec<u8>,
}

/// The fault in a line of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ResponseFault {
    /// RFC 9112 section 2.2: lines end in CR LF. A bare LF does not end a line here, because attackers have exploited
    /// intermediaries that disagree about it.
    #[error("it ends in LF without CR")]
    BareLineFeed,
    /// RFC 9112 section 5: a colon separates the name of a header field from its value.
    #[error("a header field needs a colon behind its name")]
    ColonMissing,
    /// RFC 9112 section 5.2: a line that begins with a blank continues a header field, but none precedes it.
    #[error("it begins with a blank, but no header field precedes it that it could continue")]
    ContinuationUnexpected,
    /// RFC 9112 section 5.1: the name of a header field must not have a blank in it or behind it.
    #[error("there is a blank in the name of the header field, or between name and colon")]
    NameHasBlank,
    /// RFC 9110 section 5.1: the name of a header field is a token.
    #[error("the name of the header field is not a token")]
    NameInvalid,
    /// RFC 9112 section 4: the line is not a status line.
    #[error("it is not a status line such as \"HTTP/1.1 101 Switching Protocols\"")]
    StatusLineInvalid,
    /// RFC 9110 section 5.5: the value of a header field has no control characters.
    #[error("the value of the header field has a control character")]
    ValueInvalid,
    /// RFC 6455 section 4.1: the version of a response that opens a connection must be HTTP/1.1.
    #[error("the version of HTTP is not 1.1")]
    VersionUnsupported,
}

impl MalformedResponse {
    /// Describes a fault that was found in the last line of these bytes.
    pub(crate) fn at_end(fault: ResponseFault, head: &[u8]) -> Self {
        Self { fault, line_number: head.split_inclusive(|&byte| byte == b'\n').count(), head: head.to_vec() }
    }

    /// Describes an invalid field of a response that was made from parts.
    pub(crate) fn of_field(name: &str, value: &[u8]) -> Self {
        let mut head = [name.as_bytes(), b": ", value].concat();
        // with a colon in the name, the line itself is valid
        let fault = check_field_line(&head, false).err().unwrap_or(ResponseFault::NameInvalid);
        // cut off behind the first control character, which a secret may follow
        head.truncate(head.iter().position(|&byte| !is_field_text(&[byte])).map_or(head.len(), |index| index + 1));
        Self { fault, line_number: 1, head }
    }

    /// Describes a status line whose version is not permitted.
    pub(crate) fn of_version(head: &[u8]) -> Self {
        Self { fault: ResponseFault::VersionUnsupported, line_number: start_line(head).0, head: head.to_vec() }
    }

    /// Finds the first fault of a complete head that the parser refused.
    pub(crate) fn find(head: &[u8]) -> Self {
        let (line_number, start) = start_line(head);
        let (fault, line_number) = match check_status_line(start) {
            Err(fault) => (fault, line_number),
            Ok(()) => {
                let fields = (line_number + 1..).zip(lines(head).skip(line_number));
                let mut faults = fields.filter_map(|(number, line)| {
                    check_field_line(line, number == line_number + 1).err().map(|fault| (fault, number))
                });
                // the parser follows the same rules, so there is a fault
                faults.next().unwrap_or((ResponseFault::StatusLineInvalid, line_number))
            }
        };
        Self { fault, line_number, head: head.to_vec() }
    }

    /// Returns the fault.
    pub const fn fault(&self) -> ResponseFault {
        self.fault
    }

    /// Returns the number of the line that has the fault, counted from 1 in [`head`](Self::head).
    pub const fn line_number(&self) -> usize {
        self.line_number
    }

    /// Returns the line that has the fault, without its end.
    pub fn line(&self) -> &[u8] {
        nth_line(&self.head, self.line_number)
    }

    /// Returns the bytes of the head that were read when the fault was found. Credentials are not redacted, unlike in
    /// `Debug`.
    pub fn head(&self) -> &[u8] {
        &self.head
    }
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, line_number, head } = self;
        let head = redact::head(head);
        write!(f, "line {line_number}, {}: {fault}", Quoted(nth_line(&head, *line_number)))
    }
}

impl fmt::Debug for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MalformedResponse")
            .field("fault", &self.fault)
            .field("line_number", &self.line_number)
            .field("head", &format_args!("\"{}\"", Escaped(&redact::head(&self.head))))
            .finish()
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let without_end = |line| <[u8]>::strip_suffix(line, b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line);
    head.split_inclusive(|&byte| byte == b'\n').map(without_end)
}

fn nth_line(head: &[u8], number: usize) -> &[u8] {
    lines(head).nth(number.saturating_sub(1)).unwrap_or_default()
}

/// Returns the start line and its number. Empty lines may precede it (RFC 9112 section 2.2).
fn start_line(head: &[u8]) -> (usize, &[u8]) {
    (1..).zip(lines(head)).find(|(_, line)| !line.is_empty()).unwrap_or((1, &[]))
}

/// Checks a status line (RFC 9112 section 4): `HTTP-version SP status-code SP [ reason-phrase ]`.
fn check_status_line(line: &[u8]) -> Result<(), ResponseFault> {
    let invalid = ResponseFault::StatusLineInvalid;
    let Some(([major, b'.', minor], rest)) = line.strip_prefix(b"HTTP/").and_then(<[u8]>::split_first_chunk::<3>)
    else {
        return Err(invalid);
    };
    let is_version = major.is_ascii_digit() && minor.is_ascii_digit() && rest.first() == Some(&b' ');
    match (is_version, major, minor) {
        (false, ..) => return Err(invalid),
        // RFC 9110 2.5: later minor versions count as 1.1
        (true, b'1', _) => {}
        _ => return Err(ResponseFault::VersionUnsupported),
    }
    match rest {
        [b' ', a, b, c, reason @ ..]
            if [a, b, c].iter().all(|digit| digit.is_ascii_digit())
                && matches!(reason.first(), None | Some(b' '))
                && is_field_text(reason) =>
        {
            Ok(())
        }
        _ => Err(invalid),
    }
}

/// Checks a field line (RFC 9112 section 5): `field-name ":" OWS field-value OWS`, or the continuation of a value.
fn check_field_line(line: &[u8], is_first: bool) -> Result<(), ResponseFault> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if line.is_empty() {
        return Ok(());
    }
    let value = if line.first().is_some_and(is_blank) {
        if is_first {
            return Err(ResponseFault::ContinuationUnexpected);
        }
        line
    } else {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { return Err(ResponseFault::ColonMissing) };
        if name.iter().any(is_blank) {
            return Err(ResponseFault::NameHasBlank);
        }
        if !core::str::from_utf8(name).is_ok_and(is_token) {
            return Err(ResponseFault::NameInvalid);
        }
        value
    };
    if is_field_text(value) { Ok(()) } else { Err(ResponseFault::ValueInvalid) }
}
