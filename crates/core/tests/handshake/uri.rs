//! ws and wss URIs (RFC 6455 section 3).

use proptest::prelude::*;
use sansocket::{ClientRequest, UriError, WsUri};

fn uri(text: &str) -> WsUri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Conformance 2: default ports; `Host` carries the port only when it is not the default of the scheme (sections 3 and
/// 4.1).
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

/// Conformance 3: brackets in `Host`, none in the host to connect to.
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

/// Conformance 1: a fragment is an error. Conformance 4: user information must not enter `Host`. Conformance 23:
/// no character may end a line (CVE-2026-1527). Each error says what to write.
#[test]
fn errors() {
    let fragment = "a WebSocket URI must not have a fragment: write %23 if # is meant";
    let user_info = "a WebSocket URI must not have user information: send credentials in a header field";
    let missing = "the scheme is missing: write ws:// or wss:// in front, such as ws://example.com/chat";
    let host = "the URI names no host: write it behind the slashes, such as ws://example.com/";
    let port = "the port is not a number from 1 to 65535";
    let address = "the IPv6 address is malformed: write it in brackets, such as ws://[2001:db8::1]:8080/";
    for (text, message) in [
        ("ws://example.com/#", fragment),
        ("ws://example.com/chat#room", fragment),
        ("ws://example.com#room", fragment),
        ("ws://user:secret@example.com/", user_info),
        ("ws://user:se|cret@example.com/", user_info),
        ("ws://@example.com/", user_info),
        ("http://example.com/", "the scheme is http: write ws instead"),
        ("HTTPS://example.com/", "the scheme is https: write wss instead"),
        ("w://example.com/", "the scheme is neither ws nor wss"),
        ("example.com/chat", missing),
        ("example.com:80/chat", missing),
        ("localhost:9001", missing),
        ("//example.com/", missing),
        ("://example.com/", missing),
        ("/chat", missing),
        ("/chat?to=ws://example.com", missing),
        ("", missing),
        ("ws:/chat", host),
        ("ws:example.com", host),
        ("ws:\\\\example.com", host),
        ("ws://", host),
        ("ws:///chat", host),
        ("ws://:80/", host),
        ("ws://example.com:0/", port),
        ("ws://example.com:65536/", port),
        ("ws://example.com:99999999999999999999/", port),
        ("ws://example.com:http/", port),
        ("ws://example.com:+1/", port),
        ("ws://example.com:80:90/", port),
        ("ws://[::1]80/", port),
        ("ws://[::1/", address),
        ("ws://[1]/", address),
        ("ws://[::1|]/", address),
        ("ws://2001:db8::1/", address),
        ("ws://::1/", address),
        (" ws://example.com/", "the URI has \" \" at byte offset 0, before its path: remove it"),
        ("\u{feff}ws://example.com/", "the URI has \"\\u{feff}\" at byte offset 0, before its path: remove it"),
        ("ws://exam ple.com/", "the URI has \" \" at byte offset 9, before its path: remove it"),
        ("ws://ex|ample.com/", "the URI has \"|\" at byte offset 7, before its path: remove it"),
        ("ws://ex%ample.com/", "the URI has \"%\" at byte offset 7, before its path: remove it"),
        ("ws://example.com\r\nX: 1/", port),
        ("ws://example.com\r\nX/", "the URI has \"\\r\" at byte offset 16, before its path: remove it"),
        (
            "ws://b\u{fc}cher.example/",
            "the host \"b\u{fc}cher.example\" is not ASCII: write its ASCII form, which begins with xn--, or \
             enable the feature `idna`",
        ),
        ("ws://b\u{fc}cher.example/a|b", "the URI has \"|\" at byte offset 22: write %7C"),
    ] {
        let error = text.parse::<WsUri>().unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
        assert_eq!(WsUri::try_from(text), Err(error.clone()), "{text:?}");
        assert_eq!(ClientRequest::try_from(text).unwrap_err(), error, "{text:?}");
    }
}

/// The error names a character that must be percent-encoded, its position and its encoded form.
#[test]
fn characters_that_are_not_encoded() {
    for (character, shown, encoded) in [
        ('|', "\"|\"", "%7C"),
        ('[', "\"[\"", "%5B"),
        (']', "\"]\"", "%5D"),
        ('{', "\"{\"", "%7B"),
        ('}', "\"}\"", "%7D"),
        ('"', r#""\"""#, "%22"),
        ('\\', r#""\\""#, "%5C"),
        ('^', "\"^\"", "%5E"),
        ('`', "\"`\"", "%60"),
        ('<', "\"<\"", "%3C"),
        ('>', "\">\"", "%3E"),
        (' ', "\" \"", "%20"),
        ('%', "\"%\"", "%25"),
        ('\t', r#""\t""#, "%09"),
        ('\r', r#""\r""#, "%0D"),
        ('\n', r#""\n""#, "%0A"),
        ('\0', r#""\0""#, "%00"),
        ('\u{7f}', r#""\u{7f}""#, "%7F"),
        ('\u{e9}', "\"\u{e9}\"", "%C3%A9"),
        ('\u{20ac}', "\"\u{20ac}\"", "%E2%82%AC"),
        ('\u{1f600}', "\"\u{1f600}\"", "%F0%9F%98%80"),
        ('\u{202e}', r#""\u{202e}""#, "%E2%80%AE"),
    ] {
        let reason = if character == '%' { " without two hexadecimal digits behind it" } else { "" };
        for (before, behind) in
            [("ws://example.com/chat/", ""), ("ws://example.com/chat?room=", "g#a"), ("wss://[::1]:80/%41", "/|")]
        {
            let text = format!("{before}{character}{behind}");
            let error = text.parse::<WsUri>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the URI has {shown} at byte offset {}{reason}: write {encoded}", before.len()),
                "{text:?}"
            );
            assert_eq!(error, UriError::CharacterNotEncoded { character, position: before.len() });
            let uri: WsUri = format!("{before}{encoded}").parse().unwrap();
            assert!(uri.resource_name().ends_with(encoded), "{uri}");
        }
    }
}

/// An adapter converts hosts outside ASCII. The result enters `Host` only if it is a host.
#[test]
fn converted_hosts() {
    let convert = |text, to: &str| WsUri::parse_with(text, |host| Ok(format!("{to}{}", host.len())));
    let uri = convert("ws://b\u{fc}cher.example:8080/chat", "XN--").unwrap();
    assert_eq!((uri.host(), uri.port(), uri.resource_name()), ("xn--15", 8080, "/chat"));
    assert_eq!(convert("ws://example.com/", "xn--").unwrap().host(), "example.com");
    for malicious in ["a b", "a/", "a@", "a\r\n", "a:", "\u{e9}", "a?", "a#", "[::1]"] {
        assert_eq!(convert("ws://\u{fc}/", malicious), Err(UriError::HostInvalid), "{malicious:?}");
    }
    assert_eq!(WsUri::parse_with("ws://\u{fc}/", |_| Ok(String::new())), Err(UriError::HostInvalid));
    assert_eq!(WsUri::parse_with("ws://\u{fc}/", |_| Ok("[::1]".into())).unwrap().host_header(), "[::1]");
    let refuse = |_: &str| Err(UriError::HostInvalid);
    assert_eq!(WsUri::parse_with("ws://\u{fc}/", refuse), Err(UriError::HostInvalid));
}

proptest! {
    /// The printed form of a URI parses to the same URI, and cannot end a line.
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
