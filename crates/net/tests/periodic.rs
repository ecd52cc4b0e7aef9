//! Threads that read and do other work: `read_timeout` and `try_read`, of unsplit and of split connections.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::sansocket::{Error as Failure, ProtocolError, TimeoutKind};
use sansocket_net::{
    Acceptor, CloseCode, Config, Error, Event, Message, MessageKind, ReadOutcome, Reader, WebSocket, Writer,
};
use support::*;

/// A connection, or the reading half of one.
trait TimedReader {
    fn read_timeout(&mut self, timeout: Duration) -> Result<ReadOutcome<'_>, Error>;
    fn try_read(&mut self) -> Result<ReadOutcome<'_>, Error>;
}

impl TimedReader for WebSocket {
    fn read_timeout(&mut self, timeout: Duration) -> Result<ReadOutcome<'_>, Error> {
        Self::read_timeout(self, timeout)
    }

    fn try_read(&mut self) -> Result<ReadOutcome<'_>, Error> {
        Self::try_read(self)
    }
}

/// The writer keeps the connection open.
impl TimedReader for (Reader<TcpStream>, Writer<TcpStream>) {
    fn read_timeout(&mut self, timeout: Duration) -> Result<ReadOutcome<'_>, Error> {
        self.0.read_timeout(timeout)
    }

    fn try_read(&mut self) -> Result<ReadOutcome<'_>, Error> {
        self.0.try_read()
    }
}

/// Returns a raw client and the server's connection.
fn connected(config: Config) -> (TcpStream, WebSocket) {
    let (listener, address) = listen_with(Acceptor::new().config(config));
    let server = serve(listener, |incoming| incoming.accept().unwrap());
    let client = raw_client(address);
    client.set_read_timeout(Some(BOUND)).unwrap();
    (client, server.join())
}

/// Runs a test's body over a connection, and over a split one.
fn over_each(
    config: impl Fn() -> Config + Send + 'static,
    body: impl Fn(TcpStream, &mut dyn TimedReader) + Send + 'static,
) {
    bounded(move || {
        let (client, mut ws) = connected(config());
        body(client, &mut ws);
        let (client, ws) = connected(config());
        body(client, &mut ws.split().unwrap());
    });
}

/// Calls `try_read` until there is an event.
fn poll(reader: &mut dyn TimedReader) -> Option<Event<'static>> {
    let started = Instant::now();
    loop {
        match reader.try_read().unwrap() {
            ReadOutcome::Event(event) => return Some(event.into_owned()),
            ReadOutcome::Ended => return None,
            ReadOutcome::Pending => assert!(started.elapsed() < BOUND),
        }
        thread::yield_now();
    }
}

#[test]
fn an_event_a_wait_without_event_and_the_end_are_different_outcomes() {
    over_each(Config::default, |mut client, reader| {
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Pending);
        assert_eq!(reader.read_timeout(Duration::from_millis(1)).unwrap(), ReadOutcome::Pending);
        client.write_all(HELLO).unwrap();
        assert_eq!(reader.read_timeout(BOUND).unwrap(), ReadOutcome::Event(Event::Message("Hello".into())));
        client.write_all(HELLO).unwrap();
        assert_eq!(poll(reader), Some(Event::Message("Hello".into())));
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Pending);
        client.write_all(CLOSE).unwrap();
        assert!(matches!(poll(reader), Some(Event::CloseReceived(_))));
        let mut reply = [0; 4];
        while reader.try_read().unwrap() == ReadOutcome::Pending && client.peek(&mut reply).unwrap() < 4 {}
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, CLOSE_REPLY);
        drop(client);
        let Some(Event::Close(close)) = poll(reader) else { panic!("not closed") };
        assert!(close.was_clean);
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Ended);
        assert_eq!(reader.read_timeout(BOUND).unwrap(), ReadOutcome::Ended);
    });
}

/// `try_read` reports the end at its first call.
#[test]
fn the_end_of_the_stream_is_an_event_that_has_arrived() {
    bounded(|| {
        let (client, mut ws) = connected(Config::default());
        drop(client);
        assert_eq!(ws.stream().peek(&mut [0]).unwrap(), 0);
        let ReadOutcome::Event(Event::Close(close)) = ws.try_read().unwrap() else { panic!("not closed") };
        assert_eq!(close.code, CloseCode::ABNORMAL);
        assert_eq!(ws.try_read().unwrap(), ReadOutcome::Ended);
    });
}

#[test]
fn messages_that_arrived_together_are_read_one_by_one_without_waiting() {
    over_each(Config::default, |mut client, reader| {
        client.write_all(&HELLO.repeat(3)).unwrap();
        assert_eq!(poll(reader), Some(Event::Message("Hello".into())));
        for _ in 0..2 {
            assert_eq!(poll(reader), Some(Event::Message("Hello".into())));
        }
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Pending);
    });
}

