//! The work of one turn of a loop. The tests run the turns themselves, and count them.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use sansocket_mio::{
    Close, CloseCode, Connection, ConnectionId, Connections, Error, EventLoop, Handler, Message, Open, Options,
    SendError, Threads, TimerKey,
};
use support::turned::Turned;
use support::*;

#[test]
fn the_share_of_a_busy_peer_in_a_turn_does_not_grow() {
    const BUFFER: usize = 256;
    bounded(|| {
        let mut server = Turned::new(&Options::new().buffer_size(BUFFER));
        server.event_loop.handler().echoes = false;
        let (mut client, _) = server.client();
        client.write_all(&HELLO.repeat(10_000)).unwrap();
        for _ in 0..100 {
            // every turn has a new event of the peer, and work left from the turn before
            client.write_all(HELLO).unwrap();
            server.event_loop.turn(Some(BOUND)).unwrap();
            let messages = server.seen.try_iter().filter(|seen| matches!(seen, Seen::Message(..))).count();
            assert!(messages <= 4 * BUFFER / HELLO.len() + 1, "{messages} messages in one turn");
        }
    });
}

/// In several turns, its beginning would leave the processor's cache while other peers are served.
#[test]
fn a_message_of_a_few_buffers_is_read_in_one_turn() {
    const BUFFER: usize = 256;
    bounded(|| {
        let mut server = Turned::new(&Options::new().buffer_size(BUFFER));
        server.event_loop.handler().echoes = false;
        let (mut client, _) = server.client();
        // the frame header makes it one read more
        for (buffers, turns) in [(17, 1), (18, 2), (40, 3)] {
            let payload = buffers * BUFFER;
            let head = [&[0x82, 0xFE], &(payload as u16).to_be_bytes()[..], &[0; 4]].concat();
            client.write_all(&[head, vec![7; payload]].concat()).unwrap();
            for turn in 1..=turns {
                server.event_loop.turn(Some(BOUND)).unwrap();
                let messages = server.seen.try_iter().filter(|seen| matches!(seen, Seen::Message(..))).count();
                assert_eq!(messages, usize::from(turn == turns), "{buffers} buffers, turn {turn}");
            }
        }
    });
}

#[test]
fn a_close_frame_that_arrives_while_reading_is_held_back_is_received() {
    const WARM_UP: usize = 32 << 20;
    bounded(|| {
        let mut server = Turned::new(&options(|config| {
            config.high_water_mark = 64 * 1024;
            config.closing_timeout = 2 * BOUND;
        }));
        let (mut client, id) = server.client();
        // the peer has read quickly so far
        server.with(id, |connection| connection.send(vec![7; WARM_UP]).unwrap());
        let mut client = {
            let reading = spawn(move || {
                let mut warm_up = vec![0; WARM_UP + WARM_UP / (1 << 20) * 10];
                client.read_exact(&mut warm_up).unwrap();
                client
            });
            server.until(|seen| matches!(seen, Seen::Writable(..)).then_some(()));
            // output below the low-water mark may stay pending until another turn
            while server.event_loop.connections().get(id).unwrap().buffered_amount() > 0 {
                server.event_loop.turn(Some(BOUND)).unwrap();
            }
            reading.join()
        };
        // more than one or two turns write, although the system would accept it
        for _ in 0..6_500 {
            server.event_loop.connections().broadcast(vec![7; 256]).unwrap();
        }
        server.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
        server.event_loop.turn(Some(BOUND)).unwrap();
        server.with(id, |connection| assert!(connection.buffered_amount() > 64 * 1024));
        // the peer is read although so much output is pending
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let close = server.until(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None });
        assert!(close.was_clean, "{close:?}");
    });
}

