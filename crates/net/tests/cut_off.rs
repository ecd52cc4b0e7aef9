//! Streams that take no more bytes, or end, while output is pending: no sending method returns `Ok` for bytes that were
//! not written, and bytes that can still be written are.

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sansocket_net::sansocket::SendError;
use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Error, Event, MessageKind, SplitStream, Stream, WebSocket, Writer,
};
use support::*;

/// What a socket does with a write.
#[derive(Clone, Copy, Debug, Default)]
enum WriteMode {
    /// Takes bytes.
    #[default]
    Willing,
    /// Takes nothing and returns after the timeout.
    Full,
    /// Takes nothing and does not return, not even after the timeout or at the end of TCP. The number of writes that do
    /// not return.
    Asleep(usize),
    /// Takes bytes once, and is then `Gone`.
    Last,
    /// Fails because TCP was reset.
    Gone,
    /// Fails for a reason that is not the end of TCP.
    Odd,
    /// Keeps bytes until a flush, which fails once with this error.
    Buffering(Option<ErrorKind>),
}

/// A socket whose writes depend on a mood, which its halves share.
#[derive(Debug)]
struct ScriptedSocket {
    tcp: TcpStream,
    mood: Arc<Mutex<WriteMode>>,
    kept: Arc<Mutex<Vec<u8>>>,
    timeout: Duration,
}

impl Read for ScriptedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for ScriptedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let WriteMode::Asleep(writes) = &mut *self.mood.lock().unwrap() {
            *writes += 1;
        }
        // Not `while let`, which would hold the lock during the sleep.
        while matches!(*self.mood.lock().unwrap(), WriteMode::Asleep(_)) {
            thread::sleep(Duration::from_millis(1));
        }
        let mood = *self.mood.lock().unwrap();
        match mood {
            WriteMode::Willing | WriteMode::Asleep(_) => return self.tcp.write(bytes),
            WriteMode::Last => *self.mood.lock().unwrap() = WriteMode::Gone,
            WriteMode::Full => {
                thread::sleep(self.timeout);
                return Err(ErrorKind::WouldBlock.into());
            }
            WriteMode::Gone => return Err(ErrorKind::ConnectionReset.into()),
            WriteMode::Odd => return Err(io::Error::other("odd")),
            WriteMode::Buffering(_) => {
                self.kept.lock().unwrap().extend_from_slice(bytes);
                return Ok(bytes.len());
            }
        }
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let WriteMode::Buffering(trouble) = &mut *self.mood.lock().unwrap()
            && let Some(kind) = trouble.take()
        {
            return Err(kind.into());
        }
        let kept = mem::take(&mut *self.kept.lock().unwrap());
        self.tcp.write_all(&kept)
    }
}

impl Stream for ScriptedSocket {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeout = timeout;
        Stream::set_write_timeout(&mut self.tcp, timeout)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Both)
    }
}

impl SplitStream for ScriptedSocket {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let (mood, kept) = (Arc::clone(&self.mood), Arc::clone(&self.kept));
        let other = Self { tcp: self.tcp.try_clone()?, mood, kept, timeout: self.timeout };
        Ok((self, other))
    }
}

/// Returns a raw client, the server's connection, and its mood.
fn moody(config: Config) -> (TcpStream, WebSocket<ScriptedSocket>, Arc<Mutex<WriteMode>>) {
    let (mut client, tcp) = tcp_pair();
    client.set_read_timeout(Some(BOUND)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    let mood = Arc::<Mutex<WriteMode>>::default();
    let stream = ScriptedSocket { tcp, mood: Arc::clone(&mood), kept: Arc::default(), timeout: BOUND };
    let ws = Acceptor::new().config(config).incoming(stream).accept().unwrap();
    read_head(&mut client);
    (client, ws, mood)
}

fn last_close(events: impl Iterator<Item = Result<Event<'static>, Error>>) -> Close {
    match events.last() {
        Some(Ok(Event::Close(close))) => close,
        other => panic!("{other:?}"),
    }
}

/// Starts two threads that send to a stream that takes nothing.
fn two_blocked_sends(writer: &Writer<ScriptedSocket>) -> [Task<Result<(), Error>>; 2] {
    [begin_to_send(writer, 1_000_000), begin_to_send(writer, 2_000_000)]
}

// The core drops the message of one thread while the other one waits to write.
#[test]
fn sends_that_a_deadline_cuts_off_fail() {
    bounded(|| {
        let keepalive = short_keepalive();
        let (mut client, ws, mood) = moody(keepalive);
        let (_reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = WriteMode::Full;
        for sending in two_blocked_sends(&writer) {
            sending.join().unwrap_err();
        }
        assert!(read_rest(&mut client).is_empty());
    });
}

#[test]
fn sends_that_the_drop_of_the_reader_cuts_off_fail() {
    bounded(|| {
        let (_client, ws, mood) = moody(Config::default());
        let (reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = WriteMode::Full;
        let sending = two_blocked_sends(&writer);
        while writer.buffered_amount() < 2_000_000 {
            thread::yield_now();
        }
        drop(reader);
        *mood.lock().unwrap() = WriteMode::Gone;
        for sending in sending {
            sending.join().unwrap_err();
        }
    });
}

// `buffered_amount` does not count messages without payload.
#[test]
fn sends_without_payload_that_a_failed_write_cuts_off_fail() {
    bounded(|| {
        let (_client, ws, mood) = moody(Config::default());
        let (_reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = WriteMode::Asleep(0);
        let fragment = |payload: &'static [u8]| {
            let writer = writer.clone();
            spawn(move || writer.send_fragment(MessageKind::Binary, payload, false))
        };
        let first = fragment(&[]);
        // Queues nothing, and fails differently once a message of the other kind has begun.
        while is_utf8_invalid(&writer.send_fragment(MessageKind::Text, b"\xff", true)) {
            thread::yield_now();
        }
        let others = [(); 4].map(|()| fragment(&[]));
        *mood.lock().unwrap() = WriteMode::Gone;
        for sending in others.into_iter().chain([first]) {
            sending.join().unwrap_err();
        }
    });
}

fn is_utf8_invalid(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Send(SendError::Utf8Invalid)))
}

#[test]
fn output_that_is_pending_when_the_peer_half_closes_is_delivered() {
    const LONG: usize = 16 << 20;
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let (mut reader, writer) = incoming.accept().unwrap().split().unwrap();
            let sending = spawn(move || writer.send(vec![7; LONG]));
            let close = last_close(reader.events());
            (sending.join(), close)
        });
        let mut client = raw_client(address);
        // the message has begun to arrive
        client.read_exact(&mut [0; 10]).unwrap();
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let rest = read_rest(&mut client);
        assert!(rest.ends_with(CLOSE_REPLY), "{} bytes", rest.len());
        let (sent, close) = server.join();
        sent.unwrap();
        assert_eq!(close.code, CloseCode::NORMAL);
    });
}

