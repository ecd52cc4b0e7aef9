//! The grammar of extensions (RFC 6455 section 9.1).

use proptest::prelude::*;
use sansocket::{Config, HandshakeError, WebSocket};

use crate::support::{NOW, drive, in_moments, receive, request_with, served, server};

fn offered(value: &str) -> Result<Vec<String>, HandshakeError> {
    let outcome = served(request_with("", None, &format!("Sec-WebSocket-Extensions: {value}\r\n")));
    if outcome.error.is_some() {
        assert_eq!(outcome.status(), 400);
        return Err(outcome.handshake_error().clone());
    }
    let printed = outcome.request().extensions().map(|extension| {
        let params = extension.params.into_iter().map(|(name, value)| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        });
        extension.name + &params.collect::<String>()
    });
    Ok(printed.collect())
}

/// Conformance 19: OWS around `;` and `=`, quoted values that are tokens.
#[test]
fn grammar() {
    for (value, expected) in [
        ("foo", vec!["foo"]),
        ("foo, bar; baz=2", vec!["foo", "bar;baz=2"]),
        ("foo \t; a = 1 ;b\t,bar", vec!["foo;a=1;b", "bar"]),
        ("foo; a=\"10\"; b=\"x\\y\"", vec!["foo;a=10;b=xy"]),
        ("constructor, __proto__; toString=1", vec!["constructor", "__proto__;toString=1"]),
        (",, foo ,", vec!["foo"]),
        (
            "deflate-stream, mux; max-channels=4; flow-control, foo, foo; a",
            vec!["deflate-stream", "mux;max-channels=4;flow-control", "foo", "foo;a"],
        ),
    ] {
        assert_eq!(offered(value), Ok(expected.into_iter().map(str::to_owned).collect()), "{value}");
    }
}

#[test]
fn malformed() {
    for value in [
        "",
        ",",
        ";",
        "=",
        "foo;",
        "foo;;a",
        "foo; ,",
        "foo bar",
        "foo a=1",
        "foo=1",
        "foo; =1",
        "foo; a=",
        "foo; a=,",
        "foo; a=\"\"",
        "foo; a=\"b c\"",
        "foo; a=\"b,c\"",
        "foo; a=\"b",
        "foo; a=\"b\\",
        "foo; a=\"b\"c",
        "foo; a=b\"c\"",
        "\"foo\"",
        "foo; \"a\"",
        "foo/bar",
        "f\u{e9}",
        "foo; a=\u{e9}",
        "foo; a=\"\u{e9}\"",
        "foo; a=1=2",
    ] {
        assert_eq!(offered(value), Err(HandshakeError::ExtensionsMalformed), "{value}");
    }
}

/// Conformance 14: several lines are one list, but no element spans two lines.
#[test]
fn several_lines() {
    assert_eq!(offered("foo; a\r\nSec-WebSocket-Extensions: bar"), Ok(vec!["foo;a".into(), "bar".into()]));
    let outcome = offered("foo; a=\"b\r\nSec-WebSocket-Extensions: c\"");
    assert_eq!(outcome, Err(HandshakeError::ExtensionsMalformed));
}

/// CVE-2020-7662, CVE-2020-7663: the work for an unclosed quote is linear in its length.
#[test]
fn quotes_not_closed() {
    in_moments(|| {
        for value in
            [format!("a; b=\"{}", "\\c".repeat(1 << 19)), "a; b=\"c\", ".repeat(1 << 15) + "\"", ";a".repeat(1 << 19)]
        {
            let mut config = Config::default();
            config.max_head_size = 1 << 22;
            let mut server = WebSocket::server(config, NOW);
            let bytes = request_with("", None, &format!("Sec-WebSocket-Extensions: {value}\r\n"));
            assert_eq!(receive(&mut server, bytes.as_bytes()), Err(HandshakeError::ExtensionsMalformed.into()));
        }
    });
}

proptest! {
    /// GHSA-5v72-xg48-5rpm: any list is parsed or refused, without a panic.
    #[test]
    fn no_panic(value in r#"([a-z]{0,3}|[;,="\\ \t]|permessage-deflate|constructor|é){0,12}"#) {
        let outcome = drive(server(), request_with("", None, &format!("Sec-WebSocket-Extensions: {value}\r\n")).as_bytes(), &[]);
        prop_assert!(matches!(outcome.status(), 101 | 400));
        if outcome.status() == 101 {
            prop_assert!(outcome.request().extensions().count() > 0);
        }
    }
}
