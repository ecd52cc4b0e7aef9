//! WebSocket URIs (RFC 6455 section 3), and the authorities in `Host` and `Origin`.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::num::NonZeroU16;
use core::str::FromStr;

use fluent_uri::UriRef;
use fluent_uri::pct_enc::Encoder;
use fluent_uri::pct_enc::encoder::{Query, RegName};
use thiserror::Error;

const WS_PORT: u16 = 80;
const WSS_PORT: u16 = 443;

/// A ws or wss URI (RFC 6455 section 3).
///
/// ```
/// use sansocket::WsUri;
///
/// let uri: WsUri = "wss://[2001:db8::1]/chat?room=1".parse()?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("2001:db8::1", 443));
/// assert_eq!(uri.host_header(), "[2001:db8::1]");
/// assert_eq!(uri.resource_name(), "/chat?room=1");
/// # Ok::<(), sansocket::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WsUri {
    is_secure: bool,
    /// In lower case, without brackets.
    host: String,
    is_ip_literal: bool,
    port: u16,
    resource: String,
}

impl WsUri {
    /// Returns whether the scheme is wss: the WebSocket runs over TLS.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Returns the host to connect to: a name or an address, in lower case, without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port: 80 for ws and 443 for wss if the URI names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of `Host`: brackets around an IPv6 literal, the port only if it is not the scheme's default.
    pub fn host_header(&self) -> String {
        // 4.1: the port is named "if not using the default port"
        let default_port = if self.is_secure { WSS_PORT } else { WS_PORT };
        match (self.is_ip_literal, self.port == default_port) {
            (false, true) => self.host.clone(),
            (false, false) => format!("{}:{}", self.host, self.port),
            (true, true) => format!("[{}]", self.host),
            (true, false) => format!("[{}]:{}", self.host, self.port),
        }
    }

    /// Returns the path and the query, which are the target of the request: at least `/`.
    pub fn resource_name(&self) -> &str {
        &self.resource
    }

    /// Parses a URI whose host may be outside ASCII. `to_ascii` converts such a host, for example by UTS 46.
    ///
    /// # Errors
    ///
    /// [`UriError`]: the text is not a ws or wss URI, or `to_ascii` failed.
    pub fn parse_with(text: &str, to_ascii: impl FnOnce(&str) -> Result<String, UriError>) -> Result<Self, UriError> {
        let (is_secure, rest) = split_scheme(text)?;
        let size = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at_checked(size).unwrap_or_default();
        // 3 defines no user information, and it must never enter `Host`
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        check_host(host, text.len() - rest.len())?;
        let resource = parse_resource(resource, text.len() - resource.len())?;
        let port = port.map_or(if is_secure { WSS_PORT } else { WS_PORT }, NonZeroU16::get);
        let host = if host.is_ascii() { host.to_owned() } else { to_ascii(host)? };
        let reference = ["//", &host].concat();
        let reference = UriRef::parse(reference.as_str()).map_err(|_| UriError::HostInvalid)?;
        // `to_ascii` must return a host and nothing else
        if host.is_empty() || reference.authority().is_none_or(|authority| authority.host() != host) {
            return Err(UriError::HostInvalid);
        }
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_name = literal.unwrap_or(&host).to_ascii_lowercase();
        Ok(Self { is_secure, host: host_name, is_ip_literal: literal.is_some(), port, resource })
    }
}

/// Splits off the scheme: returns whether it is wss, and the text behind `://`.
fn split_scheme(text: &str) -> Result<(bool, &str), UriError> {
    let (scheme, rest) = text.split_once(':').ok_or(UriError::SchemeMissing)?;
    let is_secure = scheme.eq_ignore_ascii_case("wss");
    if is_secure || scheme.eq_ignore_ascii_case("ws") {
        return rest.strip_prefix("//").map(|rest| (is_secure, rest)).ok_or(UriError::HostMissing);
    }
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match scheme.char_indices().find(|&(_, character)| !character.is_ascii() || !is_scheme(character as u8)) {
        // a host with a port, or a path, in place of the scheme
        _ if !rest.starts_with("//") || scheme.is_empty() => Err(UriError::SchemeMissing),
        Some((position, character)) if !scheme.contains(['/', '?', '#']) => {
            Err(UriError::CharacterInvalid { character, position })
        }
        Some(_) => Err(UriError::SchemeMissing),
        None if scheme.eq_ignore_ascii_case("http") => Err(UriError::SchemeHttp),
        None if scheme.eq_ignore_ascii_case("https") => Err(UriError::SchemeHttps),
        None => Err(UriError::SchemeUnknown),
    }
}

