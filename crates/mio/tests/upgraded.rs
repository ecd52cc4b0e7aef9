//! Connections whose opening handshake was done elsewhere: in their owner's poll, and adopted by an event loop.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_mio::mio::{Events, Interest, Poll, Token};
use sansocket_mio::sansocket::{Agreement, AnswerError, HttpVersion, Role};
use sansocket_mio::{
    Accept, Close, CloseFrame, Config, Connection, Connections, Error, Event, EventLoop, Handler, Keepalive, Message,
    NextStep, Open, Options, OriginPolicy, PostError, ReadBuffer, Request, Socket, Stopped, TimerKey, WebSocket, mio,
    now,
};
use support::*;

/// A pair of streams, both blocking.
fn pair() -> (mio::net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = tcp(listener.local_addr().unwrap());
    (mio::net::TcpStream::from_std(listener.accept().unwrap().0), peer)
}

/// Returns the socket under test, and the peer's stream.
fn upgraded(leftover: &[u8], role: Role) -> (Socket, TcpStream) {
    let (stream, peer) = pair();
    let agreement = Agreement::new().with_protocol("chat");
    (Socket::from_upgraded(stream, leftover, role, agreement, Config::default()).unwrap(), peer)
}

/// Describes an event in words.
fn describe(event: Result<Event<'_>, Error>) -> String {
    match event {
        Ok(Event::Open(open)) => format!("open {}", open.protocol().unwrap_or_default()),
        Ok(Event::Message(Message::Text(text))) => (*text).into(),
        Ok(Event::Message(message)) => format!("{} bytes", message.len()),
        Ok(Event::Ping(_)) => "ping".into(),
        Ok(Event::CloseReceived(_)) => "close received".into(),
        Ok(Event::Close(close)) => format!("close {}", close.code.as_u16()),
        Ok(other) => format!("{other:?}"),
        Err(_) => "error".into(),
    }
}

