//! Requests as a client sends them and a server reads them (RFC 6455 sections 4.1 and 4.2.1); see also `refusals`.

use std::collections::BTreeSet;

use fluent_uri::UriRef;
use proptest::prelude::*;
use sansocket::{ClientRequest, Config, Event, HandshakeError, RequestError, RequestTemplate, WebSocket, WsUri};

use crate::support::{
    NOW, Outcome, Scripted, client, client_request, drive, in_all_splits, output, receive, request, request_with,
    served, server,
};

/// Conformance 2, 4, 6: the request line and `Host` (section 4.1).
#[test]
fn sent() {
    let request = "wss://[::1]:8443?room=1".parse::<ClientRequest>().unwrap();
    let sent = String::from_utf8(output(&mut client(request.header("Cookie", "a=b; c=d")))).unwrap();
    assert_eq!(
        sent,
        "GET /?room=1 HTTP/1.1\r\nHost: [::1]:8443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: a=b; c=d\r\n\r\n"
    );
}

/// A request returns its URI, which an adapter needs to connect.
#[test]
fn a_request_names_its_resource() {
    let uri: WsUri = "wss://example.com:8443/chat?room=1".parse().unwrap();
    let request = ClientRequest::from(uri.clone());
    assert_eq!(request.uri(), &uri);
    let sent = output(&mut client(request));
    assert!(sent.starts_with(b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com:8443\r\n"));
}

/// A client may send another `Host` than that of its URI, if it is a host (RFC 9112 section 3.2).
#[test]
fn a_request_may_set_its_host() {
    let request = client_request().host("other.example:8080");
    let (_, authority) = request.connect_fields().unwrap().nth(3).unwrap();
    assert_eq!(authority, "other.example:8080");
    let sent = String::from_utf8(output(&mut client(request))).unwrap();
    assert!(sent.contains("\r\nHost: other.example:8080\r\n") && sent.matches("Host:").count() == 1, "{sent}");
    for host in ["", "a b", "a\r\nX: y", "u@a", "a:b"] {
        assert_eq!(client_request().host(host).check(), Err(RequestError::HostInvalid(host.into())));
    }
}

/// `headers` returns the header fields of a template, and `without_headers` removes some of them by name.
#[test]
fn a_template_loses_unwanted_fields() {
    let template = RequestTemplate::new().protocol("chat").header("Authorization", "a").header("X-A", "1");
    let template = template.header("x-a", "2").without_headers(|name| name.eq_ignore_ascii_case("authorization"));
    assert_eq!(template.headers().collect::<Vec<_>>(), [("X-A", "1"), ("x-a", "2")]);
    assert_eq!(template, RequestTemplate::new().protocol("chat").header("X-A", "1").header("x-a", "2"));
}

/// A server accepts the request of a client.
#[test]
fn sent_and_accepted() {
    let request = client_request().protocol("chat").origin("http://a").origin("http://server.example.com");
    let outcome = served(output(&mut client(request)));
    assert_eq!((outcome.status(), outcome.request().origin()), (101, Some("http://server.example.com")));
}

/// Conformance 10: the key is made of bytes of the generator alone (section 4.1 item 7).
#[test]
fn keys() {
    let key = |seed: u8| {
        let rng = Scripted::new(&[seed; 16]);
        let mut client = WebSocket::client(client_request(), Config::default(), rng, NOW).unwrap();
        served(output(&mut client)).request().headers().get("Sec-WebSocket-Key").unwrap().to_owned()
    };
    assert_eq!((0..20).map(key).collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(key(7), key(7));
}

/// Conformance 13; CVE-2026-61666: an invalid `Host` is answered with 400, and causes no panic (RFC 9112 section 3.2).
#[test]
fn hosts() {
    for host in [
        "", ":80", "a b", "a,b", "a/b", "a?b", "a#b", "u@a", "[::1", "::1", "[::1]x", "a:x", "a:65536", "a:b:c", "%",
        "\u{e9}", "a\\b",
    ] {
        let outcome = served(request_with("Host", Some(host), ""));
        assert_eq!(*outcome.handshake_error(), HandshakeError::HostInvalid, "{host:?}");
        assert_eq!(outcome.status(), 400, "{host:?}");
    }
    for host in ["a", "a:", "a:80", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b.c-d", "%41"] {
        let outcome = served(request_with("Host", Some(host), ""));
        assert_eq!(outcome.request().host(), host);
    }
}

proptest! {
    /// Every host and port of RFC 3986 passes, except user information, commas and ports out of range.
    #[test]
    fn hosts_of_rfc3986(host in r"([a-z0-9._~-]{0,4}|[%4:+,@\[\]]){0,3}(:[0-9+]{0,6})?") {
        let reference = format!("//{host}");
        let authority = UriRef::parse(reference.as_str()).ok().and_then(|reference| reference.authority());
        let is_valid = authority.is_some_and(|authority| !authority.host().is_empty() && authority.port_to_u16().is_ok());
        let outcome = drive(server(), request_with("Host", Some(&host), "").as_bytes(), &[]);
        prop_assert_eq!(outcome.status() == 101, is_valid && !host.contains(['@', ',']), "{}", host);
    }
}

/// RFC 9112 section 3.2.2: the host of a target in absolute-form replaces `Host`.
#[test]
fn host_of_the_target() {
    let outcome = served(request().replace("GET /chat", "GET HTTP://Other.example:81/chat?a=b"));
    let request = outcome.request();
    assert_eq!((request.host(), request.path(), request.query()), ("Other.example:81", "/chat", Some("a=b")));
    assert_eq!(request.target(), "HTTP://Other.example:81/chat?a=b");
    for target in
        ["http://", "http:///chat", "http://u@a/", "http://a:x/", "http:/chat", "https:chat", "/a#b", "ftp://a/"]
    {
        let outcome = served(super::support::request().replace("/chat", target));
        assert_eq!(*outcome.handshake_error(), HandshakeError::TargetInvalid, "{target}");
    }
}

/// Browsers do not encode all characters that RFC 3986 wants encoded.
#[test]
fn targets_of_browsers() {
    let outcome = served(request().replace("/chat", "/a|b[0]?x={\"y\"}^`&z=%zz?"));
    assert_eq!(outcome.request().path(), "/a|b[0]");
    assert_eq!(outcome.request().query(), Some("x={\"y\"}^`&z=%zz?"));
}

/// CVE-2026-59898, CVE-2026-54463, CVE-2026-54466: there is one version, and older drafts do not bypass the checks.
#[test]
fn drafts() {
    for version in ["0", "7", "8", "13.0", "+13", "13 13"] {
        let outcome = served(request_with("Sec-WebSocket-Version", Some(version), ""));
        assert_eq!(*outcome.handshake_error(), HandshakeError::VersionUnsupported, "{version}");
        assert!(outcome.has_list_element("Sec-WebSocket-Version", "13"));
    }
    let hixie76 = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: http://a\r\n\
                   Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U";
    assert_eq!(served(hixie76).status(), 426);
}

/// Conformance 7, 8: the lines of a field count together, in any order (RFC 9110 section 5.3).
#[test]
fn fields_of_several_lines() {
    for (name, one, other, error) in [
        ("Upgrade", "websocket", "h2c", None),
        ("Connection", "Upgrade", "keep-alive", None),
        ("Content-Length", "0", "00", None),
        ("Content-Length", "0", "1", Some(HandshakeError::BodyUnexpected)),
    ] {
        for (first, second) in [(one, other), (other, one)] {
            let outcome = served(request_with(name, None, &format!("{name}: {first}\r\n{name}: {second}\r\n")));
            assert_eq!(outcome.error, error.clone().map(Into::into), "{name}: {first}, {second}");
            assert_eq!(outcome.status(), if error.is_some() { 400 } else { 101 }, "{name}: {first}, {second}");
        }
    }
}

/// RFC 9112 section 2.2: a line ends in CR LF. Attackers exploit a proxy and a server that disagree about it.
#[test]
fn bare_line_feeds() {
    for bytes in [
        request().replace("\r\n", "\n"),
        request().replacen("\r\n", "\n", 1),
        request_with("", None, "X: a\n"),
        format!("\n{}", request()),
        format!("\n\r\n{}", request()),
    ] {
        assert_eq!(*served(bytes).handshake_error(), HandshakeError::RequestMalformed);
    }
}

/// A client that speaks TLS on a port for ws is refused at its first byte.
#[test]
fn not_http() {
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\x16", b"\0", b" GET", b"\r\n\x16", b"\xff"] {
        let outcome = served(bytes);
        assert_eq!(*outcome.handshake_error(), HandshakeError::RequestNotHttp, "{bytes:?}");
        assert_eq!(outcome.status(), 400);
    }
    // the preface of HTTP/2 (RFC 9113 section 3.4)
    assert_eq!(served("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status(), 505);
}

/// Fields that a request must not repeat: cookies are joined (RFC 6265 section 5.4), `Origin` (RFC 6454 section
/// 7.3) and credentials are replaced. Other fields are sent as they were added.
#[test]
fn fields_that_are_added_twice() {
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[("Cookie", "a=1"), ("Cookie", "b=2")], "Cookie: a=1; b=2\r\n"),
        (
            &[("cookie", "a=1"), ("X-A", "1"), ("COOKIE", "b=2; c=3"), ("Cookie", "d")],
            "cookie: a=1; b=2; c=3; d\r\nX-A: 1\r\n",
        ),
        (&[("Authorization", "Basic YQ=="), ("Authorization", "Bearer b")], "Authorization: Bearer b\r\n"),
        (&[("authorization", "a"), ("X-A", "1"), ("AUTHORIZATION", "b")], "X-A: 1\r\nAUTHORIZATION: b\r\n"),
        (&[("Proxy-Authorization", "a"), ("proxy-authorization", "b")], "proxy-authorization: b\r\n"),
        (&[("Authorization", "a"), ("Proxy-Authorization", "b")], "Authorization: a\r\nProxy-Authorization: b\r\n"),
        (&[("Origin", "http://a"), ("Origin", "http://b")], "Origin: http://b\r\n"),
        (&[("origin", "http://a"), ("Origin", "http://b")], "Origin: http://b\r\n"),
        (&[("X-A", "1"), ("X-A", "2"), ("x-a", "2")], "X-A: 1\r\nX-A: 2\r\nx-a: 2\r\n"),
        (&[("Set-Cookie", "a"), ("Set-Cookie", "b")], "Set-Cookie: a\r\nSet-Cookie: b\r\n"),
        (&[("Cookie", "a=1")], "Cookie: a=1\r\n"),
        (&[], ""),
    ];
    for (fields, expected) in cases {
        let add = |request: ClientRequest, (name, value): &(&str, &str)| request.header(*name, *value);
        let sent = String::from_utf8(output(&mut client(fields.iter().fold(client_request(), add)))).unwrap();
        let (_, added) = sent.split_once("Sec-WebSocket-Version: 13\r\n").unwrap();
        assert_eq!(added, format!("{expected}\r\n"), "{fields:?}");
        // a template for several requests does the same
        let add = |template: RequestTemplate, (name, value): &(&str, &str)| template.header(*name, *value);
        let template = fields.iter().fold(RequestTemplate::new(), add);
        let request = ClientRequest::from_template(client_request().uri().clone(), template);
        assert_eq!(String::from_utf8(output(&mut client(request))).unwrap(), sent);
    }
    for request in [
        client_request().header("Origin", "http://a").origin("http://b"),
        client_request().origin("http://a").header("Origin", "http://b"),
    ] {
        let sent = String::from_utf8(output(&mut client(request))).unwrap();
        assert!(sent.ends_with("\r\nSec-WebSocket-Version: 13\r\nOrigin: http://b\r\n\r\n"), "{sent}");
    }
}

/// The response to HEAD has no body (RFC 9110 section 9.3.2), even if the rest of the request is malformed or missing.
#[test]
fn refusals_of_head() {
    let body = |outcome: &Outcome| outcome.output.len() - outcome.head().len() - 4;
    for (rest, status) in [
        (" / HTTP/2.0\r\n\r\n", 505),
        (" / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", 400),
        (" * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (" / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        (" / HTTP/1.1\nHost: a\n\n", 400),
        (&format!(" / HTTP/1.1\r\nX: {}", "y".repeat(17_000)), 431),
        (&format!(" /{}", "y".repeat(17_000)), 431),
        (&format!(" / HTTP/1.1\r\n{}", "X: y\r\n".repeat(101)), 431),
    ] {
        for (method, has_body) in [("HEAD", false), ("\r\nHEAD", false), ("GET", true), ("HEADS", true), ("head", true)]
        {
            let outcome = served(format!("{method}{rest}"));
            assert_eq!(outcome.status(), status, "{method}{rest}");
            assert_ne!(outcome.header("Content-Length").as_deref(), Some("0"), "{method}{rest}");
            assert_eq!(body(&outcome) > 0, has_body, "{method}{rest}");
        }
    }
    for limit in 0..10 {
        let mut config = Config::default();
        config.max_head_size = limit;
        let outcome = in_all_splits(b"HEAD / HTTP/1.1\r\n", || WebSocket::server(config.clone(), NOW));
        assert_eq!((outcome.status(), body(&outcome) > 0), (431, limit < 5), "{limit}");
    }
    let mut late = server();
    receive(&mut late, b"HEAD / HT").unwrap();
    assert!(late.handle_timeout(NOW + Config::default().opening_timeout).is_err());
    let answer = output(&mut late);
    assert!(answer.starts_with(b"HTTP/1.1 408 ") && answer.ends_with(b"\r\n\r\n"));
}

/// The application can read all header fields, in order, with any bytes.
#[test]
fn headers() {
    let bytes = request_with("", None, "X-A: 1\r\nx-a: \t2 \r\nX-B:\r\nX-C: caf\u{e9}\r\n").into_bytes();
    let latin = String::from_utf8_lossy(&bytes).replace("caf\u{e9}", "caf?");
    let latin: Vec<u8> = latin.bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    for bytes in [bytes, latin] {
        let outcome = served(bytes);
        let headers = outcome.request().headers();
        assert_eq!(headers.get_all("X-A").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((headers.get("x-b"), headers.get("x-c"), headers.get("x-d")), (Some(""), Some("caf\u{e9}"), None));
        assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>()[5..], ["X-A", "x-a", "X-B", "X-C"]);
        assert_eq!((headers.len(), headers.is_empty()), (9, false));
        let printed = format!("{headers:?}");
        assert!(printed.starts_with("[(\"Host\", \"server.example.com\"), "), "{printed}");
        let printed = format!("{:?}", outcome.request());
        assert!(
            printed.starts_with("Request { method: \"GET\", target: \"/chat\", version: Http11, headers: [(\"Host\", "),
            "{printed}"
        );
    }
}

/// Requests are equal if their contents are, without regard to blanks around values.
#[test]
fn equality() {
    let request = |added: &str| served(request_with("", None, added)).request().clone();
    assert_eq!(request("X-A: 1\r\nX-B: 2\r\n"), request("X-A:1  \r\nX-B:\t2\r\n"));
    for other in ["", "X-A: 1\r\n", "X-A: 1\r\nX-B: 3\r\n", "X-A: 1\r\nx-b: 2\r\n", "X-B: 2\r\nX-A: 1\r\n"] {
        assert_ne!(request("X-A: 1\r\nX-B: 2\r\n"), request(other));
    }
    let get = |line| served(super::support::request().replace("GET /chat", line)).request().clone();
    assert_eq!(get("GET /chat"), request(""));
    assert_ne!(get("GET /other"), request(""));
    let plain = |method: &str| served(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).request().clone();
    assert_ne!(plain("GET"), plain("PUT"));
}

/// The application answers plain requests (RFC 9110 section 15.5.22), with any method.
#[test]
fn plain_requests() {
    for method in ["GET", "POST", "HEAD"] {
        let outcome = served(format!("{method} /health?x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n!"));
        assert!(matches!(outcome.events[..], [Event::HttpRequest(_)]));
        assert_eq!((outcome.request().method(), outcome.request().path()), (method, "/health"));
        assert_eq!(outcome.status(), 426);
    }
}
