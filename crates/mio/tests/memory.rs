//! How much memory peers can make a loop hold, measured by an allocator that counts on the loop's thread.

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sansocket_mio::{Close, Config, Connection, Error, EventLoop, Handler, Message, Open};
use support::*;

/// Sends every message back, or recycles it, and counts connections that open and close.
#[derive(Default)]
struct Echo {
    recycles: bool,
    recycled: usize,
    opened: usize,
    ended: usize,
    buffered_max: usize,
}

impl Handler for Echo {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, _: &mut Connection<'_, Self>, _: Open) {
        self.opened += 1;
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        if self.recycles {
            self.recycled += message.len();
            return connection.recycle(message);
        }
        connection.send(message).unwrap();
        self.buffered_max = self.buffered_max.max(connection.buffered_amount());
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, _: Error) {
        self.ended += 1;
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, _: Close) {
        self.ended += 1;
    }
}

/// A loop with the peer that `meet` starts. The test turns it until the peer has finished its work.
struct Met {
    event_loop: EventLoop<Echo>,
    done: mpsc::Receiver<usize>,
}

fn meet(
    change: impl FnOnce(&mut Config),
    peer: impl FnOnce(TcpStream) -> (TcpStream, usize) + Send + 'static,
) -> (Met, Task<TcpStream>) {
    let mut event_loop = EventLoop::with_options(Echo::default(), &options(change)).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let (report, done) = mpsc::channel();
    let (begin, may_begin) = mpsc::channel();
    let task = spawn(move || {
        let stream = raw_client(address);
        may_begin.recv().unwrap();
        let (stream, amount) = peer(stream);
        report.send(amount).unwrap();
        stream
    });
    while event_loop.handler().opened == 0 {
        event_loop.turn(Some(BOUND)).unwrap();
    }
    begin.send(()).unwrap();
    (Met { event_loop, done }, task)
}

impl Met {
    /// Returns the peer's result, and the most bytes that were allocated meanwhile.
    fn until_done(&mut self) -> (usize, u64) {
        let mut amount = None;
        let began = Instant::now();
        let allocated = measure(|| {
            while amount.is_none() {
                assert!(began.elapsed() < BOUND);
                self.event_loop.turn(Some(Duration::from_millis(10))).unwrap();
                amount = self.done.try_recv().ok();
            }
        });
        (amount.unwrap(), allocated.bytes_max)
    }
}

/// Messages of 1,000 bytes, masked with a key of zeros.
fn frames() -> Vec<u8> {
    let mut frame = vec![0x82, 0xfe, 0x03, 0xe8, 0, 0, 0, 0];
    frame.resize(8 + 1_000, 0);
    frame.repeat(100)
}

/// Writes until the stream accepts no more within `timeout`. Returns how many bytes it accepted.
fn write_until_stuck(stream: &mut TcpStream, bytes: &[u8], limit: usize, timeout: Duration) -> usize {
    stream.set_write_timeout(Some(timeout)).unwrap();
    let mut written = 0;
    while written < limit {
        match stream.write(&bytes[written % bytes.len()..]) {
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

#[test]
fn a_peer_that_never_reads_costs_at_most_the_high_water_mark_and_one_read() {
    const MARK: usize = 256 * 1024;
    const BUFFER: usize = 64 * 1024;
    bounded(|| {
        let (mut server, _peer) = meet(
            |config| config.high_water_mark = MARK,
            |mut stream| {
                let written = write_until_stuck(&mut stream, &frames(), usize::MAX, Duration::from_secs(1));
                (stream, written)
            },
        );
        let (written, allocated) = server.until_done();
        assert!(written > 4 * MARK, "{written}");
        let buffered = server.event_loop.handler().buffered_max;
        assert!((MARK..=MARK + 2 * BUFFER).contains(&buffered), "{buffered}");
        assert!(allocated as usize <= 2 * MARK + 4 * BUFFER, "{allocated}");
    });
}

#[test]
fn a_peer_that_never_reads_is_held_back_before_a_small_buffer_is_full() {
    bounded(|| {
        let (mut server, _peer) = meet(
            // the high-water mark is above it
            |config| config.max_buffered_amount = 512 * 1024,
            |mut stream| {
                let written = write_until_stuck(&mut stream, &frames(), usize::MAX, Duration::from_secs(1));
                (stream, written)
            },
        );
        // the handler panics if a message is not sent
        server.until_done();
        assert!(server.event_loop.handler().buffered_max > 0);
    });
}

#[test]
fn pings_whose_pongs_the_peer_does_not_read_take_little_memory() {
    // more than the system buffers
    const AMOUNT: usize = 24 << 20;
    bounded(|| {
        let (mut server, _peer) = meet(
            |_| (),
            |mut stream| {
                // the longest payload: 125 bytes
                let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
                ping.resize(6 + 125, b'p');
                let written = write_until_stuck(&mut stream, &ping.repeat(1_000), AMOUNT, BOUND);
                (stream, written)
            },
        );
        let (written, allocated) = server.until_done();
        // it need not be held back: little output is pending
        assert!(written >= AMOUNT, "{written}");
        assert!(allocated <= 64 * 1024, "{allocated}");
    });
}

/// The messages are longer than the read buffer; each reuses the memory of the one before.
#[test]
fn recycled_messages_pass_their_memory_on_to_later_messages() {
    const LENGTH: usize = 300_000;
    const COUNT: usize = 40;
    bounded(|| {
        let (mut server, _peer) = meet(
            |_| (),
            |mut stream| {
                let mut frame = vec![0x82, 0xff];
                frame.extend((LENGTH as u64).to_be_bytes());
                frame.resize(2 + 8 + 4 + LENGTH, 0);
                (0..COUNT).for_each(|_| stream.write_all(&frame).unwrap());
                (stream, COUNT)
            },
        );
        server.event_loop.handler().recycles = true;
        let allocated = measure(|| {
            while server.event_loop.handler().recycled < COUNT * LENGTH {
                server.event_loop.turn(Some(BOUND)).unwrap();
            }
        });
        // bytes that arrive late within a message are stored until the next turn
        assert!(allocated.bytes_total < (COUNT * LENGTH) as u64 * 3 / 4, "{allocated:?}");
    });
}

#[test]
fn connections_that_open_and_close_leave_no_memory() {
    const COUNT: usize = 1_000;
    bounded(|| {
        let mut event_loop = EventLoop::with_options(Echo::default(), &options(|_| ())).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let mut come_and_go = move |count: usize| {
            let peers = spawn(move || {
                for number in 0..count {
                    let mut stream = tcp(address);
                    match number % 4 {
                        0 => {}
                        1 => stream.write_all(b"GET ").unwrap(),
                        way => {
                            stream.write_all(REQUEST.as_bytes()).unwrap();
                            read_head(&mut stream);
                            stream.write_all(HELLO).unwrap();
                            if way == 2 {
                                reset(stream);
                            } else {
                                expect(&mut stream, b"\x81\x05Hello");
                                stream.write_all(CLOSE).unwrap();
                                assert_eq!(read_rest(&mut stream), b"\x88\x02\x03\xe8");
                            }
                        }
                    }
                }
            });
            event_loop.handler().ended = 0;
            while event_loop.handler().ended < count || !event_loop.connections().is_empty() {
                event_loop.turn(Some(BOUND)).unwrap();
            }
            peers.join();
        };
        // memory of the first ones is reused for the next
        come_and_go(COUNT / 10);
        let allocated = measure(|| come_and_go(COUNT));
        assert!(allocated.bytes_current <= 4 * 1024, "{} bytes", allocated.bytes_current);
    });
}
