//! Groups: members get what is published, each message once and in the order in which things happened.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sansocket_mio::{
    Accept, Close, CloseCode, Connection, ConnectionId, EncodedMessage, Error, Group, Handler, Message, Open, Options,
    PostError, ReadyState, SendError, SlowMembers, Threads,
};
use support::paced::*;
use support::turned::Turned;
use support::*;

/// Returns a server's frame of this short text.
fn frame(text: &str) -> Vec<u8> {
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

fn expect_texts(client: &mut TcpStream, texts: &[&str]) {
    expect(client, &texts.iter().flat_map(|text| frame(text)).collect::<Vec<_>>());
}

/// Checks that nothing has arrived but these bytes, after a Ping that this server answers.
fn expect_nothing(server: &mut Turned, client: &mut TcpStream) {
    client.write_all(PING).unwrap();
    server.until(|seen| matches!(seen, Seen::Ping(_)).then_some(()));
    expect(client, PONG);
}

fn publish(server: &mut Turned, group: &Group, text: &str) {
    server.event_loop.connections().publish(group, text).unwrap();
}

fn turn(server: &mut Turned) {
    server.event_loop.turn(Some(Duration::ZERO)).unwrap();
}

#[test]
fn members_get_what_is_published_while_they_are_members() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let [(mut ann, ann_id), (mut bob, bob_id), (mut eve, eve_id)] = [(); 3].map(|()| server.client());
        let room = Group::new();
        server.with(ann_id, |connection| assert!(connection.join(&room)));
        server.with(ann_id, |connection| assert!(!connection.join(&room), "a member already"));
        publish(&mut server, &room, "1");
        server.with(bob_id, |connection| assert!(connection.join(&room)));
        publish(&mut server, &room, "2");
        let members: Vec<_> = server.event_loop.connections().members(&room).collect();
        assert_eq!(members, [ann_id, bob_id]);
        for (id, is_member) in [(ann_id, true), (bob_id, true), (eve_id, false)] {
            server.with(id, |connection| assert_eq!(connection.is_member(&room), is_member));
        }
        turn(&mut server);
        publish(&mut server, &room, "3");
        server.with(ann_id, |connection| assert!(connection.leave(&room)));
        server.with(ann_id, |connection| assert!(!connection.leave(&room), "no member any more"));
        publish(&mut server, &room, "4");
        turn(&mut server);
        expect_texts(&mut ann, &["1", "2", "3"]);
        expect_texts(&mut bob, &["2", "3", "4"]);
        for client in [&mut ann, &mut bob, &mut eve] {
            expect_nothing(&mut server, client);
        }
    });
}

#[test]
fn messages_arrive_in_the_order_in_which_they_were_published_and_sent() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let (mut client, id) = server.client();
        let [red, blue] = [(); 2].map(|()| Group::new());
        server.with(id, |connection| _ = (connection.join(&red), connection.join(&blue)));
        publish(&mut server, &red, "1");
        publish(&mut server, &blue, "2");
        server.with(id, |connection| connection.send("3").unwrap());
        server.event_loop.connections().broadcast("4").unwrap();
        publish(&mut server, &red, "5");
        publish(&mut server, &red, "6");
        server.event_loop.connections().broadcast_to([id], "7").unwrap();
        publish(&mut server, &blue, "8");
        server.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
        publish(&mut server, &blue, "after the close");
        turn(&mut server);
        expect_texts(&mut client, &["1", "2", "3", "4", "5", "6", "7", "8"]);
        expect(&mut client, b"\x88\x02\x03\xe8");
    });
}

#[test]
fn a_connection_that_is_not_open_yet_gets_nothing_that_was_published_before() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let room = Group::new();
        let mut client = tcp(server.address);
        while server.event_loop.connections().is_empty() {
            server.event_loop.turn(Some(BOUND)).unwrap();
        }
        publish(&mut server, &room, "before it is a member");
        server.event_loop.connections().broadcast("before it is open").unwrap();
        client.write_all(REQUEST.as_bytes()).unwrap();
        // the request arrives in the turn in which the message is delivered
        let id = server.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None });
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        server.with(id, |connection| _ = connection.join(&room));
        publish(&mut server, &room, "now");
        turn(&mut server);
        expect_texts(&mut client, &["now"]);
    });
}

