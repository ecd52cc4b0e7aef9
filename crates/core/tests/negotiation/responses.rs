//! Decisions of a client about responses: as bytes of HTTP/1.1, made from parts, and made from types of the `http`
//! crate.

use sansocket::{
    ClientRequest, Config, Error, Event, HandshakeError, HttpResponse, HttpVersion, Input, RequestError, Response,
    ResponseFault, WebSocket, accept_key, generate_key,
};

use crate::support::{ACCEPT, Fields, KEY, NOW, head, replaced, rng};

/// The decision of a client.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It opens the connection, with this subprotocol.
    Open(Option<String>),
    /// The server refused with this status.
    Refused(u16),
    /// The response is malformed. Only in HTTP/1.1 does the error have a line number.
    Malformed(ResponseFault),
    /// The client refuses the response, for this reason.
    Refuse(String),
}

use Decision::{Malformed, Open, Refused};

fn refuse(reason: &str) -> Decision {
    Decision::Refuse(reason.into())
}

impl From<HandshakeError> for Decision {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(response) => Refused(response.status()),
            HandshakeError::ResponseMalformed(response) => Malformed(response.fault()),
            error => Self::Refuse(error.to_string()),
        }
    }
}

fn request() -> ClientRequest {
    let request: ClientRequest = "ws://server.example.com/chat".parse().unwrap();
    request.protocol("chat").protocol("superchat")
}

