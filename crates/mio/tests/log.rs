//! The log lines of the feature `tracing` for connections over real sockets, compared exactly.

mod support;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sansocket_mio::mio::{Events, Poll, Token};
use sansocket_mio::sansocket::{Agreement, Role};
use sansocket_mio::{
    Accept, Answer, Config, Connection, ConnectionId, Event, EventLoop, Handler, HttpResponse, NextStep, ReadBuffer,
    Request, Socket, mio, now,
};
use support::*;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns the lines that the scenario logs in its thread.
fn logged(scenario: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).without_time().with_ansi(false).finish();
    let subscribed = subscriber.set_default();
    scenario();
    drop(subscribed);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    log.lines().map(|line| line.trim().to_owned()).collect()
}

/// Refuses requests for `/secret`, and keeps the names of its connections.
#[derive(Default)]
struct Gate(Vec<ConnectionId>);

impl Handler for Gate {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        self.0.push(connection.id());
    }

    fn on_request(&mut self, _: &mut Connection<'_, Self>, request: &Request) -> Answer {
        match request.path() {
            "/secret" => HttpResponse::new(401).header("WWW-Authenticate", "Basic").into(),
            _ => Accept::new().into(),
        }
    }
}

/// Turns a loop until it has had at least one connection, and all have ended.
fn turn_to_the_end(event_loop: &mut EventLoop<Gate>) {
    let (began, mut has_begun) = (Instant::now(), !event_loop.connections().is_empty());
    while !has_begun || !event_loop.connections().is_empty() {
        assert!(began.elapsed() < BOUND);
        event_loop.turn(Some(BOUND)).unwrap();
        has_begun |= !event_loop.handler().0.is_empty();
    }
}

/// Returns the name of a connection in the log: the numbers of its `Debug`.
fn name(id: ConnectionId) -> String {
    format!("{id:?}").trim_start_matches("ConnectionId(").trim_end_matches(')').to_owned()
}

/// Returns the log lines, without the checked span, of a loop's connection to a client that sends these bytes.
fn accepted(request: &str, frames: &'static [u8]) -> Vec<String> {
    let mut event_loop = EventLoop::new(Gate::default()).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let mut client = tcp(address);
    let peer = client.local_addr().unwrap();
    let request = request.to_owned();
    let client = spawn(move || {
        client.write_all(request.as_bytes()).unwrap();
        read_head(&mut client);
        let _ = client.write_all(frames);
        let _ = client.shutdown(std::net::Shutdown::Write);
        read_rest(&mut client);
    });
    let lines = logged(|| turn_to_the_end(&mut event_loop));
    client.join();
    let id = name(event_loop.handler().0[0]);
    without_span(lines, &format!("connection{{id={id} role=Server peer={peer}}}: sansocket: "))
}

fn without_span(lines: Vec<String>, span: &str) -> Vec<String> {
    let strip = |line: String| {
        assert!(line.contains(span), "{line}\nis not of {span}");
        line.replacen(span, "", 1)
    };
    lines.into_iter().map(strip).collect()
}

#[test]
fn accepted_connections_are_logged_with_name_and_peer() {
    let secret = REQUEST.replace("/chat", "/secret").replace("\r\n\r\n", "\r\nAuthorization: Basic SECRET\r\n\r\n");
    let foreign = REQUEST.replace("\r\n\r\n", "\r\nOrigin: https://example.org\r\n\r\n");
    let old = REQUEST.replace("Version: 13", "Version: 8");
    let cases: &[(&str, &'static [u8], &[&str])] = &[
        (REQUEST, CLOSE, &["INFO opened", "INFO closed code=1000 was_clean=true initiator=Peer"]),
        (REQUEST, HELLO, &["INFO opened", "INFO closed code=1006 was_clean=false initiator=Peer"]),
        (
            REQUEST,
            b"\x81\x06SECRET",
            &[
                "INFO opened",
                "WARN failed error=the peer broke the protocol: a client sent a frame without masking it",
                "INFO closed code=1006 was_clean=false initiator=Local",
            ],
        ),
        (&secret, b"", &["INFO refused status=401"]),
        (&foreign, b"", &["INFO refused status=403 error=the origin may not open a connection: refused with 403"]),
        (&old, b"", &["INFO refused status=426 error=the Sec-WebSocket-Version field is not 13"]),
    ];
    for (request, frames, expected) in cases {
        assert_eq!(accepted(request, frames), *expected, "{request}");
    }
}

/// A server that answers a client with `answer` and ends the stream.
fn answering(answer: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, Task<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, spawn(move || answer(listener.accept().unwrap().0)))
}

