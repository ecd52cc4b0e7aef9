//! Character classes of HTTP: tokens (RFC 9110 section 5.6.2) and field values (section 5.5).

/// Whether each byte may occur in a token. A table, because names of extensions and subprotocols are read byte by byte.
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

/// Returns whether the byte may occur in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    IS_TOKEN_BYTE.get(usize::from(byte)) == Some(&true)
}

/// Returns whether the text is a token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Returns whether the bytes may be the value of a header field. RFC 9110 section 5.5: "field values containing CR, LF,
/// or NUL characters are invalid and dangerous". Other control characters are refused too, except tabs.
pub(crate) fn is_field_text(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}
