//! The end of connections: deadlines, failures, peers that vanish.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use sansocket_net::sansocket::{Error as Failure, Initiator, ProtocolError, TimeoutKind};
use sansocket_net::{Acceptor, CloseCode, Config, Connector, Error, Event, Keepalive, Message};
use support::*;

/// CVE-2024-23672: a peer that never answers the Close frame keeps resources.
#[test]
fn a_peer_that_never_answers_the_close_frame_is_dropped() {
    bounded(|| {
        let short = || Config::default().closing_timeout(SHORT);
        let (address, server) = serve_open(|mut stream| read_rest(&mut stream));
        let mut ws = Connector::new().config(short()).connect(&url(address)).unwrap();
        let started = Instant::now();
        ws.close(CloseCode::NORMAL, "").unwrap();
        let end = close(&mut ws);
        assert!(started.elapsed() >= SHORT);
        assert_eq!((end.code, end.was_clean, end.initiator), (CloseCode::ABNORMAL, false, Initiator::Local));
        // TCP has ended though the connection has not been dropped
        assert_eq!(server.join().len(), 8);

        let (listener, address) = listen_with(Acceptor::new().config(short()));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.close(CloseCode::NORMAL, "").unwrap();
            close(&mut ws)
        });
        let mut client = raw_client(address);
        assert_eq!(read_rest(&mut client), CLOSE_REPLY);
        assert_eq!(server.join().code, CloseCode::ABNORMAL);
    });
}

/// A peer that sends without end does not postpone the limit.
#[test]
fn a_peer_that_talks_on_instead_of_closing_is_dropped() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            // a Ping
            while stream.write_all(b"\x89\0").is_ok() {}
        });
        let short = Config::default().closing_limit(SHORT);
        let mut ws = Connector::new().config(short).connect(&url(address)).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        let last = ws.events().map(Result::unwrap).last();
        assert!(matches!(last, Some(Event::Close(close)) if close.code == CloseCode::ABNORMAL));
        // a peer that is blocked in a write returns when the socket is closed
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_answers_no_ping_is_dropped() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| read_rest(&mut stream));
        let keepalive = short_keepalive();
        let mut ws = Connector::new().config(keepalive).connect(&url(address)).unwrap();
        let started = Instant::now();
        assert!(matches!(failure(&mut ws), Error::Peer(Failure::Timeout(TimeoutKind::Pong))));
        assert!(started.elapsed() >= SHORT * 2);
        // the Ping
        assert_eq!(server.join().len(), 6);
    });
}

#[test]
fn keepalive_keeps_a_peer_that_answers() {
    bounded(|| {
        let keepalive = Config::default().keepalive(Keepalive::Every(Duration::from_millis(20))).pong_timeout(BOUND);
        let (listener, address) = listen_with(Acceptor::new().config(keepalive));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            for _ in 0..3 {
                assert!(matches!(ws.read().unwrap(), Some(Event::Pong(_))));
            }
        });
        let mut ws = connect(address);
        while let Some(event) = ws.read().unwrap() {
            assert!(matches!(event, Event::Ping(_) | Event::Close(_)));
        }
        server.join();
    });
}

/// A deadline ends both `send` and `read`, though the peer reads nothing.
#[test]
fn a_peer_that_never_reads_is_dropped() {
    bounded(|| {
        let keepalive = short_keepalive();
        let (listener, address) = listen_with(Acceptor::new().config(keepalive));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            let error = loop {
                if let Err(error) = ws.send(vec![0; 1024 * 1024]) {
                    break error;
                }
            };
            assert!(matches!(error, Error::Peer(Failure::Timeout(TimeoutKind::Pong))), "{error}");
            assert!(matches!(failure(&mut ws), Error::Peer(Failure::Timeout(TimeoutKind::Pong))));
        });
        let client = raw_client(address);
        server.join();
        drop(client);
    });
}

/// The application drops the connection at the first error. Even so, the peer, which keeps sending, gets the Close
/// frame.
#[test]
fn a_peer_that_breaks_the_protocol_gets_a_close_frame_with_the_reason() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.read().map(|_| ()).unwrap_err()
        });
        let mut client = raw_client(address);
        client.write_all(b"\x81\x05Hello").unwrap();
        client.write_all(&[0; 300_000]).unwrap();
        let mut head = [0; 4];
        client.read_exact(&mut head).unwrap();
        assert_eq!((head[0], &head[2..]), (0x88, &1002_u16.to_be_bytes()[..]));
        // the rest is the reason, then the end of TCP: no reset
        assert_eq!(read_rest(&mut client).len() + 2, usize::from(head[1]));
        drop(client);
        let error = server.join();
        assert!(matches!(error, Error::Peer(Failure::Protocol(ProtocolError::FrameNotMasked))), "{error}");
        assert!(error.to_string().starts_with("the peer broke the protocol: "), "{error}");
    });
}

