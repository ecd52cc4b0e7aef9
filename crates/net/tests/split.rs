//! Split connections: one thread reads while others send.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use sansocket_net::sansocket::{Error as Failure, TimeoutKind};
use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, Event, Listener, Message, Reader, SplitStream, Writer,
};
use support::*;

fn split(address: std::net::SocketAddr) -> (Reader<TcpStream>, Writer<TcpStream>) {
    connect(address).split().unwrap()
}

/// Reads to the end; returns the messages and the Close event.
fn read_all<S: SplitStream>(mut reader: Reader<S>) -> (Vec<Message<'static>>, Close) {
    let mut messages = Vec::new();
    loop {
        match reader.read().unwrap().expect("a Close event").into_owned() {
            Event::Message(message) => messages.push(message),
            Event::Close(close) => {
                assert!(reader.read().unwrap().is_none());
                return (messages, close);
            }
            _ => {}
        }
    }
}

fn serve_echo(listener: Listener) -> Task<Close> {
    serve(listener, |incoming| echo(incoming.accept().unwrap()))
}

#[test]
fn one_thread_reads_while_another_sends() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve_echo(listener);
        let (reader, writer) = split(address);
        let reading = spawn(|| read_all(reader));
        let sent: Vec<Message<'static>> = (0..200).map(|i| format!("{i}").repeat(i * 10).into()).collect();
        for message in &sent {
            writer.send(message.clone()).unwrap();
        }
        writer.close(CloseCode::NORMAL, "").unwrap();
        let (messages, close) = reading.join();
        assert!(messages == sent);
        assert!(close.was_clean && server.join().was_clean);
    });
}

#[test]
fn messages_of_several_threads_do_not_mix() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| read_all(incoming.accept().unwrap().split().unwrap().0));
        let (reader, writer) = split(address);
        let reading = spawn(|| read_all(reader));
        thread::scope(|scope| {
            for letter in b'a'..=b'd' {
                let writer = writer.clone();
                scope.spawn(move || {
                    for size in 0..50 {
                        writer.send(vec![letter; size * 1000]).unwrap();
                        writer.ping(&[letter]).unwrap();
                    }
                });
            }
        });
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert!(reading.join().1.was_clean);
        let messages = server.join().0;
        for letter in b'a'..=b'd' {
            let sizes = messages.iter().filter(|message| message.as_bytes().first() == Some(&letter)).map(Message::len);
            assert!(sizes.eq((1..50).map(|size| size * 1000)));
        }
        assert!(messages.iter().all(|message| message.as_bytes().windows(2).all(|pair| pair[0] == pair[1])));
    });
}

/// Both ends send more than TCP holds before either reads: without a split, they would wait for each other for ever.
#[test]
fn both_ends_send_at_once() {
    const COUNT: usize = 40;
    fn exchange((mut reader, writer): (Reader<TcpStream>, Writer<TcpStream>)) -> Close {
        let sending = spawn(move || {
            for _ in 0..COUNT {
                writer.send(vec![7; 1024 * 1024]).unwrap();
            }
            writer
        });
        for _ in 0..COUNT {
            assert!(matches!(reader.read().unwrap(), Some(Event::Message(message)) if message.len() == 1024 * 1024));
        }
        let writer = sending.join();
        writer.close(CloseCode::NORMAL, "").unwrap();
        read_all(reader).1
    }
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| exchange(incoming.accept().unwrap().split().unwrap()));
        assert!(exchange(split(address)).was_clean);
        assert!(server.join().was_clean);
    });
}

/// The reader, whose thread waits in `read`, answers without the writer.
#[test]
fn pongs_and_the_reply_to_a_close_frame_are_sent_at_once() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let (reader, writer) = incoming.accept().unwrap().split().unwrap();
            let end = read_all(reader).1;
            (end, writer)
        });
        let mut client = raw_client(address);
        client.write_all(PING).unwrap();
        let mut pong = [0; 2];
        client.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x8a\0");
        client.write_all(CLOSE).unwrap();
        assert_eq!(read_rest(&mut client), CLOSE_REPLY);
        drop(client);
        assert!(server.join().0.was_clean);
    });
}

/// The reader is already waiting when the writer closes, which sets a deadline.
#[test]
fn a_peer_that_never_answers_the_close_frame_is_dropped() {
    bounded(|| {
        let (address, server) = serve_open(|mut stream| {
            stream.write_all(b"\x81\x05Hello").unwrap();
            read_rest(&mut stream)
        });
        let config = Config::default().closing_timeout(SHORT);
        let ws = Connector::new().config(config).connect(&url(address)).unwrap();
        let (mut reader, writer) = ws.split().unwrap();
        assert!(matches!(reader.read().unwrap(), Some(Event::Message(_))));
        let reading = spawn(|| read_all(reader));
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(reading.join().1.code, CloseCode::ABNORMAL);
        assert_eq!(server.join().len(), 8);
        assert!(matches!(writer.send("late"), Err(Error::Send(_))));
    });
}

