//! Helpers of the adapters' tests over sockets: bounded waits, and peers that exchange raw bytes.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The longest time that a test waits for something.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// A timeout that passes during the test.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The request of RFC 6455 section 1.2, without `Origin`.
pub(crate) const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The masked "Hello" of RFC 6455 section 5.7.
pub(crate) const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// A masked Close frame, 1000, with a key of zeros.
pub(crate) const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// A thread whose result must arrive within [`BOUND`].
pub(crate) struct Task<T>(mpsc::Receiver<T>);

pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    Task(receiver)
}

impl<T> Task<T> {
    pub(crate) fn join(self) -> T {
        self.0.recv_timeout(BOUND).expect("ends in time and without a panic")
    }
}

/// Runs a test's body. Fails if it takes longer than [`BOUND`].
pub(crate) fn bounded(body: impl FnOnce() + Send + 'static) {
    spawn(body).join();
}

/// Connects a raw client, whose reads fail after [`BOUND`].
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// Connects a raw client, and completes its opening handshake.
pub(crate) fn raw_client(address: SocketAddr) -> TcpStream {
    let mut stream = tcp(address);
    stream.write_all(REQUEST.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    stream
}

/// Reads the head of a request or a response.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
