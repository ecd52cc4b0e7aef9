//! Decisions of a server about requests: as bytes of HTTP/1.1, made from parts, and made from types of the `http`
//! crate.

use sansocket::{
    Accept, AnswerError, Config, Error, Event, HandshakeError, HttpResponse, HttpVersion, Input, Request, WebSocket,
};

use crate::support::{ACCEPT, Fields, KEY, NOW, head, output, replaced, written};

struct Row {
    method: &'static str,
    target: &'static str,
    version: &'static str,
    fields: Fields,
    expected: Expected,
}

enum Expected {
    Opens,
    Plain,
    /// The error, the status line, the fields that only this response has, and the text.
    Refused(HandshakeError, &'static str, &'static str, &'static str),
    /// The origin is forbidden.
    Forbidden,
}

fn usual() -> Fields {
    vec![
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
}

const BAD: &str = "400 Bad Request";

fn rows() -> Vec<Row> {
    use Expected::{Forbidden, Opens, Plain, Refused};
    use HandshakeError::{
        BodyUnexpected, ConnectionWithoutUpgrade, ExtensionsMalformed, HostInvalid, HostMissing, HostRepeated, Http10,
        HttpVersionUnsupported, KeyInvalid, KeyMissing, KeyRepeated, MethodNotGet, OriginRepeated, ProtocolsMalformed,
        ProtocolsRepeated, RequestMalformed, TargetInvalid, VersionRepeated, VersionUnsupported,
    };
    let get = |fields, expected| Row { method: "GET", target: "/chat", version: "HTTP/1.1", fields, expected };
    let with = |name: &str, with: &[_], expected| get(replaced(&usual(), name, with), expected);
    let body_text = "a request for a WebSocket must not have a body";
    let version_text = "the Sec-WebSocket-Version field is not 13";
    let key_text = "the Sec-WebSocket-Key field is not the base64 of 16 bytes";
    let protocols_text = "the Sec-WebSocket-Protocol field is not a list of tokens";
    let http10_text = "a WebSocket needs HTTP/1.1; this request is HTTP/1.0 (a proxy may have lowered the version)";
    let target_text = "the target of the request is neither a path nor an http or https URI";
    let upgrade = "426 Upgrade Required";
    vec![
        get(usual(), Opens),
        Row { target: "https://server.example.com/chat?a=b", ..get(usual(), Opens) },
        with("Connection", &[("connection", "keep-alive, UPGRADE")], Opens),
        with("Origin", &[("Origin", "http://server.example.com")], Opens),
        with("Origin", &[("Origin", "https://evil.example")], Forbidden),
        with("Upgrade", &[], Plain),
        with("Upgrade", &[("Upgrade", "h2c")], Plain),
        Row { method: "POST", ..get(vec![("Host", "a")], Plain) },
        Row { version: "HTTP/1.0", target: "/healthz", ..get(vec![], Plain) },
        Row { method: "OPTIONS", target: "*", ..get(vec![("Host", "a")], Plain) },
        Row { target: "*", ..get(usual(), Refused(TargetInvalid, BAD, "", target_text)) },
        Row { target: "ftp://a/", ..get(usual(), Refused(TargetInvalid, BAD, "", target_text)) },
        Row { version: "HTTP/1.0", ..get(usual(), Refused(Http10, BAD, "", http10_text)) },
        Row {
            version: "HTTP/0.9",
            ..get(
                usual(),
                Refused(
                    HttpVersionUnsupported,
                    "505 HTTP Version Not Supported",
                    "",
                    "the major version of HTTP is not 1",
                ),
            )
        },
        Row {
            method: "POST",
            ..get(usual(), Refused(MethodNotGet, "405 Method Not Allowed", "Allow: GET\r\n", "the method is not GET"))
        },
        with("Host", &[], Refused(HostMissing, BAD, "", "the Host field is missing")),
        with("", &[("Host", "b")], Refused(HostRepeated, BAD, "", "there is more than one Host field")),
        with("Host", &[("Host", "a/b")], Refused(HostInvalid, BAD, "", "the Host field does not name a host")),
        with(
            "Connection",
            &[("Connection", "close")],
            Refused(ConnectionWithoutUpgrade, BAD, "", "the Connection field does not list Upgrade"),
        ),
        with("", &[("Content-Length", "1")], Refused(BodyUnexpected, BAD, "", body_text)),
        with("", &[("Transfer-Encoding", "chunked")], Refused(BodyUnexpected, BAD, "", body_text)),
        with("Sec-WebSocket-Version", &[], Refused(VersionUnsupported, upgrade, "", version_text)),
        with(
            "Sec-WebSocket-Version",
            &[("Sec-WebSocket-Version", "8")],
            Refused(VersionUnsupported, upgrade, "", version_text),
        ),
        with(
            "",
            &[("Sec-WebSocket-Version", "13")],
            Refused(VersionRepeated, BAD, "", "there is more than one Sec-WebSocket-Version field"),
        ),
        with("Sec-WebSocket-Key", &[], Refused(KeyMissing, BAD, "", "the Sec-WebSocket-Key field is missing")),
        with("Sec-WebSocket-Key", &[("Sec-WebSocket-Key", "AAAA")], Refused(KeyInvalid, BAD, "", key_text)),
        with(
            "",
            &[("Sec-WebSocket-Key", KEY)],
            Refused(KeyRepeated, BAD, "", "there is more than one Sec-WebSocket-Key field"),
        ),
        with(
            "",
            &[("Origin", "http://a"), ("Origin", "http://a")],
            Refused(OriginRepeated, BAD, "", "there is more than one Origin field"),
        ),
        with("", &[("Sec-WebSocket-Protocol", "")], Refused(ProtocolsMalformed, BAD, "", protocols_text)),
        with("", &[("Sec-WebSocket-Protocol", "a b")], Refused(ProtocolsMalformed, BAD, "", protocols_text)),
        with(
            "",
            &[("Sec-WebSocket-Protocol", "a, b"), ("Sec-WebSocket-Protocol", "a")],
            Refused(ProtocolsRepeated, BAD, "", "the Sec-WebSocket-Protocol field repeats a subprotocol"),
        ),
        with(
            "",
            &[("Sec-WebSocket-Extensions", ";")],
            Refused(ExtensionsMalformed, BAD, "", "the Sec-WebSocket-Extensions field is malformed"),
        ),
        with("", &[("X Y", "z")], Refused(RequestMalformed, BAD, "", "the request is malformed")),
        with("", &[("X", "a\0b")], Refused(RequestMalformed, BAD, "", "the request is malformed")),
        Row { method: "G(T", ..get(usual(), Refused(RequestMalformed, BAD, "", "the request is malformed")) },
    ]
}

/// Returns the response of an application that accepts with a cookie, and answers plain requests with 204.
fn response(expected: &Expected) -> String {
    let refusal = |status: &str, added: &str, text: &str| {
        let length = text.len() + 1;
        let connection = match status.split_once(' ') {
            Some(("426", _)) => "close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            _ => "close",
        };
        format!(
            "HTTP/1.1 {status}\r\nConnection: {connection}\r\n{added}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{text}\n"
        )
    };
    match expected {
        Expected::Opens => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\nSet-Cookie: seen=1\r\n\r\n"
        ),
        Expected::Plain => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".into(),
        Expected::Forbidden => refusal("403 Forbidden", "", "this origin may not open a connection"),
        Expected::Refused(_, status, added, text) => refusal(status, added, text),
    }
}

fn accept() -> Accept {
    Accept::new().header("Set-Cookie", "seen=1")
}

/// Hands pieces to a server of HTTP/1.1. Returns the error with which it refused, and its output.
fn serve(pieces: Vec<Vec<u8>>) -> (Option<HandshakeError>, String) {
    let mut server = WebSocket::server(Config::default(), NOW);
    let mut refused = None;
    for mut piece in pieces {
        let mut input = Input::new(&mut piece);
        loop {
            match server.receive(&mut input, NOW) {
                Ok(Some(Event::Request(_))) => match server.accept(accept(), NOW) {
                    Ok(()) | Err(AnswerError::OriginForbidden) => {}
                    Err(error) => panic!("{error}"),
                },
                Ok(Some(Event::HttpRequest(_))) => server.respond(HttpResponse::new(204), NOW).unwrap(),
                Ok(Some(Event::Open(_))) => {}
                Ok(Some(event)) => panic!("{event:?}"),
                Ok(None) => break,
                Err(Error::Handshake(error)) => {
                    refused = Some(error);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (refused, String::from_utf8(output(&mut server)).unwrap())
}

/// Returns the same with the negotiation alone.
fn negotiate(request: Result<Request, HandshakeError>) -> (Option<HandshakeError>, String) {
    match request.and_then(|request| request.check()) {
        Err(error) => {
            let response = written(&error.response().unwrap());
            (Some(error), response)
        }
        Ok(None) => (None, written(&HttpResponse::new(204))),
        Ok(Some(handshake)) => match handshake.accept(&accept()) {
            Err(error) => (None, written(&error.response().unwrap())),
            Ok(acceptance) => {
                let fields: String = acceptance.fields().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                assert!(acceptance.agreement().is_empty());
                (None, format!("HTTP/1.1 {} Switching Protocols\r\n{fields}\r\n", acceptance.status()))
            }
        },
    }
}

/// Returns the request as a type of the `http` crate, if that can hold it.
fn http_parts(row: &Row) -> Option<http::request::Parts> {
    let version = match row.version {
        "HTTP/0.9" => http::Version::HTTP_09,
        "HTTP/1.0" => http::Version::HTTP_10,
        _ => http::Version::HTTP_11,
    };
    let mut request = http::Request::builder().method(row.method).uri(row.target).version(version);
    for (name, value) in &row.fields {
        request = request.header(*name, *value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

#[test]
fn all_ways_decide_alike_about_every_request() {
    let mut from_http = 0;
    for row in rows() {
        let bytes = head(&format!("{} {} {}", row.method, row.target, row.version), &row.fields);
        let refused = match &row.expected {
            Expected::Refused(error, ..) => Some(error.clone()),
            _ => None,
        };
        let expected = (refused, response(&row.expected));
        let name = String::from_utf8_lossy(&bytes);
        assert_eq!(serve(vec![bytes.clone()]), expected, "{name}");
        assert_eq!(serve(bytes.iter().map(|&byte| vec![byte]).collect()), expected, "{name}");
        let version = match row.version {
            "HTTP/1.0" => Some(HttpVersion::Http10),
            "HTTP/1.1" => Some(HttpVersion::Http11),
            _ => None,
        };
        if let Some(version) = version {
            let request = Request::from_parts(row.method, row.target, version, row.fields.iter().copied());
            assert_eq!(negotiate(request), expected, "{name}");
        }
        if let Some(parts) = http_parts(&row) {
            assert_eq!(negotiate(Request::try_from(&parts)), expected, "{name}");
            from_http += 1;
        }
    }
    assert!(from_http > 30, "{from_http}");
}

/// A request made from parts equals the parsed request, also if a value is not UTF-8.
#[test]
fn a_request_from_parts_equals_the_parsed_request() {
    for value in [b"caf\xc3\xa9".as_slice(), b" \tcaf\xe9\t ", b""] {
        let mut bytes = b"GET /a?b HTTP/1.1\r\nHost: c\r\nX-Y: ".to_vec();
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut server = WebSocket::server(Config::default(), NOW);
        let Ok(Some(Event::HttpRequest(parsed))) = server.receive(&mut Input::new(&mut bytes), NOW) else { panic!() };
        let fields = [("Host", b"c".as_slice()), ("X-Y", value)];
        let made = Request::from_parts("GET", "/a?b", HttpVersion::Http11, fields).unwrap();
        assert_eq!(made, parsed);
        assert_eq!((made.path(), made.query(), made.host(), made.connect_protocol()), ("/a", Some("b"), "c", None));
        let decoded = if value.is_empty() { "" } else { "caf\u{e9}" };
        assert_eq!(made.headers().get("x-y"), Some(decoded));
    }
    for version in [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2, HttpVersion::Http3] {
        let fields: [(&str, &str); 0] = [];
        let made = Request::from_parts("GET", "/", version, fields).unwrap();
        assert_eq!((made.version(), made.headers().is_empty()), (version, true));
        let printed = format!("{version} {made:?}");
        assert!(printed.starts_with(["HTTP/1.0 ", "HTTP/1.1 ", "HTTP/2 ", "HTTP/3 "][version as usize]), "{printed}");
    }
}

/// An answer that is not valid is an error, and sends no response.
#[test]
fn an_acceptance_that_is_not_valid_is_an_error_of_the_application() {
    let request = Request::from_parts("GET", "/", HttpVersion::Http11, usual()).unwrap();
    let handshake = request.check().unwrap().unwrap();
    assert_eq!(*handshake.request(), request);
    for (accept, error) in [
        (Accept::new().protocol("chat"), AnswerError::ProtocolNotOffered("chat".into())),
        (Accept::new().header("Sec-WebSocket-Accept", "x"), AnswerError::HeaderReserved("Sec-WebSocket-Accept".into())),
        (Accept::new().header("X", "a\r\nb"), AnswerError::HeaderValueInvalid("X".into())),
        (Accept::new().header("X Y", "a"), AnswerError::HeaderNameInvalid("X Y".into())),
    ] {
        let refused = handshake.accept(&accept).unwrap_err();
        assert_eq!((refused.response(), refused), (None, error));
    }
    assert_eq!(HttpResponse::new(101).check(), Err(AnswerError::StatusInvalid(101)));
}

/// HTTP/2 and HTTP/3 have no connection-specific header fields (RFC 9113 section 8.2.2), not even in a 426.
#[test]
fn a_refusal_has_the_fields_of_its_version() {
    let response = HttpResponse::upgrade_required();
    let names = |version| response.fields(version).unwrap().map(|(name, _)| name).collect::<Vec<_>>();
    let common = ["Sec-WebSocket-Version", "Content-Type", "Content-Length"];
    assert_eq!(names(HttpVersion::Http11), [&["Connection", "Upgrade"], common.as_slice()].concat());
    for version in [HttpVersion::Http2, HttpVersion::Http3] {
        assert_eq!(names(version), common);
        let sent = response.to_http(version).unwrap();
        assert_eq!((sent.status().as_u16(), sent.headers().len()), (426, 3));
        assert_eq!(sent.body(), response.content());
    }
    let bad = HttpResponse::new(200).header("X", "a\nb");
    assert_eq!(bad.to_http(HttpVersion::Http2).unwrap_err(), AnswerError::HeaderValueInvalid("X".into()));
}