/// The bytes behind the handshake, and those that arrive later; the peer then ends the stream. And the expected events.
type Case = (&'static str, Role, Vec<u8>, Vec<u8>, &'static [&'static str]);

fn cases() -> Vec<Case> {
    use Role::{Client, Server};
    const UNMASKED: &[u8] = b"\x81\x05Hello";
    let long = paced::masked(7, 1 << 20);
    let (begin, end) = long.split_at(1 << 19);
    vec![
        ("nothing", Server, vec![], HELLO.into(), &["open chat", "Hello", "close 1006"]),
        ("a message", Server, HELLO.into(), HELLO.into(), &["open chat", "Hello", "Hello", "close 1006"]),
        ("half a message", Server, HELLO[..8].into(), HELLO[8..].into(), &["open chat", "Hello", "close 1006"]),
        ("a Ping", Server, PING.into(), HELLO.into(), &["open chat", "ping", "Hello", "close 1006"]),
        (
            "a Close frame",
            Server,
            [HELLO, HELLO, CLOSE].concat(),
            vec![],
            &["open chat", "Hello", "Hello", "close received", "close 1000"],
        ),
        ("reserved bits", Server, b"\xf1\x80\0\0\0\0".into(), vec![], &["open chat", "error", "close 1006"]),
        ("1 MiB", Server, long.clone(), HELLO.into(), &["open chat", "1048576 bytes", "Hello", "close 1006"]),
        ("half a MiB", Server, begin.into(), end.into(), &["open chat", "1048576 bytes", "close 1006"]),
        ("a client", Client, UNMASKED.into(), UNMASKED.into(), &["open chat", "Hello", "Hello", "close 1006"]),
        ("a client, masked", Client, HELLO.into(), vec![], &["open chat", "error", "close 1006"]),
    ]
}

/// Writes the later bytes, ends the stream, and reads to its end.
fn play(mut peer: TcpStream, later: &[u8]) {
    // the other end may have reset the stream because of the leftover
    let _ = peer.write_all(later);
    let _ = peer.shutdown(Shutdown::Write);
    read_rest(&mut peer);
}

/// Drives a socket to its end, as the example `own_poll` does.
fn drive(mut socket: Socket) -> Vec<String> {
    let mut poll = Poll::new().unwrap();
    let (mut events, mut buffer, mut seen) = (Events::with_capacity(8), ReadBuffer::new(4096), Vec::new());
    let mut on_event = |_: &mut WebSocket, event: Result<Event<'_>, Error>| seen.push(describe(event));
    let mut next = socket.drive(&mut buffer, now(), &mut on_event);
    while next != NextStep::End {
        socket.update(poll.registry(), Token(0)).unwrap();
        poll.poll(&mut events, socket.max_wait(next, now())).unwrap();
        for event in &events {
            _ = socket.ready(event, &mut buffer, now(), &mut on_event);
        }
        next = socket.drive(&mut buffer, now(), &mut on_event);
    }
    seen
}

#[test]
fn an_upgraded_socket_is_driven_in_its_owners_poll() {
    bounded(|| {
        for (what, role, leftover, later, expected) in cases() {
            let (socket, peer) = upgraded(&leftover, role);
            let peer = spawn(move || play(peer, &later));
            assert_eq!(drive(socket), expected, "{what}");
            peer.join();
        }
    });
}

/// The number of the connection that the handler pauses when it opens.
const PAUSES: usize = 99;

/// Reports the events of its connections, whose data are their numbers.
struct Reporter {
    seen: mpsc::Sender<(usize, String)>,
    /// Adopted with the number 0 when the loop begins to run.
    first: Option<Socket>,
}

impl Reporter {
    fn report(&self, connection: &Connection<'_, Self>, event: Result<Event<'_>, Error>) {
        self.seen.send((*connection.data(), describe(event))).unwrap();
    }
}

impl Handler for Reporter {
    type Data = usize;
    type Event = ();

    fn on_start(&mut self, connections: &mut Connections<Self>) {
        if let Some(socket) = self.first.take() {
            connections.adopt(socket, 0).unwrap();
        }
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, open: Open) {
        if *connection.data() == PAUSES {
            connection.pause_reading();
        }
        self.report(connection, Ok(Event::Open(open)));
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        self.report(connection, Ok(Event::Message(message)));
    }

    fn on_ping(&mut self, connection: &mut Connection<'_, Self>, _: &[u8]) {
        self.seen.send((*connection.data(), "ping".into())).unwrap();
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        self.report(connection, Err(error));
    }

    fn on_close_received(&mut self, connection: &mut Connection<'_, Self>, frame: CloseFrame) {
        self.report(connection, Ok(Event::CloseReceived(frame)));
    }

    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, _: TimerKey) {
        self.seen.send((*connection.data(), "timer".into())).unwrap();
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {
        self.report(connection, Ok(Event::Close(close)));
    }
}

/// Returns a loop, and a channel of its connections' events.
fn event_loop(first: Option<Socket>) -> (EventLoop<Reporter>, mpsc::Receiver<(usize, String)>) {
    let (seen, receiver) = mpsc::channel();
    (EventLoop::with_options(Reporter { seen, first }, &Options::new().buffer_size(4096)).unwrap(), receiver)
}

/// Returns the events of the connection with a number, to its end.
fn events_of(seen: &mpsc::Receiver<(usize, String)>, number: usize) -> Vec<String> {
    let mut events = Vec::new();
    while !events.last().is_some_and(|last: &String| last.starts_with("close 1")) {
        let (from, event) = seen.recv_timeout(BOUND).unwrap();
        assert_eq!(from, number, "{event}");
        events.push(event);
    }
    events
}

#[test]
fn an_event_loop_adopts_connections_before_it_runs_when_it_starts_and_by_handle() {
    bounded(|| {
        for (what, role, leftover, later, expected) in cases() {
            let mut ends: Vec<_> = (0..3).map(|_| upgraded(&leftover, role)).collect();
            let peers = ends.iter().map(|(_, peer)| peer.try_clone().unwrap()).collect::<Vec<_>>();
            let mut peers = peers.into_iter().map(|peer| {
                let later = later.clone();
                spawn(move || play(peer, &later))
            });
            let (mut event_loop, seen) = event_loop(Some(ends.remove(0).0));
            let handle = event_loop.handle();
            let running = spawn(move || event_loop.run().unwrap());
            // one after the other
            let first = peers.next().unwrap();
            assert_eq!(events_of(&seen, 0), expected, "{what}");
            first.join();
            handle.adopt(ends.remove(0).0, 1).unwrap();
            let second = peers.next().unwrap();
            assert_eq!(events_of(&seen, 1), expected, "{what}, by handle");
            second.join();
            handle.stop().unwrap();
            running.join();

            let (mut event_loop, seen) = self::event_loop(None);
            let id = event_loop.connections().adopt(ends.remove(0).0, 2).unwrap();
            assert_eq!(*event_loop.connections().get(id).unwrap().data(), 2);
            let third = peers.next().unwrap();
            let handle = event_loop.handle();
            let running = spawn(move || event_loop.run().unwrap());
            assert_eq!(events_of(&seen, 2), expected, "{what}, before the loop ran");
            third.join();
            handle.stop().unwrap();
            running.join();
        }
    });
}

#[test]
fn a_connection_that_is_dead_when_it_is_adopted_opens_and_closes() {
    bounded(|| {
        for leftover in [&b""[..], HELLO] {
            let (socket, peer) = upgraded(leftover, Role::Server);
            reset(peer);
            let (mut event_loop, seen) = event_loop(None);
            event_loop.connections().adopt(socket, 7).unwrap();
            let began = Instant::now();
            while !event_loop.connections().is_empty() {
                assert!(began.elapsed() < BOUND);
                event_loop.turn(Some(BOUND)).unwrap();
            }
            let events = events_of(&seen, 7);
            assert_eq!((&*events[0], &*events[events.len() - 1]), ("open chat", "close 1006"), "{events:?}");
        }
    });
}

/// A deadline reads once more, which would wait for the peer if the stream blocked.
#[test]
fn a_stream_that_was_blocking_does_not_block_the_loop() {
    bounded(|| {
        let (stream, _silent) = pair();
        let config = Config::default().keepalive(Keepalive::Every(SHORT)).pong_timeout(SHORT);
        let socket = Socket::from_upgraded(stream, [], Role::Server, Agreement::new(), config).unwrap();
        let (mut event_loop, seen) = event_loop(None);
        event_loop.connections().adopt(socket, 7).unwrap();
        spawn(move || while event_loop.turn(Some(BOUND)).unwrap() {});
        assert_eq!(events_of(&seen, 7), ["open ", "error", "close 1006"]);
    });
}

/// The owner has driven the socket before, in a poll of its own.
#[test]
fn an_event_loop_adopts_a_socket_that_was_registered_elsewhere() {
    bounded(|| {
        let (mut socket, peer) = upgraded(b"", Role::Server);
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).unwrap();
        let mut opened = 0;
        let _ = socket.drive(&mut ReadBuffer::new(4096), now(), |_, event| {
            opened += usize::from(matches!(event, Ok(Event::Open(_))))
        });
        assert_eq!(opened, 1);
        poll.registry().deregister(&mut socket).unwrap();
        let (mut event_loop, seen) = event_loop(None);
        event_loop.connections().adopt(socket, 7).unwrap();
        let running = spawn(move || {
            let began = Instant::now();
            while !event_loop.connections().is_empty() {
                assert!(began.elapsed() < BOUND);
                event_loop.turn(Some(BOUND)).unwrap();
            }
        });
        play(peer, &[HELLO, CLOSE].concat());
        assert_eq!(events_of(&seen, 7), ["Hello", "close received", "close 1000"]);
        running.join();
    });
}

#[test]
fn a_socket_that_is_still_registered_elsewhere_is_not_silent_for_ever() {
    bounded(|| {
        let (mut socket, mut peer) = upgraded(b"", Role::Server);
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).unwrap();
        let (mut event_loop, seen) = event_loop(None);
        event_loop.connections().adopt(socket, 7).unwrap();
        peer.write_all(&[HELLO, CLOSE].concat()).unwrap();
        drop(peer);
        let began = Instant::now();
        while !event_loop.connections().is_empty() {
            assert!(began.elapsed() < BOUND);
            event_loop.turn(Some(Duration::from_millis(100))).unwrap();
        }
        // mio refuses a second registration if it is built with debug assertions
        assert_eq!(events_of(&seen, 7)[0], "open chat");
    });
}

