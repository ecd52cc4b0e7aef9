//! Conformance 23: names and values of the application cannot end a line or replace fields of the handshake.
//! CVE-2026-1527 (requests), CVE-2020-35678 (responses); RFC 9110 section 5.5.

use sansocket::{Accept, AnswerError, Config, HttpResponse, RequestError, WebSocket};

use crate::support::{NONCE, NOW, Scripted, client_request, output, receive, request, server};

const VALUES: [&str; 5] = ["a\r\nX: b", "a\rb", "a\nb", "a\0b", "\u{7f}"];
const NAMES: [&str; 6] = ["", "a b", "a:", "a\r\nb", "\u{e9}", "a\0"];
const RESERVED: [&str; 9] = [
    "Host",
    "upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Key",
    "sec-websocket-accept",
    "SEC-WEBSOCKET-EXTENSIONS",
    "Sec-WebSocket-Protocol",
];

#[test]
fn requests() {
    let add = |name: &str, value: &str| {
        let request = client_request().header(name, value);
        WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).map(drop)
    };
    assert_eq!(add("X-A", "caf\u{e9}\t1"), Ok(()));
    for value in VALUES {
        assert_eq!(add("X-A", value), Err(RequestError::HeaderValueInvalid("X-A".into())), "{value:?}");
    }
    for name in NAMES {
        assert_eq!(add(name, "a"), Err(RequestError::HeaderNameInvalid(name.into())), "{name:?}");
    }
    for name in RESERVED {
        assert_eq!(add(name, "a"), Err(RequestError::HeaderReserved(name.into())));
    }
    let request = client_request().origin("http://a\r\nX: b");
    assert!(WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).is_err());
}

#[test]
fn acceptances() {
    let mut server = server();
    receive(&mut server, request().as_bytes()).unwrap();
    let mut add = |name: &str, value: &str| server.accept(Accept::new().header(name, value), NOW);
    for value in VALUES {
        assert_eq!(add("X-A", value), Err(AnswerError::HeaderValueInvalid("X-A".into())), "{value:?}");
    }
    for name in NAMES {
        assert_eq!(add(name, "a"), Err(AnswerError::HeaderNameInvalid(name.into())), "{name:?}");
    }
    for name in RESERVED {
        assert_eq!(add(name, "a"), Err(AnswerError::HeaderReserved(name.into())));
    }
    // the request is still unanswered
    assert_eq!(add("Set-Cookie", "a=b"), Ok(()));
    assert!(String::from_utf8(output(&mut server)).unwrap().contains("\r\nSet-Cookie: a=b\r\n"));
}

#[test]
fn rejections() {
    let mut server = server();
    receive(&mut server, request().as_bytes()).unwrap();
    let mut respond = |reject: HttpResponse| server.respond(reject, NOW);
    for value in VALUES {
        let location = HttpResponse::new(302).header("Location", value);
        assert_eq!(respond(location), Err(AnswerError::HeaderValueInvalid("Location".into())), "{value:?}");
        assert_eq!(respond(HttpResponse::new(400).reason(value)), Err(AnswerError::ReasonInvalid), "{value:?}");
        let body = HttpResponse::new(400).body(value, "");
        assert_eq!(respond(body), Err(AnswerError::HeaderValueInvalid("Content-Type".into())), "{value:?}");
    }
    for name in NAMES {
        assert_eq!(respond(HttpResponse::new(400).header(name, "a")), Err(AnswerError::HeaderNameInvalid(name.into())));
    }
    for name in RESERVED {
        assert_eq!(respond(HttpResponse::new(400).header(name, "a")), Err(AnswerError::HeaderReserved(name.into())));
    }
    for status in [0, 99, 100, 101, 199, 600, 999, u16::MAX] {
        assert_eq!(respond(HttpResponse::new(status)), Err(AnswerError::StatusInvalid(status)));
    }
    let answer = HttpResponse::new(401).reason("Who?").header("WWW-Authenticate", "Basic").body("text/plain", "no");
    assert_eq!(respond(answer), Ok(()));
    assert_eq!(
        String::from_utf8(output(&mut server)).unwrap(),
        "HTTP/1.1 401 Who?\r\nConnection: close\r\nWWW-Authenticate: Basic\r\nContent-Type: text/plain\r\n\
         Content-Length: 2\r\n\r\nno"
    );
}
