//! How connections of a loop end: which calls precede the end, which is the last, and that ends are not mixed up.

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

/// Accepts the first client at once, and the second when the first sends a message.
#[derive(Default)]
struct Doorkeeper {
    waiting: Option<ConnectionId>,
    is_open: bool,
    calls: Vec<String>,
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
        self.calls.push("open".into());
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        match self.waiting.take() {
            Some(id) => connection.connections().get(id).unwrap().answer(Accept::new()).unwrap(),
            None => {
                self.calls.push("message".into());
                connection.send(message).unwrap();
            }
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, _: Error) {
        self.calls.push("error".into());
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        self.calls.push(format!("close {}", close.code.as_u16()));
    }
}

/// Turns until the condition is true.
fn turn_until<H: Handler>(event_loop: &mut EventLoop<H>, mut condition: impl FnMut(&mut EventLoop<H>) -> bool) {
    while !condition(event_loop) {
        event_loop.turn(Some(SHORT)).unwrap();
    }
}

/// Returns the calls for a client that sends `early` behind its request and ends the stream, and the bytes that it
/// gets. It is accepted in the same turn in which the end of its stream is seen.
fn accept_at_its_end(early: &[u8]) -> (Vec<String>, Vec<u8>) {
    let mut event_loop = EventLoop::new(Doorkeeper::default()).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let first = spawn(move || raw_client(address));
    turn_until(&mut event_loop, |event_loop| event_loop.handler().is_open);
    let mut first = first.join();
    let mut second = tcp(address);
    second.write_all(&[REQUEST.as_bytes(), early].concat()).unwrap();
    turn_until(&mut event_loop, |event_loop| event_loop.handler().waiting.is_some());
    event_loop.handler().calls.clear();
    first.write_all(HELLO).unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut event_loop, |event_loop| event_loop.connections().len() == 1);
    read_head(&mut second);
    (std::mem::take(&mut event_loop.handler().calls), read_rest(&mut second))
}

#[test]
fn bytes_kept_until_the_answer_are_reported_before_the_end() {
    bounded(|| {
        let (calls, received) = accept_at_its_end(HELLO);
        assert_eq!(calls, ["open", "message", "close 1006"]);
        assert_eq!(received, b"\x81\x05Hello");

        let (calls, received) = accept_at_its_end(RESERVED);
        assert_eq!(calls[..2], ["open", "error"]);
        assert!(calls[2].starts_with("close"), "{calls:?}");
        assert_eq!(received[2..4], 1002_u16.to_be_bytes());
    });
}

#[test]
fn nothing_follows_close() {
    // the loop goes on reading up to half of the limit of pending output
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

fn check_no_further_attempt(end: impl Fn(&mut Connections<Recorder>, ConnectionId)) {
    let mut client = Turned::new(&Options::new());
    let (closed, _in_use) = closed_port();
    let next = TcpListener::bind("127.0.0.1:0").unwrap();
    next.set_nonblocking(true).unwrap();
    let addresses = [closed, next.local_addr().unwrap()];
    client.event_loop.turn(Some(Duration::ZERO)).unwrap();
    let target = "ws://server.example/".parse().unwrap();
    let id = client.event_loop.connect_with(&connector_to(&addresses), target, ()).unwrap();
    // the socket is registered, and its failure to connect is not known yet
    client.event_loop.turn(Some(Duration::ZERO)).unwrap();
    let was_under_way = client.event_loop.connections().get(id).is_some();
    end(client.event_loop.connections(), id);
    while !client.event_loop.connections().is_empty() {
        client.event_loop.turn(Some(SHORT)).unwrap();
    }
    let seen: Vec<_> = client.seen.try_iter().collect();
    assert!(was_under_way && seen.is_empty(), "{seen:?}");
    assert_eq!(next.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it goes on connecting");
}

#[test]
fn a_connection_that_ends_while_it_connects_tries_no_further_address() {
    bounded(|| {
        check_no_further_attempt(|connections, id| connections.get(id).unwrap().close(CloseCode::NORMAL, "").unwrap());
        check_no_further_attempt(|connections, _| connections.stop());
    });
}

#[test]
fn the_last_message_of_a_peer_is_received_although_later_writes_fail() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, id) = server.client();
        server.until_quiet();
        client.write_all(HELLO).unwrap();
        reset(client);
        // so much pending output that the loop does not read from the peer
        server.with(id, |connection| connection.send(vec![7; 2 << 20]).unwrap());
        let mut was_heard = false;
        server.until(|seen| {
            was_heard |= matches!(seen, Seen::Message(..));
            matches!(seen, Seen::Close(..)).then_some(())
        });
        assert!(was_heard);
    });
}

/// Keeps a duplicate of the first connection's descriptor.
#[derive(Default)]
struct Duplicating {
    duplicate: Option<socket2::Socket>,
    closed: usize,
}

impl Handler for Duplicating {
    type Data = ();
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        let stream = socket2::SockRef::from(connection.stream().unwrap());
        self.duplicate.get_or_insert_with(|| stream.try_clone().unwrap());
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        connection.send(message).unwrap();
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, _: Close) {
        self.closed += 1;
    }
}

/// As long as any descriptor of a socket is open, epoll keeps reporting it.
#[test]
fn an_event_of_an_ended_connection_does_not_end_its_successor() {
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
        let received = spawn(move || (expect(&mut second, b"\x81\x05Hello"), second));
        for _ in 0..4 {
            event_loop.turn(Some(SHORT)).unwrap();
        }
        assert_eq!(event_loop.handler().closed, 1);
        received.join();
    });
}

/// When one connection becomes writable, sends to the other.
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
fn sending_to_others_from_on_writable_does_not_prolong_the_turn() {
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
