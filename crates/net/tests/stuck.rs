//! Split connections over a stream that takes no bytes for a while, or panics.

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sansocket_net::{Acceptor, CloseCode, Config, Error, Event, Reader, SplitStream, Stream, Writer};
use support::*;

/// A socket that takes no bytes while `gate.is_full`.
struct Stuck {
    tcp: TcpStream,
    gate: Arc<Gate>,
    write_timeout: Option<Duration>,
}

#[derive(Default)]
struct Gate {
    is_full: AtomicBool,
    /// The number of calls of `read`.
    reads: AtomicUsize,
    /// Writing panics.
    is_broken: AtomicBool,
    /// Each call of `outstanding` returns one byte less.
    is_acknowledged: AtomicBool,
    acknowledged: AtomicUsize,
    /// The number of writes that took nothing.
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
        let timeout = self.write_timeout.expect("the timeout of each handle is set");
        assert!(!self.gate.is_broken.load(Ordering::SeqCst), "the panic of this test");
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
        is_acknowledged.then(|| usize::MAX - self.gate.acknowledged.fetch_add(1, Ordering::SeqCst))
    }
}

impl SplitStream for Stuck {
    type Half = Self;

    fn split(self) -> io::Result<(Self, Self)> {
        let other = Self { tcp: self.tcp.try_clone()?, gate: Arc::clone(&self.gate), write_timeout: None };
        Ok((self, other))
    }
}

/// Returns a client, and a server's connection whose stream takes nothing while the gate is full.
fn stuck(config: Config) -> (TcpStream, Reader<Stuck>, Writer<Stuck>, Arc<Gate>) {
    let (mut client, tcp) = tcp_pair();
    let gate = Arc::new(Gate::default());
    let stream = Stuck { tcp, gate: Arc::clone(&gate), write_timeout: None };
    client.write_all(REQUEST.as_bytes()).unwrap();
    let ws = Acceptor::new().config(config).incoming(stream).accept().unwrap();
    read_head(&mut client);
    gate.is_full.store(true, Ordering::SeqCst);
    let (reader, writer) = ws.split().unwrap();
    (client, reader, writer, gate)
}

/// A peer that sends much may read nothing until its bytes are read: the reader does not wait to write, but tries
/// again.
#[test]
fn the_reader_keeps_reading_while_its_answers_cannot_be_written() {
    bounded(|| {
        // so long that no thread wakes to check whether another one has begun to close
        let (mut client, mut reader, _writer, gate) = stuck(Config::default().closing_timeout(BOUND * 10));
        client.write_all(PING).unwrap();
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

#[test]
fn a_server_stops_reading_while_much_output_is_pending() {
    bounded(|| {
        let (mut client, mut reader, writer, gate) = stuck(Config::default().high_water_mark(0).closing_timeout(SHORT));
        let sending = spawn({
            let writer = writer.clone();
            move || writer.send(vec![0; 1_000_000]).unwrap()
        });
        client.write_all(HELLO).unwrap();
        let (sender, results) = mpsc::channel();
        // the server reads until the message is queued
        while writer.buffered_amount() == 0 {
            thread::yield_now();
        }
        let reading = spawn(move || {
            let message = reader.read().unwrap().map(Event::into_owned);
            sender.send(message).unwrap();
            reader
        });
        assert!(results.recv_timeout(SHORT).is_err());
        gate.is_full.store(false, Ordering::SeqCst);
        let mut sent = vec![0; 1_000_010];
        client.read_exact(&mut sent).unwrap();
        sending.join();
        assert_eq!(results.recv().unwrap(), Some(Event::Message("Hello".into())));
        reading.join();
    });
}

/// A writer that waits for another one does not know how many bytes the peer acknowledges meanwhile.
#[test]
fn writers_that_wait_for_each_other_keep_a_peer_that_acknowledges() {
    bounded(|| {
        let (mut client, _reader, writer, gate) = stuck(short_keepalive().closing_timeout(SHORT * 8));
        gate.is_acknowledged.store(true, Ordering::SeqCst);
        let (sender, results) = mpsc::channel();
        for _ in 0..3 {
            let (writer, sender) = (writer.clone(), sender.clone());
            thread::spawn(move || sender.send(writer.send(vec![7; 1000])).unwrap());
        }
        let ended = results.recv_timeout(SHORT * 10);
        assert!(ended.is_err(), "{ended:?}");
        gate.is_full.store(false, Ordering::SeqCst);
        client.read_exact(&mut [0; 3 * 1004]).unwrap();
        (0..3).for_each(|_| results.recv_timeout(BOUND).unwrap().unwrap());
    });
}

/// The other threads do not wait for the thread that panicked.
#[test]
fn a_stream_that_panics_in_one_thread_ends_the_connection_for_the_others() {
    bounded(|| {
        let (_client, reader, writer, gate) = stuck(Config::default().closing_timeout(SHORT));
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

/// The reader is already waiting when the writer closes, and the limit is shorter than a quarter of the timeout.
#[test]
fn a_reader_that_waits_notices_the_closing_limit() {
    bounded(|| {
        let (_client, mut reader, writer, gate) =
            stuck(Config::default().closing_timeout(BOUND * 100).closing_limit(SHORT));
        gate.is_full.store(false, Ordering::SeqCst);
        let reads = gate.reads.load(Ordering::SeqCst);
        let reading = spawn(move || reader.events().map(Result::unwrap).last());
        while gate.reads.load(Ordering::SeqCst) == reads {
            thread::yield_now();
        }
        writer.close(CloseCode::NORMAL, "").unwrap();
        let last = reading.join();
        assert!(matches!(&last, Some(Event::Close(close)) if close.code == CloseCode::ABNORMAL), "{last:?}");
    });
}

/// Each handle has its own timeouts: those of the stream before the split are not set on it.
#[test]
fn the_timeouts_of_both_halves_are_set() {
    bounded(|| {
        // The timeouts before and after the split are the same.
        let (_client, _reader, writer, gate) = stuck(Config::default().closing_timeout(BOUND * 20));
        gate.is_full.store(false, Ordering::SeqCst);
        writer.send("Hello").unwrap();
    });
}