#[test]
fn a_failure_is_reported_once_and_then_the_end() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            stream.write_all(b"\x81\x02ok\x83\0\x81\x02no").unwrap();
            read_rest(&mut stream);
        });
        let mut ws = connect(address);
        assert_eq!(message(&mut ws), Message::from("ok"));
        assert!(matches!(failure(&mut ws), Error::Peer(Failure::Protocol(ProtocolError::OpCodeReserved))));
        assert!(ws.read().unwrap().is_none());
        assert!(matches!(ws.send("late"), Err(Error::Send(_))));
        server.join();
    });
}

#[test]
fn peers_that_half_close() {
    // the bytes after which the client ends its direction, and what the server reports
    let cases: [(&[u8], CloseCode, bool); 4] = [
        (b"", CloseCode::ABNORMAL, false),
        (HELLO, CloseCode::ABNORMAL, false),
        (&HELLO[..8], CloseCode::ABNORMAL, false),
        (CLOSE, CloseCode::NORMAL, true),
    ];
    bounded(move || {
        for (bytes, code, was_clean) in cases {
            let (listener, address) = listen();
            let server = serve(listener, |incoming| {
                let mut ws = incoming.accept().unwrap();
                // a message sent before the server reads the end is still delivered
                ws.send("Hello").unwrap();
                let last = ws.events().map(Result::unwrap).last();
                let Some(Event::Close(close)) = last else { panic!("{last:?}") };
                close
            });
            let mut client = raw_client(address);
            client.write_all(bytes).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert!(read_rest(&mut client).starts_with(b"\x81\x05Hello"));
            let close = server.join();
            assert_eq!((close.code, close.was_clean), (code, was_clean), "{bytes:?}");
        }
    });
}

#[test]
fn peers_that_reset() {
    // between frames, within a frame, and after both Close frames
    let cases: [(&[u8], CloseCode, bool); 3] = [
        (b"", CloseCode::ABNORMAL, false),
        (&HELLO[..8], CloseCode::ABNORMAL, false),
        (CLOSE, CloseCode::NORMAL, true),
    ];
    bounded(move || {
        for (bytes, code, was_clean) in cases {
            let (listener, address) = listen();
            let server = serve(listener, move |incoming| {
                let mut ws = incoming.accept().unwrap();
                if !was_clean {
                    ws.send("this stays unread").unwrap();
                }
                close(&mut ws)
            });
            let mut client = raw_client(address);
            client.write_all(bytes).unwrap();
            reset(client);
            let close = server.join();
            assert_eq!((close.code, close.was_clean), (code, was_clean), "{bytes:?}");
        }
    });
}

/// Sending to a peer that has reset TCP fails with the transport's error; `read` reports how the connection ended.
#[test]
fn sending_to_a_peer_that_has_reset() {
    bounded(|| {
        let (address, server) = serve_open(reset);
        let mut ws = connect(address);
        ws.send("this stays unread").unwrap();
        server.join();
        let error = loop {
            if let Err(error) = ws.send("Hello") {
                break error;
            }
        };
        assert!(matches!(error, Error::Io(_)) && error.to_string().starts_with("transport: "), "{error}");
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(close(&mut ws).code, CloseCode::ABNORMAL);
    });
}

/// The peer sends a message and a Close frame, and resets TCP. They are read although nothing can be sent any more.
#[test]
fn the_last_messages_of_a_peer_that_has_reset_are_read() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            // after the client has sent, so that the client has not read these bytes with the response already
            assert!(stream.peek(&mut [0]).unwrap() > 0);
            stream.write_all(b"\x81\x05Hello\x88\x02\x03\xe9").unwrap();
            reset(stream);
        });
        let mut ws = connect(address);
        ws.send("this stays unread").unwrap();
        server.join();
        while ws.send("into the void").is_ok() {}
        assert_eq!(message(&mut ws), Message::from("Hello"));
        assert_eq!(close(&mut ws).code, CloseCode::GOING_AWAY);
    });
}

#[test]
fn dropping_a_connection_ends_tcp() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| close(&mut incoming.accept().unwrap()));
        drop(connect(address));
        let close = server.join();
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Peer));
    });
}
