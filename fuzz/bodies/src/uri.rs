//! `uri`: a text is a ws or wss URI (RFC 6455 section 3) exactly if an independent parser for RFC 3986 accepts it. A
//! printed URI is parsed as the same URI.

use sansocket::{UriError, WsUri};

use crate::http;

/// The characters of a path besides letters, digits and percent encoding. A query allows `?` too.
const PATH: &[u8] = b"-._~!$&'()*+,;=:@/";
const QUERY: &[u8] = b"-._~!$&'()*+,;=:@/?";

/// Input: the text of a URI.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed: Result<WsUri, UriError> = text.parse();
    assert_eq!(parsed.clone().ok().map(Parts::from), parts(text), "{parsed:?} from {text:?}");
    let Ok(uri) = parsed else { return };
    let printed = uri.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&uri), "{text:?} printed as {printed:?}");
    assert_eq!(printed.parse::<WsUri>().map(|again| again.to_string()).as_ref(), Ok(&printed));
    assert!(!uri.host_header().contains(['@', ' ', '/', '\r', '\n']), "{uri:?}");
    assert!(uri.resource_name().starts_with('/') && !uri.resource_name().contains(['#', ' ', '\r', '\n']), "{uri:?}");
}

/// The parts of a URI.
#[derive(Debug, PartialEq)]
struct Parts {
    is_secure: bool,
    host: String,
    port: u16,
    resource: String,
}

impl From<WsUri> for Parts {
    fn from(uri: WsUri) -> Self {
        Self {
            is_secure: uri.is_secure(),
            host: uri.host().to_owned(),
            port: uri.port(),
            resource: uri.resource_name().to_owned(),
        }
    }
}

fn parts(text: &str) -> Option<Parts> {
    let (scheme, rest) = text.split_once("://")?;
    let is_secure = scheme.eq_ignore_ascii_case("wss");
    (is_secure || scheme.eq_ignore_ascii_case("ws")).then_some(())?;
    let (authority, resource) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = http::authority(authority)?;
    let port = match authority.port.ok()? {
        Some(0) => return None,
        Some(port) => port,
        None if is_secure => 443,
        None => 80,
    };
    let (path, query) = match resource.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (resource, None),
    };
    let is_valid = !authority.host.is_empty()
        && http::is_encoded(path, PATH)
        && query.is_none_or(|query| http::is_encoded(query, QUERY));
    let host = authority.host.trim_matches(['[', ']']).to_ascii_lowercase();
    let slash = if path.is_empty() { "/" } else { "" };
    is_valid.then(|| Parts { is_secure, host, port, resource: format!("{slash}{resource}") })
}