#[test]
fn a_slow_reader_that_sends_pongs_is_kept() {
    const LENGTH: usize = 20 << 20;
    bounded(|| {
        let mut config = sansocket_mio::Config::default();
        config.high_water_mark = 12 << 20;
        config.keepalive = sansocket_mio::Keepalive::Every(Duration::from_millis(50));
        // the system accepts much at a time, and then nothing for a while
        config.pong_timeout = Duration::from_millis(300);
        let mut server = Turned::new(&Options::new().config(config).low_water_mark(0));
        let (mut client, id) = server.client();
        server.with(id, |connection| connection.send(vec![7; LENGTH]).unwrap());
        let mut chatting = client.try_clone().unwrap();
        spawn(move || {
            // unsolicited Pongs
            while chatting.write_all(b"\x8a\x80\0\0\0\0").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let reading = spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            for _ in 0..LENGTH / buffer.len() {
                std::thread::sleep(Duration::from_millis(4));
                client.read_exact(&mut buffer).unwrap();
            }
            client
        });
        let amount = server.until(|seen| match seen {
            Seen::Writable(_, amount) => Some(amount),
            Seen::Error(_, error) => panic!("{error}"),
            Seen::Close(_, close) => panic!("{close:?}"),
            _ => None,
        });
        assert_eq!(amount, 0);
        reading.join();
    });
}

#[test]
fn a_loop_sleeps_whatever_its_peers_leave_undone() {
    bounded(|| {
        let mut server = Turned::new(&options(|config| {
            config.high_water_mark = 64 * 1024;
            config.closing_timeout = 2 * BOUND;
            config.opening_timeout = Duration::from_secs(3);
        }));
        let mut clients = Vec::new();
        // peers that do not read; have half-closed; have sent half a message; have sent a Close frame; were sent one
        for (sent, half_closes, is_closed) in [
            (&b""[..], false, false),
            (b"", true, false),
            (HELLO, false, false),
            (HELLO, true, false),
            (CLOSE, false, false),
            (CLOSE, true, false),
            (b"", false, true),
            (b"", true, true),
            (HELLO, true, true),
        ] {
            let (mut client, id) = server.client();
            server.with(id, |connection| connection.send(vec![7; 16 << 20]).unwrap());
            server.until_quiet();
            client.write_all(sent).unwrap();
            if half_closes {
                client.shutdown(Shutdown::Write).unwrap();
            }
            if is_closed {
                server.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
            }
            server.until_quiet();
            clients.push((client, id));
        }
        // requests that are pending: of a client that has half-closed, and of one that has sent more bytes
        server.event_loop.handler().answers_later = true;
        for half_closes in [false, true] {
            let mut client = tcp(server.address);
            client.write_all(&[REQUEST.as_bytes(), HELLO].concat()).unwrap();
            let id = server.until(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
            client.write_all(&HELLO.repeat(10_000)).unwrap();
            if half_closes {
                client.shutdown(Shutdown::Write).unwrap();
            }
            server.until_quiet();
            clients.push((client, id));
        }
        let before = server.event_loop.connections().len();
        assert_eq!(before, clients.len());
        // all vanish at once, with bytes unread: none is left, and on_close reports each that was open
        drop(clients);
        let mut closed = 0;
        while !server.event_loop.connections().is_empty() {
            server.event_loop.turn(Some(BOUND)).unwrap();
            closed += server.seen.try_iter().filter(|seen| matches!(seen, Seen::Close(..))).count();
        }
        assert_eq!(closed, before - 2);
        server.until_quiet();
    });
}

#[test]
fn time_passes_between_turns() {
    bounded(|| {
        let mut server = Turned::new(&options(|config| config.opening_timeout = Duration::from_secs(20)));
        let _silent = tcp(server.address);
        server.event_loop.turn(Some(BOUND)).unwrap();
        assert_eq!(server.event_loop.connections().len(), 1);
        // the owner of the loop has not called it for a while
        let began = server.event_loop.connections().now();
        std::thread::sleep(Duration::from_millis(300));
        assert!(server.event_loop.connections().now() - began >= Duration::from_millis(300));
        server.event_loop.connections().set_timer(TimerKey(0), SHORT);
        std::thread::sleep(SHORT);
        let turn = Instant::now();
        server.event_loop.turn(None).unwrap();
        assert!(turn.elapsed() < SHORT, "{:?} too late", turn.elapsed());
    });
}

/// Broadcasts that a connection has failed.
#[derive(Default)]
struct Alarm {
    opened: Vec<ConnectionId>,
    errors: usize,
}

impl Handler for Alarm {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.opened.push(connection.id());
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {
        assert!(matches!(error, Error::Send(SendError::BufferFull { .. })), "{error}");
        self.errors += 1;
        connection.connections().broadcast(vec![7; 60_000]).unwrap();
    }
}

#[test]
fn broadcasting_that_a_broadcast_failed_does_not_stop_the_loop() {
    const COUNT: usize = 3;
    bounded(|| {
        let options = options(|config| config.max_buffered_amount = 64 * 1024);
        let mut event_loop = EventLoop::with_options(Alarm::default(), &options).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let clients = spawn(move || (0..COUNT).map(|_| raw_client(address)).collect::<Vec<_>>());
        while event_loop.handler().opened.len() < COUNT {
            event_loop.turn(Some(BOUND)).unwrap();
        }
        let _deaf = clients.join();
        while event_loop.handler().errors == 0 {
            event_loop.connections().broadcast(vec![7; 60_000]).unwrap();
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        }
        // each connection is reported once in a turn, however many messages were not sent
        for _ in 0..10 {
            let before = event_loop.handler().errors;
            event_loop.turn(Some(BOUND)).unwrap();
            let errors = event_loop.handler().errors - before;
            assert!(errors <= COUNT, "{errors} errors in one turn");
        }
        event_loop.connections().stop();
    });
}

/// Sends these messages in turn until one does not fit, and goes on when `on_writable` is called.
struct Source {
    left: Vec<usize>,
}

impl Source {
    fn go_on(&mut self, connection: &mut Connection<'_, Self>) {
        while let Some(&length) = self.left.last() {
            match connection.send(vec![7; length]) {
                Ok(()) => self.left.pop(),
                Err(SendError::BufferFull { .. }) => return,
                Err(error) => panic!("{error}"),
            };
        }
        connection.close(CloseCode::NORMAL, "").unwrap();
    }
}

impl Handler for Source {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.go_on(connection);
    }

    fn on_writable(&mut self, connection: &mut Connection<'_, Self>) {
        self.go_on(connection);
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        connection.connections().stop();
    }
}

