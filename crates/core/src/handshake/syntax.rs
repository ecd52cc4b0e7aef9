//! Tokens, lists and fields, RFC 9110 section 5.6 and RFC 6455 section 9.1.

use super::Headers;

/// Whether each byte may stand in a token: names of extensions and subprotocols are read byte by byte.
static IS_TOKEN_BYTE: [bool; 256] = {
    let mut answers = [false; 256];
    let mut rest = answers.as_mut_slice();
    let mut byte = 0_u8;
    while let Some((answer, behind)) = rest.split_first_mut() {
        *answer = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    answers
};

/// Whether the byte may stand in a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    IS_TOKEN_BYTE.get(usize::from(byte)) == Some(&true)
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The elements of a list, without blanks around them and without empty ones (RFC 9110 section 5.6.1.2).
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Whether a list has this element in any case.
pub(crate) fn has_element(list: &str, element: &str) -> bool {
    // mostly it is the only one, in this case
    list == element || elements(list).any(|each| each.eq_ignore_ascii_case(element))
}

/// Whether the fields of this name, together one list (RFC 9110 section 5.3), have this element in any case.
pub(crate) fn lists(headers: &Headers, name: &str, element: &str) -> bool {
    headers.get_all(name).any(|list| has_element(list, element))
}

/// The one value of a field.
#[derive(Clone, Copy)]
pub(crate) enum Single<'a> {
    Missing,
    Value(&'a str),
    Repeated,
}

impl<'a> Single<'a> {
    /// Takes the value of another field of the name.
    pub(crate) fn add(&mut self, value: &'a str) {
        *self = match self {
            Self::Missing => Self::Value(value),
            Self::Value(_) | Self::Repeated => Self::Repeated,
        };
    }
}

pub(crate) fn single<'a>(headers: &'a Headers, name: &str) -> Single<'a> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Single::Missing,
        (Some(value), None) => Single::Value(value),
        (Some(_), Some(_)) => Single::Repeated,
    }
}

/// What is wrong with a header field that the application adds.
pub(crate) enum FieldFault {
    Name,
    Reserved,
    Value,
}

/// Checks a header field that the application adds: nothing it holds may end its line or contradict the handshake.
pub(crate) fn check_field(name: &str, value: &str) -> Result<(), FieldFault> {
    const RESERVED: [&str; 5] = ["Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"];
    const RESERVED_PREFIX: &str = "Sec-WebSocket-";
    if !is_token(name) {
        return Err(FieldFault::Name);
    }
    let has_prefix =
        name.get(..RESERVED_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_PREFIX));
    if has_prefix || RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(FieldFault::Reserved);
    }
    if is_field_text(value.as_bytes()) { Ok(()) } else { Err(FieldFault::Value) }
}

/// RFC 9110 section 5.5: "field values containing CR, LF, or NUL characters are invalid and dangerous". Nor do we send
/// other control characters.
pub(crate) fn is_field_text(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}
