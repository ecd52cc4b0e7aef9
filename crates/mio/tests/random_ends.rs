//! Connections that break at either end in random ways: they leave no descriptor and no memory.
//!
//! One test, because descriptors are counted for the whole process. Without optimization, it makes fewer connections.
#![cfg(target_os = "linux")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sansocket_mio::{
    Accept, Answer, Close, CloseCode, Connection, ConnectionId, Error, EventLoop, Handler, HttpResponse, Message,
    MessageKind, Open, ReadyState, Request, SendError, TimerKey,
};
use support::*;

const CONNECTIONS: usize = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
/// Threads that make connections.
const WORKERS: usize = 16;
/// Bytes that the loop still holds afterwards, because its tables have grown.
const TABLES: i64 = 8 * 1024;
const SEED: u64 = 14;

const RESUME: TimerKey = TimerKey(0);

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % count
    }
}

/// Takes a random action in every call, and checks that each `on_open` has its `on_close`.
struct Chaos {
    random: Random,
    /// By index.
    open: Vec<Option<ConnectionId>>,
    opened: usize,
    closed: usize,
}

/// Sends 300 KB in messages that are too short for the loop to reuse their memory.
fn send_much(connection: &mut Connection<'_, Chaos>) -> Result<(), SendError> {
    (0..10).try_for_each(|_| Ok(connection.send(vec![7; 30_000])?))
}

impl Chaos {
    fn act(&mut self, connection: &mut Connection<'_, Self>) {
        // the connection may be closing already
        let _ = match self.random.below(12) {
            0 => connection.close(CloseCode::NORMAL, "enough"),
            1 => {
                connection.abort();
                Ok(())
            }
            2 => send_much(connection),
            3 => {
                let _ = send_much(connection);
                connection.close(CloseCode::GOING_AWAY, "")
            }
            4 => connection.ping(b"?"),
            5 => connection.send_fragment(MessageKind::Binary, b"unfinished", false),
            6 => connection.send("a").map_err(SendError::from),
            7 => {
                connection.pause_reading();
                // keepalive does not end a paused connection
                connection.set_timer(RESUME, Duration::from_millis(self.random.below(20) as u64));
                Ok(())
            }
            _ => Ok(()),
        };
    }
}

impl Handler for Chaos {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        match self.random.below(40) {
            0 => connection.abort(),
            1 => connection.close(CloseCode::NORMAL, "").unwrap(),
            _ => {}
        }
    }

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, _: &Request) -> Answer {
        match self.random.below(20) {
            0 => HttpResponse::new(403).into(),
            1 => Answer::Later,
            2 => {
                connection.abort();
                Answer::Later
            }
            3 => {
                connection.close(CloseCode::NORMAL, "").unwrap();
                Accept::new().into()
            }
            _ => Accept::new().into(),
        }
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        let id = connection.id();
        if self.open.len() <= id.index() {
            self.open.resize(id.index() + 1, None);
        }
        assert_eq!(self.open[id.index()].replace(id), None, "the one before it has not been closed");
        self.opened += 1;
        self.act(connection);
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        self.act(connection);
    }

    fn on_pong(&mut self, connection: &mut Connection<'_, Self>, _: &[u8]) {
        self.act(connection);
    }

    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, _: TimerKey) {
        assert_ne!(connection.ready_state(), ReadyState::Closed, "`on_close` is the last call");
        connection.resume_reading();
        self.act(connection);
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, _: Error) {
        self.act(connection);
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        let id = connection.id();
        assert_eq!(self.open[id.index()].take(), Some(id), "closed once");
        self.closed += 1;
        self.act(connection);
    }
}

