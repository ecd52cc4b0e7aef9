//! Streams that take no more, or that end, while something is to be sent: nothing that did not leave is said to have left, and
//! what can still leave does.

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sansocket_net::sansocket::SendError;
use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Error, Event, MessageKind, SplitStream, Stream, WebSocket, Writer,
};
use support::*;

/// What a socket does when it is written to.
#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    #[default]
    Willing,
    /// Nothing until the timeout.
    Full,
    /// Nothing, and neither a timeout nor the end of TCP wakes who waits.
    Asleep,
    /// Once, and after that nothing any more.
    Last,
    Gone,
    /// A fault that is not the end of TCP.
    Odd,
    /// Bytes are kept until they are flushed, which goes wrong once, so.
    Buffering(Option<ErrorKind>),
}

/// A socket with moods, which its clones share.
#[derive(Debug)]
struct Moody {
    tcp: TcpStream,
    mood: Arc<Mutex<Mood>>,
    kept: Arc<Mutex<Vec<u8>>>,
    timeout: Duration,
}

impl Read for Moody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not `while let`, which would hold the lock during the sleep.
        while matches!(*self.mood.lock().unwrap(), Mood::Asleep) {
            thread::sleep(Duration::from_millis(1));
        }
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Willing | Mood::Asleep => return self.tcp.write(bytes),
            Mood::Last => *self.mood.lock().unwrap() = Mood::Gone,
            Mood::Full => {
                thread::sleep(self.timeout);
                return Err(ErrorKind::WouldBlock.into());
            }
            Mood::Gone => return Err(ErrorKind::ConnectionReset.into()),
            Mood::Odd => return Err(io::Error::other("odd")),
            Mood::Buffering(_) => {
                self.kept.lock().unwrap().extend_from_slice(bytes);
                return Ok(bytes.len());
            }
        }
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Mood::Buffering(trouble) = &mut *self.mood.lock().unwrap()
            && let Some(kind) = trouble.take()
        {
            return Err(kind.into());
        }
        let kept = mem::take(&mut *self.kept.lock().unwrap());
        self.tcp.write_all(&kept)
    }
}

impl Stream for Moody {
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

impl SplitStream for Moody {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let (mood, kept) = (Arc::clone(&self.mood), Arc::clone(&self.kept));
        let other = Self { tcp: self.tcp.try_clone()?, mood, kept, timeout: self.timeout };
        Ok((self, other))
    }
}

/// A raw client, the server's end, and how it is.
fn moody(config: Config) -> (TcpStream, WebSocket<Moody>, Arc<Mutex<Mood>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(BOUND)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    let mood = Arc::<Mutex<Mood>>::default();
    let tcp = listener.accept().unwrap().0;
    let stream = Moody { tcp, mood: Arc::clone(&mood), kept: Arc::default(), timeout: BOUND };
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

/// Two threads send to a peer that takes nothing.
fn two_that_wait(writer: &Writer<Moody>) -> [Task<Result<(), Error>>; 2] {
    let send = |length| {
        let writer = writer.clone();
        spawn(move || writer.send(vec![7; length]))
    };
    let first = send(1_000_000);
    while writer.buffered_amount() == 0 {
        thread::yield_now();
    }
    [first, send(2_000_000)]
}

// The message of one of them is abandoned by the core while the other one waits to write.
#[test]
fn no_send_succeeds_that_a_deadline_cut_off() {
    bounded(|| {
        let keepalive = config(|config| {
            config.keepalive = sansocket_net::Keepalive::Every(SHORT);
            config.pong_timeout = SHORT;
        });
        let (mut client, ws, mood) = moody(keepalive);
        let (_reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = Mood::Full;
        for sending in two_that_wait(&writer) {
            sending.join().unwrap_err();
        }
        assert!(read_rest(&mut client).is_empty());
    });
}

#[test]
fn no_send_succeeds_that_the_readers_end_cut_off() {
    bounded(|| {
        let (_client, ws, mood) = moody(Config::default());
        let (reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = Mood::Full;
        let sending = two_that_wait(&writer);
        while writer.buffered_amount() < 2_000_000 {
            thread::yield_now();
        }
        drop(reader);
        *mood.lock().unwrap() = Mood::Gone;
        for sending in sending {
            sending.join().unwrap_err();
        }
    });
}

// A Ping, a Pong and an empty message count nothing in `buffered_amount`.
#[test]
fn no_send_without_payload_succeeds_that_a_failed_write_cut_off() {
    bounded(|| {
        let (_client, ws, mood) = moody(Config::default());
        let (_reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = Mood::Asleep;
        let fragment = |payload: &'static [u8]| {
            let writer = writer.clone();
            spawn(move || writer.send_fragment(MessageKind::Binary, payload, false))
        };
        let first = fragment(&[]);
        // Queues nothing, and tells whether a message of the other kind has begun.
        while is_utf8_invalid(&writer.send_fragment(MessageKind::Text, b"\xff", true)) {
            thread::yield_now();
        }
        let others = [(); 4].map(|()| fragment(&[]));
        *mood.lock().unwrap() = Mood::Gone;
        for sending in others.into_iter().chain([first]) {
            sending.join().unwrap_err();
        }
    });
}

fn is_utf8_invalid(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::Send(SendError::Utf8Invalid)))
}

#[test]
fn what_waits_when_the_peer_half_closes_leaves() {
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
        // it has begun to come
        client.read_exact(&mut [0; 10]).unwrap();
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let rest = read_rest(&mut client);
        assert!(rest.ends_with(b"\x88\x02\x03\xe8"), "{} bytes", rest.len());
        let (sent, close) = server.join();
        sent.unwrap();
        assert_eq!(close.code, CloseCode::NORMAL);
    });
}

