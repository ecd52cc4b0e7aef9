//! A `Socket` alone in its owner's poll: its registration, its use of readiness, and the work of one turn.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sansocket_mio::mio::{Events, Interest, Poll, Token};
use sansocket_mio::sansocket::TimeoutKind;
use sansocket_mio::{
    Accept, CloseCode, Config, Connector, DialError, Error, Event, Keepalive, NextStep, ReadBuffer, Socket, WebSocket,
    mio, now, sansocket,
};
use support::*;

/// A socket, its poll, and the events that it reported.
struct Owner {
    poll: Poll,
    events: Events,
    buffer: ReadBuffer,
    socket: Socket,
    next: NextStep,
    reported: Vec<Result<Event<'static>, Error>>,
}

impl Owner {
    fn new(mut socket: Socket, buffer_size: usize) -> Self {
        let poll = Poll::new().unwrap();
        // registration by mio's own method works, too
        poll.registry().register(&mut socket, Token(7), Interest::READABLE).unwrap();
        let events = Events::with_capacity(8);
        Self { poll, events, buffer: ReadBuffer::new(buffer_size), socket, next: NextStep::Wait, reported: Vec::new() }
    }

    /// Returns a server's socket that has accepted the request, and the client's stream.
    fn accepted(config: Config, buffer_size: usize) -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = tcp(listener.local_addr().unwrap());
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let socket = Socket::accepted(mio::net::TcpStream::from_std(stream), config, now());
        let mut owner = Self::new(socket, buffer_size);
        client.write_all(REQUEST.as_bytes()).unwrap();
        owner.turn_until(|event| matches!(event, Ok(Event::Open(_))));
        read_head(&mut client);
        (owner, client)
    }

    /// Polls once, and handles the events. Echoes messages.
    fn turn(&mut self, max_wait: Duration) {
        let Self { poll, events, buffer, socket, next, reported } = self;
        socket.update(poll.registry(), Token(7)).unwrap();
        let wait = socket.max_wait(*next, now()).unwrap_or(max_wait).min(max_wait);
        poll.poll(events, Some(wait)).unwrap();
        let mut on_event = |ws: &mut WebSocket, event: Result<Event<'_>, Error>| {
            match &event {
                Ok(Event::Request(_)) => ws.accept(Accept::new(), now()).unwrap(),
                Ok(Event::Message(message)) => ws.send(message.clone()).unwrap(),
                _ => {}
            }
            reported.push(event.map(Event::into_owned));
        };
        *next = match events.iter().next() {
            Some(event) => socket.ready(event, buffer, now(), on_event),
            None if *next == NextStep::Again => socket.drive(buffer, now(), on_event),
            None => socket.handle_timeout(now(), &mut on_event),
        };
    }

    fn turn_until(&mut self, mut is_wanted: impl FnMut(&Result<Event<'static>, Error>) -> bool) {
        let began = Instant::now();
        while !self.reported.iter().any(&mut is_wanted) {
            assert!(began.elapsed() < BOUND && self.next != NextStep::End, "{:?}", self.reported);
            self.turn(BOUND);
        }
    }

    /// Turns to the end of TCP, and drops the socket. Returns all reported events.
    fn turn_to_the_end(mut self) -> Vec<Result<Event<'static>, Error>> {
        let began = Instant::now();
        while self.next != NextStep::End {
            assert!(began.elapsed() < BOUND);
            self.turn(BOUND);
        }
        self.reported
    }
}

#[test]
fn one_turn_is_bounded_and_reports_that_work_is_left() {
    bounded(|| {
        let (mut owner, mut client) = Owner::accepted(Config::default(), 256);
        client.write_all(&HELLO.repeat(1_000)).unwrap();
        let mut turns = 0;
        owner.reported.clear();
        while owner.reported.len() < 1_000 {
            let before = owner.reported.len();
            owner.turn(BOUND);
            turns += 1;
            assert!(owner.reported.len() - before <= 2 * 256 / HELLO.len() + 1);
        }
        assert!(turns >= 11_000 / 512);
        expect(&mut client, &b"\x81\x05Hello".repeat(1_000));
    });
}

#[test]
fn a_paused_socket_reads_nothing_until_it_is_driven_again() {
    bounded(|| {
        let (mut owner, mut client) = Owner::accepted(Config::default(), 4_096);
        owner.reported.clear();
        owner.socket.pause_reading();
        client.write_all(HELLO).unwrap();
        owner.turn(SHORT);
        owner.turn(SHORT);
        assert!(owner.reported.is_empty() && owner.socket.is_reading_paused(), "{:?}", owner.reported);
        owner.socket.resume_reading(now());
        owner.next = NextStep::Again;
        owner.turn_until(|event| matches!(event, Ok(Event::Message(_))));
        expect(&mut client, b"\x81\x05Hello");
    });
}

