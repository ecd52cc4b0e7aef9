//! Prepares text that may hold secrets or come from a peer for `Debug` and error messages: redacts credentials, escapes
//! and shortens the rest. All such text passes through this file.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::token::is_token_byte;

/// The header fields whose values are credentials (RFC 9110 section 11, RFC 6265).
const SECRET_FIELDS: [&str; 4] = ["Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"];

/// The replacement of a secret of any length.
const REDACTED: &str = "<redacted>";

/// The largest number of bytes of a peer's text that a message quotes.
const MAX_QUOTED: usize = 128;

/// Returns the text of a URI or origin without its user information, for messages and logs.
///
/// ```
/// use sansocket::redact_user_info;
///
/// assert_eq!(redact_user_info("ws://user:secret@example.com/"), "ws://<redacted>@example.com/");
/// assert_eq!(redact_user_info("ws://example.com/@home"), "ws://example.com/@home");
/// ```
pub fn redact_user_info(uri: &str) -> Cow<'_, str> {
    if !uri.contains('@') {
        return Cow::Borrowed(uri);
    }
    // a query may hold other URIs, and text that is not a URI may have no scheme
    let mut redacted = String::with_capacity(uri.len());
    for part in uri.split_inclusive("://") {
        let (before, rest) = part.split_at_checked(authority_position(part)).unwrap_or(("", part));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let after = authority.rsplit_once('@').and_then(|(user_info, _)| rest.get(user_info.len()..));
        match after {
            Some(after) => redacted.extend([before, REDACTED, after]),
            None => redacted.push_str(part),
        }
    }
    Cow::Owned(redacted)
}

/// Returns the position in a part of a URI where an authority may begin: behind slashes, and a scheme before them.
fn authority_position(part: &str) -> usize {
    let is_slash = |character: char| matches!(character, '/' | '\\');
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let rest = match part.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with(is_slash) => rest,
        _ => part,
    };
    part.len() - rest.trim_start_matches(is_slash).len()
}

/// Redacts user information in text that may hold a URI, such as the value of `Location`, but not email addresses.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains("//") { redact_user_info(text) } else { Cow::Borrowed(text) }
}

/// Returns whether the values of this header field are credentials.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    SECRET_FIELDS.iter().any(|secret| secret.as_bytes().eq_ignore_ascii_case(name))
}

/// Returns the end of the field name in a line, or in the beginning of a line, if the field is a secret.
fn secret_name_end(line: &[u8]) -> Option<usize> {
    // skips blanks and other bytes that make the name malformed
    let before = line.iter().take_while(|&&byte| !is_token_byte(byte)).count();
    let name: &[u8] = line.get(before..)?;
    let size = name.iter().position(|&byte| !is_token_byte(byte))?;
    is_secret(name.get(..size)?).then_some(before + size)
}

/// Returns the name of a header field for an error message. Redacts a secret value that is in the name by mistake.
pub(crate) fn field_name(name: &str) -> String {
    match secret_name_end(name.as_bytes()).and_then(|size| name.get(..size)) {
        Some(name) => [name, ": ", REDACTED].concat(),
        None => name.into(),
    }
}

/// Displays a header field as a pair, for `Debug`.
pub(crate) struct Field<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value) = self;
        let mut pair = f.debug_tuple("");
        pair.field(name);
        match is_secret(name.as_bytes()) {
            true => pair.field(&format_args!("{REDACTED}")),
            false => pair.field(&text(value)),
        };
        pair.finish()
    }
}

/// Redacts every secret value and all user information in a head or its beginning. Line numbers do not change. The
/// bytes may be malformed: folded lines and bare CRs do not end a value.
pub(crate) fn head(bytes: &[u8]) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(bytes.len());
    let mut is_in_secret = false;
    let mut is_after_cr = false;
    for piece in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        let size = piece.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(piece.len());
        let (content, end) = piece.split_at(size);
        let is_continued = is_after_cr || matches!(content.first(), Some(b' ' | b'\t'));
        match secret_name_end(content) {
            _ if content.is_empty() => {}
            _ if is_in_secret && is_continued => redacted.extend_from_slice(REDACTED.as_bytes()),
            Some(size) => {
                redacted.extend_from_slice(content.get(..size).unwrap_or_default());
                redacted.extend_from_slice(b": ");
                redacted.extend_from_slice(REDACTED.as_bytes());
                is_in_secret = true;
            }
            None => {
                match str::from_utf8(content) {
                    Ok(content) => redacted.extend_from_slice(text(content).as_bytes()),
                    Err(_) => redacted.extend_from_slice(content),
                }
                is_in_secret = false;
            }
        }
        redacted.extend_from_slice(end);
        is_after_cr = end == b"\r";
    }
    redacted
}

/// Displays bytes of the peer in quotation marks, escaped, and at most 128 of them.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..MAX_QUOTED);
        write!(
            f,
            "\"{}\"{}",
            Escaped(shown.unwrap_or(self.0)),
            if shown.is_some_and(|shown| shown != self.0) { "..." } else { "" }
        )
    }
}

/// Displays bytes on one line of printable ASCII.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            // `escape_ascii` escapes it, which is unnecessary in quotation marks
            b'\'' => f.write_char('\''),
            byte => write!(f, "{}", byte.escape_ascii()),
        })
    }
}
