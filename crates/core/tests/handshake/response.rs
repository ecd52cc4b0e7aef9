//! How a client checks a response (RFC 6455 section 4.1).

use sansocket::{CloseCode, Event, HandshakeError, Message, ReadyState, TransportAction};

use crate::support::{
    ACCEPT, HELLO, NOW, Outcome, answered, answered_to_offer, client, client_request, receive, response, response_with,
};

pub(crate) fn check_refused(outcome: &Outcome, error: &HandshakeError) {
    assert_eq!(outcome.handshake_error(), error);
    // Conformance 51: no Close frame, TCP is closed
    assert_eq!((outcome.output.as_slice(), outcome.transport), (&b""[..], TransportAction::Close));
    assert_eq!((&outcome.events[..], outcome.ready_state), (&[][..], ReadyState::Closed));
}

#[test]
fn accepted() {
    let outcome = answered(response_with("", None, "X-Server: one\r\n"));
    let [Event::Open(open)] = &outcome.events[..] else { panic!("{outcome:?}") };
    assert_eq!(open.protocol(), None);
    let response = open.response().unwrap();
    assert_eq!((response.status(), response.reason()), (101, "Switching Protocols"));
    assert_eq!(response.headers().get("x-server"), Some("one"));
    assert_eq!((outcome.ready_state, outcome.transport), (ReadyState::Open, TransportAction::Open));
}

/// Conformance 7, 8: a list in any case for `Connection`; one value in any case for `Upgrade` (section 4.1 items 2 and
/// 3).
#[test]
fn upgrade_and_connection() {
    let connection =
        |value: Option<&str>| Some(HandshakeError::ResponseConnectionWithoutUpgrade(value.map(Into::into)));
    let upgrade = |value: Option<&str>| Some(HandshakeError::ResponseUpgradeInvalid(value.map(Into::into)));
    for (name, value, added, error) in [
        ("Upgrade", Some("WebSocket"), "", None),
        ("Upgrade", Some("WEBSOCKET \t"), "", None),
        ("Upgrade", None, "", upgrade(None)),
        ("Upgrade", Some(""), "", upgrade(Some(""))),
        ("Upgrade", Some("websockets"), "", upgrade(Some("websockets"))),
        ("Upgrade", Some("websocket, h2c"), "", upgrade(Some("websocket, h2c"))),
        ("", None, "Upgrade: websocket\r\n", upgrade(Some("websocket, websocket"))),
        ("Connection", Some("keep-alive, UPGRADE"), "", None),
        ("Connection", Some("keep-alive"), "Connection: ,upgrade\r\n", None),
        ("Connection", None, "", connection(None)),
        ("Connection", Some("Upgraded"), "", connection(Some("Upgraded"))),
        ("Connection", Some("keep-alive Upgrade"), "", connection(Some("keep-alive Upgrade"))),
        ("Connection", Some("close"), "", connection(Some("close"))),
    ] {
        let outcome = answered(response_with(name, value, added));
        match error {
            None => assert_eq!(outcome.ready_state, ReadyState::Open, "{name}: {value:?}"),
            Some(error) => check_refused(&outcome, &error),
        }
    }
}

/// Conformance 11: blanks around it are ignored, case is not (section 4.1 item 4). Neither key nor answer is a secret,
/// so CVE-2021-33880 (the time of a comparison reveals a secret) does not apply.
#[test]
fn accept() {
    let swapped: String = ACCEPT.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    let mismatch = |value: &str| Some(HandshakeError::AcceptMismatch(value.into()));
    for (value, added, error) in [
        (Some(format!(" \t{ACCEPT}\t ")), "", None),
        (None, "", Some(HandshakeError::AcceptMissing)),
        (Some(String::new()), "", mismatch("")),
        (Some(swapped.clone()), "", mismatch(&swapped)),
        (Some(format!("{ACCEPT}=")), "", mismatch(&format!("{ACCEPT}="))),
        (Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk=".into()), "", mismatch("HSmrc0sMlYUkAGmm5OPpG2HaGWk=")),
        (Some(ACCEPT.into()), "Sec-WebSocket-Accept: no\r\n", Some(HandshakeError::AcceptRepeated)),
    ] {
        let outcome = answered(response_with("Sec-WebSocket-Accept", value.as_deref(), added));
        match error {
            None => assert_eq!(outcome.ready_state, ReadyState::Open, "{value:?}"),
            Some(error) => check_refused(&outcome, &error),
        }
    }
}

/// Conformance 17, 14: one subprotocol that was offered, in one line, or none (section 4.1 item 6, 11.3.4).
#[test]
fn subprotocols() {
    for (added, expected) in [
        ("", Ok(None)),
        ("Sec-WebSocket-Protocol: superchat\r\n", Ok(Some("superchat"))),
        ("Sec-WebSocket-Protocol: Chat\r\n", Err(HandshakeError::ProtocolNotOffered("Chat".into()))),
        (
            "Sec-WebSocket-Protocol: chat, superchat\r\n",
            Err(HandshakeError::ProtocolNotOffered("chat, superchat".into())),
        ),
        ("Sec-WebSocket-Protocol:\r\n", Err(HandshakeError::ProtocolNotOffered("".into()))),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n",
            Err(HandshakeError::ResponseProtocolRepeated),
        ),
    ] {
        let outcome = answered_to_offer(response_with("", None, added));
        match expected {
            Err(error) => check_refused(&outcome, &error),
            Ok(protocol) => {
                let [Event::Open(open)] = &outcome.events[..] else { panic!("{added}: {outcome:?}") };
                assert_eq!(open.protocol(), protocol, "{added}");
            }
        }
    }
    let unasked = answered(response_with("", None, "Sec-WebSocket-Protocol: chat\r\n"));
    check_refused(&unasked, &HandshakeError::ProtocolNotOffered("chat".into()));
}

