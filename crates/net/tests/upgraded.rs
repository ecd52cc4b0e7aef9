//! Connections whose opening handshake was done elsewhere: `WebSocket::from_upgraded`.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use sansocket_net::sansocket::{Agreement, ClientRequest, Error as Failure, HttpVersion, Response, Role, accept_key};
use sansocket_net::{
    Accept, CloseCode, Config, Connector, Error, Event, Message, ReadOutcome, ReadyState, Request, SplitStream, Stream,
    WebSocket,
};
use support::*;

fn server_of<S: Stream>(stream: S, leftover: &[u8]) -> WebSocket<S> {
    WebSocket::from_upgraded(stream, leftover, Role::Server, Agreement::new(), Config::default()).unwrap()
}

/// Names and values of the header fields of a head.
fn fields(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.lines().skip(1).filter_map(|line| line.split_once(": "))
}

/// Acts as an HTTP server that has read `head`: responds, and hands the connection over.
fn upgrade<S: Stream>(mut stream: S, head: &str, leftover: &[u8]) -> WebSocket<S> {
    let mut start_line = head.lines().next().unwrap().split(' ');
    let (method, target) = (start_line.next().unwrap(), start_line.next().unwrap());
    let request = Request::from_parts(method, target, HttpVersion::Http11, fields(head)).unwrap();
    let handshake = request.check().unwrap().expect("a request for a WebSocket");
    let accept = match handshake.request().protocols().next() {
        Some(protocol) => Accept::new().protocol(protocol),
        None => Accept::new(),
    };
    let acceptance = handshake.accept(&accept).unwrap();
    write!(stream, "HTTP/1.1 {} Switching Protocols\r\n", acceptance.status()).unwrap();
    for (name, value) in acceptance.fields() {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    let agreement = acceptance.agreement();
    WebSocket::from_upgraded(stream, leftover, Role::Server, agreement, Config::default()).unwrap()
}

#[test]
fn a_request_read_elsewhere_is_checked_answered_and_handed_over() {
    bounded(|| {
        let (address, server) = serve_raw(|stream, head| {
            let mut ws = upgrade(stream, &head, &[]);
            assert_eq!((ws.protocol(), ws.role(), ws.ready_state()), (Some("chat"), Role::Server, ReadyState::Open));
            assert!(ws.response().is_none());
            assert_eq!(message(&mut ws), Message::from("Hello"));
            ws.finish().unwrap()
        });
        let mut client = Connector::new().protocol("chat").protocol("other").connect(&url(address)).unwrap();
        assert_eq!(client.protocol(), Some("chat"));
        client.send("Hello").unwrap();
        assert!(close(&mut client).was_clean);
        assert!(server.join().was_clean);
    });
}

#[test]
fn a_client_that_did_its_own_handshake_is_handed_over_with_the_bytes_after_the_response() {
    bounded(|| {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        let (mut client, mut server) = tcp_pair();
        let answer = spawn(move || {
            read_head(&mut server);
            let accept = accept_key(KEY);
            // The response, and a message right behind it.
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
            );
            server.write_all(&[response.as_bytes(), b"\x81\x05Hello"].concat()).unwrap();
            let mut ws = server_of(server, &[]);
            let received = message(&mut ws);
            (received, ws.finish().unwrap())
        });
        let request: ClientRequest = "ws://server.example.com/chat".parse().unwrap();
        let request = request.protocol("chat");
        write!(client, "GET /chat HTTP/1.1\r\n").unwrap();
        for (name, value) in request.fields(KEY).unwrap() {
            write!(client, "{name}: {value}\r\n").unwrap();
        }
        client.write_all(b"\r\n").unwrap();
        let mut bytes = vec![0; 1024];
        let mut count = 0;
        while !bytes[..count].ends_with(b"Hello") {
            count += client.read(&mut bytes[count..]).unwrap();
        }
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = str::from_utf8(&bytes[..end]).unwrap();
        let response = Response::from_parts(101, HttpVersion::Http11, fields(head)).unwrap();
        let agreement = request.check_response(KEY, &response).unwrap();
        let leftover = &bytes[end..count];
        let mut ws = WebSocket::from_upgraded(client, leftover, Role::Client, agreement, Config::default()).unwrap();
        assert_eq!((ws.role(), ws.protocol()), (Role::Client, Some("chat")));
        assert_eq!(message(&mut ws), Message::from("Hello"));
        ws.send("to the server").unwrap();
        assert!(close(&mut ws).was_clean);
        let (received, end) = answer.join();
        assert_eq!((received, end.was_clean), (Message::from("to the server"), true));
    });
}

