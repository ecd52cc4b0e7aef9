//! One connection, two threads and more.

mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sansocket_net::sansocket::{Error as Failure, TimeoutKind};
use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, Event, Listener, Message, Reader, SplitStream, Stream, Writer,
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

/// Both ends send more than TCP holds before anyone answers: threads that only send would wait for each other for ever.
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

/// The reader answers by itself: its thread waits in `read` and the writer's does nothing.
#[test]
fn pongs_and_the_answer_to_close_leave_promptly() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| {
            let (reader, writer) = incoming.accept().unwrap().split().unwrap();
            let end = read_all(reader).1;
            (end, writer)
        });
        let mut client = raw_client(address);
        client.write_all(b"\x89\x80\0\0\0\0").unwrap();
        let mut pong = [0; 2];
        client.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x8a\0");
        client.write_all(CLOSE).unwrap();
        assert_eq!(read_rest(&mut client), CLOSE_ANSWER);
        drop(client);
        assert!(server.join().0.was_clean);
    });
}

const CLOSE_ANSWER: &[u8] = b"\x88\x02\x03\xe8";

/// The reader waits already when the writer sets a deadline.
#[test]
fn a_peer_that_never_answers_the_close_frame_is_left() {
    bounded(|| {
        let (address, server) = serve_raw(|mut stream, request| {
            stream.write_all(response(&request).as_bytes()).unwrap();
            stream.write_all(b"\x81\x05Hello").unwrap();
            read_rest(&mut stream)
        });
        let config = config(|config| config.closing_timeout = SHORT);
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

/// A writer that waits for a peer that takes nothing returns when another thread closes, and the peer does not answer.
#[test]
fn a_peer_that_never_reads_is_left() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(config(|config| config.closing_timeout = SHORT)));
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
            // until the thread has made no progress for a while
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
fn a_silent_peer_is_left_whichever_thread_notices() {
    bounded(|| {
        let keepalive = config(|config| {
            config.keepalive = sansocket_net::Keepalive::Every(SHORT);
            config.pong_timeout = SHORT;
        });
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

/// CVE-2022-25762: to send and to close at the same time mixed up connections' buffers.
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
            // what was sent before the Close frame arrives, in order, and nothing else
            let (messages, close) = server.join();
            let expected: Vec<Message<'_>> = (0..messages.len()).map(|i| format!("message {i}").into()).collect();
            assert!(messages == expected);
            assert!(messages.len() == sent || messages.len() == sent + 1, "{} of {sent}", messages.len());
            assert!(close.was_clean && reading.join().1.was_clean);
        }
    });
}

#[test]
fn to_drop_the_reader_ends_the_connection() {
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
fn to_drop_the_writer_does_not() {
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

/// With room for one message only, writers wait for each other instead of failing.
#[test]
fn writers_wait_for_room() {
    bounded(|| {
        let (listener, address) = listen();
        let server = serve(listener, |incoming| read_all(incoming.accept().unwrap().split().unwrap().0));
        let config = config(|config| config.max_buffered_amount = 1_000_000);
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

/// The same though nobody reads at this end either.
#[test]
fn a_peer_that_never_reads_is_left_by_the_writers_alone() {
    bounded(|| {
        let (listener, address) = listen_with(Acceptor::new().config(config(|config| config.closing_timeout = SHORT)));
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

/// A socket that takes nothing while `gate.is_full`.
struct Stuck {
    tcp: TcpStream,
    gate: Arc<Gate>,
    write_timeout: Option<Duration>,
}

#[derive(Default)]
struct Gate {
    is_full: AtomicBool,
    /// How often it was read from.
    reads: AtomicUsize,
    /// To write panics.
    is_broken: AtomicBool,
    /// Each look finds that the peer has acknowledged another byte.
    is_acknowledged: AtomicBool,
    looks: AtomicUsize,
    /// How often it took nothing.
    refusals: AtomicUsize,
}

impl Read for Stuck {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.gate.reads.fetch_add(1, Ordering::SeqCst);
        self.tcp.read(buffer)
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let timeout = self.write_timeout.expect("each handle is given a timeout");
        assert!(!self.gate.is_broken.load(Ordering::SeqCst), "broken, as planned");
        if self.gate.is_full.load(Ordering::SeqCst) {
            self.gate.refusals.fetch_add(1, Ordering::SeqCst);
            thread::park_timeout(timeout);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Stuck {
    fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&mut self.tcp, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.write_timeout = Some(timeout);
        Ok(())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shutdown_both(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn outstanding(&self) -> Option<usize> {
        let is_acknowledged = self.gate.is_acknowledged.load(Ordering::SeqCst);
        is_acknowledged.then(|| usize::MAX - self.gate.looks.fetch_add(1, Ordering::SeqCst))
    }
}

impl SplitStream for Stuck {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let other = Self { tcp: self.tcp.try_clone()?, gate: Arc::clone(&self.gate), write_timeout: None };
        Ok((self, other))
    }
}

/// A client, and a server's connection that takes nothing until the gate opens.
fn stuck(config: Config) -> (TcpStream, Reader<Stuck>, Writer<Stuck>, Arc<Gate>) {
    let (mut client, tcp) = connected();
    let gate = Arc::new(Gate::default());
    let stream = Stuck { tcp, gate: Arc::clone(&gate), write_timeout: None };
    client.write_all(REQUEST.as_bytes()).unwrap();
    let ws = Acceptor::new().config(config).incoming(stream).accept().unwrap();
    read_head(&mut client);
    gate.is_full.store(true, Ordering::SeqCst);
    let (reader, writer) = ws.split().unwrap();
    (client, reader, writer, gate)
}

/// A peer that sends much may take nothing until it has been read: the reader must not wait to write. It tries again.
#[test]
fn the_reader_reads_on_while_its_answers_cannot_leave() {
    bounded(|| {
        // so that no thread wakes to look whether the other has begun to close
        let (mut client, mut reader, _writer, gate) = stuck(config(|config| config.closing_timeout = BOUND * 10));
        client.write_all(b"\x89\x80\0\0\0\0").unwrap();
        client.write_all(HELLO).unwrap();
        assert!(matches!(reader.read().unwrap(), Some(Event::Ping(_))));
        assert_eq!(reader.read().unwrap(), Some(Event::Message("Hello".into())));
        let refusals = gate.refusals.load(Ordering::SeqCst);
        let reading = spawn(move || drop(reader.read()));
        while gate.refusals.load(Ordering::SeqCst) == refusals {
            thread::yield_now();
        }
        gate.is_full.store(false, Ordering::SeqCst);
        let mut pong = [0; 2];
        client.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x8a\0");
        drop(client);
        reading.join();
    });
}

/// A client that does not read its answers is given no more to wait for.
#[test]
fn a_server_reads_no_more_while_much_waits() {
    bounded(|| {
        let (mut client, mut reader, writer, gate) = stuck(config(|config| {
            config.high_water_mark = 0;
            config.closing_timeout = SHORT;
        }));
        let sending = spawn({
            let writer = writer.clone();
            move || writer.send(vec![0; 1_000_000]).unwrap()
        });
        client.write_all(HELLO).unwrap();
        let (tell, told) = mpsc::channel();
        // until the message waits, the server reads
        while writer.buffered_amount() == 0 {
            thread::yield_now();
        }
        let reading = spawn(move || {
            let message = reader.read().unwrap().map(Event::into_owned);
            tell.send(message).unwrap();
            reader
        });
        assert!(told.recv_timeout(SHORT).is_err());
        gate.is_full.store(false, Ordering::SeqCst);
        let mut sent = vec![0; 1_000_010];
        client.read_exact(&mut sent).unwrap();
        sending.join();
        assert_eq!(told.recv().unwrap(), Some(Event::Message("Hello".into())));
        reading.join();
    });
}

/// A writer that waits for another one does not know what the peer acknowledges meanwhile.
#[test]
fn writers_that_wait_for_each_other_keep_a_peer_that_acknowledges() {
    bounded(|| {
        let (mut client, _reader, writer, gate) = stuck(config(|config| {
            config.keepalive = sansocket_net::Keepalive::Every(SHORT);
            config.pong_timeout = SHORT;
            config.closing_timeout = SHORT * 8;
        }));
        gate.is_acknowledged.store(true, Ordering::SeqCst);
        let (tell, told) = mpsc::channel();
        for _ in 0..3 {
            let (writer, tell) = (writer.clone(), tell.clone());
            thread::spawn(move || tell.send(writer.send(vec![7; 1000])).unwrap());
        }
        let ended = told.recv_timeout(SHORT * 10);
        assert!(ended.is_err(), "{ended:?}");
        gate.is_full.store(false, Ordering::SeqCst);
        client.read_exact(&mut [0; 3 * 1004]).unwrap();
        (0..3).for_each(|_| told.recv_timeout(BOUND).unwrap().unwrap());
    });
}

/// The other threads do not wait for the one that is gone.
#[test]
fn a_stream_that_panics_in_one_thread_ends_the_connection_for_the_others() {
    bounded(|| {
        let (_client, reader, writer, gate) = stuck(config(|config| config.closing_timeout = SHORT));
        let reading = spawn(move || {
            let mut reader = reader;
            reader.events().collect::<Vec<_>>()
        });
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let writer = writer.clone();
                thread::spawn(move || writer.send("Hello"))
            })
            .collect();
        while writer.buffered_amount() < 10 {
            thread::yield_now();
        }
        gate.is_broken.store(true, Ordering::SeqCst);
        let results: Vec<_> = writers.into_iter().map(thread::JoinHandle::join).collect();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1, "{results:?}");
        assert!(results.iter().flatten().all(Result::is_err), "{results:?}");
        let events = reading.join();
        assert!(matches!(&events[..], [Err(Error::Io(_)), Ok(Event::Close(_))]), "{events:?}");
    });
}

/// The reader waits already when the writer closes, and the limit is shorter than a quarter of the timeout.
#[test]
fn a_reader_that_waits_notices_the_closing_limit() {
    bounded(|| {
        let (_client, reader, writer, gate) = stuck(config(|config| {
            config.closing_timeout = BOUND * 100;
            config.closing_limit = SHORT;
        }));
        gate.is_full.store(false, Ordering::SeqCst);
        let reads = gate.reads.load(Ordering::SeqCst);
        let reading = spawn(|| read_all(reader));
        while gate.reads.load(Ordering::SeqCst) == reads {
            thread::yield_now();
        }
        writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!(reading.join().1.code, CloseCode::ABNORMAL);
    });
}

/// Each handle has timeouts of its own: those of the stream that was split are not set for them.
#[test]
fn the_halves_get_timeouts_of_their_own() {
    bounded(|| {
        // The timeouts before and after the split are the same.
        let (_client, _reader, writer, gate) = stuck(config(|config| config.closing_timeout = BOUND * 20));
        gate.is_full.store(false, Ordering::SeqCst);
        writer.send("Hello").unwrap();
    });
}

/// Both ends of a TCP connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}
