//! What a client decides about responses, through the bytes of HTTP/1.1, from their parts, and from the `http` crate's.

use sansocket::{
    ClientRequest, Config, Error, Event, HandshakeError, HttpVersion, Input, Response, WebSocket, accept_key,
    generate_key,
};

use crate::support::{ACCEPT, Fields, KEY, NOW, head, replaced, rng};

/// The subprotocol, or the error; a refusal is one with its status.
type Expected = Result<Option<&'static str>, HandshakeError>;

fn request() -> ClientRequest {
    let request: ClientRequest = "ws://server.example.com/chat".parse().unwrap();
    request.protocol("chat").protocol("superchat")
}

fn usual() -> Fields {
    // in place of the answer to the key, which is another one in each run
    vec![("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "ANSWER")]
}

fn rows() -> Vec<(u16, HttpVersion, Fields, Expected)> {
    use HandshakeError::{
        AcceptMismatch, AcceptMissing, AcceptRepeated, ExtensionNotOffered, ProtocolNotOffered,
        ResponseConnectionWithoutUpgrade, ResponseExtensionsMalformed, ResponseExtensionsRepeated, ResponseMalformed,
        ResponseProtocolRepeated, ResponseUpgradeInvalid,
    };
    let row = |fields, expected| (101, HttpVersion::Http11, fields, expected);
    let with = |name: &str, with: &[_], expected| row(replaced(&usual(), name, with), expected);
    vec![
        row(usual(), Ok(None)),
        with("", &[("Sec-WebSocket-Protocol", "superchat")], Ok(Some("superchat"))),
        with("Connection", &[("connection", "keep-alive, upgrade")], Ok(None)),
        (101, HttpVersion::Http10, usual(), Err(ResponseMalformed)),
        with("Upgrade", &[], Err(ResponseUpgradeInvalid)),
        with("Upgrade", &[("Upgrade", "websocket, h2c")], Err(ResponseUpgradeInvalid)),
        with("Connection", &[("Connection", "close")], Err(ResponseConnectionWithoutUpgrade)),
        with("Sec-WebSocket-Accept", &[], Err(AcceptMissing)),
        with("Sec-WebSocket-Accept", &[("Sec-WebSocket-Accept", ACCEPT)], Err(AcceptMismatch)),
        with("", &[("Sec-WebSocket-Accept", ACCEPT)], Err(AcceptRepeated)),
        with("", &[("Sec-WebSocket-Protocol", "other")], Err(ProtocolNotOffered)),
        with(
            "",
            &[("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "chat")],
            Err(ResponseProtocolRepeated),
        ),
        with("", &[("Sec-WebSocket-Extensions", "permessage-deflate")], Err(ExtensionNotOffered)),
        with("", &[("Sec-WebSocket-Extensions", ";")], Err(ResponseExtensionsMalformed)),
        with(
            "",
            &[("Sec-WebSocket-Extensions", "a"), ("Sec-WebSocket-Extensions", "b")],
            Err(ResponseExtensionsRepeated),
        ),
        with("", &[("X Y", "z")], Err(ResponseMalformed)),
        with("", &[("X", "a\0b")], Err(ResponseMalformed)),
        (200, HttpVersion::Http11, usual(), refused(200)),
        (302, HttpVersion::Http11, vec![("Location", "/"), ("Content-Length", "0")], refused(302)),
        (503, HttpVersion::Http10, vec![("Content-Length", "0")], refused(503)),
    ]
}

/// Stands for a refusal with this status.
fn refused(status: u16) -> Expected {
    let fields: [(&str, &str); 0] = [];
    Err(HandshakeError::Refused(Box::new(Response::from_parts(status, HttpVersion::Http11, fields).unwrap())))
}

fn check(seen: Expected, expected: &Expected, name: &str) {
    match (seen, expected) {
        (Err(HandshakeError::Refused(seen)), Err(HandshakeError::Refused(expected))) => {
            assert_eq!(seen.status(), expected.status(), "{name}");
        }
        (seen, expected) => assert_eq!(seen, *expected, "{name}"),
    }
}

/// What a client of HTTP/1.1 makes of the pieces of a response.
fn ask(pieces: Vec<Vec<u8>>) -> Expected {
    let mut client = WebSocket::client(request(), Config::default(), rng(), NOW).unwrap();
    let offered = ["chat", "superchat"];
    for mut piece in pieces {
        match client.receive(&mut Input::new(&mut piece), NOW) {
            Ok(None) => {}
            Ok(Some(Event::Open(open))) => {
                return Ok(open.protocol().and_then(|protocol| offered.into_iter().find(|other| *other == protocol)));
            }
            Err(Error::Handshake(error)) => return Err(error),
            other => panic!("{other:?}"),
        }
    }
    match client.receive_eof(NOW) {
        Err(Error::Handshake(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn negotiate(key: &str, response: Result<Response, HandshakeError>) -> Expected {
    let agreement = request().check_response(key, &response?)?;
    Ok(agreement.protocol().and_then(|protocol| ["chat", "superchat"].into_iter().find(|other| *other == protocol)))
}

#[test]
fn every_response_is_decided_alike_whichever_way_it_comes() {
    let key = generate_key(&mut rng());
    let accept = accept_key(&key);
    assert_eq!((key.len(), accept.len()), (24, 28));
    let mut from_http = 0;
    for (status, version, fields, expected) in rows() {
        let answer = |value| if value == "ANSWER" { accept.as_str() } else { value };
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, answer(value))).collect();
        let bytes = head(&format!("{version} {status} Whatever"), &fields);
        let name = String::from_utf8_lossy(&bytes);
        check(ask(vec![bytes.clone()]), &expected, &name);
        check(ask(bytes.iter().map(|&byte| vec![byte]).collect()), &expected, &name);
        check(negotiate(&key, Response::from_parts(status, version, fields.iter().copied())), &expected, &name);
        let http_version = match version {
            HttpVersion::Http10 => http::Version::HTTP_10,
            _ => http::Version::HTTP_11,
        };
        let mut response = http::Response::builder().status(status).version(http_version);
        for (name, value) in &fields {
            response = response.header(*name, *value);
        }
        if let Ok(response) = response.body(()) {
            check(negotiate(&key, Response::try_from(&response.into_parts().0)), &expected, &name);
            from_http += 1;
        }
    }
    assert!(from_http > 15, "{from_http}");
}

/// The fields to send are those that the client of HTTP/1.1 sends.
#[test]
fn a_clients_fields_are_those_that_http11_sends() {
    let request = request().header("Authorization", "Bearer x");
    let mut client = WebSocket::client(request.clone(), Config::default(), rng(), NOW).unwrap();
    let key = generate_key(&mut rng());
    let fields: Vec<_> = request.fields(&key).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let expected = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key.as_str()),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Authorization", "Bearer x"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(crate::support::output(&mut client), head("GET /chat HTTP/1.1", &expected));
    let sent = request.to_http(&key).unwrap();
    assert_eq!((sent.method().as_str(), sent.uri().to_string().as_str(), sent.headers().len()), ("GET", "/chat", 7));
    let long: ClientRequest = format!("ws://a/{}", "x".repeat(70_000)).parse().unwrap();
    assert!(long.to_http(KEY).is_err());
    assert!(request.header("X", "a\nb").to_http(KEY).is_err());
}