#[test]
fn a_writer_that_never_wakes_does_not_hide_the_end_from_the_reader() {
    bounded(|| {
        let (mut client, ws, mood) = moody(
            Config::default()
                .closing_timeout(SHORT)
                // Both messages may be queued before the Close frame is read.
                .high_water_mark(4_000_000),
        );
        let (mut reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = WriteMode::Asleep(0);
        let sending = two_blocked_sends(&writer);
        // Otherwise the reader could write, and not return.
        while matches!(*mood.lock().unwrap(), WriteMode::Asleep(0)) {
            thread::yield_now();
        }
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(!last_close(reader.events()).was_clean);
        *mood.lock().unwrap() = WriteMode::Gone;
        for sending in sending {
            sending.join().unwrap_err();
        }
    });
}

#[test]
fn a_close_is_not_clean_if_the_close_frame_was_not_written() {
    bounded(|| {
        for is_split in [false, true] {
            let (mut client, mut ws, mood) = moody(Config::default().closing_timeout(SHORT));
            *mood.lock().unwrap() = WriteMode::Full;
            client.write_all(CLOSE).unwrap();
            let close = if is_split {
                let (mut reader, _writer) = ws.split().unwrap();
                last_close(reader.events())
            } else {
                last_close(ws.events())
            };
            assert!(!close.was_clean, "split: {is_split}: {close:?}");
            assert!(read_rest(&mut client).is_empty());
        }
    });
}

#[test]
fn a_flush_that_fails_once_is_repeated() {
    bounded(|| {
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let (mut client, ws, mood) = moody(Config::default());
            let (mut reader, writer) = ws.split().unwrap();
            let reading = spawn(move || reader.events().count());
            *mood.lock().unwrap() = WriteMode::Buffering(Some(kind));
            writer.send("ok").unwrap();
            let mut message = [0; 4];
            client.read_exact(&mut message).unwrap();
            assert_eq!(&message, b"\x81\x02ok", "{kind}");
            drop(client);
            reading.join();
        }
    });
}

#[test]
fn after_a_broken_write_the_transport_is_at_fault() {
    bounded(|| {
        let (_client, ws, mood) = moody(Config::default());
        let (_reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = WriteMode::Last;
        writer.send("written").unwrap();
        let error = writer.send("cut off").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let error = writer.send("late").unwrap_err();
        assert!(matches!(error, Error::Send(SendError::NotOpen(_))), "{error:?}");
    });
}

// The error does not mean that the peer has ended TCP.
#[test]
fn a_write_that_fails_while_reading_ends_the_connection() {
    bounded(|| {
        for is_split in [false, true] {
            let (mut client, mut ws, mood) = moody(Config::default().closing_timeout(SHORT));
            *mood.lock().unwrap() = WriteMode::Odd;
            client.write_all(PING).unwrap();
            let events: Vec<_> = if is_split {
                let (mut reader, _writer) = ws.split().unwrap();
                reader.events().collect()
            } else {
                ws.events().collect()
            };
            let [Ok(Event::Ping(_)), Err(Error::Io(error)), Ok(Event::Close(close))] = &events[..] else {
                panic!("split: {is_split}: {events:?}");
            };
            assert_eq!((error.to_string().as_str(), close.code), ("odd", CloseCode::ABNORMAL));
            assert!(read_rest(&mut client).is_empty(), "TCP has ended");
        }
    });
}
