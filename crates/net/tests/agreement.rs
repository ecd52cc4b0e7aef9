//! The agreement about permessage-deflate (RFC 7692), over real sockets.

mod support;

use std::io::Write;

use sansocket_net::sansocket::{Agreement, HandshakeError, HttpVersion, PermessageDeflate, Role};
use sansocket_net::{
    Accept, Acceptor, Close, Compression, Config, Connector, DialError, Error, Event, Message, Request, WebSocket,
};
use support::*;

fn compressing() -> Config {
    Config::default().compression(Compression::default())
}

/// Echoes one message and reads to the end. Returns the agreement.
fn echo_once(mut ws: WebSocket) -> (Option<PermessageDeflate>, Close) {
    let message = message(&mut ws);
    ws.send(message).unwrap();
    let agreement = ws.compression();
    (agreement, close(&mut ws))
}

/// Deflate 68, and 24: both ends report the agreement, before and after `split`; without one, messages pass as well.
#[test]
fn both_ends_report_the_agreement() {
    bounded(|| {
        let plain = Config::default;
        for (of_client, of_server, is_agreed) in [
            (compressing(), compressing(), true),
            (compressing(), plain(), false),
            (plain(), compressing(), false),
            (plain(), plain(), false),
        ] {
            let (listener, address) = listen_with(Acceptor::new().config(of_server));
            let server = serve(listener, |incoming| echo_once(incoming.accept().unwrap()));
            let mut ws = Connector::new().config(of_client).connect(&url(address)).unwrap();
            let agreement = ws.compression();
            assert_eq!(agreement.is_some(), is_agreed);
            ws.send("Hello").unwrap();
            assert_eq!(message(&mut ws), Message::from("Hello"));
            let (mut reader, writer) = ws.split().unwrap();
            assert_eq!((reader.compression(), writer.compression()), (agreement, agreement));
            writer.close(sansocket_net::CloseCode::NORMAL, "").unwrap();
            while !matches!(reader.read().unwrap(), Some(Event::Close(_))) {}
            let (of_server, close) = server.join();
            assert_eq!((of_server, close.was_clean), (agreement, true));
        }
    });
}

/// Deflate 25: a client that offered nothing, and one whose offer does not permit the answer.
#[test]
fn a_client_refuses_an_answer_that_its_offer_does_not_permit() {
    bounded(|| {
        for (config, answer, expected) in [
            (Config::default(), "permessage-deflate", HandshakeError::ExtensionNotOffered("permessage-deflate".into())),
            (compressing(), "x-deflate", HandshakeError::ExtensionNotOffered("x-deflate".into())),
        ] {
            let (address, server) = serve_raw(move |mut stream, request| {
                let response = response(&request);
                let head = response.strip_suffix("\r\n").unwrap();
                write!(stream, "{head}Sec-WebSocket-Extensions: {answer}\r\n\r\n").unwrap();
                // 7.1.7: the client sends no Close frame
                read_rest(&mut stream)
            });
            let error = Connector::new().config(config).connect(&url(address)).unwrap_err();
            assert!(matches!(&error, DialError::Opening(Error::Peer(error)) if *error == expected.into()), "{error}");
            assert_eq!(server.join(), b"");
        }
    });
}

/// Deflate 68: an agreement that was negotiated elsewhere is the connection's, in both roles.
#[test]
fn a_connection_takes_over_an_agreement() {
    let fields = [
        ("Host", "a"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ];
    let request = Request::from_parts("GET", "/", HttpVersion::Http11, fields).unwrap();
    let handshake = request.check().unwrap().unwrap();
    let accept = Accept::new();
    let acceptance = handshake.accept(&accept).unwrap().with_compression(&Compression::small());
    let agreement = acceptance.agreement();
    assert!(agreement.compression().is_some_and(|it| it.server_no_context_takeover && it.client_no_context_takeover));
    let (client, server) = tcp_pair();
    for (stream, role) in [(client, Role::Client), (server, Role::Server)] {
        let ws = WebSocket::from_upgraded(stream, [], role, agreement.clone(), compressing()).unwrap();
        assert_eq!((ws.compression(), ws.role()), (agreement.compression(), role));
    }
    let (client, _server) = tcp_pair();
    let ws = WebSocket::from_upgraded(client, [], Role::Client, Agreement::new(), compressing()).unwrap();
    assert_eq!(ws.compression(), None);
}
