//! Helpers of the tests: bounded waits, a server in a thread, peers that send raw bytes.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, Event, Incoming, Keepalive, Listener, Message, SplitStream,
    Stream, WebSocket, Writer,
};

/// The longest time that a test waits for something.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A timeout that passes during the test.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The request of RFC 6455 section 1.2, without `Origin`.
pub(crate) const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The masked "Hello" of RFC 6455 section 5.7.
pub(crate) const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// A masked Close frame, 1000, with a key of zeros.
pub(crate) const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
/// A server's Close frame, 1000, without a reason.
pub(crate) const CLOSE_REPLY: &[u8] = b"\x88\x02\x03\xe8";
/// A masked Ping without payload.
pub(crate) const PING: &[u8] = b"\x89\x80\0\0\0\0";

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

/// Runs a test's body; fails if it takes longer than [`BOUND`].
pub(crate) fn bounded(body: impl FnOnce() + Send + 'static) {
    spawn(body).join();
}

/// Listens at a free port of this machine.
pub(crate) fn listen() -> (Listener, SocketAddr) {
    listen_with(Acceptor::new())
}

/// Listens with these settings.
pub(crate) fn listen_with(acceptor: Acceptor) -> (Listener, SocketAddr) {
    let listener = acceptor.bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Starts a server for one client.
pub(crate) fn serve<T: Send + 'static>(
    listener: Listener,
    work: impl FnOnce(Incoming) -> T + Send + 'static,
) -> Task<T> {
    spawn(move || work(accept(&listener)))
}

/// Accepts the next client.
pub(crate) fn accept(listener: &Listener) -> Incoming {
    listener.accept().unwrap().expect("not stopped")
}

/// Starts a raw server for one client; `work` also gets the head of the request.
pub(crate) fn serve_raw<T: Send + 'static>(
    work: impl FnOnce(TcpStream, String) -> T + Send + 'static,
) -> (SocketAddr, Task<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let task = spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        let request = read_head(&mut stream);
        work(stream, request)
    });
    (address, task)
}

/// Starts a raw server that opens the connection of one client, then does this.
pub(crate) fn serve_open<T: Send + 'static>(
    work: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, Task<T>) {
    serve_raw(|mut stream, request| {
        stream.write_all(response(&request).as_bytes()).unwrap();
        work(stream)
    })
}

/// Returns both ends of a TCP connection: the client's, the server's.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Returns the response that accepts this request.
pub(crate) fn response(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Connects a raw client, and completes its opening handshake.
pub(crate) fn raw_client(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(REQUEST.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    stream
}

/// Reads to the end of the stream.
pub(crate) fn read_rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

/// Waits for a byte and drops the stream with the byte unread, which resets TCP.
pub(crate) fn reset(stream: TcpStream) {
    assert!(stream.peek(&mut [0]).unwrap() > 0);
    drop(stream);
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}

pub(crate) fn connect(address: SocketAddr) -> WebSocket {
    Connector::new().connect(&url(address)).unwrap()
}

/// Returns a configuration with a Ping after [`SHORT`], and [`SHORT`] for its Pong.
pub(crate) fn short_keepalive() -> Config {
    Config::default().keepalive(Keepalive::Every(SHORT)).pong_timeout(SHORT)
}

/// Starts a thread that sends a message of this length, and waits until the message is queued.
pub(crate) fn begin_to_send<S>(writer: &Writer<S>, length: usize) -> Task<Result<(), Error>>
where
    S: SplitStream<Half: Send> + 'static,
{
    let task = spawn({
        let writer = writer.clone();
        move || writer.send(vec![7; length])
    });
    while writer.buffered_amount() == 0 {
        thread::yield_now();
    }
    task
}

/// Sends every message back until the connection is over.
pub(crate) fn echo<S: Stream>(mut ws: WebSocket<S>) -> Close {
    loop {
        match ws.read().unwrap().unwrap().into_owned() {
            Event::Message(message) => ws.send(message).unwrap(),
            Event::Close(close) => {
                assert!(ws.read().unwrap().is_none());
                return close;
            }
            _ => {}
        }
    }
}

/// Reads the next message.
pub(crate) fn message<S: Stream>(ws: &mut WebSocket<S>) -> Message<'static> {
    loop {
        if let Event::Message(message) = ws.read().unwrap().expect("a message").into_owned() {
            return message;
        }
    }
}

/// Reads to the end; expects no events except the peer's Close frame and the end.
pub(crate) fn close<S: Stream>(ws: &mut WebSocket<S>) -> Close {
    let events: Vec<_> = ws.events().map(Result::unwrap).collect();
    match &events[..] {
        [Event::Close(close)] | [Event::CloseReceived(_), Event::Close(close)] => close.clone(),
        events => panic!("{events:?}"),
    }
}

/// Reads to the end; expects an error and then the Close event.
pub(crate) fn failure<S: Stream>(ws: &mut WebSocket<S>) -> Error {
    let error = ws.read().unwrap_err();
    assert_eq!(close(ws).code, CloseCode::ABNORMAL);
    error
}