#[test]
fn spurious_wake_ups_are_harmless() {
    bounded(|| {
        let (mut owner, mut client) = Owner::accepted(Config::default(), 4_096);
        let mut buffer = ReadBuffer::new(4096);
        for _ in 0..10 {
            assert_eq!(owner.socket.drive(&mut buffer, now(), |_, event| panic!("{event:?}")), NextStep::Wait);
            assert_eq!(owner.socket.handle_timeout(now(), |_, event| panic!("{event:?}")), NextStep::Wait);
        }
        client.write_all(HELLO).unwrap();
        owner.turn(BOUND);
        expect(&mut client, b"\x81\x05Hello");
        // a stale event, twice
        for event in &owner.events {
            for _ in 0..2 {
                assert_eq!(
                    owner.socket.ready(event, &mut buffer, now(), |_, event| panic!("{event:?}")),
                    NextStep::Wait
                );
            }
        }
        client.write_all(HELLO).unwrap();
        owner.turn(BOUND);
        expect(&mut client, b"\x81\x05Hello");
    });
}

#[test]
fn a_socket_is_registered_for_writing_only_while_output_is_pending() {
    bounded(|| {
        const LENGTH: usize = 32 << 20;
        let (mut owner, mut client) = Owner::accepted(Config::default(), 4_096);
        owner.socket.websocket().send(vec![7; LENGTH]).unwrap();
        owner.next = NextStep::Again;
        let reading = spawn(move || {
            let mut got = vec![0; LENGTH + 32 * 10];
            client.read_exact(&mut got).unwrap();
            client
        });
        while owner.socket.websocket().buffered_amount() > 0 {
            owner.turn(BOUND);
        }
        let mut client = reading.join();
        // the socket is writable all the time now, and mio does not report it
        owner.turn(SHORT);
        assert!(owner.events.is_empty());
        owner.turn(SHORT);
        assert!(owner.events.is_empty());
        client.write_all(HELLO).unwrap();
        owner.turn(BOUND);
        assert!(owner.events.iter().all(|event| event.is_readable() && !event.is_writable()));
        expect(&mut client, b"\x81\x05Hello");
    });
}

#[test]
fn a_socket_ends_with_its_peer_and_at_its_deadlines() {
    bounded(|| {
        // FIN
        let (owner, client) = Owner::accepted(Config::default(), 4_096);
        client.shutdown(Shutdown::Write).unwrap();
        let reported = owner.turn_to_the_end();
        assert!(matches!(reported.last(), Some(Ok(Event::Close(close))) if close.code == CloseCode::ABNORMAL));
        // a reset
        let (owner, client) = Owner::accepted(Config::default(), 4_096);
        reset(client);
        let reported = owner.turn_to_the_end();
        assert!(matches!(reported.last(), Some(Ok(Event::Close(close))) if close.code == CloseCode::ABNORMAL));
        // a Close frame and FIN at once
        let (owner, mut client) = Owner::accepted(Config::default(), 4_096);
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let reported = owner.turn_to_the_end();
        assert!(matches!(reported.last(), Some(Ok(Event::Close(close))) if close.was_clean));
        assert_eq!(read_rest(&mut client), b"\x88\x02\x03\xe8");
        // silence
        let mut config = Config::default();
        (config.keepalive, config.pong_timeout) = (Keepalive::Every(SHORT), SHORT);
        let (owner, mut client) = Owner::accepted(config, 4_096);
        let reported = owner.turn_to_the_end();
        assert_eq!(read_rest(&mut client), b"\x89\0");
        let [.., Err(error), Ok(Event::Close(_))] = &reported[..] else { panic!("{:?}", reported) };
        assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Pong))), "{error:?}");
    });
}

#[test]
fn a_client_that_cannot_connect_gets_an_error() {
    bounded(|| {
        let (closed, _in_use) = closed_port();
        let socket = Socket::connect(&Connector::new(), format!("ws://{closed}/").parse().unwrap(), now()).unwrap();
        let mut owner = Owner::new(socket, 4_096);
        while owner.next != NextStep::End {
            owner.turn(BOUND);
        }
        assert!(owner.reported.is_empty(), "{:?}", owner.reported);
        let Some(DialError::Unreachable(attempts)) = owner.socket.take_dial_error() else { panic!() };
        assert_eq!(attempts.len(), 1);
    });
}

#[test]
fn keepalive_stays_enabled_in_a_configuration_of_the_callers() {
    bounded(|| {
        for (keepalive, is_enabled) in [(Keepalive::Default, true), (Keepalive::Off, false)] {
            let config = Config::default().max_message_size(64 * 1024).keepalive(keepalive);
            let before = now();
            let (server, _client) = Owner::accepted(config.clone(), 4_096);
            let (address, peer) = peer_server(|websocket| websocket);
            let target = format!("ws://{address}/").parse().unwrap();
            let connector = Connector::new().config(config);
            let mut client = Owner::new(Socket::connect(&connector, target, before).unwrap(), 4_096);
            client.turn_until(|event| matches!(event, Ok(Event::Open(_))));
            for socket in [server.socket, client.socket] {
                let interval = socket.poll_timeout().map(|deadline| deadline - before);
                assert_eq!(interval.is_some(), is_enabled);
                assert!(interval.is_none_or(|interval| interval >= Duration::from_secs(30)), "{interval:?}");
            }
            peer.join();
        }
    });
}