#[test]
fn on_writable_follows_every_refusal_for_lack_of_room() {
    const COUNT: usize = 1_000;
    // the first message is not above the high-water mark, and the second does not fit beside it
    const LENGTHS: [usize; 2] = [60_000, 45_000];
    bounded(|| {
        let options = options(|config| config.max_buffered_amount = 100_000);
        let mut event_loop = EventLoop::with_options(Source { left: LENGTHS.repeat(COUNT) }, &options).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let reading = spawn(move || {
            let mut client = raw_client(address);
            let mut got = vec![0; COUNT * (LENGTHS[0] + LENGTHS[1] + 2 * 4) + 4];
            client.read_exact(&mut got).unwrap();
            client.write_all(CLOSE).unwrap();
        });
        event_loop.run().unwrap();
        reading.join();
    });
}

#[test]
fn a_loop_that_has_ended_refuses_commands() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let handle = server.event_loop.handle();
        let (client, _) = server.client();
        drop(client);
        handle.stop().unwrap();
        server.event_loop.run().unwrap();
        // although the loop still exists
        assert!(handle.broadcast("anyone?").is_err());
        assert!(!server.event_loop.turn(None).unwrap());
    });
}

/// Calls everything that can be called, in each of its methods.
struct Restless {
    seen: Vec<&'static str>,
    url: String,
    opened: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
}

impl Restless {
    fn call_everything(&mut self, connections: &mut Connections<Self>, what: &'static str) {
        self.seen.push(what);
        for &id in &self.opened {
            if let Some(mut other) = connections.get(id) {
                let _ = other.send("something");
                let _ = other.ping(b"?");
            }
        }
        connections.broadcast("news").unwrap();
        if connections.len() < 20 && self.opened.len() < 100 {
            connections.connect(&self.url).unwrap();
        }
        connections.set_timer(TimerKey(0), Duration::ZERO);
    }
}

impl Handler for Restless {
    type Data = ();
    type Event = ();

    fn on_start(&mut self, connections: &mut Connections<Self>) {
        self.call_everything(connections, "start");
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.opened.push(connection.id());
        self.call_everything(connection.connections(), "open");
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        let id = connection.id();
        if id.index().is_multiple_of(3) {
            // makes another connection from within a call
            if let Some(&other) = self.opened.iter().rev().find(|&&other| other != id)
                && let Some(mut other) = connection.connections().get(other)
            {
                other.close(CloseCode::NORMAL, "").unwrap();
            }
        }
        if self.opened.len() >= 100 {
            connection.connections().stop();
            connection.connections().stop();
            assert!(connection.connections().connect(&self.url).is_err());
        }
    }

