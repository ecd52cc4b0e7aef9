//! Pausing the reading of a connection.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::TimeoutKind;
use sansocket_mio::{
    Answer, Close, CloseCode, Config, Connection, ConnectionId, Connections, Error, EventLoop, Handler, Keepalive,
    Message, Open, Options, Request, sansocket,
};
use support::turned::Turned;
use support::*;

/// A server that does not echo, and a client of it.
fn start(config: impl FnOnce(&mut Config)) -> (Turned, TcpStream, ConnectionId) {
    let mut server = Turned::new(&options(config));
    server.event_loop.handler().echoes = false;
    let (client, id) = server.client();
    (server, client, id)
}

impl Turned {
    fn pause(&mut self, id: ConnectionId) {
        self.with(id, |connection| {
            connection.pause_reading();
            assert!(connection.is_reading_paused());
        });
    }

    fn resume(&mut self, id: ConnectionId) {
        self.with(id, |connection| {
            connection.resume_reading();
            assert!(!connection.is_reading_paused());
        });
    }

    /// Returns the events until nothing happens any more.
    fn rest(&mut self) -> Vec<Seen> {
        self.until_quiet();
        self.seen.try_iter().collect()
    }

    fn close(&mut self) -> Close {
        self.until(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None })
    }
}

/// Returns the messages; there must be no other events.
fn messages(seen: Vec<Seen>) -> Vec<Message<'static>> {
    let message = |seen| match seen {
        Seen::Message(_, message) => message,
        other => panic!("{other:?}"),
    };
    seen.into_iter().map(message).collect()
}

/// A masked text message with a key of zeros.
fn text(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn bytes_that_arrive_during_a_pause_are_read_after_it() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.pause(id);
        client.write_all(&text("during")).unwrap();
        // the loop becomes quiet although there are bytes to read
        assert!(server.rest().is_empty());
        server.resume(id);
        assert_eq!(messages(server.rest()), [Message::from("during")]);
        client.write_all(&text("after")).unwrap();
        assert_eq!(messages(server.rest()), [Message::from("after")]);
    });
}

#[test]
fn no_message_follows_the_one_that_paused_until_reading_is_resumed() {
    const COUNT: usize = 5;
    bounded(|| {
        let numbers: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
        let frames: Vec<_> = numbers.iter().map(|number| text(number)).collect();
        // in one read, and each in a read of its own, with a fragmented message between
        for split in [frames.concat().len(), 7, 3] {
            let (mut server, mut client, id) = start(|_| ());
            server.event_loop.handler().reaction = Some(|connection| connection.pause_reading());
            let mut seen = Vec::new();
            for piece in frames.concat().chunks(split) {
                client.write_all(piece).unwrap();
                seen.extend(messages(server.rest()));
            }
            for count in 1..COUNT {
                assert_eq!(seen.len(), count, "{seen:?}");
                server.resume(id);
                seen.extend(messages(server.rest()));
            }
            let expected: Vec<_> = numbers.iter().map(|number| Message::from(number.as_str())).collect();
            assert_eq!(seen, expected);
            // and later messages
            server.event_loop.handler().reaction = None;
            client.write_all(&text("later")).unwrap();
            assert!(server.rest().is_empty());
            server.resume(id);
            assert_eq!(messages(server.rest()), [Message::from("later")]);
        }
    });
}

#[test]
fn bytes_kept_by_a_pause_are_received_before_later_bytes() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.event_loop.handler().reaction = Some(|connection| connection.pause_reading());
        // the second message is incomplete
        let second = text("second");
        client.write_all(&[&text("first"), &second[..8]].concat()).unwrap();
        assert_eq!(messages(server.rest()), [Message::from("first")]);
        server.event_loop.handler().reaction = None;
        client.write_all(&[&second[8..], &text("third"), PING].concat()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(server.rest().is_empty());
        server.resume(id);
        let seen = server.rest();
        let [Seen::Message(_, second), Seen::Message(_, third), Seen::Ping(ping), Seen::Close(_, close)] = &seen[..]
        else {
            panic!("{seen:?}")
        };
        assert_eq!((second.as_text(), third.as_text()), (Some("second"), Some("third")));
        assert_eq!((&ping[..], close.code), (&b"p"[..], CloseCode::ABNORMAL));
    });
}

