//! ws and wss URIs (RFC 6455 section 3).

use proptest::prelude::*;
use sansocket::{ClientRequest, UriError, WsUri};

fn uri(text: &str) -> WsUri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Conformance 2: default ports; `Host` carries the port only when it is not the default of the scheme (sections 3 and 4.1).
#[test]
fn ports() {
    for (text, port, host) in [
        ("ws://example.com/", 80, "example.com"),
        ("ws://example.com:80/", 80, "example.com"),
        ("ws://example.com:443/", 443, "example.com:443"),
        ("ws://example.com:8080/", 8080, "example.com:8080"),
        ("ws://example.com:/", 80, "example.com"),
        ("wss://example.com/", 443, "example.com"),
        ("wss://example.com:443/", 443, "example.com"),
        ("wss://example.com:80/", 80, "example.com:80"),
        ("WSS://EXAMPLE.com:0080/", 80, "example.com:80"),
    ] {
        let uri = uri(text);
        assert_eq!((uri.port(), uri.host_header().as_str()), (port, host), "{text}");
        assert_eq!(uri.is_secure(), text.to_lowercase().starts_with("wss"), "{text}");
    }
}

/// Conformance 3: brackets in `Host`, none in what is connected to.
#[test]
fn ipv6_literals() {
    let uri = uri("ws://[2001:DB8::1]:8080/chat");
    assert_eq!((uri.host(), uri.port()), ("2001:db8::1", 8080));
    assert_eq!(uri.host_header(), "[2001:db8::1]:8080");
    assert_eq!(uri.to_string(), "ws://[2001:db8::1]:8080/chat");
    assert_eq!("wss://[::1]".parse::<WsUri>().unwrap().host_header(), "[::1]");
}

/// Conformance 4: an empty path becomes `/`, the query is kept (section 3).
#[test]
fn resource_names() {
    for (text, resource) in [
        ("ws://example.com", "/"),
        ("ws://example.com?room=1", "/?room=1"),
        ("ws://example.com/?", "/?"),
        ("ws://example.com/a/b?c=d&e=%23", "/a/b?c=d&e=%23"),
        ("ws://example.com//a", "//a"),
    ] {
        assert_eq!(uri(text).resource_name(), resource, "{text}");
    }
}

/// Conformance 1: a fragment is an error. Conformance 4: user information must not enter `Host`.
#[test]
fn errors() {
    for (text, error) in [
        ("ws://example.com/#", UriError::Fragment),
        ("ws://example.com/chat#room", UriError::Fragment),
        ("ws://user:secret@example.com/", UriError::UserInfo),
        ("ws://@example.com/", UriError::UserInfo),
        ("http://example.com/", UriError::SchemeUnknown),
        ("w://example.com/", UriError::SchemeUnknown),
        ("ws:/chat", UriError::HostMissing),
        ("ws:example.com", UriError::HostMissing),
        ("ws:///chat", UriError::HostMissing),
        ("ws://:80/", UriError::HostMissing),
        ("ws://example.com:0/", UriError::PortInvalid),
        ("ws://example.com:65536/", UriError::PortInvalid),
        ("ws://example.com:99999999999999999999/", UriError::PortInvalid),
        ("ws://example.com:http/", UriError::Malformed),
        ("ws://[::1/", UriError::Malformed),
        ("ws://exam ple.com/", UriError::Malformed),
        ("ws://example.com/caf\u{e9}", UriError::Malformed),
        ("//example.com/", UriError::Malformed),
        ("/chat", UriError::Malformed),
        ("", UriError::Malformed),
        // list 23: nothing that could end a line (CVE-2026-1527)
        ("ws://example.com/\r\nX-Injected: 1", UriError::Malformed),
        ("ws://example.com\r\nX-Injected: 1/", UriError::Malformed),
        ("ws://example.com/\0", UriError::Malformed),
    ] {
        assert_eq!(text.parse::<WsUri>(), Err(error), "{text:?}");
        assert_eq!(WsUri::try_from(text), Err(error), "{text:?}");
        assert_eq!(ClientRequest::try_from(text).unwrap_err(), error, "{text:?}");
        assert_ne!(error.to_string(), "");
    }
}

proptest! {
    /// Whatever is parsed is printed so that it is parsed again, and holds nothing that could end a line.
    #[test]
    fn printed_and_parsed(text in "(ws|WSS)://[ -~]{0,20}(:[0-9]{0,6})?(/[ -~]{0,20})?") {
        if let Ok(uri) = text.parse::<WsUri>() {
            prop_assert_eq!(uri.to_string().parse::<WsUri>(), Ok(uri.clone()));
            prop_assert!(!uri.host().is_empty() && uri.resource_name().starts_with('/'));
            prop_assert!(!uri.host_header().contains(['@', ' ', '\r', '\n']));
        }
    }

    #[test]
    fn no_panic(text in ".*") {
        let _ = text.parse::<WsUri>();
    }
}