fn usual() -> Fields {
    // a placeholder for the answer to the key, which differs in each run
    vec![("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "ANSWER")]
}

fn rows() -> Vec<(u16, HttpVersion, Fields, Decision)> {
    let row = |fields, expected| (101, HttpVersion::Http11, fields, expected);
    let with = |name: &str, with: &[_], expected| row(replaced(&usual(), name, with), expected);
    let mismatch = format!("the server's Sec-WebSocket-Accept is \"{ACCEPT}\", which does not belong to the key");
    vec![
        row(usual(), Open(None)),
        with("", &[("Sec-WebSocket-Protocol", "superchat")], Open(Some("superchat".into()))),
        with("Connection", &[("connection", "keep-alive, upgrade")], Open(None)),
        (101, HttpVersion::Http10, usual(), Malformed(ResponseFault::VersionUnsupported)),
        with("Upgrade", &[], refuse("the server sent no Upgrade field")),
        with(
            "Upgrade",
            &[("Upgrade", "websocket, h2c")],
            refuse("the server's Upgrade is \"websocket, h2c\": it is not websocket"),
        ),
        with(
            "Connection",
            &[("Connection", "close")],
            refuse("the server's Connection is \"close\": it does not list Upgrade"),
        ),
        with("Sec-WebSocket-Accept", &[], refuse("the server sent no Sec-WebSocket-Accept")),
        with("Sec-WebSocket-Accept", &[("Sec-WebSocket-Accept", ACCEPT)], refuse(&mismatch)),
        with("", &[("Sec-WebSocket-Accept", ACCEPT)], refuse("the server sent more than one Sec-WebSocket-Accept")),
        with(
            "",
            &[("Sec-WebSocket-Protocol", "other")],
            refuse("the server selected the subprotocol \"other\", which was not offered"),
        ),
        with(
            "",
            &[("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "chat")],
            refuse("the server sent more than one Sec-WebSocket-Protocol"),
        ),
        with(
            "",
            &[("Sec-WebSocket-Extensions", "permessage-deflate")],
            refuse("the server uses the extension \"permessage-deflate\", which was not offered"),
        ),
        with(
            "",
            &[("Sec-WebSocket-Extensions", ";")],
            refuse("the server's Sec-WebSocket-Extensions is \";\", which is malformed"),
        ),
        with(
            "",
            &[("Sec-WebSocket-Extensions", "a"), ("Sec-WebSocket-Extensions", "b")],
            refuse("the server sent more than one Sec-WebSocket-Extensions"),
        ),
        with("", &[("X Y", "z")], Malformed(ResponseFault::NameHasBlank)),
        with("", &[("X", "a\0b")], Malformed(ResponseFault::ValueInvalid)),
        (200, HttpVersion::Http11, usual(), Refused(200)),
        (302, HttpVersion::Http11, vec![("Location", "/"), ("Content-Length", "0")], Refused(302)),
        (503, HttpVersion::Http10, vec![("Content-Length", "0")], Refused(503)),
    ]
}

/// Hands the pieces of a response to a client of HTTP/1.1. Returns its decision.
fn ask(pieces: Vec<Vec<u8>>) -> Decision {
    let mut client = WebSocket::client(request(), Config::default(), rng(), NOW).unwrap();
    for mut piece in pieces {
        match client.receive(&mut Input::new(&mut piece), NOW) {
            Ok(None) => {}
            Ok(Some(Event::Open(open))) => return Open(open.protocol().map(Into::into)),
            Err(Error::Handshake(error)) => return error.into(),
            other => panic!("{other:?}"),
        }
    }
    match client.receive_eof(NOW) {
        Err(Error::Handshake(error)) => error.into(),
        other => panic!("{other:?}"),
    }
}

fn negotiate(key: &str, response: Result<Response, HandshakeError>) -> Decision {
    match response.and_then(|response| request().check_response(key, &response)) {
        Ok(agreement) => Open(agreement.protocol().map(Into::into)),
        Err(error) => error.into(),
    }
}

#[test]
fn all_ways_decide_alike_about_every_response() {
    let key = generate_key(&mut rng());
    let accept = accept_key(&key);
    assert_eq!((key.len(), accept.len()), (24, 28));
    let mut from_http = 0;
    for (status, version, fields, expected) in rows() {
        let answer = |value| if value == "ANSWER" { accept.as_str() } else { value };
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, answer(value))).collect();
        let bytes = head(&format!("{version} {status} Whatever"), &fields);
        let name = String::from_utf8_lossy(&bytes);
        assert_eq!(ask(vec![bytes.clone()]), expected, "{name}");
        assert_eq!(ask(bytes.iter().map(|&byte| vec![byte]).collect()), expected, "{name}");
        assert_eq!(negotiate(&key, Response::from_parts(status, version, fields.iter().copied())), expected, "{name}");
        let http_version = match version {
            HttpVersion::Http10 => http::Version::HTTP_10,
            _ => http::Version::HTTP_11,
        };
        let mut response = http::Response::builder().status(status).version(http_version);
        for (name, value) in &fields {
            response = response.header(*name, *value);
        }
        if let Ok(response) = response.body(()) {
            assert_eq!(negotiate(&key, Response::try_from(&response.into_parts().0)), expected, "{name}");
            from_http += 1;
        }
    }
    assert!(from_http > 15, "{from_http}");
}

/// The `http` crate does not print values that are marked as sensitive.
#[test]
fn credentials_are_sensitive_in_the_types_of_the_http_crate() {
    let names = ["Authorization", "cookie", "Proxy-Authorization", "SET-COOKIE", "X-Plain"];
    let request = names.iter().fold(request(), |request, name| request.header(*name, "a"));
    let response = names.iter().fold(HttpResponse::new(401), |response, name| response.header(*name, "a"));
    let of_request = request.to_http(KEY).unwrap().into_parts().0.headers;
    let of_response = response.to_http(HttpVersion::Http2).unwrap().into_parts().0.headers;
    for headers in [of_request, request.to_http_connect().unwrap().into_parts().0.headers, of_response] {
        for name in names {
            assert_eq!(headers[name].is_sensitive(), name != "X-Plain", "{name} in {headers:?}");
        }
    }
}

/// `ClientRequest::fields` returns the fields that the client of HTTP/1.1 sends.
#[test]
fn a_clients_fields_are_those_that_http11_sends() {
    let request = request().header("Authorization", "Bearer x");
    let mut client = WebSocket::client(request.clone(), Config::default(), rng(), NOW).unwrap();
    let key = generate_key(&mut rng());
    let fields: Vec<_> = request.fields(&key).unwrap().collect();
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
}

/// Conformance 23: no public function returns a field whose value ends its line.
#[test]
fn fields_that_are_not_valid_are_not_returned() {
    let invalid = RequestError::HeaderValueInvalid("X".into());
    for value in ["a\rb", "a\nb", "a\0b", "a\r\nHost: b"] {
        let request = request().header("X", value);
        assert_eq!(request.fields(KEY).err(), Some(invalid.clone()));
        assert_eq!(request.connect_fields().err(), Some(invalid.clone()));
        assert_eq!(request.to_http(KEY).err(), Some(invalid.clone()));
        assert_eq!(request.to_http_connect().err(), Some(invalid.clone()));
        for response in [
            HttpResponse::new(200).header("X", value),
            HttpResponse::new(200).body(value, "text"),
            HttpResponse::new(200).reason(value),
        ] {
            assert!(response.fields(HttpVersion::Http11).is_err() && response.to_http(HttpVersion::Http2).is_err());
        }
    }
    for key in ["", "AAAA", "dGhlIHNhbXBsZSBub25jZQ==\r\n", "dGhlIHNhbXBsZSBub25jZQ==\r\nX: y"] {
        assert_eq!(request().fields(key).err(), Some(RequestError::KeyInvalid));
        assert_eq!(request().to_http(key).err(), Some(RequestError::KeyInvalid));
    }
    let printed = RequestError::KeyInvalid.to_string();
    assert_eq!(printed, "the key is not the base64 of 16 bytes: generate it with `generate_key`");
}