/// The handler publishes when it gets a message; in the same read, the peer ends the connection.
#[test]
fn what_was_published_before_the_end_of_a_connection_is_delivered() {
    for end in [Some(CLOSE), None] {
        bounded(move || {
            let mut server = Turned::new(&Options::new());
            server.event_loop.handler().reaction = Some(|connection| connection.connections().broadcast("x").unwrap());
            let (mut client, _) = server.client();
            client.write_all(&[HELLO, HELLO, end.unwrap_or_default()].concat()).unwrap();
            if end.is_none() {
                client.shutdown(Shutdown::Write).unwrap();
            }
            server.until(|seen| matches!(seen, Seen::Close(..)).then_some(()));
            let reply: &[u8] = if end.is_some() { b"\x88\x02\x03\xe8" } else { b"" };
            assert_eq!(read_rest(&mut client), [&frame("x"), &frame("x"), reply].concat());
        });
    }
}

#[test]
fn publish_to_others_leaves_out_only_the_connection_itself() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        let [(mut ann, ann_id), (mut bob, bob_id)] = [(); 2].map(|()| server.client());
        let room = Group::new();
        for id in [ann_id, bob_id] {
            server.with(id, |connection| _ = connection.join(&room));
        }
        publish(&mut server, &room, "1");
        server.with(ann_id, |connection| connection.publish_to_others(&room, "2").unwrap());
        publish(&mut server, &room, "3");
        server.with(bob_id, |connection| connection.publish_to_others(&room, "4").unwrap());
        turn(&mut server);
        expect_texts(&mut ann, &["1", "3", "4"]);
        expect_texts(&mut bob, &["1", "2", "3"]);
    });
}

/// Makes a connection slow: more than the high-water mark is pending. Returns the payload of its messages.
fn make_slow(server: &mut Turned, id: ConnectionId) -> usize {
    let mut sent = 0;
    // the kernel takes some of it
    while server.event_loop.connections().get(id).unwrap().buffered_amount() <= 64 * 1024 {
        server.with(id, |connection| connection.send(vec![0; 1 << 20]).unwrap());
        turn(server);
        sent += 1 << 20;
    }
    sent
}

fn slow_options() -> Options {
    options(|config| config.high_water_mark = 64 * 1024)
}

/// Reads binary frames with this much payload, and then a text.
fn read_text_behind(client: &mut TcpStream, mut payload: usize) -> String {
    while payload > 0 {
        let (head, message) = read_frame(client).unwrap();
        assert!(head == 0x82 || head == 0x02 || head == 0x00 || head == 0x80, "{head:x}");
        payload -= message.len();
    }
    String::from_utf8(read_frame(client).unwrap().1).unwrap()
}

