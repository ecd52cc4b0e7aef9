//! How connections of a loop end: what comes before, what is told last, and that nobody else's end is taken for theirs.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use sansocket_mio::{
    Accept, Answer, Close, CloseCode, Connection, ConnectionId, Connections, Error, EventLoop, Handler, Message, Open,
    Options, Request,
};
use support::turned::Turned;
use support::*;

/// A frame whose first reserved bit is set.
const RESERVED: &[u8] = b"\xc1\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

/// Lets the first client in, and the second when the first says something.
#[derive(Default)]
struct Doorkeeper {
    waiting: Option<ConnectionId>,
    is_open: bool,
    told: Vec<String>,
}

impl Handler for Doorkeeper {
    type Data = ();
    type Event = ();

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, _: &Request) -> Answer {
        if !self.is_open {
            return Accept::new().into();
        }
        self.waiting = Some(connection.id());
        Answer::Later
    }

    fn on_open(&mut self, _: &mut Connection<'_, Self>, _: Open) {
        self.is_open = true;
        self.told.push("open".into());
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        match self.waiting.take() {
            Some(id) => connection.connections().get(id).unwrap().answer(Accept::new()).unwrap(),
            None => {
                self.told.push("message".into());
                connection.send(message).unwrap();
            }
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, _: Error) {
        self.told.push("error".into());
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        self.told.push(format!("close {}", close.code.as_u16()));
    }
}

/// Turns until this is so.
fn turn_until<H: Handler>(event_loop: &mut EventLoop<H>, mut is_so: impl FnMut(&mut EventLoop<H>) -> bool) {
    while !is_so(event_loop) {
        event_loop.turn(Some(SHORT)).unwrap();
    }
}

/// What is told of a client that says something behind its request, and then nothing more, and what it hears; it is let
/// in in the same turn in which its end is seen.
fn let_in_at_its_end(early: &[u8]) -> (Vec<String>, Vec<u8>) {
    let mut event_loop = EventLoop::new(Doorkeeper::default()).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let first = spawn(move || raw_client(address));
    turn_until(&mut event_loop, |event_loop| event_loop.handler().is_open);
    let mut first = first.join();
    let mut second = tcp(address);
    second.write_all(&[REQUEST.as_bytes(), early].concat()).unwrap();
    turn_until(&mut event_loop, |event_loop| event_loop.handler().waiting.is_some());
    event_loop.handler().told.clear();
    first.write_all(HELLO).unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut event_loop, |event_loop| event_loop.connections().len() == 1);
    read_head(&mut second);
    (std::mem::take(&mut event_loop.handler().told), read_rest(&mut second))
}

#[test]
fn what_was_kept_until_the_answer_comes_before_the_end() {
    bounded(|| {
        let (told, heard) = let_in_at_its_end(HELLO);
        assert_eq!(told, ["open", "message", "close 1006"]);
        assert_eq!(heard, b"\x81\x05Hello");

        let (told, heard) = let_in_at_its_end(RESERVED);
        assert_eq!(told[..2], ["open", "error"]);
        assert!(told[2].starts_with("close"), "{told:?}");
        assert_eq!(heard[2..4], 1002_u16.to_be_bytes());
    });
}

#[test]
fn nothing_follows_close() {
    // what waits may be half of the limit for the loop to go on reading
    const LIMIT: usize = 16 << 20;
    bounded(|| {
        let mut server = Turned::new(&options(|config| {
            config.high_water_mark = 64 << 20;
            config.max_buffered_amount = LIMIT;
        }));
        let (mut client, id) = server.client();
        server.with(id, |connection| connection.send(vec![7; LIMIT / 2]).unwrap());
        server.until_quiet();
        client.write_all(CLOSE).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // a broadcast that does not fit, in the turn in which the connection begins to close
        server.event_loop.connections().broadcast(vec![7; LIMIT]).unwrap();
        server.until_quiet();
        // and a command that comes later, while the output is still pending
        server.event_loop.handle().send(id, "late").unwrap();
        server.until_quiet();
        assert!(server.event_loop.connections().get(id).is_some(), "the connection is there, to write");
        let reader = spawn(move || read_rest(&mut client));
        server.until(|seen| matches!(seen, Seen::Close(_, close) if close.was_clean).then_some(()));
        server.until_quiet();
        let seen: Vec<_> = server.seen.try_iter().collect();
        assert!(seen.is_empty(), "{seen:?}");
        let read = reader.join();
        assert!(read.len() > LIMIT / 2 && read.ends_with(&[0x88, 2, 3, 0xE8]), "all of it, and our reply");
    });
}