/// Describes an event in a few words.
fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Message(message) if message.len() <= 10 => message.as_text().unwrap().to_owned(),
        Event::Message(message) => format!("{} bytes", message.len()),
        Event::Ping(payload) => format!("Ping {}", payload.len()),
        Event::CloseReceived(close) => format!("CloseReceived {}", close.code.as_u16()),
        Event::Close(close) => format!("Close {} {}", close.code.as_u16(), close.was_clean),
        other => panic!("{other:?}"),
    }
}

/// Reads to the end.
fn read_all(mut read: impl FnMut() -> Result<Option<Event<'static>>, Error>) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        match read() {
            Ok(Some(event)) => events.push(describe(&event)),
            Ok(None) => return events,
            Err(Error::Peer(Failure::Protocol(error))) => events.push(format!("{error:?}")),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A masked frame, with a key of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0xff];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn the_leftover_is_read_before_later_bytes_wherever_it_ends() {
    let large = frame(0x82, &vec![7; 1 << 20]);
    // (all bytes, where the leftover ends, the events)
    let cases: &[(Vec<u8>, &[usize], &[&str])] = &[
        ([HELLO, CLOSE].concat(), &[0, 1, 5, 11, 12, 19], &["Hello", "CloseReceived 1000", "Close 1000 true"]),
        (
            [HELLO, HELLO, PING, HELLO, CLOSE].concat(),
            &[0, 11, 22, 25, 30, 47],
            &["Hello", "Hello", "Ping 0", "Hello", "CloseReceived 1000", "Close 1000 true"],
        ),
        // A fragmented message.
        (
            [b"\x01\x82\0\0\0\0ab\x80\x81\0\0\0\0c", CLOSE].concat(),
            &[0, 3, 8, 10, 15, 23],
            &["abc", "CloseReceived 1000", "Close 1000 true"],
        ),
        (
            [&large[..], HELLO, CLOSE].concat(),
            &[0, 14, 1000, 1 << 20, large.len(), large.len() + 19],
            &["1048576 bytes", "Hello", "CloseReceived 1000", "Close 1000 true"],
        ),
        ([HELLO, b"\x83\x80\0\0\0\0"].concat(), &[0, 11, 12, 17], &["Hello", "OpCodeReserved", "Close 1006 false"]),
    ];
    bounded({
        let cases: Vec<_> =
            cases.iter().map(|(bytes, cuts, events)| (bytes.clone(), cuts.to_vec(), events.to_vec())).collect();
        move || {
            for (bytes, cuts, expected) in &cases {
                for (&cut, is_split) in cuts.iter().flat_map(|cut| [(cut, false), (cut, true)]) {
                    let (mut client, server) = tcp_pair();
                    let mut ws = server_of(server, &bytes[..cut]);
                    let rest = bytes[cut..].to_vec();
                    let peer = spawn(move || {
                        client.write_all(&rest).unwrap();
                        client.shutdown(Shutdown::Write).unwrap();
                        read_rest(&mut client)
                    });
                    let events = if is_split {
                        let (mut reader, _writer) = ws.split().unwrap();
                        read_all(|| reader.read().map(|event| event.map(Event::into_owned)))
                    } else {
                        read_all(|| ws.read().map(|event| event.map(Event::into_owned)))
                    };
                    assert_eq!(events, *expected, "cut at {cut}, split: {is_split}");
                    let status = if bytes.ends_with(CLOSE) { b"\x03\xe8" } else { b"\x03\xea" };
                    let sent = peer.join();
                    let close = sent.windows(4).find(|window| window[0] == 0x88).unwrap();
                    assert_eq!(&close[2..], status, "cut at {cut}, split: {is_split}");
                }
            }
        }
    });
}

