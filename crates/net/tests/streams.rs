//! Streams other than sockets, and how a connection uses the methods of its stream.

mod support;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use sansocket_net::sansocket::{Error as Failure, TimeoutKind};
use sansocket_net::{Acceptor, CloseCode, Config, Connector, Error, Event, Message, ReadOutcome, Stream, WebSocket};
use support::*;

#[path = "../examples/counting_stream.rs"]
#[allow(dead_code, reason = "the example has its own `main`")]
mod counting_stream;

#[test]
fn a_stream_that_forwards_every_method_works_as_in_the_example() {
    bounded(|| counting_stream::main().unwrap());
}

/// A pipe in memory with timeouts. It implements no method that has a default.
#[derive(Debug)]
struct Pipe {
    incoming: Receiver<Vec<u8>>,
    outgoing: Option<Sender<Vec<u8>>>,
    rest: Vec<u8>,
    read_timeout: Duration,
}

fn pipe() -> (Pipe, Pipe) {
    let (to_left, left) = mpsc::channel();
    let (to_right, right) = mpsc::channel();
    let end =
        |incoming, outgoing| Pipe { incoming, outgoing: Some(outgoing), rest: Vec::new(), read_timeout: Duration::MAX };
    (end(left, to_right), end(right, to_left))
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.incoming.recv_timeout(self.read_timeout) {
                Ok(bytes) => self.rest = bytes,
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outgoing = self.outgoing.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        outgoing.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Pipe {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        assert!(timeout > Duration::ZERO);
        self.read_timeout = timeout;
        Ok(())
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        assert!(timeout > Duration::ZERO);
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.outgoing = None;
        Ok(())
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.shutdown_write()
    }
}

#[test]
fn a_pipe_in_memory_carries_a_connection_to_a_clean_end() {
    bounded(|| {
        let (ours, theirs) = pipe();
        let server = spawn(|| echo(Acceptor::new().incoming(theirs).accept().unwrap()));
        let mut ws = Connector::new().handshake("ws://localhost/", ours).unwrap();
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        assert_eq!(ws.try_read().unwrap(), ReadOutcome::Pending);
        ws.send("Hello").unwrap();
        let echo = loop {
            if let ReadOutcome::Event(event) = ws.try_read().unwrap() {
                break event.into_owned();
            }
        };
        assert_eq!(echo, Event::Message(Message::from("Hello")));
        // `read` sets its own timeout after `try_read`, so that it does not spin.
        assert_eq!(ws.stream().read_timeout, Duration::from_micros(1));
        ws.send("Hello").unwrap();
        assert_eq!(message(&mut ws), Message::from("Hello"));
        assert!(ws.stream().read_timeout > Duration::from_millis(1));
        assert!(ws.finish().unwrap().was_clean);
        assert!(server.join().was_clean);
    });
}

/// A stream whose `read` must not be called once a connection is open.
struct NeverBlocking {
    tcp: TcpStream,
    is_open: Rc<Cell<bool>>,
}

impl Read for NeverBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.is_open.get(), "a read that may block");
        self.tcp.read(buffer)
    }
}

impl Write for NeverBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for NeverBlocking {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&mut self.tcp, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.tcp.shutdown_write()
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.tcp.shutdown_both()
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.try_read(buffer)
    }
}

#[test]
fn a_connection_that_must_not_wait_calls_no_method_that_waits() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| echo(incoming.accept().unwrap()));
        let is_open = Rc::new(Cell::new(false));
        let stream = NeverBlocking { tcp: TcpStream::connect(address).unwrap(), is_open: Rc::clone(&is_open) };
        let mut ws = Connector::new().handshake("ws://localhost/", stream).unwrap();
        is_open.set(true);
        assert_eq!(ws.try_read().unwrap(), ReadOutcome::Pending);
        ws.send("Hello").unwrap();
        ws.close(CloseCode::NORMAL, "").unwrap();
        let mut events = Vec::new();
        loop {
            match ws.read_timeout(Duration::ZERO).unwrap() {
                ReadOutcome::Event(event) => events.push(event.into_owned()),
                ReadOutcome::Pending => std::thread::yield_now(),
                ReadOutcome::Ended => break,
            }
        }
        assert_eq!(events[0], Event::Message("Hello".into()));
        assert!(matches!(events.last(), Some(Event::Close(close)) if close.was_clean));
        assert!(server.join().was_clean);
    });
}

/// Sockets read the bytes that have arrived; if there are none, they fail at once.
#[test]
fn sockets_read_without_waiting() {
    bounded(|| {
        let (mut client, ws) = connected();
        let mut stream = ws.into_stream();
        // A timeout for which `try_read` must not wait.
        stream.set_read_timeout(Some(BOUND * 2)).unwrap();
        assert_eq!(Stream::try_read(&mut stream, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"ab").unwrap();
        stream.peek(&mut [0]).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(Stream::try_read(&mut Box::new(&mut stream), &mut buffer).unwrap(), 2);
        assert_eq!(&buffer[..2], b"ab");
    });
}

#[test]
fn deadlines_work_through_the_timeouts_of_a_stream() {
    bounded(|| {
        let (ours, _theirs) = pipe();
        let acceptor = Acceptor::new().config(Config::default().opening_timeout(SHORT).closing_timeout(SHORT));
        let error = acceptor.incoming(ours).accept().map(drop).unwrap_err();
        assert!(matches!(error, Error::Peer(Failure::Timeout(TimeoutKind::Opening))), "{error}");
    });
}

/// Returns a raw client and the server's connection.
fn connected() -> (TcpStream, WebSocket) {
    // So long that no thread wakes to check whether another one has begun to close.
    let config = Config::default().closing_timeout(BOUND * 10);
    let (listener, address) = listen_with(Acceptor::new().config(config));
    let server = serve(listener, |incoming| incoming.accept().unwrap());
    let client = raw_client(address);
    client.set_read_timeout(Some(BOUND)).unwrap();
    (client, server.join())
}

#[test]
fn abort_ends_tcp_without_a_close_frame() {
    bounded(|| {
        let (client, ws) = connected();
        ws.abort();
        assert_no_close_frame(client);

        let (client, ws) = connected();
        let (reader, writer) = ws.split().unwrap();
        drop(writer);
        reader.abort();
        assert_no_close_frame(client);
    });
}

/// The peer reads the end of TCP, with or without a reset, and no frame.
fn assert_no_close_frame(mut client: TcpStream) {
    match client.read(&mut [0]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn a_writers_abort_ends_the_connection_for_a_reader_that_waits() {
    bounded(|| {
        let (mut client, ws) = connected();
        let (mut reader, writer) = ws.split().unwrap();
        let reading = spawn(move || reader.events().map(Result::unwrap).collect::<Vec<_>>());
        // The reader sends the Pong when it waits again.
        client.write_all(PING).unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        writer.abort();
        let events = reading.join();
        let [Event::Ping(_), Event::Close(close)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((close.code, close.was_clean), (CloseCode::ABNORMAL, false));
        assert!(writer.send("late").is_err());
        assert_no_close_frame(client);
    });
}

#[test]
fn a_writers_abort_ends_another_threads_send_to_a_peer_that_does_not_read() {
    bounded(|| {
        let (client, ws) = connected();
        let (mut reader, writer) = ws.split().unwrap();
        let sending = begin_to_send(&writer, 32 << 20);
        writer.abort();
        let events: Vec<_> = reader.events().map(Result::unwrap).collect();
        assert!(matches!(&events[..], [Event::Close(_)]), "{events:?}");
        sending.join().unwrap_err();
        drop(client);
    });
}
