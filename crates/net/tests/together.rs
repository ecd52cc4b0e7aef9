//! Our client with our server, over several kinds of streams.

mod support;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sansocket_net::sansocket::{Delivery, Role};
use sansocket_net::{
    Acceptor, CloseCode, Config, Connector, Event, Incoming, Message, MessageKind, Reader, ReadyState, Stream,
    WebSocket, Writer,
};
use support::*;

#[test]
fn messages_go_both_ways_and_both_ends_close() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let mut ws = connect(address);
        assert_eq!((ws.ready_state(), ws.role(), ws.protocol()), (ReadyState::Open, Role::Client, None));
        assert_eq!(ws.response().unwrap().status(), 101);
        for sent in [Message::from("Hello"), Message::from(&[1, 2, 3]), Message::from(vec![7; 300_000])] {
            ws.send(sent.clone()).unwrap();
            assert_eq!(ws.buffered_amount(), 0);
            assert_eq!(message(&mut ws), sent);
        }
        ws.send_shared(MessageKind::Text, "shared".into()).unwrap();
        assert_eq!(message(&mut ws), Message::from("shared"));
        ws.close(CloseCode::NORMAL, "enough").unwrap();
        ws.close(CloseCode::NORMAL, "again").unwrap();
        assert_eq!(ws.ready_state(), ReadyState::Closing);
        assert!(close(&mut ws).was_clean);
        assert_eq!(ws.ready_state(), ReadyState::Closed);
        let close = server.join();
        assert_eq!((close.code, &*close.reason, close.was_clean), (CloseCode::NORMAL, "enough", true));
    });
}

#[test]
fn the_first_subprotocol_offered_that_is_supported_is_selected() {
    bounded(|| {
        for (offered, selected) in [(&["x", "b", "a"][..], Some("b")), (&["x"], None), (&[], None)] {
            let (listener, address) = listen_with(Acceptor::new().protocol("a").protocol("b"));
            let server = serve(listener, |incoming| {
                let mut ws = incoming.accept().unwrap();
                let protocol = ws.protocol().map(str::to_string);
                close(&mut ws);
                protocol
            });
            let connector = offered.iter().fold(Connector::new(), |connector, &offer| connector.protocol(offer));
            let ws = connector.connect(&url(address)).unwrap();
            assert_eq!(ws.protocol(), selected);
            drop(ws);
            assert_eq!(server.join().as_deref(), selected);
        }
    });
}

/// A message in one piece borrows the buffer; one that spans reads is assembled.
#[test]
fn messages_borrow_the_read_buffer() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().buffer_size(1024));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            let mut messages = Vec::new();
            while let Some(event) = ws.read().unwrap() {
                if let Event::Message(Message::Binary(payload)) = event {
                    messages.push((payload.len(), matches!(payload, Cow::Borrowed(_))));
                }
            }
            messages
        });
        let mut client = raw_client(address);
        // in one write, so that the server's reads of 1,024 bytes cut it at the same places each time
        let mut frames = Vec::new();
        for length in [500_u16, 600, 200, 3000, 300] {
            frames.extend([0x82, 0xfe]);
            frames.extend(length.to_be_bytes());
            frames.extend([0; 4]);
            frames.extend(vec![1; length.into()]);
        }
        frames.extend(CLOSE);
        client.write_all(&frames).unwrap();
        read_rest(&mut client);
        drop(client);
        let messages = server.join();
        assert_eq!(messages.iter().map(|&(length, _)| length).collect::<Vec<_>>(), [500, 600, 200, 3000, 300]);
        assert!(messages[0].1 && !messages[3].1, "{messages:?}");
    });
}

#[test]
fn frames_that_come_with_the_handshake_are_the_first_messages() {
    bounded(|| {
        // from a server, with its response
        let (address, server) = serve_raw(|mut stream, request| {
            let mut bytes = response(&request).into_bytes();
            bytes.extend(b"\x81\x05Hello\x81\x05again");
            stream.write_all(&bytes).unwrap();
            read_rest(&mut stream);
        });
        let mut ws = connect(address);
        assert_eq!(message(&mut ws), Message::from("Hello"));
        assert_eq!(message(&mut ws), Message::from("again"));
        drop(ws);
        server.join();

        // from a client that does not wait for the response, byte by byte
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let mut client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        for bytes in [REQUEST.as_bytes(), HELLO, HELLO, CLOSE] {
            for byte in bytes {
                client.write_all(&[*byte]).unwrap();
            }
        }
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        assert_eq!(read_rest(&mut client), b"\x81\x05Hello\x81\x05Hello\x88\x02\x03\xe8");
        drop(client);
        assert!(server.join().was_clean);
    });
}