/// The state never runs ahead of the events: a message that came before a Close frame can be answered.
#[test]
fn a_message_of_the_leftover_can_be_answered_before_the_close_frame_behind_it_is_read() {
    for leftover in [[HELLO, CLOSE].concat(), [HELLO, b"\x83\x80\0\0\0\0"].concat()] {
        bounded(move || {
            let (mut client, server) = tcp_pair();
            let mut ws = server_of(server, &leftover);
            ws.send("first").unwrap();
            assert_eq!((message(&mut ws), ws.ready_state()), (Message::from("Hello"), ReadyState::Open));
            ws.send("second").unwrap();
            drop(spawn(move || read_all(|| ws.read().map(|event| event.map(Event::into_owned)))));
            assert!(read_rest(&mut client).starts_with(b"\x81\x05first\x81\x06second\x88"));
        });
    }
}

/// Opens both ends over a pair of streams, echoes a message, and closes.
fn exchange<S: Stream + Send + 'static>(client: S, server: S) {
    let open = |stream, role| {
        let agreement = Agreement::new().with_protocol("chat");
        WebSocket::from_upgraded(stream, [], role, agreement, Config::default()).unwrap()
    };
    let (mut client, server) = (open(client, Role::Client), open(server, Role::Server));
    assert_eq!((client.role(), server.role()), (Role::Client, Role::Server));
    assert_eq!((client.protocol(), server.protocol()), (Some("chat"), Some("chat")));
    assert!(matches!(client.try_read().unwrap(), ReadOutcome::Pending));
    let server = spawn(|| echo(server));
    client.send("Hello").unwrap();
    assert_eq!(message(&mut client), Message::from("Hello"));
    assert!(client.finish().unwrap().was_clean);
    assert!(server.join().was_clean);
}

#[test]
fn both_roles_are_handed_over_on_tcp() {
    bounded(|| {
        let (client, server) = tcp_pair();
        exchange(client, server);
    });
}

#[cfg(unix)]
#[test]
fn both_roles_are_handed_over_on_unix_sockets() {
    bounded(|| {
        let (client, server) = UnixStream::pair().unwrap();
        exchange(client, server);
    });
}

#[test]
fn both_roles_are_handed_over_on_streams_of_any_kind() {
    bounded(|| {
        let (client, server) = tcp_pair();
        let boxed = |stream: TcpStream| -> Box<dyn Stream + Send> { Box::new(stream) };
        exchange(boxed(client), boxed(server));
    });
}

#[test]
fn a_connection_handed_over_is_split() {
    fn halves<S: SplitStream<Half: Send> + Send + 'static>(client: S, server: S) {
        let client = WebSocket::from_upgraded(client, [], Role::Client, Agreement::new(), Config::default()).unwrap();
        let server = spawn(move || echo(server_of(server, &[])));
        let (mut reader, writer) = client.split().unwrap();
        writer.send("Hello").unwrap();
        assert_eq!(reader.read().unwrap(), Some(Event::Message(Message::from("Hello"))));
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert!(reader.finish().unwrap().was_clean);
        assert!(server.join().was_clean);
    }
    bounded(|| {
        let (client, server) = tcp_pair();
        halves(client, server);
        #[cfg(unix)]
        {
            let (client, server) = UnixStream::pair().unwrap();
            halves(client, server);
        }
    });
}
