//! How and when the end of a connection is reported: over real sockets, in a loop and with a `Socket` alone.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sansocket_mio::mio::{Events, Poll, Token};
use sansocket_mio::sansocket::{self, Initiator};
use sansocket_mio::{
    Accept, CloseCode, Config, Connector, Error, Event, NextStep, Options, ReadBuffer, Socket, WebSocket, mio, now,
};
use support::paced::*;
use support::turned::Turned;
use support::*;

/// The size of a socket's buffer; Linux doubles it.
const BUFFER: usize = 32 * 1024;
/// Shorter than every deadline, and longer than an immediate report takes.
const AT_ONCE: Duration = Duration::from_secs(2);
/// A deadline that must not expire during the test.
const FAR: Duration = Duration::from_secs(60);
/// A server's Close frame with code 4001.
const CLOSE_4001: &[u8] = b"\x88\x02\x0f\xa1";
#[test]
fn close_and_fin_together_are_clean_though_a_message_is_pending() {
    const LENGTH: usize = 2 << 20;
    bounded(|| {
        let server = serve_small(BUFFER, |config| config.high_water_mark = 2 * LENGTH, |_| ());
        for length in [64 * 1024, LENGTH] {
            let mut client = small_client(server.address, BUFFER);
            client.write_all(&[masked(7, length), CLOSE.to_vec()].concat()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut reader = slowly(&client, 64 * 1024, Duration::from_millis(2));
            assert_eq!(read_message(&mut reader).expect("the message arrives").len(), length);
            assert_eq!(read_frame(&mut reader).expect("the reply arrives"), (0x88, vec![0x03, 0xe8]));
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
            let close = server.close();
            assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::NORMAL, true, Initiator::Peer));
        }
        server.stop();
    });
}

/// A server that opens a connection, sends these bytes, and keeps TCP open while the stream that it returns lives.
fn raw_server(sends: &'static [u8]) -> (std::net::SocketAddr, Task<TcpStream>) {
    let (address, task) = peer_server(move |mut ws| {
        ws.get_mut().write_all(sends).unwrap();
        ws.into_inner()
    });
    (address, task)
}

#[test]
fn a_servers_close_frame_is_reported_before_tcp_ends() {
    bounded(|| {
        let (address, peer) = raw_server(CLOSE_4001);
        let began = Instant::now();
        let url = format!("ws://{address}/");
        let client = run(
            &options(|config| config.closing_timeout = FAR).stop_timeout(Duration::ZERO),
            |_| (),
            |event_loop| _ = event_loop.connect(&url).unwrap(),
        );
        let frame = client.wait(|seen| match seen {
            Seen::CloseReceived(_, frame) => Some(frame),
            Seen::Close(_, close) => panic!("{close:?}"),
            _ => None,
        });
        assert_eq!((frame.code.as_u16(), &*frame.reason), (4001, ""));
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        // the end follows when TCP ends
        assert!(client.seen.try_recv().is_err());
        drop(peer.join());
        let close = client.close();
        assert_eq!((close.code.as_u16(), close.was_clean, close.initiator), (4001, true, Initiator::Peer));
        client.stop();
    });
}

