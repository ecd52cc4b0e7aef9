//! Interoperability with tungstenite over real sockets.

mod support;

use std::net::{TcpListener, TcpStream};

use sansocket_net::sansocket::Initiator;
use sansocket_net::{CloseCode, Event, Message};
use support::*;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message as Theirs, WebSocket as Their};

/// Returns messages of every kind and many sizes, up to the largest.
fn messages() -> Vec<Message<'static>> {
    let large: Vec<u8> = (0..16 * 1024 * 1024).map(|i: u32| (i % 251) as u8).collect();
    let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000];
    let mut messages: Vec<Message<'static>> = vec!["Hello".to_string().into(), "κόσμε, 🙂".to_string().into()];
    messages.extend(sizes.map(|size| large[..size].to_vec().into()));
    messages.extend(sizes.map(|size| "ß".repeat(size).into()));
    messages.push(large.into());
    messages
}

fn to_theirs(message: &Message<'_>) -> Theirs {
    match message {
        Message::Text(text) => Theirs::text(text.as_ref()),
        Message::Binary(bytes) => Theirs::binary(bytes.to_vec()),
    }
}

fn fragments(kind: Data, parts: &[&str]) -> Vec<Theirs> {
    let frame = |(i, part): (usize, &&str)| {
        let opcode = if i == 0 { kind } else { Data::Continue };
        Theirs::Frame(Frame::message(part.as_bytes().to_vec(), OpCode::Data(opcode), i + 1 == parts.len()))
    };
    parts.iter().enumerate().map(frame).collect()
}

/// Closes, and reads to the end; returns the peer's Close frame.
fn close_theirs(mut ws: Their<TcpStream>, code: u16) -> Option<CloseFrame> {
    ws.close(Some(CloseFrame { code: code.into(), reason: "bye".into() })).unwrap();
    finish_theirs(ws)
}

fn finish_theirs(mut ws: Their<TcpStream>) -> Option<CloseFrame> {
    let mut frame = None;
    loop {
        match ws.read() {
            Ok(Theirs::Close(close)) => frame = close,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return frame,
            Err(error) => panic!("{error}"),
        }
    }
}

fn their_server<T: Send + 'static>(
    work: impl FnOnce(Their<TcpStream>) -> T + Send + 'static,
) -> (std::net::SocketAddr, Task<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, spawn(move || work(tungstenite::accept(listener.accept().unwrap().0).unwrap())))
}

fn their_client(address: std::net::SocketAddr) -> Their<TcpStream> {
    tungstenite::client(url(address), TcpStream::connect(address).unwrap()).unwrap().0
}

#[test]
fn our_client_exchanges_messages_with_their_server() {
    bounded(|| {
        let (address, server) = their_server(|mut ws| {
            loop {
                match ws.read() {
                    Ok(message) if message.is_text() || message.is_binary() => ws.send(message).unwrap(),
                    Ok(_) => {}
                    Err(tungstenite::Error::ConnectionClosed) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let mut ws = connect(address);
        for sent in messages() {
            ws.send(sent.clone()).unwrap();
            assert!(message(&mut ws) == sent, "{} bytes", sent.len());
        }
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(close(&mut ws).was_clean);
        server.join();
    });
}

#[test]
fn our_server_exchanges_messages_with_their_client() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let mut ws = their_client(address);
        for message in messages() {
            ws.send(to_theirs(&message)).unwrap();
            assert!(ws.read().unwrap() == to_theirs(&message), "{} bytes", message.len());
        }
        close_theirs(ws, 1000);
        assert!(server.join().was_clean);
    });
}

#[test]
fn fragmented_messages_arrive_whole_and_control_frames_between_their_fragments() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            let events: Vec<_> = ws.events().map(Result::unwrap).collect();
            let is_end = |event: &Event<'_>| matches!(event, Event::CloseReceived(_) | Event::Close(_));
            events.into_iter().filter(|event| !is_end(event)).collect::<Vec<_>>()
        });
        let mut ws = their_client(address);
        for frame in fragments(Data::Text, &["κό", "", "σμε"]) {
            ws.send(frame).unwrap();
            ws.send(Theirs::Ping("p".into())).unwrap();
        }
        for frame in fragments(Data::Binary, &["a", "b"]) {
            ws.send(frame).unwrap();
        }
        close_theirs(ws, 1000);
        let ping = || Event::Ping(b"p".to_vec().into());
        let text = Event::Message("κόσμε".to_string().into());
        let binary = Event::Message(b"ab".to_vec().into());
        assert_eq!(server.join(), [ping(), ping(), text, ping(), binary]);
    });
}