/// Splits `host [":" port]`. The host keeps its brackets, and may be malformed.
fn split_port(authority: &str) -> Result<(&str, Option<NonZeroU16>), UriError> {
    let end = match authority.starts_with('[') {
        true => authority.find(']').ok_or(UriError::AddressInvalid)? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end).unwrap_or_default();
    let is_address = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.contains(':') && is_address(authority) => return Err(UriError::AddressInvalid),
        Some("") => None,
        // `parse` accepts a plus sign, RFC 3986 does not
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| UriError::PortInvalid)?)
        }
        None if port.is_empty() => None,
        _ => return Err(UriError::PortInvalid),
    };
    if host.is_empty() { Err(UriError::HostMissing) } else { Ok((host, port)) }
}

/// Checks the characters of a host, which may be outside ASCII, and its brackets.
fn check_host(host: &str, position: usize) -> Result<(), UriError> {
    if host.starts_with('[') {
        let reference = ["//", host].concat();
        return UriRef::parse(reference.as_str()).map(drop).map_err(|_| UriError::AddressInvalid);
    }
    let allowed =
        |character: char| !character.is_ascii() && !character.is_control() || RegName::TABLE.allows(character);
    match find_invalid(host, allowed) {
        Some((offset, character)) => Err(UriError::CharacterInvalid { character, position: position + offset }),
        None => Ok(()),
    }
}

/// Returns the resource name (RFC 6455 section 3): the path, or "/" if it is empty, and "?" with the query, if any.
fn parse_resource(resource: &str, position: usize) -> Result<String, UriError> {
    // "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used"
    match find_invalid(resource, |character| Query::TABLE.allows(character)) {
        Some((_, '#')) => return Err(UriError::Fragment),
        Some((offset, character)) => {
            return Err(UriError::CharacterNotEncoded { character, position: position + offset });
        }
        None => {}
    }
    let slash = if resource.starts_with('/') { "" } else { "/" };
    Ok([slash, resource].concat())
}

/// Finds the first character that is neither allowed nor percent-encoded, and its offset in bytes.
fn find_invalid(text: &str, allowed: impl Fn(char) -> bool) -> Option<(usize, char)> {
    text.char_indices().find(|&(offset, character)| {
        if character != '%' {
            return !allowed(character);
        }
        let digits = text.as_bytes().get(offset + 1..offset + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

impl FromStr for WsUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse_with(text, |host| Err(UriError::HostNotAscii(host.into())))
    }
}

impl TryFrom<&str> for WsUri {
    type Error = UriError;

    fn try_from(uri: &str) -> Result<Self, UriError> {
        uri.parse()
    }
}

/// The URI with its host in lower case, without the scheme's default port, and with a path.
impl fmt::Display for WsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.resource)
    }
}

