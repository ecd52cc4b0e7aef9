//! Subprotocols (RFC 6455 sections 1.9, 4.1 item 10, 4.2.2 item 5, 11.3.4).

use sansocket::{Accept, AnswerError, Config, HandshakeError, RequestError, WebSocket};

use crate::support::{NONCE, NOW, Scripted, client_request, in_moments, output, receive, request_with, served, server};

/// Conformance 15: offered subprotocols are non-empty tokens, and unique.
#[test]
fn offered() {
    let offer = |protocols: &[&str]| {
        let request = protocols.iter().fold(client_request(), |request, protocol| request.protocol(*protocol));
        WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).map(drop)
    };
    assert_eq!(offer(&["chat", "Chat", "v2.chat"]), Ok(()));
    assert_eq!(offer(&["chat", "x", "chat"]), Err(RequestError::ProtocolDuplicate("chat".into())));
    for protocol in ["", "a b", "a,b", "a\"", "\u{e9}", "a\r\nX: b", "a/b"] {
        assert_eq!(offer(&[protocol]), Err(RequestError::ProtocolInvalid(protocol.into())), "{protocol:?}");
    }
}

/// RFC 9110 section 5.6.2: the characters of a token.
#[test]
fn tokens() {
    let is_offered = |character: char| {
        let request = client_request().protocol(format!("a{character}"));
        WebSocket::client(request, Config::default(), Scripted::new(NONCE), NOW).is_ok()
    };
    let tokens: String = ('\0'..='\u{ff}').filter(|&character| is_offered(character)).collect();
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz";
    assert_eq!(tokens, format!("!#$%&'*+-.0123456789{letters}|~"));
}

/// Conformance 14: several lines are one list.
#[test]
fn several_lines() {
    let outcome = served(request_with("", None, "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b ,c\r\n"));
    assert_eq!(outcome.request().protocols().collect::<Vec<_>>(), ["a", "b", "c"]);
}

/// Conformance 16: the server selects one that was offered, or none; then the response has no such field.
#[test]
fn selected() {
    let asked = || {
        let mut server = server();
        receive(&mut server, request_with("", None, "Sec-WebSocket-Protocol: a, b\r\n").as_bytes()).unwrap();
        server
    };
    let mut server = asked();
    for protocol in ["", "A", "c", "a, b"] {
        let error = server.accept(Accept::new().protocol(protocol), NOW);
        assert_eq!(error, Err(AnswerError::ProtocolNotOffered(protocol.into())));
    }
    // still unanswered
    assert_eq!(output(&mut server), b"");
    server.accept(Accept::new().protocol("b"), NOW).unwrap();
    assert_eq!(server.protocol(), Some("b"));
    assert!(String::from_utf8(output(&mut server)).unwrap().contains("\r\nSec-WebSocket-Protocol: b\r\n"));

    let mut server = asked();
    server.accept(Accept::new(), NOW).unwrap();
    assert_eq!(server.protocol(), None);
    assert!(!String::from_utf8(output(&mut server)).unwrap().contains("Sec-WebSocket-Protocol"));
}

/// CVE-2021-32640: the work for blanks is linear in their number.
#[test]
fn many_blanks_and_elements() {
    let blanks = " ".repeat(1 << 20);
    let many = (0..100_000).map(|n| format!("p{n},")).collect::<String>();
    in_moments(|| {
        for (value, error) in [
            (format!("a{blanks}b"), Some(HandshakeError::ProtocolsMalformed)),
            (format!("a,{blanks},{blanks}b"), None),
            (many.clone(), None),
            (format!("{many} p0"), Some(HandshakeError::ProtocolsRepeated)),
        ] {
            let mut server = WebSocket::server(large(), NOW);
            let bytes = request_with("", None, &format!("Sec-WebSocket-Protocol: {value}\r\n"));
            let result = receive(&mut server, bytes.as_bytes());
            assert_eq!(result.err(), error.map(Into::into));
        }
    });
}

fn large() -> Config {
    let mut config = Config::default();
    config.max_head_size = 1 << 22;
    config
}
