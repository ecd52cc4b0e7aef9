//! Handlers publish and join from each of their methods, while the members are served.

mod support;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use sansocket_mio::sansocket::{Agreement, Role};
use sansocket_mio::{
    Close, Config, Connection, ConnectionId, Connections, Error, EventLoop, Group, Handler, Message, Open, Options,
    SlowMembers, Socket, mio,
};
use support::paced::read_frame;
use support::*;

/// A room whose members get every message, and are notified of what happens.
struct Room {
    group: Group,
    calls: mpsc::Sender<&'static str>,
    /// The length of the reply to a message, if it gets one.
    reply: Option<usize>,
}

impl Handler for Room {
    type Data = ();
    type Event = &'static str;

    fn on_start(&mut self, connections: &mut Connections<Self>) {
        connections.publish(&self.group, "start").unwrap();
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        connection.join(&self.group);
        connection.publish_to_others(&self.group, "open").unwrap();
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        if let Some(length) = self.reply {
            connection.send(vec![0; length]).unwrap();
        }
        connection.connections().publish(&self.group, message).unwrap();
    }

    fn on_event(&mut self, connections: &mut Connections<Self>, event: &'static str) {
        connections.publish(&self.group, event).unwrap();
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, _: Error) {
        self.calls.send("on_error").unwrap();
        connection.connections().publish(&self.group, "error").unwrap();
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        self.calls.send("on_close").unwrap();
        connection.connections().publish(&self.group, "close").unwrap();
    }
}

/// Returns a loop, the group of its members, and the calls of `on_error` and `on_close`.
fn room(options: &Options, policy: SlowMembers) -> (EventLoop<Room>, Group, mpsc::Receiver<&'static str>) {
    let (calls, receiver) = mpsc::channel();
    let group = Group::with_slow_members(policy);
    let handler = Room { group: group.clone(), calls, reply: None };
    (EventLoop::with_options(handler, options).unwrap(), group, receiver)
}

/// Gives the loop an open connection, whose `on_open` follows. Returns the client.
fn adopt(event_loop: &mut EventLoop<Room>) -> (TcpStream, ConnectionId) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = tcp(listener.local_addr().unwrap());
    let server = mio::net::TcpStream::from_std(listener.accept().unwrap().0);
    let socket = Socket::from_upgraded(server, [], Role::Server, Agreement::new(), Config::default()).unwrap();
    (client, event_loop.connections().adopt(socket, ()).unwrap())
}

fn turn(event_loop: &mut EventLoop<Room>) {
    event_loop.turn(Some(Duration::ZERO)).unwrap();
}

fn expect_texts(client: &mut TcpStream, texts: &[&str]) {
    for text in texts {
        let (head, payload) = read_frame(client).unwrap();
        assert_eq!((head, &*String::from_utf8_lossy(&payload)), (0x81, *text));
    }
}

#[test]
fn handlers_publish_when_the_loop_starts_and_when_connections_open_and_end() {
    bounded(|| {
        let (mut event_loop, group, calls) = room(&Options::new(), SlowMembers::Queue);
        let (mut ann, ann_id) = adopt(&mut event_loop);
        event_loop.connections().get(ann_id).unwrap().join(&group);
        event_loop.connections().publish(&group, "before the start").unwrap();
        while event_loop.connections().members(&group).len() < 1 {
            turn(&mut event_loop);
        }
        let (mut bob, bob_id) = adopt(&mut event_loop);
        event_loop.handle().post(0, "event").unwrap();
        bob.write_all(HELLO).unwrap();
        while event_loop.connections().members(&group).len() < 2 {
            turn(&mut event_loop);
        }
        event_loop.connections().publish(&group, "to both").unwrap();
        event_loop.connections().get(bob_id).unwrap().abort();
        event_loop.connections().publish(&group, "after the end").unwrap();
        while calls.try_recv().is_err() {
            turn(&mut event_loop);
        }
        turn(&mut event_loop);
        expect_texts(&mut ann, &["before the start", "start"]);
        let mut rest: Vec<_> = (0..6).map(|_| String::from_utf8(read_frame(&mut ann).unwrap().1).unwrap()).collect();
        rest.sort_unstable();
        assert_eq!(rest, ["Hello", "after the end", "close", "event", "open", "to both"]);
        assert_eq!(event_loop.connections().members(&group).collect::<Vec<_>>(), [ann_id]);
    });
}

/// The member is served, because it sends messages, before the turn ends: its end must not precede the report.
#[test]
fn the_abort_of_a_slow_member_is_reported_if_it_sends_messages() {
    bounded(|| {
        let (mut event_loop, group, calls) = room(&Options::new(), SlowMembers::Abort);
        let (mut client, _) = adopt(&mut event_loop);
        while event_loop.connections().members(&group).len() < 1 {
            turn(&mut event_loop);
        }
        // more than the kernel takes while the client does not read
        event_loop.handler().reply = Some(60 << 20);
        client.write_all(&[HELLO, HELLO].concat()).unwrap();
        let first = loop {
            match calls.try_recv() {
                Ok(call) => break call,
                Err(_) => turn(&mut event_loop),
            }
        };
        assert_eq!(first, "on_error");
    });
}

/// What handlers publish in each turn fills the log. The mailbox then waits, but not for ever.
#[test]
fn commands_are_executed_although_handlers_publish_much_in_each_turn() {
    bounded(|| {
        let (mut event_loop, group, _calls) = room(&Options::new(), SlowMembers::Queue);
        let (_client, id) = adopt(&mut event_loop);
        while event_loop.connections().members(&group).len() < 1 {
            turn(&mut event_loop);
        }
        let handle = event_loop.handle();
        handle.publish(&group, "x").unwrap();
        handle.abort(id).unwrap();
        for _ in 0..10 {
            // as a handler may do in its turn
            for _ in 0..1024 {
                event_loop.connections().publish(&group, "y").unwrap();
            }
            turn(&mut event_loop);
        }
        assert_eq!(handle.pending(), 0);
    });
}

/// A member is slow if its peer reads slowly, not if the handler has just sent it much.
#[test]
fn a_member_whose_peer_reads_is_not_aborted_because_much_was_sent_in_a_turn() {
    bounded(|| {
        let mut config = Config::default();
        config.high_water_mark = 1_000;
        let (mut event_loop, group, calls) = room(&Options::new().config(config), SlowMembers::Abort);
        let (mut client, id) = adopt(&mut event_loop);
        while event_loop.connections().members(&group).len() < 1 {
            turn(&mut event_loop);
        }
        let long = "x".repeat(2_000);
        event_loop.connections().get(id).unwrap().send(&*long).unwrap();
        event_loop.connections().publish(&group, "y").unwrap();
        turn(&mut event_loop);
        turn(&mut event_loop);
        assert_eq!(calls.try_recv(), Err(mpsc::TryRecvError::Empty));
        expect_texts(&mut client, &[&*long, "y"]);
    });
}