/// Sends random bytes of a peer once its connection is open. `mask` is the mask bit of a client's frames.
fn send_random(random: &mut Random, stream: &mut TcpStream, mask: u8) {
    let frame = |head: u8, payload: &[u8]| {
        let mut frame = vec![head];
        match payload.len() {
            length @ 0..126 => frame.push(mask | length as u8),
            length => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // masked with a key of zeros
        frame.extend(&[0; 4][..if mask == 0 { 0 } else { 4 }]);
        frame.extend(payload);
        frame
    };
    let bytes = match random.below(10) {
        0 => frame(0x88, &1000_u16.to_be_bytes()),
        1 => frame(0x88, b""),
        2 => frame(0x89, b"ping"),
        3 => frame(0x82, &[7; 100_000]),
        4 => frame(0x81, b"part of a message")[..9].to_vec(),
        5 => frame(0x01, b"a fragment"),
        // a reserved bit
        6 => frame(0xc1, b"bad"),
        7 => vec![random.below(256) as u8; random.below(1_000)],
        _ => frame(0x81, b"Hello"),
    };
    // the other end may have ended
    let _ = stream.write_all(&bytes);
}

/// Ends the peer's side of the connection.
fn end(random: &mut Random, mut stream: TcpStream) {
    if random.below(2) == 0 {
        let _ = stream.read(&mut [0; 16 * 1024]);
    }
    match random.below(12) {
        0..4 => reset(stream),
        4..8 => drop(stream),
        8 => _ = stream.shutdown(Shutdown::Both),
        9 => _ = stream.shutdown(Shutdown::Write),
        10 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        // until the loop ends it
        _ => _ = stream.read_to_end(&mut Vec::new()),
    }
}

fn prepare(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    stream
}

/// A client of the loop.
fn be_client(random: &mut Random, address: SocketAddr) {
    let mut stream = prepare(TcpStream::connect(address).unwrap());
    let request = REQUEST.as_bytes();
    let length = [0, 4, request.len(), request.len(), request.len(), request.len(), request.len(), request.len()];
    let length = length[random.below(8)];
    let _ = stream.write_all(&request[..length]);
    if length == request.len() && random.below(8) > 0 {
        let early = random.below(2);
        (0..early).for_each(|_| send_random(random, &mut stream, 0x80));
        let mut head = [0; 129];
        let _ = stream.read(&mut head);
        (0..random.below(4)).for_each(|_| send_random(random, &mut stream, 0x80));
    }
    end(random, stream);
}

/// A server of the loop.
fn be_server(random: &mut Random, stream: TcpStream) {
    let stream = prepare(stream);
    let mut stream = match random.below(8) {
        0 => stream,
        1 => {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 101 Switching Proto");
            stream
        }
        2 => {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            stream
        }
        _ => match tungstenite::accept(stream.try_clone().unwrap()) {
            Ok(_) => stream,
            Err(_) => return,
        },
    };
    (0..random.below(4)).for_each(|_| send_random(random, &mut stream, 0));
    end(random, stream);
}

/// Counts, for each worker, the connections that it asks the loop to make; the loop counts those that it has made.
type Asked = Arc<Vec<AtomicUsize>>;

fn work(number: usize, count: usize, seed: u64, address: SocketAddr, listener: &TcpListener, asked: &Asked) {
    let mut random = Random::new(seed + number as u64);
    for _ in 0..count {
        if random.below(2) == 0 {
            be_client(&mut random, address);
        } else {
            asked[number].fetch_add(1, Release);
            be_server(&mut random, listener.accept().unwrap().0);
        }
    }
}

struct Harness {
    event_loop: EventLoop<Chaos>,
    address: SocketAddr,
    listeners: Arc<Vec<TcpListener>>,
    urls: Vec<String>,
    asked: Asked,
    made: Vec<usize>,
}

impl Harness {
    /// Makes and breaks `count` connections, and returns when the last one has ended.
    fn run(&mut self, count: usize, seed: u64) {
        let done = Arc::new(AtomicUsize::new(0));
        for number in 0..WORKERS {
            let (address, done) = (self.address, Arc::clone(&done));
            let (listeners, asked) = (Arc::clone(&self.listeners), Arc::clone(&self.asked));
            thread::spawn(move || {
                work(number, count / WORKERS, seed, address, &listeners[number], &asked);
                drop((listeners, asked));
                done.fetch_add(1, Release);
            });
        }
        let began = Instant::now();
        while done.load(Acquire) < WORKERS || !self.event_loop.connections().is_empty() {
            assert!(began.elapsed() < 4 * BOUND, "{} are left", self.event_loop.connections().len());
            for number in 0..WORKERS {
                if self.asked[number].load(Acquire) > self.made[number] {
                    self.made[number] += 1;
                    self.event_loop.connect(&self.urls[number]).unwrap();
                }
            }
            self.event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        }
    }
}

#[test]
fn connections_that_break_in_random_ways_leave_no_resources() {
    let options = options(|config| {
        config.opening_timeout = Duration::from_millis(100);
        config.closing_timeout = Duration::from_millis(50);
        config.closing_limit = Duration::from_millis(150);
        config.keepalive = sansocket_mio::Keepalive::Every(Duration::from_millis(50));
        config.pong_timeout = Duration::from_millis(50);
        config.high_water_mark = 64 * 1024;
    });
    let chaos = Chaos { random: Random::new(SEED), open: Vec::with_capacity(1024), opened: 0, closed: 0 };
    let mut event_loop = EventLoop::with_options(chaos, &options).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let listeners: Vec<_> = (0..WORKERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let mut harness = Harness {
        event_loop,
        address,
        urls: listeners.iter().map(|listener| format!("ws://{}/", listener.local_addr().unwrap())).collect(),
        listeners: Arc::new(listeners),
        asked: Arc::new((0..WORKERS).map(|_| AtomicUsize::new(0)).collect()),
        made: vec![0; WORKERS],
    };
    // the first connections make the tables grow
    harness.run(CONNECTIONS / 4, SEED);
    let descriptors = open_descriptors();
    let began = Instant::now();
    let allocated = measure(|| harness.run(CONNECTIONS, SEED + 1_000));
    let (opened, closed) = (harness.event_loop.handler().opened, harness.event_loop.handler().closed);
    println!(
        "{CONNECTIONS} connections in {:?}; {opened} opened; {} allocations of {} bytes, {} bytes left; {} descriptors",
        began.elapsed(),
        allocated.count_total,
        allocated.bytes_total,
        allocated.bytes_current,
        open_descriptors(),
    );
    assert_eq!(opened, closed, "each that was open was closed once");
    assert!(opened > CONNECTIONS / 3, "{opened}");
    assert_eq!(open_descriptors(), descriptors);
    assert!(allocated.bytes_current <= TABLES, "{} bytes are left", allocated.bytes_current);
}