#[test]
fn a_late_answer_opens_the_connection_without_another_byte() {
    bounded(|| {
        let server = serve_with(|_| (), |recorder| (recorder.answers_later, recorder.reports_messages) = (true, true));
        for early in [&b""[..], HELLO] {
            let mut client = tcp(server.address);
            client.write_all(&[REQUEST.as_bytes(), early].concat()).unwrap();
            let id = server.wait(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
            let began = Instant::now();
            server.handle.answer(id, Accept::new()).unwrap();
            assert_eq!(server.open(), id);
            if !early.is_empty() {
                assert_eq!(server.message().as_text(), Some("Hello"));
            }
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            drop(client);
            server.close();
        }
        server.stop();
    });
}

/// The end of the stream arrives before the answer, or after it.
#[test]
fn a_protocol_error_before_the_answer_is_reported_though_fin_follows() {
    bounded(|| {
        for ends_first in [true, false] {
            let mut server = Turned::new(&Options::new());
            server.event_loop.handler().answers_later = true;
            let mut client = tcp(server.address);
            client.write_all(&[REQUEST.as_bytes(), RESERVED].concat()).unwrap();
            let id = server.until(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
            if ends_first {
                client.shutdown(Shutdown::Write).unwrap();
                server.until_quiet();
            }
            server.with(id, |connection| connection.answer(Accept::new()).unwrap());
            if !ends_first {
                client.shutdown(Shutdown::Write).unwrap();
            }
            let mut was_opened = false;
            let error = server.until(|seen| match seen {
                Seen::Open(_) => {
                    was_opened = true;
                    None
                }
                Seen::Error(_, error) => Some(error),
                other => panic!("{other:?}"),
            });
            assert!(was_opened && matches!(error, Error::Peer(sansocket::Error::Protocol(_))), "{error:?}");
            let close = server.until(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None });
            assert_eq!((close.code, close.was_clean), (CloseCode::ABNORMAL, false));
            assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
            let (head, payload) = read_frame(&mut client).unwrap();
            assert_eq!((head, &payload[..2]), (0x88, &1002_u16.to_be_bytes()[..]));
        }
    });
}

/// A socket in a poll of its own, and the events that it reported. Accepts requests if `accepts` is set.
struct Owner {
    poll: Poll,
    socket: Socket,
    next: NextStep,
    accepts: bool,
    seen: Vec<Result<Event<'static>, Error>>,
}

impl Owner {
    fn new(socket: Socket) -> Self {
        Self { poll: Poll::new().unwrap(), socket, next: NextStep::Wait, accepts: true, seen: Vec::new() }
    }

    fn accepted(config: Config) -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = tcp(listener.local_addr().unwrap());
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        (Self::new(Socket::accepted(mio::net::TcpStream::from_std(stream), config, now())), client)
    }

    /// Turns until the last reported event is the wanted one.
    fn turn_until(&mut self, is_wanted: impl Fn(&Result<Event<'static>, Error>) -> bool) {
        let Self { poll, socket, next, accepts, seen } = self;
        let (mut events, mut buffer) = (Events::with_capacity(8), ReadBuffer::new(4096));
        let began = Instant::now();
        loop {
            let mut on_event = |ws: &mut WebSocket, event: Result<Event<'_>, Error>| {
                if *accepts && matches!(event, Ok(Event::Request(_))) {
                    ws.accept(Accept::new(), now()).unwrap();
                }
                seen.push(event.map(Event::into_owned));
            };
            for event in &events {
                _ = socket.ready(event, &mut buffer, now(), &mut on_event);
            }
            *next = socket.drive(&mut buffer, now(), &mut on_event);
            if seen.last().is_some_and(&is_wanted) {
                return;
            }
            assert!(began.elapsed() < BOUND && *next != NextStep::End, "{seen:?}");
            socket.update(poll.registry(), Token(0)).unwrap();
            let wait = socket.max_wait(*next, now()).unwrap_or(BOUND).min(BOUND);
            poll.poll(&mut events, Some(wait)).unwrap();
        }
    }
}

#[test]
fn a_socket_reports_a_close_frame_at_once() {
    bounded(|| {
        let (address, peer) = raw_server(CLOSE_4001);
        let mut config = Config::default();
        config.closing_timeout = FAR;
        let target = format!("ws://{address}/").parse().unwrap();
        let connector = Connector::new().config(config);
        let mut owner = Owner::new(Socket::connect(&connector, target, now()).unwrap());
        let began = Instant::now();
        owner.turn_until(|seen| matches!(seen, Ok(Event::CloseReceived(frame)) if frame.code.as_u16() == 4001));
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        drop(peer.join());
        owner.turn_until(|seen| matches!(seen, Ok(Event::Close(close)) if close.was_clean));
    });
}

#[test]
fn a_socket_opens_at_a_late_answer_without_another_byte() {
    bounded(|| {
        let (mut owner, mut client) = Owner::accepted(Config::default());
        owner.accepts = false;
        client.write_all(&[REQUEST.as_bytes(), HELLO].concat()).unwrap();
        owner.turn_until(|seen| matches!(seen, Ok(Event::Request(_))));
        owner.socket.websocket().accept(Accept::new(), now()).unwrap();
        _ = owner
            .socket
            .drive(&mut ReadBuffer::new(64), now(), |_, event| owner.seen.push(event.map(Event::into_owned)));
        assert!(matches!(owner.seen[1..], [Ok(Event::Open(_)), Ok(Event::Message(_))]), "{:?}", owner.seen);
    });
}

#[test]
fn dropping_a_socket_aborts_and_ending_it_does_not() {
    bounded(|| {
        for ends in [false, true] {
            let (mut owner, mut client) = Owner::accepted(Config::default());
            client.write_all(REQUEST.as_bytes()).unwrap();
            owner.turn_until(|seen| matches!(seen, Ok(Event::Open(_))));
            assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
            if ends {
                client.write_all(CLOSE).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                owner.turn_until(|seen| matches!(seen, Ok(Event::Close(_))));
                expect(&mut client, b"\x88\x02\x03\xe8");
            }
            drop(owner);
            match client.read(&mut [0]) {
                Ok(0) => assert!(ends),
                Err(error) => assert!(!ends && error.kind() == std::io::ErrorKind::ConnectionReset, "{error}"),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_socket_that_is_aborted_reports_its_close() {
    bounded(|| {
        let (mut owner, mut client) = Owner::accepted(Config::default());
        client.write_all(REQUEST.as_bytes()).unwrap();
        owner.turn_until(|seen| matches!(seen, Ok(Event::Open(_))));
        owner.socket.websocket().abort(now());
        let next = owner
            .socket
            .drive(&mut ReadBuffer::new(64), now(), |_, event| owner.seen.push(event.map(Event::into_owned)));
        assert_eq!(next, NextStep::End);
        let Some(Ok(Event::Close(close))) = owner.seen.last() else { panic!("{:?}", owner.seen) };
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Local));
    });
}
