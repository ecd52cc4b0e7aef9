//! Percent-encoding (RFC 3986 section 2.1) in the parts of a URL that are not sent: credentials and socket paths.

/// Decodes percent-encoded bytes. Other characters stand for themselves. Returns `None` if a percent sign has no two
/// hexadecimal digits behind it, or if the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}