#[test]
fn a_writer_that_nothing_wakes_does_not_keep_the_end_from_the_reader() {
    bounded(|| {
        let (mut client, ws, mood) = moody(config(|config| {
            config.closing_timeout = SHORT;
            // Both messages may be queued before the Close frame is read.
            config.high_water_mark = 4_000_000;
        }));
        let (mut reader, writer) = ws.split().unwrap();
        *mood.lock().unwrap() = Mood::Asleep;
        let sending = two_that_wait(&writer);
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(!last_close(reader.events()).was_clean);
        *mood.lock().unwrap() = Mood::Gone;
        for sending in sending {
            sending.join().unwrap_err();
        }
    });
}

#[test]
fn a_close_frame_that_did_not_leave_makes_no_clean_close() {
    bounded(|| {
        for is_split in [false, true] {
            let (mut client, mut ws, mood) = moody(config(|config| config.closing_timeout = SHORT));
            *mood.lock().unwrap() = Mood::Full;
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
fn a_flush_that_goes_wrong_once_is_repeated() {
    bounded(|| {
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let (mut client, ws, mood) = moody(Config::default());
            let (mut reader, writer) = ws.split().unwrap();
            let reading = spawn(move || reader.events().count());
            *mood.lock().unwrap() = Mood::Buffering(Some(kind));
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
        *mood.lock().unwrap() = Mood::Last;
        writer.send("this leaves").unwrap();
        let error = writer.send("this does not").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let error = writer.send("nor does this").unwrap_err();
        assert!(matches!(error, Error::Send(SendError::NotOpen(_))), "{error:?}");
    });
}

// Other than one that says that the peer has ended TCP.
#[test]
fn a_write_that_fails_while_reading_ends_the_connection() {
    bounded(|| {
        for is_split in [false, true] {
            let (mut client, mut ws, mood) = moody(config(|config| config.closing_timeout = SHORT));
            *mood.lock().unwrap() = Mood::Odd;
            client.write_all(b"\x89\x80\0\0\0\0").unwrap();
            let told: Vec<_> = if is_split {
                let (mut reader, _writer) = ws.split().unwrap();
                reader.events().collect()
            } else {
                ws.events().collect()
            };
            let [Ok(Event::Ping(_)), Err(Error::Io(error)), Ok(Event::Close(close))] = &told[..] else {
                panic!("split: {is_split}: {told:?}");
            };
            assert_eq!((error.to_string().as_str(), close.code), ("odd", CloseCode::ABNORMAL));
            assert!(read_rest(&mut client).is_empty(), "TCP has ended");
        }
    });
}