/// Why text is not a ws or wss URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum UriError {
    /// RFC 3986 section 3.2.2: the IPv6 address is malformed, or has no brackets.
    #[error("the IPv6 address is malformed: write it in brackets, such as ws://[2001:db8::1]:8080/")]
    AddressInvalid,
    /// This character must not occur in a scheme, host or port.
    #[error("the URI has {} at byte offset {position}, before its path: remove it", Character(*character))]
    CharacterInvalid {
        /// The character.
        character: char,
        /// The position of the character in the URI, in bytes.
        position: usize,
    },
    /// RFC 3986: this character must be percent-encoded in a path or query.
    #[error("the URI has {} at byte offset {position}{}: write {}", Character(*character), reason(*character),
        PercentEncoded(*character))]
    CharacterNotEncoded {
        /// The character.
        character: char,
        /// The position of the character in the URI, in bytes.
        position: usize,
    },
    /// RFC 6455 section 3: fragment identifiers must not be used. Write `%23` if `#` is meant.
    #[error("a WebSocket URI must not have a fragment: write %23 if # is meant")]
    Fragment,
    /// The host cannot be converted to ASCII (UTS 46).
    #[error("the host is not a domain name: check its characters")]
    HostInvalid,
    /// RFC 6455 section 3: a host is required.
    #[error("the URI names no host: write it behind the slashes, such as ws://example.com/")]
    HostMissing,
    /// This host is not ASCII. The adapters convert it with the feature `idna`.
    #[error("the host {0:?} is not ASCII: write its ASCII form, which begins with xn--, or enable the feature `idna`")]
    HostNotAscii(Box<str>),
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    PortInvalid,
    /// RFC 6455 section 3: the scheme is ws instead of http.
    #[error("the scheme is http: write ws instead")]
    SchemeHttp,
    /// RFC 6455 section 3: the scheme is wss instead of https.
    #[error("the scheme is https: write wss instead")]
    SchemeHttps,
    /// There is no scheme.
    #[error("the scheme is missing: write ws:// or wss:// in front, such as ws://example.com/chat")]
    SchemeMissing,
    /// RFC 6455 section 3: the scheme is ws or wss.
    #[error("the scheme is neither ws nor wss")]
    SchemeUnknown,
    /// RFC 6455 section 3: the URI must not have user information. Send credentials in a header field.
    #[error("a WebSocket URI must not have user information: send credentials in a header field")]
    UserInfo,
}

/// Displays a character in quotation marks, escaped if it is not printable.
struct Character(char);

impl fmt::Display for Character {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 4];
        write!(f, "{:?}", self.0.encode_utf8(&mut buffer))
    }
}

/// Displays the bytes of a character in UTF-8 as RFC 3986 section 2.1 writes them.
struct PercentEncoded(char);

impl fmt::Display for PercentEncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 4];
        self.0.encode_utf8(&mut buffer).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))
    }
}

/// Returns the fault of a percent sign that encodes nothing.
fn reason(character: char) -> &'static str {
    if character == '%' { " without two hexadecimal digits behind it" } else { "" }
}

/// A host and an optional port, as in `Host` and `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// Includes the brackets of an IP literal. Not empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses `host [":" port]` (RFC 9112 section 3.2). Refuses user information, and commas, which RFC 3986 permits in
    /// a name: a list of hosts is not a host.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        Self::parse_unreserved(text).or_else(|| Self::parse_any(text))
    }

    /// Parses the usual case, which is a host of unreserved characters (RFC 3986 section 2.3) and an optional port.
    fn parse_unreserved(text: &'a str) -> Option<Self> {
        let is_unreserved = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
        };
        let size = text.bytes().position(|byte| !is_unreserved(byte)).unwrap_or(text.len());
        let (host, rest) = text.split_at_checked(size)?;
        let port = match rest.strip_prefix(':') {
            Some(port) if port.starts_with(|first: char| first.is_ascii_digit()) => Some(port.parse().ok()?),
            _ if rest.is_empty() => None,
            _ => return None,
        };
        (!host.is_empty()).then_some(Self { host, port })
    }

    /// Parses any other host, with the help of a parser for URIs.
    fn parse_any(text: &'a str) -> Option<Self> {
        if text.contains(['/', '?', '#', '@', ',']) {
            return None;
        }
        let reference = ["//", text].concat();
        let reference = UriRef::parse(reference.as_str()).ok()?;
        let authority = reference.authority()?;
        let host = text.get(..authority.host().len())?;
        let port = authority.port_to_u16().ok()?;
        (!host.is_empty()).then_some(Self { host, port })
    }
}