#[test]
fn messages_for_a_slow_member_are_queued_skipped_or_abort_it_as_its_group_says() {
    bounded(|| {
        let mut server = Turned::new(&slow_options());
        let (mut client, id) = server.client();
        let (queue, skip) = (Group::new(), Group::with_slow_members(SlowMembers::Skip));
        assert_eq!((queue.slow_members(), skip.slow_members()), (SlowMembers::Queue, SlowMembers::Skip));
        server.with(id, |connection| _ = (connection.join(&queue), connection.join(&skip)));
        publish(&mut server, &skip, "while it is fast");
        let payload = make_slow(&mut server, id);
        publish(&mut server, &skip, "while it is slow");
        publish(&mut server, &queue, "queued");
        turn(&mut server);
        let mut before = client.try_clone().unwrap();
        expect_texts(&mut before, &["while it is fast"]);
        let reading = spawn(move || {
            let text = read_text_behind(&mut client, payload);
            (text, client)
        });
        server.until(|seen| matches!(seen, Seen::Writable(..)).then_some(()));
        while server.event_loop.connections().get(id).unwrap().buffered_amount() > 0 {
            server.event_loop.turn(Some(BOUND)).unwrap();
        }
        let (text, mut client) = reading.join();
        assert_eq!(text, "queued");
        publish(&mut server, &skip, "fast again");
        turn(&mut server);
        assert_eq!(read_text_behind(&mut client, 0), "fast again");
    });
    bounded(|| {
        let mut server = Turned::new(&slow_options());
        let (_client, id) = server.client();
        let strict = Group::with_slow_members(SlowMembers::Abort);
        server.with(id, |connection| _ = connection.join(&strict));
        make_slow(&mut server, id);
        publish(&mut server, &strict, "12345");
        let error = server.until(|seen| match seen {
            Seen::Error(_, error) => Some(error),
            Seen::Close(..) => panic!("the error comes first"),
            _ => None,
        });
        assert!(matches!(error, Error::Send(SendError::BufferFull { size: 5, .. })), "{error}");
        let close = server.until(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None });
        assert_eq!((close.code, close.was_clean), (CloseCode::ABNORMAL, false));
    });
}

/// A burst that does not fit is not lost as a whole.
#[test]
fn of_a_burst_that_does_not_fit_the_messages_that_fit_are_sent() {
    bounded(|| {
        let mut server = Turned::new(&options(|config| config.max_buffered_amount = 10));
        let (mut client, id) = server.client();
        let room = Group::new();
        server.with(id, |connection| _ = connection.join(&room));
        for text in ["1234", "5678", "too long", "90"] {
            publish(&mut server, &room, text);
        }
        turn(&mut server);
        expect_texts(&mut client, &["1234", "5678", "90"]);
        let errors: Vec<_> = server.seen.try_iter().filter(|seen| matches!(seen, Seen::Error(..))).collect();
        assert_eq!(errors.len(), 1, "one report a turn: {errors:?}");
    });
}

#[test]
fn a_handle_publishes_to_the_loops_that_have_members() {
    bounded(|| {
        let mut server = Turned::new(&Options::new().max_pending_commands(2));
        let (mut client, id) = server.client();
        let [room, empty] = [(); 2].map(|()| Group::new());
        server.with(id, |connection| _ = connection.join(&room));
        let handle = server.event_loop.handle();
        handle.publish(&empty, "to no one").unwrap();
        assert_eq!(handle.pending(), 0);
        handle.publish(&room, "1").unwrap();
        handle.publish_encoded(&room, &EncodedMessage::new("2", &Default::default())).unwrap();
        assert_eq!(handle.pending(), 2);
        assert!(
            matches!(handle.publish(&room, "3"), Err(PostError::Full(message, _)) if message == Message::from("3"))
        );
        turn(&mut server);
        expect_texts(&mut client, &["1", "2"]);
        server.with(id, |connection| connection.abort());
        server.until(|seen| matches!(seen, Seen::Close(..)).then_some(()));
        assert!(!room.may_have_members(0), "the membership ends with the connection");
        drop(server);
        assert!(matches!(handle.publish(&room, "3"), Err(PostError::Stopped(_))));
    });
}

/// Publishes each message that a client sends to a group that all clients of all loops join, and to one of two others.
struct Publisher {
    groups: [Group; 3],
    opened: mpsc::Sender<()>,
}

impl Handler for Publisher {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.groups.iter().for_each(|group| _ = connection.join(group));
        let _ = self.opened.send(());
    }

    /// The first byte of a message selects the group.
    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
        let group = self.groups[usize::from(message.as_bytes()[0]) % 3].clone();
        connection.connections().publish(&group, message).unwrap();
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        panic!("{error}");
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        assert_eq!(connection.ready_state(), ReadyState::Closed);
    }
}