fn check_given_up(give_up: impl Fn(&mut Connections<Recorder>, ConnectionId)) {
    let mut client = Turned::new(&Options::new());
    let (closed, _in_use) = closed_port();
    let next = TcpListener::bind("127.0.0.1:0").unwrap();
    next.set_nonblocking(true).unwrap();
    let addresses = [closed, next.local_addr().unwrap()];
    let request = "ws://server.example/".parse().unwrap();
    client.event_loop.turn(Some(Duration::ZERO)).unwrap();
    let id = client.event_loop.connect_to(request, &addresses[..], ()).unwrap();
    // it is registered, and that it cannot connect not known yet
    client.event_loop.turn(Some(Duration::ZERO)).unwrap();
    let was_under_way = client.event_loop.connections().get(id).is_some();
    give_up(client.event_loop.connections(), id);
    while !client.event_loop.connections().is_empty() {
        client.event_loop.turn(Some(SHORT)).unwrap();
    }
    let seen: Vec<_> = client.seen.try_iter().collect();
    assert!(was_under_way && seen.is_empty(), "{seen:?}");
    assert_eq!(next.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it goes on connecting");
}

#[test]
fn what_is_given_up_while_it_connects_tries_no_further() {
    bounded(|| {
        check_given_up(|connections, id| connections.get(id).unwrap().close(CloseCode::NORMAL, "").unwrap());
        check_given_up(|connections, _| connections.stop());
    });
}

#[test]
fn what_a_peer_said_last_is_heard_whatever_is_sent_to_it_then() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, id) = server.client();
        server.until_quiet();
        client.write_all(HELLO).unwrap();
        reset(client);
        // more than lets the loop go on reading from it
        server.with(id, |connection| connection.send(vec![7; 2 << 20]).unwrap());
        let mut was_heard = false;
        server.until(|seen| {
            was_heard |= matches!(seen, Seen::Message(..));
            matches!(seen, Seen::Close(..)).then_some(())
        });
        assert!(was_heard);
    });
}

/// Has a second descriptor of the first connection.
#[derive(Default)]
struct Duplicating {
    duplicate: Option<socket2::Socket>,
    closed: usize,
}

impl Handler for Duplicating {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        let stream = socket2::SockRef::from(connection.stream());
        self.duplicate.get_or_insert_with(|| stream.try_clone().unwrap());
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        connection.send(message).unwrap();
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, _: Close) {
        self.closed += 1;
    }
}

/// As long as a descriptor of it is open anywhere, epoll goes on telling of a socket.
#[test]
fn the_end_of_one_that_is_gone_is_not_that_of_its_successor() {
    bounded(|| {
        let mut event_loop = EventLoop::new(Duplicating::default()).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let open = |event_loop: &mut EventLoop<Duplicating>| -> TcpStream {
            let client = spawn(move || raw_client(address));
            turn_until(event_loop, |event_loop| event_loop.connections().open().next().is_some());
            client.join()
        };
        let first = open(&mut event_loop);
        first.shutdown(Shutdown::Write).unwrap();
        turn_until(&mut event_loop, |event_loop| event_loop.connections().is_empty());
        let mut second = open(&mut event_loop);
        reset(first);
        second.write_all(HELLO).unwrap();
        let heard = spawn(move || (expect(&mut second, b"\x81\x05Hello"), second));
        for _ in 0..4 {
            event_loop.turn(Some(SHORT)).unwrap();
        }
        assert_eq!(event_loop.handler().closed, 1);
        heard.join();
    });
}

/// Whoever has room makes the other one get more.
#[derive(Default)]
struct Relay {
    ids: Vec<ConnectionId>,
    passed_on: usize,
}

impl Handler for Relay {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.ids.push(connection.id());
    }

    fn on_writable(&mut self, connection: &mut Connection<'_, Self>) {
        self.passed_on += 1;
        let this = connection.id();
        for &id in self.ids.iter().filter(|&&id| id != this) {
            connection.connections().get(id).unwrap().send("more").unwrap();
        }
    }
}

#[test]
fn who_hears_of_room_and_sends_to_others_does_not_hold_the_turn() {
    bounded(|| {
        let relay = Relay::default();
        let mut event_loop = EventLoop::with_options(relay, &options(|config| config.high_water_mark = 0)).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        for count in 1..=2 {
            let client = spawn(move || raw_client(address));
            turn_until(&mut event_loop, |event_loop| event_loop.handler().ids.len() == count);
            let mut client = client.join();
            spawn(move || while client.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
        }
        let first = event_loop.handler().ids[0];
        event_loop.connections().get(first).unwrap().send("begin").unwrap();
        for turn in 1..=100 {
            event_loop.turn(Some(BOUND)).unwrap();
            let passed_on = event_loop.handler().passed_on;
            assert!(passed_on <= 2 * turn, "{passed_on} times in {turn} turns");
        }
        assert!(event_loop.handler().passed_on > 2);
    });
}
