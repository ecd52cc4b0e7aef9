//! The URLs that users of the adapters pass.

use sansocket::{UriError, WsUri};

/// Parses a ws or wss URL. With the feature `idna`, its host may be outside ASCII: it is converted by UTS 46, as
/// browsers do.
///
/// ```
/// let uri = sansocket_drive::parse_uri("ws://example.com/chat")?;
/// assert_eq!(uri.host(), "example.com");
/// # #[cfg(feature = "idna")]
/// assert_eq!(sansocket_drive::parse_uri("ws://b\u{fc}cher.example/")?.host(), "xn--bcher-kva.example");
/// # Ok::<(), sansocket::UriError>(())
/// ```
///
/// # Errors
///
/// This is not a ws or wss URI, or its host is outside ASCII and cannot be converted.
pub fn parse_uri(text: &str) -> Result<WsUri, UriError> {
    WsUri::parse_with(text, to_ascii)
}

#[cfg(feature = "idna")]
fn to_ascii(host: &str) -> Result<String, UriError> {
    let ascii = idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL);
    ascii.map(|host| host.into_owned()).map_err(|_| UriError::HostInvalid)
}

#[cfg(not(feature = "idna"))]
fn to_ascii(host: &str) -> Result<String, UriError> {
    Err(UriError::HostNotAscii(host.into()))
}