#[test]
fn chunks_are_delivered_where_the_config_asks_for_them() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(Config::default().delivery(Delivery::Chunks)));
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            let mut bytes = 0;
            loop {
                match ws.read().unwrap().unwrap() {
                    Event::Chunk(chunk) if chunk.last => return bytes + chunk.payload.len(),
                    Event::Chunk(chunk) => bytes += chunk.payload.len(),
                    event => panic!("{event:?}"),
                }
            }
        });
        let mut ws = connect(address);
        ws.send(vec![0; 1_000_000]).unwrap();
        // Dropping the connection could discard what the kernel still holds.
        ws.finish().unwrap();
        assert_eq!(server.join(), 1_000_000);
    });
}

#[test]
#[cfg(unix)]
fn over_unix_sockets() {
    bounded(|| {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let server = spawn(|| echo(Acceptor::new().incoming(theirs).accept().unwrap()));
        let mut ws = Connector::new().handshake("ws://localhost/", ours).unwrap();
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(close(&mut ws).was_clean);
        assert!(server.join().was_clean);
    });
}

/// A stream that cannot half-close, takes one byte at a time, and writes its bytes when it is flushed.
struct Plain {
    tcp: TcpStream,
    written: Vec<u8>,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.push(bytes[0]);
        Ok(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.write_all(&std::mem::take(&mut self.written))
    }
}

impl Stream for Plain {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.tcp, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn over_any_stream() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let stream: Box<dyn Stream + Send> =
            Box::new(Plain { tcp: TcpStream::connect(address).unwrap(), written: Vec::new() });
        // wss: the connection assumes that the stream is TLS
        let mut ws = Connector::new().handshake("wss://localhost/", stream).unwrap();
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(close(&mut ws).was_clean);
        // such a stream ends when it is dropped
        drop(ws);
        assert!(server.join().was_clean);
    });
}

#[test]
fn a_connection_ends_if_neither_stream_can_half_close() {
    bounded(|| {
        let (ours, theirs) = tcp_pair();
        let server = spawn(move || {
            let stream = Plain { tcp: theirs, written: Vec::new() };
            echo(Acceptor::new().incoming(stream).accept().unwrap())
        });
        let mut ws = Connector::new().handshake("ws://localhost/", Plain { tcp: ours, written: Vec::new() }).unwrap();
        ws.send("Hello").unwrap();
        assert!(ws.finish().unwrap().was_clean);
        assert!(server.join().was_clean);
    });
}

#[test]
fn handles_move_between_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    is_send::<WebSocket>();
    is_send::<Incoming>();
    is_send::<Reader<TcpStream>>();
    is_shared::<Writer<TcpStream>>();
    is_shared::<Connector>();
}

#[test]
fn a_message_that_may_not_be_sent_does_not_affect_the_connection() {
    bounded(|| {
        use sansocket_net::Error;
        use sansocket_net::sansocket::SendError;
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let connector = Connector::new().config(Config::default().max_buffered_amount(100));
        let mut ws = connector.connect(&url(address)).unwrap();
        let is_long = |sent: Result<(), Error>| {
            matches!(sent, Err(Error::Send(SendError::MessageTooLong { size: 101, limit: 100, .. })))
        };
        assert!(is_long(ws.send(vec![0; 101])));
        assert!(is_long(ws.send_shared(MessageKind::Binary, vec![0; 101].into())));
        assert!(is_long(ws.send_fragment(MessageKind::Binary, vec![0; 101], true)));
        assert!(matches!(ws.ping(&[0; 126]).unwrap_err(), Error::Send(SendError::ControlPayloadTooLong(126))));
        assert!(matches!(ws.close(CloseCode::ABNORMAL, "").unwrap_err(), Error::Send(_)));
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(matches!(ws.send("late").unwrap_err(), Error::Send(SendError::NotOpen(ReadyState::Closing))));
        assert!(close(&mut ws).was_clean);
        assert!(server.join().was_clean);
    });
}
