//! What the tests share: bounded waits, a server in a thread, peers that speak raw bytes.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, Event, Incoming, Listener, Message, WebSocket,
};

/// No test waits longer for anything.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A timeout that is meant to pass.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The request of RFC 6455 section 1.2, without `Origin`.
pub(crate) const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// The masked "Hello" of RFC 6455 section 5.7.
pub(crate) const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// A masked Close frame, 1000, with a key of zeros.
pub(crate) const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// A thread whose result is waited for only so long.
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

/// Runs a test's body; fails if it takes too long.
pub(crate) fn bounded(body: impl FnOnce() + Send + 'static) {
    spawn(body).join();
}

/// A listener on a free port of this machine.
pub(crate) fn listen() -> (Listener, SocketAddr) {
    listen_with(Acceptor::new())
}

/// A listener with these settings.
pub(crate) fn listen_with(acceptor: Acceptor) -> (Listener, SocketAddr) {
    let listener = acceptor.bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server for one client.
pub(crate) fn serve<T: Send + 'static>(
    listener: Listener,
    work: impl FnOnce(Incoming) -> T + Send + 'static,
) -> Task<T> {
    spawn(move || work(accept(&listener)))
}

/// The next client.
pub(crate) fn accept(listener: &Listener) -> Incoming {
    listener.accept().unwrap().expect("not stopped")
}

/// A server of raw bytes for one client; `work` also gets the request's head.
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

pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The response that opens the connection which this request asks for.
pub(crate) fn response(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A raw client that has been accepted.
pub(crate) fn raw_client(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(REQUEST.as_bytes()).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    stream
}

/// All that still comes.
pub(crate) fn read_rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

/// Drops the stream with a byte unread that is on its way or there: TCP is reset.
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

pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Sends every message back until the connection is over.
pub(crate) fn echo<S: sansocket_net::Stream>(mut ws: WebSocket<S>) -> Close {
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

/// The next message.
pub(crate) fn message<S: sansocket_net::Stream>(ws: &mut WebSocket<S>) -> Message<'static> {
    loop {
        if let Event::Message(message) = ws.read().unwrap().expect("a message").into_owned() {
            return message;
        }
    }
}

/// Reads to the end, expecting nothing but the peer's Close frame and the end.
pub(crate) fn close<S: sansocket_net::Stream>(ws: &mut WebSocket<S>) -> Close {
    let events: Vec<_> = ws.events().map(Result::unwrap).collect();
    match &events[..] {
        [Event::Close(close)] | [Event::CloseReceived(_), Event::Close(close)] => close.clone(),
        events => panic!("{events:?}"),
    }
}

/// Reads to the end, expecting an error and then the Close event.
pub(crate) fn failure<S: sansocket_net::Stream>(ws: &mut WebSocket<S>) -> Error {
    let error = ws.read().unwrap_err();
    assert_eq!(close(ws).code, CloseCode::ABNORMAL);
    error
}