#[test]
fn a_paused_connection_sends_and_answers_no_ping() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.pause(id);
        client.write_all(PING).unwrap();
        assert!(server.rest().is_empty());
        server.with(id, |connection| connection.send("sent").unwrap());
        assert!(server.rest().is_empty());
        expect(&mut client, b"\x81\x04sent");
        client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.set_read_timeout(Some(BOUND)).unwrap();
        server.resume(id);
        assert!(matches!(server.rest()[..], [Seen::Ping(_)]));
        expect(&mut client, PONG);
    });
}

#[test]
fn the_end_of_the_stream_is_seen_after_the_pause() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.pause(id);
        client.write_all(HELLO).unwrap();
        drop(client);
        assert!(server.rest().is_empty());
        server.resume(id);
        assert!(matches!(server.rest()[..], [Seen::Message(..), Seen::Close(..)]));
        assert!(server.event_loop.connections().is_empty());
    });
}

#[test]
fn keepalive_ends_a_connection_after_the_pause_and_not_during_it() {
    const INTERVAL: Duration = Duration::from_millis(50);
    bounded(|| {
        let (mut server, mut client, id) = start(|config| {
            config.keepalive = Keepalive::Every(INTERVAL);
            config.pong_timeout = INTERVAL;
        });
        server.pause(id);
        let began = Instant::now();
        while began.elapsed() < 8 * INTERVAL {
            server.event_loop.turn(Some(INTERVAL)).unwrap();
        }
        let seen: Vec<_> = server.seen.try_iter().collect();
        assert!(seen.is_empty(), "{seen:?}");
        // it has sent a Ping nevertheless
        expect(&mut client, b"\x89\x00");
        // the peer has the whole timeout from here, although part of it has passed
        std::thread::sleep(INTERVAL / 2);
        server.resume(id);
        let resumed = Instant::now();
        let error = server.until(|seen| if let Seen::Error(_, error) = seen { Some(error) } else { None });
        assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Pong))), "{error:?}");
        assert!(resumed.elapsed() >= INTERVAL, "after {:?}", resumed.elapsed());
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
    });
}

#[test]
fn a_pong_that_arrived_during_the_pause_keeps_the_connection() {
    const INTERVAL: Duration = Duration::from_millis(200);
    bounded(|| {
        let (mut server, mut client, id) = start(|config| {
            config.keepalive = Keepalive::Every(INTERVAL);
            config.pong_timeout = INTERVAL;
        });
        server.pause(id);
        let began = Instant::now();
        while began.elapsed() < 3 * INTERVAL {
            server.event_loop.turn(Some(INTERVAL)).unwrap();
        }
        expect(&mut client, b"\x89\x00");
        client.write_all(b"\x8a\x80\0\0\0\0").unwrap();
        server.resume(id);
        server.until(|seen| matches!(seen, Seen::Pong(_)).then_some(()));
        assert_eq!(server.event_loop.connections().open().count(), 1);
    });
}

