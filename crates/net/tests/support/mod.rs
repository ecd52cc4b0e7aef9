//! Helpers of the tests: a server in a thread, and those that the adapters share.
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

#[path = "../../../drive/tests/sockets/mod.rs"]
mod sockets;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, Event, Incoming, Keepalive, Listener, Message, SplitStream,
    Stream, WebSocket, Writer,
};

pub(crate) use self::sockets::*;

/// A server's Close frame, 1000, without a reason.
pub(crate) const CLOSE_REPLY: &[u8] = b"\x88\x02\x03\xe8";
/// A masked Ping without payload.
pub(crate) const PING: &[u8] = b"\x89\x80\0\0\0\0";

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

/// Returns the response that accepts this request.
pub(crate) fn response(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
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