    fn on_pong(&mut self, connection: &mut Connection<'_, Self>, _: &[u8]) {
        let _ = connection.close(CloseCode::NORMAL, "");
        self.call_everything(connection.connections(), "pong");
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        let id = connection.id();
        assert!(self.opened.contains(&id) && !self.closed.contains(&id), "opened, and closed once");
        self.closed.push(id);
        assert!(connection.send("too late").is_err());
        self.call_everything(connection.connections(), "close");
    }

    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, _: TimerKey) {
        self.call_everything(connections, "timer");
    }
}

#[test]
fn a_handler_may_call_everything_in_every_method() {
    bounded(|| {
        let options = options(|config| config.closing_timeout = Duration::from_secs(1));
        let handler = Restless { seen: Vec::new(), url: String::new(), opened: Vec::new(), closed: Vec::new() };
        let mut event_loop = EventLoop::with_options(handler, &options).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        event_loop.handler().url = format!("ws://{address}/");
        event_loop.run().unwrap();
        assert!(event_loop.connections().is_empty());
        assert_eq!(event_loop.handler().closed.len(), event_loop.handler().opened.len());
        for method in ["start", "open", "pong", "close", "timer"] {
            assert!(event_loop.handler().seen.contains(&method), "{method}");
        }
    });
}

struct Silent;

impl Handler for Silent {
    type Data = ();
    type Event = ();
}

#[test]
fn loops_that_cannot_all_start_do_not_run() {
    bounded(|| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let handler = |thread| if thread == 2 { panic!("not today") } else { Silent };
        catch_unwind(AssertUnwindSafe(|| Threads::start(3, &Options::new(), free, handler))).unwrap_err();
        assert!(TcpStream::connect(free).is_err(), "a listener remains");
    });
}

#[test]
fn stopping_ends_connections_that_do_not_end_by_themselves() {
    const PATIENCE: Duration = Duration::from_millis(500);
    bounded(|| {
        let mut server = Turned::new(&options(|config| {
            config.high_water_mark = 64 * 1024;
            config.closing_timeout = PATIENCE;
        }));
        // a server that never answers, a client that sends no request, and one whose request is not answered
        let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        server.event_loop.connect(&format!("ws://{}/", deaf.local_addr().unwrap())).unwrap();
        let _silent = tcp(server.address);
        server.event_loop.handler().answers_later = true;
        let mut asking = tcp(server.address);
        asking.write_all(REQUEST.as_bytes()).unwrap();
        server.until(|seen| matches!(seen, Seen::Request(..)).then_some(()));
        server.event_loop.handler().answers_later = false;
        // clients that do not read, of which one has sent a Close frame and one more messages; and one that reads and
        // stays
        let mut clients = Vec::new();
        for (length, sent) in [(16 << 20, &b""[..]), (16 << 20, CLOSE), (16 << 20, HELLO), (1, b"")] {
            let (mut client, id) = server.client();
            server.with(id, |connection| connection.send(vec![7; length]).unwrap());
            client.write_all(sent).unwrap();
            clients.push(client);
        }
        server.until_quiet();
        server.event_loop.connections().stop();
        let began = Instant::now();
        server.event_loop.run().unwrap();
        assert!((PATIENCE..4 * PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(server.event_loop.connections().is_empty());
        let closed = server.seen.try_iter().filter(|seen| matches!(seen, Seen::Close(..))).count();
        assert_eq!(closed, clients.len());
        assert!(String::from_utf8(read_rest(&mut asking)).unwrap().starts_with("HTTP/1.1 503 "));
    });
}

/// Panics when its loop starts.
struct Panicky;

impl Handler for Panicky {
    type Data = ();
    type Event = ();

    fn on_start(&mut self, _: &mut Connections<Self>) {
        panic!("not today");
    }
}

#[test]
fn a_panic_in_one_of_several_loops_is_passed_on() {
    bounded(|| {
        let threads = Threads::start(2, &Options::new(), "127.0.0.1:0", |_| Panicky).unwrap();
        let handle = threads.handle();
        catch_unwind(AssertUnwindSafe(|| threads.join())).unwrap_err();
        assert!(handle.broadcast("anyone?").is_err());
    });
}