#[test]
fn a_loop_that_stops_adopts_nothing() {
    bounded(|| {
        let (mut event_loop, seen) = event_loop(None);
        let (here, mut here_peer) = upgraded(b"", Role::Server);
        let (there, there_peer) = upgraded(HELLO, Role::Server);
        event_loop.connections().stop();
        assert!(matches!(event_loop.connections().adopt(here, 1), Err(Stopped { .. })));
        assert!(read_rest(&mut here_peer).is_empty());
        let refused = event_loop.handle().adopt(there, 2).unwrap_err();
        let PostError::Stopped((socket, 2)) = refused else { panic!("{refused:?}") };
        event_loop.run().unwrap();
        assert!(seen.try_iter().next().is_none());
        // the socket is handed back
        drop(there_peer);
        assert_eq!(drive(socket), ["open chat", "Hello", "close 1006"]);
    });
}

#[test]
fn a_timer_of_an_adopted_connection_fires_after_it_opened() {
    bounded(|| {
        let (socket, _peer) = upgraded(HELLO, Role::Server);
        let (mut event_loop, seen) = event_loop(None);
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let id = event_loop.connections().adopt(socket, 7).unwrap();
        event_loop.connections().get(id).unwrap().set_timer(TimerKey(0), Duration::ZERO);
        let mut events = Vec::new();
        while events.len() < 3 {
            event_loop.turn(Some(BOUND)).unwrap();
            events.extend(seen.try_iter().map(|(_, event)| event));
        }
        assert_eq!(events[0], "open chat");
        assert!(events.contains(&"timer".into()) && events.contains(&"Hello".into()), "{events:?}");
    });
}