#[test]
fn closing_ends_the_pause() {
    type Pause = fn(&mut Turned, &mut TcpStream, ConnectionId);
    let pauses: [Pause; 2] = [
        // nothing is read
        |server, client, id| {
            server.pause(id);
            client.write_all(&[&text("first"), &text("second")[..]].concat()).unwrap();
            assert!(server.rest().is_empty());
        },
        // one message is read, and the other one kept
        |server, client, _| {
            server.event_loop.handler().reaction = Some(|connection| connection.pause_reading());
            client.write_all(&[&text("first"), &text("second")[..]].concat()).unwrap();
            server.until_quiet();
        },
    ];
    bounded(move || {
        for pause in pauses {
            let (mut server, mut client, id) = start(|_| ());
            pause(&mut server, &mut client, id);
            server.with(id, |connection| {
                connection.close(CloseCode::NORMAL, "").unwrap();
                connection.pause_reading();
                assert!(!connection.is_reading_paused());
            });
            let seen = server.rest();
            expect(&mut client, b"\x88\x02\x03\xe8");
            client.write_all(CLOSE).unwrap();
            drop(client);
            let mut seen: Vec<_> = seen.into_iter().chain(server.rest()).collect();
            let Some(Seen::Close(_, close)) = seen.pop() else { panic!("{seen:?}") };
            assert!(close.was_clean, "{close:?}");
            assert!(matches!(seen.pop(), Some(Seen::CloseReceived(..))));
            assert_eq!(messages(seen), [Message::from("first"), Message::from("second")]);
        }
    });
}

#[test]
fn a_reset_ends_a_paused_connection() {
    bounded(|| {
        for sends in [false, true] {
            let (mut server, client, id) = start(|_| ());
            server.pause(id);
            reset(client);
            if sends {
                server.with(id, |connection| connection.send("too late").unwrap());
            }
            assert_eq!(server.close().code, CloseCode::ABNORMAL);
            assert!(server.event_loop.connections().is_empty());
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn bytes_before_a_reset_are_read_from_a_paused_connection() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.pause(id);
        client.write_all(HELLO).unwrap();
        assert!(server.rest().is_empty());
        reset(client);
        assert!(matches!(server.rest()[..], [Seen::Message(..), Seen::Close(..)]));
    });
}

#[test]
fn stopping_a_loop_closes_paused_connections() {
    bounded(|| {
        let (mut server, mut client, id) = start(|_| ());
        server.pause(id);
        client.write_all(CLOSE).unwrap();
        server.event_loop.connections().stop();
        let reading = spawn(move || read_rest(&mut client));
        let began = Instant::now();
        server.event_loop.run().unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert_eq!(reading.join(), b"\x88\x02\x03\xe9");
        assert!(server.close().was_clean);
    });
}

/// Pauses at the first occasion, and reports the events that follow.
struct Cautious {
    pauses_at_accept: bool,
    reports: mpsc::Sender<&'static str>,
}

impl Handler for Cautious {
    type Data = ();
    type Event = &'static str;

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        if self.pauses_at_accept {
            connection.pause_reading();
        }
        self.reports.send("accept").unwrap();
    }

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        self.reports.send("request").unwrap();
        connection.default_accept(request).into()
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        if !self.pauses_at_accept {
            connection.pause_reading();
        }
        self.reports.send("open").unwrap();
    }

    fn on_message(&mut self, _: &mut Connection<'_, Self>, _: Message<'_>) {
        self.reports.send("message").unwrap();
    }

    fn on_event(&mut self, connections: &mut Connections<Self>, event: &'static str) {
        let ids: Vec<_> = connections.open().collect();
        ids.into_iter().for_each(|id| connections.get(id).unwrap().resume_reading());
        self.reports.send(event).unwrap();
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Opening))), "{error:?}");
        self.reports.send("late").unwrap();
    }
}

#[test]
fn a_pause_may_begin_before_the_request_or_when_the_connection_opens() {
    bounded(|| {
        for (pauses_at_accept, expected) in
            [(false, &["accept", "request", "open", "resume", "message"][..]), (true, &["accept", "late"])]
        {
            let (reports, receiver) = mpsc::channel();
            let opening_timeout = if pauses_at_accept { SHORT } else { BOUND };
            let options = options(|config| config.opening_timeout = opening_timeout);
            let mut event_loop = EventLoop::with_options(Cautious { pauses_at_accept, reports }, &options).unwrap();
            let address = event_loop.listen("127.0.0.1:0").unwrap();
            let handle = event_loop.handle();
            let running = spawn(move || event_loop.run().unwrap());
            let mut client = tcp(address);
            // a message comes along with the request
            client.write_all(&[REQUEST.as_bytes(), HELLO].concat()).unwrap();
            for &report in expected {
                if report == "resume" {
                    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
                    handle.post(0, "resume").unwrap();
                }
                assert_eq!(receiver.recv_timeout(BOUND), Ok(report));
            }
            drop(client);
            handle.stop().unwrap();
            running.join();
        }
    });
}