/// A writer waits for a peer that reads nothing. It returns after another thread has closed the connection.
#[test]
fn a_peer_that_never_reads_is_dropped() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(Config::default().closing_timeout(SHORT)));
        let server = serve(listener, |incoming| {
            let (reader, writer) = incoming.accept().unwrap().split().unwrap();
            let reading = spawn(|| read_all(reader));
            let (about_to_send, progress) = mpsc::channel();
            let sending = spawn({
                let writer = writer.clone();
                move || {
                    while writer.send(vec![0; 4 * 1024 * 1024]).is_ok() {
                        about_to_send.send(()).unwrap();
                    }
                }
            });
            // waits until the thread makes no progress
            while progress.recv_timeout(SHORT).is_ok() {}
            writer.close(CloseCode::NORMAL, "").unwrap();
            sending.join();
            assert_eq!(reading.join().1.code, CloseCode::ABNORMAL);
        });
        let client = raw_client(address);
        server.join();
        drop(client);
    });
}

#[test]
fn a_silent_peer_is_dropped_whichever_thread_notices() {
    bounded(|| {
        let keepalive = short_keepalive();
        let (listener, address) = listen_with(Acceptor::new().config(keepalive));
        let server = serve(listener, |incoming| {
            let (mut reader, writer) = incoming.accept().unwrap().split().unwrap();
            let sending = spawn(move || while writer.send(vec![0; 1024 * 1024]).is_ok() {});
            let error = loop {
                if let Err(error) = reader.read() {
                    break error;
                }
            };
            assert!(matches!(error, Error::Peer(Failure::Timeout(TimeoutKind::Pong))), "{error}");
            assert!(matches!(reader.read().unwrap(), Some(Event::Close(_))));
            sending.join();
        });
        let client = raw_client(address);
        server.join();
        drop(client);
    });
}

/// CVE-2022-25762: sending and closing at the same time mixed up the buffers of connections.
#[test]
fn sending_and_closing_from_two_threads() {
    bounded(|| {
        for _ in 0..50 {
            let (listener, address) = listen();
            let server = serve(listener, |incoming| read_all(incoming.accept().unwrap().split().unwrap().0));
            let (reader, writer) = split(address);
            let reading = spawn(|| read_all(reader));
            let sent = thread::scope(|scope| {
                let sending = scope.spawn(|| (0..).take_while(|i| writer.send(format!("message {i}")).is_ok()).count());
                scope.spawn(|| writer.close(CloseCode::NORMAL, "").unwrap());
                sending.join().unwrap()
            });
            // the messages sent before the Close frame arrive, in order, and no others
            let (messages, close) = server.join();
            let expected: Vec<Message<'_>> = (0..messages.len()).map(|i| format!("message {i}").into()).collect();
            assert!(messages == expected);
            assert!(messages.len() == sent || messages.len() == sent + 1, "{} of {sent}", messages.len());
            assert!(close.was_clean && reading.join().1.was_clean);
        }
    });
}

#[test]
fn dropping_the_reader_ends_the_connection() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| close(&mut incoming.accept().unwrap()));
        let (reader, writer) = split(address);
        drop(reader);
        assert_eq!(server.join().code, CloseCode::ABNORMAL);
        assert!(matches!(writer.send("late"), Err(Error::Send(_))));
    });
}

#[test]
fn dropping_the_writer_does_not_end_the_connection() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let mut ws = incoming.accept().unwrap();
            ws.send("Hello").unwrap();
            ws.close(CloseCode::NORMAL, "").unwrap();
            close(&mut ws)
        });
        let (reader, writer) = split(address);
        drop(writer);
        let (messages, close) = read_all(reader);
        assert_eq!(messages, [Message::from("Hello")]);
        assert!(close.was_clean && server.join().was_clean);
    });
}

/// The buffer holds only one message: writers wait for each other instead of failing.
#[test]
fn writers_wait_for_room() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| read_all(incoming.accept().unwrap().split().unwrap().0));
        let config = Config::default().max_buffered_amount(1_000_000);
        let (reader, writer) = Connector::new().config(config).connect(&url(address)).unwrap().split().unwrap();
        let reading = spawn(|| read_all(reader));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| writer.send(vec![0; 900_000]).unwrap()));
            }
        });
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(server.join().0.len(), 40);
        assert!(reading.join().1.was_clean);
        assert!(matches!(writer.send(vec![0; 1_000_001]), Err(Error::Send(_))));
    });
}

/// No thread reads at this end either.
#[test]
fn the_writers_alone_drop_a_peer_that_never_reads() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(Config::default().closing_timeout(SHORT)));
        let server = serve(listener, |incoming| {
            let (reader, writer) = incoming.accept().unwrap().split().unwrap();
            let (about_to_send, progress) = mpsc::channel();
            let sending = spawn({
                let writer = writer.clone();
                move || {
                    while writer.send(vec![0; 4 * 1024 * 1024]).is_ok() {
                        about_to_send.send(()).unwrap();
                    }
                }
            });
            while progress.recv_timeout(SHORT).is_ok() {}
            writer.close(CloseCode::NORMAL, "").unwrap();
            sending.join();
            drop(reader);
        });
        let client = raw_client(address);
        server.join();
        drop(client);
    });
}