#[test]
fn a_pause_that_begins_when_an_adopted_connection_opens_holds_back_the_leftover() {
    bounded(|| {
        let (socket, _peer) = upgraded(&HELLO.repeat(2), Role::Server);
        let (mut event_loop, seen) = event_loop(None);
        let id = event_loop.connections().adopt(socket, PAUSES).unwrap();
        let mut events = || {
            for _ in 0..5 {
                event_loop.turn(Some(Duration::ZERO)).unwrap();
            }
            event_loop.connections().get(id).unwrap().resume_reading();
            seen.try_iter().map(|(_, event)| event).collect::<Vec<_>>()
        };
        assert_eq!(events(), ["open chat"]);
        assert_eq!(events(), ["Hello", "Hello"]);
    });
}

/// A server that reads requests itself, checks them and hands the connections over.
#[test]
fn a_request_that_was_read_elsewhere_is_checked_answered_and_handed_over() {
    let origins = |origin: &str| OriginPolicy::any_of([origin]).unwrap();
    let cases = [
        ("https://example.com", Ok(())),
        ("https://example.org", Err(AnswerError::OriginForbidden)),
        ("null", Err(AnswerError::OriginForbidden)),
    ];
    bounded(move || {
        for (origin, expected) in cases {
            let (mut stream, peer) = {
                let (stream, peer) = pair();
                (TcpStream::from(stream), peer)
            };
            let ask =
                format!("{}Origin: {origin}\r\nSec-WebSocket-Protocol: chat\r\n\r\n", &REQUEST[..REQUEST.len() - 2]);
            let client = spawn(move || {
                let mut peer = peer;
                peer.write_all(ask.as_bytes()).unwrap();
                let head = read_head(&mut peer);
                if head.starts_with("HTTP/1.1 101 ") {
                    peer.write_all(&[HELLO, CLOSE].concat()).unwrap();
                }
                read_rest(&mut peer);
                head
            });
            let head = read_head(&mut stream);
            let mut lines = head.lines();
            let [method, target, "HTTP/1.1"] = lines.next().unwrap().split(' ').collect::<Vec<_>>()[..] else {
                panic!("{head}")
            };
            let fields = lines.filter_map(|line| line.split_once(": "));
            let request = Request::from_parts(method, target, HttpVersion::Http11, fields).unwrap();
            let handshake = request.check().unwrap().unwrap();
            let accept = Accept::new().origin(origins("https://example.com")).protocol("chat");
            match handshake.accept(&accept) {
                Ok(acceptance) => {
                    let mut response = format!("HTTP/1.1 {} Switching Protocols\r\n", acceptance.status());
                    for (name, value) in acceptance.fields() {
                        response += &format!("{name}: {value}\r\n");
                    }
                    write!(stream, "{response}\r\n").unwrap();
                    let stream = mio::net::TcpStream::from_std(stream);
                    let (agreement, config) = (acceptance.agreement(), Config::default());
                    let socket = Socket::from_upgraded(stream, [], Role::Server, agreement, config).unwrap();
                    assert_eq!(drive(socket), ["open chat", "Hello", "close received", "close 1000"]);
                    assert_eq!(expected, Ok(()));
                    let head = client.join();
                    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") && head.contains("chat"), "{head}");
                }
                Err(error) => {
                    assert_eq!(Err(error), expected, "{origin}");
                    write!(stream, "HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
                    drop(stream);
                    assert!(client.join().starts_with("HTTP/1.1 403 "));
                }
            }
        }
    });
}