/// Several publishers send bursts; the members, on two loops, are fast and slow. Each member gets every message once,
/// and those of each publisher in order.
#[test]
fn members_on_several_loops_get_each_publishers_messages_once_and_in_order() {
    const PUBLISHERS: usize = 3;
    const MEMBERS: usize = 8;
    const BURSTS: usize = 40;
    const LENGTH: usize = 400;
    bounded(|| {
        let (opened, all_opened) = mpsc::channel();
        let groups = [(); 3].map(|()| Group::new());
        let handler = |_| Publisher { groups: groups.clone(), opened: opened.clone() };
        let threads = Threads::start(2, &Options::new(), "127.0.0.1:0", handler).unwrap();
        let address = threads.local_addr();
        let members: Vec<_> = (0..MEMBERS).map(|_| small_client(address, 4 * 1024)).collect();
        let mut publishers: Vec<_> = (0..PUBLISHERS).map(|_| raw_client(address)).collect();
        for _ in 0..MEMBERS + PUBLISHERS {
            all_opened.recv_timeout(BOUND).unwrap();
        }
        let readers: Vec<_> = (members.into_iter().enumerate())
            .map(|(index, client)| {
                spawn(move || {
                    let mut next = [0_u32; PUBLISHERS];
                    // every other member reads slowly
                    let pause = Duration::from_millis(if index % 2 == 0 { 0 } else { 2 });
                    let mut client = slowly(&client, 8 * 1024, pause);
                    for _ in 0..PUBLISHERS * BURSTS * 16 {
                        let (_, payload) = read_frame(&mut client).unwrap();
                        let number = u32::from_be_bytes(payload[2..6].try_into().unwrap());
                        let publisher = usize::from(payload[1]);
                        assert_eq!(number, next[publisher], "publisher {publisher}, member {index}");
                        next[publisher] += 1;
                    }
                })
            })
            .collect();
        for burst in 0..BURSTS as u32 {
            for (publisher, client) in publishers.iter_mut().enumerate() {
                let frames = (0..16).flat_map(|number| {
                    let number = burst * 16 + number;
                    let mut payload = vec![(number / 3) as u8, publisher as u8];
                    payload.extend(number.to_be_bytes());
                    payload.resize(LENGTH, 7);
                    [&[0x82, 0xFE], &(LENGTH as u16).to_be_bytes()[..], &[0; 4], &payload].concat()
                });
                client.write_all(&frames.collect::<Vec<_>>()).unwrap();
            }
        }
        // the publishers are members, too
        let reading = spawn(move || {
            publishers.iter_mut().for_each(|client| {
                for _ in 0..PUBLISHERS * BURSTS * 16 {
                    read_frame(client).unwrap();
                }
            });
            publishers
        });
        readers.into_iter().for_each(Task::join);
        let publishers = reading.join();
        threads.handle().stop().unwrap();
        drop(publishers);
        threads.join().unwrap();
    });
}

#[test]
fn a_group_whose_loops_have_ended_has_no_members() {
    let room = Group::new();
    let mut server = Turned::new(&Options::new());
    let (_client, id) = server.client();
    server.with(id, |connection| _ = connection.join(&room));
    assert!(room.may_have_members(0) && !room.may_have_members(1));
    let other = room.clone();
    thread::spawn(move || assert!(other.may_have_members(0))).join().unwrap();
    drop(server);
    assert!(!room.may_have_members(0));
}

/// A connection may join while its request is pending. It gets what is published from its acceptance on.
#[test]
fn a_member_gets_nothing_that_was_published_before_its_request_was_accepted() {
    bounded(|| {
        let mut server = Turned::new(&Options::new());
        server.event_loop.handler().answers_later = true;
        let mut client = tcp(server.address);
        client.write_all(REQUEST.as_bytes()).unwrap();
        let id = server.until(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
        let room = Group::new();
        server.with(id, |connection| assert!(connection.join(&room)));
        publish(&mut server, &room, "before");
        server.event_loop.connections().broadcast("before").unwrap();
        server.with(id, |connection| connection.answer(Accept::new()).unwrap());
        publish(&mut server, &room, "after");
        server.until(|seen| matches!(seen, Seen::Open(_)).then_some(()));
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
        expect_texts(&mut client, &["after"]);
        expect_nothing(&mut server, &mut client);
    });
}
