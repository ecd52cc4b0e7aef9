//! Helpers of the tests: an event loop in a thread, and those that the adapters share.
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

pub(crate) mod paced;
#[path = "../../../drive/tests/sockets/mod.rs"]
mod sockets;
pub(crate) mod turned;

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use sansocket_mio::{
    Answer, Close, CloseFrame, Config, Connection, ConnectionId, Connections, Connector, DialError, Error, EventLoop,
    Handle, Handler, Message, Open, Options, Request,
};

pub(crate) use self::sockets::*;

/// A masked Ping and its Pong.
pub(crate) const PING: &[u8] = b"\x89\x81\0\0\0\0p";
pub(crate) const PONG: &[u8] = b"\x8a\x01p";
/// A frame whose first reserved bit is set.
pub(crate) const RESERVED: &[u8] = b"\xc1\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

/// An event that a [`Recorder`] saw.
#[derive(Debug)]
pub(crate) enum Seen {
    Request(ConnectionId, String),
    Open(ConnectionId),
    Message(ConnectionId, Message<'static>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Error(ConnectionId, Error),
    CloseReceived(ConnectionId, CloseFrame),
    Close(ConnectionId, Close),
    Writable(ConnectionId, usize),
    AcceptError(io::ErrorKind, Option<i32>),
    ConnectError(DialError),
}

/// Reports its events, and sends every message back unless it is told otherwise.
pub(crate) struct Recorder {
    pub(crate) seen: mpsc::Sender<Seen>,
    pub(crate) echoes: bool,
    pub(crate) reports_messages: bool,
    pub(crate) answers_later: bool,
    /// The reaction to a message, instead of an echo.
    pub(crate) reaction: Option<fn(&mut Connection<'_, Self>)>,
}

impl Recorder {
    pub(crate) fn new(seen: mpsc::Sender<Seen>) -> Self {
        Self { seen, echoes: true, reports_messages: false, answers_later: false, reaction: None }
    }
}

impl Recorder {
    fn report(&self, seen: Seen) {
        // the test may be over
        let _ = self.seen.send(seen);
    }
}

impl Handler for Recorder {
    type Data = ();
    type Event = ();

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        self.report(Seen::Request(connection.id(), request.target().into()));
        if self.answers_later { Answer::Later } else { Answer::Accept(Default::default()) }
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.report(Seen::Open(connection.id()));
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        if self.reports_messages {
            self.report(Seen::Message(connection.id(), message.clone().into_owned()));
        }
        if let Some(reaction) = self.reaction {
            reaction(connection);
        } else if self.echoes {
            let _ = connection.send(message);
        }
    }

    fn on_ping(&mut self, _: &mut Connection<'_, Self>, payload: &[u8]) {
        self.report(Seen::Ping(payload.into()));
    }

    fn on_pong(&mut self, _: &mut Connection<'_, Self>, payload: &[u8]) {
        self.report(Seen::Pong(payload.into()));
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        self.report(Seen::Error(connection.id(), error));
    }

    fn on_close_received(&mut self, connection: &mut Connection<'_, Self>, frame: CloseFrame) {
        self.report(Seen::CloseReceived(connection.id(), frame));
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {
        self.report(Seen::Close(connection.id(), close));
    }

    fn on_writable(&mut self, connection: &mut Connection<'_, Self>) {
        self.report(Seen::Writable(connection.id(), connection.buffered_amount()));
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, (): (), error: DialError) {
        self.report(Seen::ConnectError(error));
    }

    fn on_accept_error(&mut self, _: &mut Connections<Self>, _: SocketAddr, error: &io::Error) {
        self.report(Seen::AcceptError(error.kind(), error.raw_os_error()));
    }
}

/// A loop on a thread; dropping this stops the loop.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle<Recorder>,
    pub(crate) seen: mpsc::Receiver<Seen>,
    task: Option<Task<()>>,
}

/// An echo server.
pub(crate) fn serve(config: impl FnOnce(&mut Config)) -> Running {
    serve_with(config, |_| ())
}

pub(crate) fn options(change: impl FnOnce(&mut Config)) -> Options {
    let mut config = Config::default();
    change(&mut config);
    Options::new().config(config)
}

pub(crate) fn serve_with(config: impl FnOnce(&mut Config), change: impl FnOnce(&mut Recorder)) -> Running {
    run(&options(config), change, |_| ())
}

/// Runs a loop that listens, after `prepare` has changed it.
pub(crate) fn run(
    options: &Options,
    change: impl FnOnce(&mut Recorder),
    prepare: impl FnOnce(&mut EventLoop<Recorder>),
) -> Running {
    let (seen, receiver) = mpsc::channel();
    let mut recorder = Recorder::new(seen);
    change(&mut recorder);
    let mut event_loop = EventLoop::with_options(recorder, options).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    prepare(&mut event_loop);
    let handle = event_loop.handle();
    let task = spawn(move || event_loop.run().unwrap());
    Running { address, handle, seen: receiver, task: Some(task) }
}

impl Running {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Returns the next event.
    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(BOUND).expect("something happens in time")
    }

    /// Returns the first event that is wanted.
    pub(crate) fn wait<T>(&self, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next()) {
                return found;
            }
        }
    }

    pub(crate) fn open(&self) -> ConnectionId {
        self.wait(|seen| if let Seen::Open(id) = seen { Some(id) } else { None })
    }

    pub(crate) fn close(&self) -> Close {
        self.wait(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None })
    }

    pub(crate) fn error(&self) -> Error {
        self.wait(|seen| if let Seen::Error(_, error) = seen { Some(error) } else { None })
    }

    pub(crate) fn connect_error(&self) -> DialError {
        self.wait(|seen| if let Seen::ConnectError(error) = seen { Some(error) } else { None })
    }

    pub(crate) fn message(&self) -> Message<'static> {
        self.wait(|seen| if let Seen::Message(_, message) = seen { Some(message) } else { None })
    }

    /// Stops the loop and waits for its end.
    pub(crate) fn stop(mut self) {
        let _ = self.handle.stop();
        self.task.take().unwrap().join();
    }

    /// Waits for the loop's end.
    pub(crate) fn join(mut self) {
        self.task.take().unwrap().join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.handle.stop();
    }
}

/// A connector for a host that has these addresses.
pub(crate) fn connector_to(addresses: &[SocketAddr]) -> Connector {
    Connector::new().addresses(addresses)
}

/// A tungstenite client.
pub(crate) fn client(address: SocketAddr) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    tungstenite::client(format!("ws://{address}/"), stream).unwrap().0
}

/// A tungstenite server for one client.
pub(crate) fn peer_server<T: Send + 'static>(
    work: impl FnOnce(tungstenite::WebSocket<TcpStream>) -> T + Send + 'static,
) -> (SocketAddr, Task<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let task = spawn(move || {
        let stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        work(tungstenite::accept(stream).unwrap())
    });
    (address, task)
}

/// Returns a port at which no socket listens, and a guard that keeps the system from assigning it to another.
pub(crate) fn closed_port() -> (SocketAddr, impl Sized) {
    let unrelated = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = TcpStream::connect(unrelated.local_addr().unwrap()).unwrap();
    (in_use.local_addr().unwrap(), (unrelated, in_use))
}

/// Reads as many bytes as expected, and compares them.
pub(crate) fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

/// Reads the remaining bytes, until TCP ends or is reset.
pub(crate) fn read_rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => rest,
    }
}

/// Drops the stream so that TCP is reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Returns how many descriptors the process has open.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