#[test]
fn a_client_pauses_as_a_server_does() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| {
            for number in 0..3 {
                ws.send(tungstenite::Message::text(number.to_string())).unwrap();
            }
            while ws.read().is_ok() {}
        });
        let mut client = Turned::new(&Options::new());
        client.event_loop.handler().reaction = Some(|connection| connection.pause_reading());
        let id = client.event_loop.connect(&format!("ws://{address}/")).unwrap();
        for number in ["0", "1", "2"] {
            let message = client.until(|seen| if let Seen::Message(_, message) = seen { Some(message) } else { None });
            assert_eq!(message.as_text(), Some(number));
            assert!(client.rest().is_empty());
            client.resume(id);
        }
        client.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
        assert!(client.close().was_clean);
        peer.join();
    });
}

#[test]
fn resuming_a_congested_connection_waits_for_its_peer() {
    const LENGTH: usize = 8 << 20;
    bounded(|| {
        let (mut server, mut client, id) = start(|config| config.high_water_mark = 1 << 20);
        server.event_loop.handler().reaction = Some(|connection| {
            connection.send(vec![7; LENGTH]).unwrap();
            connection.pause_reading();
        });
        client.write_all(&HELLO.repeat(2)).unwrap();
        assert_eq!(messages(server.rest()), [Message::from("Hello")]);
        server.resume(id);
        assert!(server.rest().is_empty());
        let (done, is_done) = mpsc::channel();
        let client = spawn(move || {
            // the frame header has ten bytes
            client.read_exact(&mut vec![0; 10 + LENGTH]).unwrap();
            done.send(()).unwrap();
            client
        });
        server.until(|seen| matches!(seen, Seen::Message(..)).then_some(()));
        // a part of the first message may still be pending
        while is_done.try_recv().is_err() {
            server.event_loop.turn(Some(SHORT)).unwrap();
        }
        client.join();
    });
}

/// Keeps the messages that it receives.
struct Patient(Vec<Message<'static>>);

impl Handler for Patient {
    type Data = ();
    type Event = ();

    fn on_message(&mut self, _: &mut Connection<'_, Self>, message: Message<'_>) {
        self.0.push(message.into_owned());
    }
}

#[test]
fn a_client_that_is_paused_while_it_connects_reads_nothing_from_the_second_address() {
    bounded(|| {
        let (closed, _kept) = closed_port();
        let (address, server) = peer_server(|mut server| {
            server.send("early".into()).unwrap();
            server.close(None).unwrap();
            while server.read().is_ok() {}
        });
        let mut event_loop = EventLoop::new(Patient(Vec::new())).unwrap();
        let connector = connector_to(&[closed, address]);
        let id = event_loop.connect_with(&connector, "ws://localhost/".parse().unwrap(), ()).unwrap();
        event_loop.connections().get(id).unwrap().pause_reading();
        let turns = |event_loop: &mut EventLoop<Patient>| {
            let began = Instant::now();
            while began.elapsed() < SHORT && event_loop.connections().get(id).is_some() {
                event_loop.turn(Some(SHORT)).unwrap();
            }
        };
        turns(&mut event_loop);
        let mut connection = event_loop.connections().get(id).unwrap();
        assert!(connection.is_reading_paused());
        // it has been reached, and has not read the response
        assert_eq!(connection.ready_state(), sansocket::ReadyState::Connecting);
        assert_eq!(connection.peer_addr().unwrap(), address);
        connection.resume_reading();
        turns(&mut event_loop);
        assert_eq!(event_loop.handler().0, [Message::from("early")]);
        server.join();
    });
}