/// Conformance 18: only extensions that were offered (section 4.1 item 5). GHSA-5v72-xg48-5rpm: with any name.
#[test]
fn extensions() {
    for (added, error) in [
        (
            "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            HandshakeError::ExtensionNotOffered("permessage-deflate".into()),
        ),
        ("Sec-WebSocket-Extensions: constructor\r\n", HandshakeError::ExtensionNotOffered("constructor".into())),
        ("Sec-WebSocket-Extensions:\r\n", HandshakeError::ResponseExtensionsMalformed("".into())),
        ("Sec-WebSocket-Extensions: ;\r\n", HandshakeError::ResponseExtensionsMalformed(";".into())),
        ("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b\r\n", HandshakeError::ResponseExtensionsRepeated),
    ] {
        check_refused(&answered(response_with("", None, added)), &error);
    }
}

/// A value that continues in the next line is one value (RFC 9112 section 5.2).
#[test]
fn folded_values() {
    for (lines, value) in [
        ("X: a\r\n b\r\n", "a b"),
        ("X: a \t\r\n\t b: c\r\n\td\r\n", "a b: c d"),
        ("X:\r\n a\r\n \t\r\n", "a"),
        ("X: \r\n \r\n", ""),
        ("X: caf\u{e9}\r\n au lait\r\n", "caf\u{e9} au lait"),
    ] {
        for added in [lines.to_owned(), format!("{lines}Y: y\r\n")] {
            let outcome = answered("\r\n".to_owned() + &response_with("", None, &added));
            let [Event::Open(open)] = &outcome.events[..] else { panic!("{added}: {outcome:?}") };
            let headers = open.response().unwrap().headers();
            assert_eq!((headers.get("X"), headers.len()), (Some(value), 4 + usize::from(added != lines)), "{added}");
        }
    }
    assert_eq!(answered(response_with("Upgrade", Some("\r\n websocket"), "")).ready_state, ReadyState::Open);
    let refusal = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n realm=\"a\"\r\nContent-Length: 0\r\n\r\n";
    let outcome = answered(refusal);
    let HandshakeError::Refused(refused) = outcome.handshake_error() else { panic!("{outcome:?}") };
    assert_eq!(refused.headers().get("WWW-Authenticate"), Some("Basic realm=\"a\""));
}

/// Conformance 20: a response other than 101 is reported with its body (section 4.1 item 1).
#[test]
fn refused() {
    for (response, body) in [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nHello, not this", "Hello"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nHello, not this", "Hello"),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ""),
        ("HTTP/1.0 404\r\nContent-Length: 2\r\n\r\nno", "no"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n2;x=y\r\n, \r\n0\r\n\r\n", "Hello, "),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n1\r\nA\r\n0\r\n\r\n", "A"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked,\r\n\r\n1\r\nA\r\n0\r\n\r\n", "A"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHelloX", "Hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nHello", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nHello", ""),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\n!",
            "!",
        ),
    ] {
        let outcome = answered(response);
        let HandshakeError::Refused(refused) = outcome.handshake_error() else { panic!("{outcome:?}") };
        assert_eq!(String::from_utf8_lossy(refused.body()), body, "{response}");
        assert_eq!(outcome.handshake_error().status(), Some(refused.status()));
        check_refused(&outcome, outcome.handshake_error());
    }
}

/// Conformance 20: a body without a length, or that is incomplete, ends with the transport. So does a body with a
/// transfer coding, which overrides the length, unless `chunked` is the last (RFC 9112 section 6.3). Lengths that are
/// not numbers, or differ, are ignored.
#[test]
fn refused_until_eof() {
    for (response, body) in [
        ("HTTP/1.1 500 Oops\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: many\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: +2\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 99999999999999999999\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 2, many\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length:\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked, gzip\r\n\r\n5\r\nsorry", "5\r\nsorry"),
        ("HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nsorry", "sorry"),
        ("HTTP/1.1 500 Oops\r\n\r\n", ""),
    ] {
        let mut client = client(client_request());
        assert_eq!(receive(&mut client, response.as_bytes()), Ok(vec![]), "{response}");
        let error = client.receive_eof(NOW).unwrap_err();
        let sansocket::Error::Handshake(HandshakeError::Refused(refused)) = &error else { panic!("{error:?}") };
        assert_eq!((refused.status(), refused.body()), (500, body.as_bytes()), "{response}");
        assert_eq!(receive(&mut client, b"more"), Err(error));
        assert_eq!(client.transport(), TransportAction::Close);
    }
}

/// Conformance 21: bytes after the head are frames. RFC 9110 15.2: other 1xx responses may precede it.
#[test]
fn frames_behind_the_head() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    for before in ["", interim, "\r\n"] {
        let bytes = [before.as_bytes(), response().as_bytes(), HELLO, b"\x88\x00"].concat();
        let outcome = answered(bytes);
        let [Event::Open(_), Event::Message(message), Event::CloseReceived(frame)] = &outcome.events[..] else {
            panic!("{outcome:?}")
        };
        assert_eq!((message, frame.code), (&Message::from("Hello"), CloseCode::NO_STATUS));
        assert_eq!(outcome.ready_state, ReadyState::Closing);
    }
}