#[test]
fn a_client_is_logged_with_the_address_that_it_reached() {
    let (closed, _kept) = closed_port();
    let (address, server) = answering(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nSet-Cookie: SECRET\r\nContent-Length: 0\r\n\r\n");
    });
    let mut event_loop = EventLoop::new(Gate::default()).unwrap();
    let target = "ws://user.example/?token=SECRET".parse().unwrap();
    let mut id = None;
    let lines = logged(|| {
        id = Some(event_loop.connect_with(&connector_to(&[closed, address]), target, ()).unwrap());
        turn_to_the_end(&mut event_loop);
    });
    server.join();
    let span = format!("connection{{id={} role=Client peer={address}}}: sansocket: ", name(id.unwrap()));
    assert_eq!(without_span(lines, &span), ["INFO refused status=403 error=the server refused with status 403"]);
}

/// An upgraded end, and its peer, which closes.
fn upgraded() -> (Socket, SocketAddr, Task<()>) {
    let (address, peer) = answering(|mut stream| {
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        read_rest(&mut stream);
    });
    let stream = mio::net::TcpStream::from_std(tcp(address));
    let agreement = Agreement::new().with_protocol("chat");
    (Socket::from_upgraded(stream, [], Role::Client, agreement, Config::default()).unwrap(), address, peer)
}

#[test]
fn an_adopted_connection_is_logged_with_name_and_peer() {
    let mut event_loop = EventLoop::new(Gate::default()).unwrap();
    let (mut id, mut address) = (None, None);
    let lines = logged(|| {
        let (socket, peer, task) = upgraded();
        address = Some(peer);
        id = Some(event_loop.connections().adopt(socket, ()).unwrap());
        turn_to_the_end(&mut event_loop);
        task.join();
    });
    let span = format!("connection{{id={} role=Client peer={}}}: sansocket: ", name(id.unwrap()), address.unwrap());
    let expected = [r#"INFO opened subprotocol="chat""#, "INFO closed code=1000 was_clean=true initiator=Peer"];
    assert_eq!(without_span(lines, &span), expected);
}

#[test]
fn a_socket_alone_is_logged_with_a_number_and_its_peer() {
    let mut address = None;
    let lines = logged(|| {
        let (mut socket, peer, task) = upgraded();
        address = Some(peer);
        let (mut poll, mut events, mut buffer) = (Poll::new().unwrap(), Events::with_capacity(8), ReadBuffer::new(256));
        let on_event = |_: &mut _, _: Result<Event<'_>, _>| ();
        let mut next = NextStep::Again;
        while next != NextStep::End {
            socket.update(poll.registry(), Token(0)).unwrap();
            poll.poll(&mut events, socket.max_wait(next, now())).unwrap();
            for event in &events {
                _ = socket.ready(event, &mut buffer, now(), on_event);
            }
            next = socket.drive(&mut buffer, now(), on_event);
        }
        drop(socket);
        task.join();
    });
    let span = format!(" role=Client peer={}}}: sansocket: ", address.unwrap());
    let rests = lines.iter().map(|line| line.split_once(&span).expect(line).1).collect::<Vec<_>>();
    assert_eq!(rests, [r#"opened subprotocol="chat""#, "closed code=1000 was_clean=true initiator=Peer"]);
    let number = lines[0].strip_prefix("INFO connection{id=").unwrap().split(' ').next().unwrap();
    assert!(number.parse::<u64>().unwrap() > 0 && lines[1].contains(&format!("{{id={number} ")), "{lines:?}");
}