#[test]
fn a_peer_that_sends_parts_of_a_message_does_not_hold_the_reader() {
    /// So long that the message does not arrive byte by byte during the test.
    const LENGTH: usize = 1 << 24;
    over_each(Config::default, |client, reader| {
        let is_over = Arc::new(AtomicBool::new(false));
        let (begun, wait) = mpsc::channel();
        let dripping = spawn({
            let (is_over, mut client) = (Arc::clone(&is_over), client.try_clone().unwrap());
            move || {
                client.write_all(b"\x82\xff\0\0\0\0\x01\0\0\0\0\0\0\0").unwrap();
                begun.send(()).unwrap();
                let mut sent = 0;
                while !is_over.load(Ordering::SeqCst) {
                    client.write_all(b"x").unwrap();
                    sent += 1;
                }
                // The rest, so that the message arrives whole.
                client.write_all(&vec![b'x'; LENGTH - sent]).unwrap();
            }
        });
        wait.recv().unwrap();
        for timeout in [0, 1, 30] {
            assert_eq!(reader.read_timeout(Duration::from_millis(timeout)).unwrap(), ReadOutcome::Pending);
        }
        is_over.store(true, Ordering::SeqCst);
        let Some(Event::Message(message)) = poll(reader) else { panic!("no message") };
        dripping.join();
        assert_eq!(message.len(), LENGTH);
    });
}

#[test]
fn try_read_reads_a_long_message_that_has_arrived_in_few_calls() {
    over_each(Config::default, |mut client, reader| {
        client.write_all(b"\x82\xfe\xff\xff\0\0\0\0").unwrap();
        client.write_all(&[b'x'; 65_535]).unwrap();
        let Some(Event::Message(message)) = poll(reader) else { panic!("no message") };
        assert_eq!(message.len(), 65_535);
    });
}

#[test]
fn the_longest_timeout_waits_as_read_does() {
    over_each(Config::default, |mut client, reader| {
        let writing = spawn(move || {
            client.write_all(HELLO).unwrap();
            client
        });
        assert_eq!(reader.read_timeout(Duration::MAX).unwrap(), ReadOutcome::Event(Event::Message("Hello".into())));
        drop(writing.join());
        assert!(matches!(reader.read_timeout(Duration::MAX).unwrap(), ReadOutcome::Event(Event::Close(_))));
    });
}

#[test]
fn pings_are_answered_between_reads_that_do_not_wait() {
    over_each(Config::default, |mut client, reader| {
        client.write_all(PING).unwrap();
        assert!(matches!(poll(reader), Some(Event::Ping(_))));
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Pending);
        let mut pong = [0; 2];
        client.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x8a\0");
    });
}

#[test]
fn deadlines_take_effect_between_reads_that_do_not_wait() {
    let keepalive = || short_keepalive();
    over_each(keepalive, |mut client, reader| {
        let started = Instant::now();
        let error = loop {
            assert!(started.elapsed() < BOUND);
            match reader.try_read() {
                Ok(outcome) => assert_eq!(outcome, ReadOutcome::Pending),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Peer(Failure::Timeout(TimeoutKind::Pong))), "{error}");
        let Some(Event::Close(close)) = poll(reader) else { panic!("not closed") };
        assert_eq!(close.code, CloseCode::ABNORMAL);
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Ended);
        let mut ping = [0; 2];
        client.read_exact(&mut ping).unwrap();
        assert_eq!(ping[0], 0x89);
    });
}

#[test]
fn a_failure_is_reported_once_and_then_the_end() {
    over_each(Config::default, |mut client, reader| {
        client.write_all(b"\xff").unwrap();
        client.write_all(&[0; 20]).unwrap();
        drop(client);
        let started = Instant::now();
        let error = loop {
            assert!(started.elapsed() < BOUND);
            match reader.read_timeout(Duration::from_millis(1)) {
                Ok(outcome) => assert_eq!(outcome, ReadOutcome::Pending),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Peer(Failure::Protocol(ProtocolError::OpCodeReserved))), "{error:?}");
        assert!(matches!(poll(reader), Some(Event::Close(_))));
        assert_eq!(reader.try_read().unwrap(), ReadOutcome::Ended);
    });
}

/// One thread drives two connections.
#[test]
fn one_thread_serves_two_connections_and_closes_them() {
    bounded(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let mut connections = [accept(&listener), accept(&listener)].map(|incoming| incoming.accept().unwrap());
            let mut ends = Vec::new();
            while ends.len() < 2 {
                for ws in &mut connections {
                    match ws.read_timeout(Duration::from_micros(100)).unwrap() {
                        ReadOutcome::Event(Event::Message(message)) => {
                            let message = message.into_owned();
                            ws.send(message).unwrap();
                        }
                        ReadOutcome::Event(Event::Close(close)) => ends.push(close),
                        _ => {}
                    }
                }
            }
            ends
        });
        let clients = [(); 2].map(|()| {
            spawn(move || {
                let mut ws = connect(address);
                for number in 0..20 {
                    ws.send(format!("message {number}")).unwrap();
                    assert_eq!(message(&mut ws), Message::from(format!("message {number}")));
                }
                ws.finish().unwrap()
            })
        });
        clients.into_iter().for_each(|client| assert!(client.join().was_clean));
        assert!(server.join().iter().all(|close| close.was_clean));
    });
}

#[test]
fn a_reader_does_not_wait_for_a_peer_that_takes_no_output() {
    bounded(|| {
        let (client, ws) = connected(Config::default().high_water_mark(0));
        let (mut reader, writer) = ws.split().unwrap();
        let sending = spawn({
            let writer = writer.clone();
            move || writer.send_shared(MessageKind::Binary, vec![7; 32 << 20].into())
        });
        while writer.buffered_amount() == 0 {
            thread::yield_now();
        }
        for timeout in [0, 1, 20] {
            assert_eq!(reader.read_timeout(Duration::from_millis(timeout)).unwrap(), ReadOutcome::Pending);
        }
        writer.abort();
        drop(client);
        sending.join().unwrap_err();
        while !matches!(reader.try_read().unwrap(), ReadOutcome::Ended) {}
    });
}