#[test]
fn our_fragments_arrive_as_one_message() {
    bounded(|| {
        let (address, server) = their_server(|mut ws| {
            let message = ws.read().unwrap();
            finish_theirs(ws);
            message
        });
        let mut ws = connect(address);
        let text = "κόσμε".as_bytes();
        let kind = sansocket_net::MessageKind::Text;
        ws.send_fragment(kind, &text[..3], false).unwrap();
        ws.send_fragment(kind, &text[3..], false).unwrap();
        ws.send_fragment(kind, &[], true).unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        close(&mut ws);
        assert_eq!(server.join(), Theirs::text("κόσμε"));
    });
}

#[test]
fn pings_are_answered_both_ways() {
    bounded(|| {
        let (address, server) = their_server(|mut ws| {
            ws.send(Theirs::Ping("theirs".into())).unwrap();
            let mut seen = vec![ws.read().unwrap(), ws.read().unwrap()];
            seen.sort_by_key(Theirs::is_pong);
            finish_theirs(ws);
            seen
        });
        let mut ws = connect(address);
        ws.ping(b"ours").unwrap();
        let mut seen = vec![ws.read().unwrap().unwrap().into_owned(), ws.read().unwrap().unwrap().into_owned()];
        seen.sort_by_key(|event| matches!(event, Event::Pong(_)));
        assert_eq!(seen, [Event::Ping(b"theirs".to_vec().into()), Event::Pong(b"ours".to_vec().into())]);
        ws.close(CloseCode::NORMAL, "").unwrap();
        close(&mut ws);
        assert_eq!(server.join(), [Theirs::Ping("ours".into()), Theirs::Pong("theirs".into())]);
    });
}

#[test]
fn their_server_closes() {
    bounded(|| {
        let (address, server) = their_server(|ws| close_theirs(ws, 4000));
        let mut ws = connect(address);
        let close = close(&mut ws);
        assert_eq!((close.code.as_u16(), &*close.reason), (4000, "bye"));
        assert_eq!((close.was_clean, close.initiator), (true, Initiator::Peer));
        assert_eq!(u16::from(server.join().unwrap().code), 4000);
    });
}

#[test]
fn our_client_closes() {
    bounded(|| {
        let (address, server) = their_server(finish_theirs);
        let mut ws = connect(address);
        ws.close(CloseCode::new(3001).unwrap(), "done").unwrap();
        let close = close(&mut ws);
        assert_eq!((close.code.as_u16(), close.was_clean, close.initiator), (3001, true, Initiator::Local));
        let theirs = server.join().unwrap();
        assert_eq!((u16::from(theirs.code), theirs.reason.as_str()), (3001, "done"));
    });
}

#[test]
fn their_client_closes() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| close(&mut incoming.accept().unwrap()));
        let answer = close_theirs(their_client(address), 4001).unwrap();
        assert_eq!(u16::from(answer.code), 4001);
        let close = server.join();
        assert_eq!((close.code.as_u16(), &*close.reason), (4001, "bye"));
        assert_eq!((close.was_clean, close.initiator), (true, Initiator::Peer));
    });
}

#[test]
fn our_server_closes() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.close(CloseCode::GOING_AWAY, "stopping").unwrap();
            close(&mut ws)
        });
        let theirs = finish_theirs(their_client(address)).unwrap();
        assert_eq!((u16::from(theirs.code), theirs.reason.as_str()), (1001, "stopping"));
        let close = server.join();
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::GOING_AWAY, true, Initiator::Local));
    });
}
