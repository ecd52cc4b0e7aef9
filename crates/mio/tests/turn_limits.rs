//! The limits of a turn that many connections reach at once: deadlines, further turns, output and reports at the end.

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::{self, TimeoutKind};
use sansocket_mio::{ConnectionId, Error, Group, Keepalive, Options, SendError};
use support::turned::Turned;
use support::*;

/// The limit of deadlines, of finished connections, of receivers of published messages and of reports of failed sends in
/// one turn.
const LIMIT: usize = 1024;
/// The limit of connections that get another turn.
const AGAIN: usize = 256;
/// More connections than these limits.
const CROWD: usize = LIMIT + 100;

/// Runs one test at a time: each needs a descriptor for both ends of each connection.
static CROWDED: Mutex<()> = Mutex::new(());

fn bounded_alone(body: impl FnOnce() + Send + 'static) {
    let _guard = CROWDED.lock().unwrap_or_else(PoisonError::into_inner);
    bounded(body);
}

/// Opens `count` connections.
fn crowd(server: &mut Turned, count: usize) -> (Vec<TcpStream>, Vec<ConnectionId>) {
    let address = server.address;
    let clients = spawn(move || (0..count).map(|_| raw_client(address)).collect());
    let ids =
        (0..count).map(|_| server.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None })).collect();
    (clients.join(), ids)
}

#[test]
fn a_turn_handles_a_bounded_number_of_deadlines() {
    const DEADLINE: Duration = Duration::from_secs(2);
    bounded_alone(|| {
        let mut server = Turned::new(&options(|config| config.opening_timeout = DEADLINE));
        let address = server.address;
        let clients = spawn(move || (0..CROWD).map(|_| tcp(address)).collect::<Vec<_>>());
        while server.event_loop.connections().len() < CROWD {
            server.event_loop.turn(Some(BOUND)).unwrap();
        }
        let accepted = Instant::now();
        let _clients = clients.join();
        assert_eq!(server.seen.try_iter().count(), 0, "the machine is too slow for this test");
        // all deadlines expire while the loop does not turn
        while accepted.elapsed() <= DEADLINE {
            thread::sleep(SHORT);
        }
        for expected in [LIMIT, CROWD - LIMIT, 0] {
            server.event_loop.turn(Some(Duration::ZERO)).unwrap();
            let mut count = 0;
            for seen in server.seen.try_iter() {
                let Seen::Error(_, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Opening))) = seen else {
                    panic!("{seen:?}")
                };
                count += 1;
            }
            assert_eq!(count, expected);
        }
    });
}

#[test]
fn a_bounded_number_of_connections_gets_another_turn() {
    const COUNT: usize = AGAIN + 50;
    bounded_alone(|| {
        let mut server = Turned::new(&Options::new().buffer_size(256));
        server.event_loop.handler().echoes = false;
        let (mut clients, _) = crowd(&mut server, COUNT);
        server.until_quiet();
        for client in &mut clients {
            client.write_all(&HELLO.repeat(1_000)).unwrap();
        }
        let mut turn = || -> HashSet<ConnectionId> {
            server.event_loop.turn(Some(BOUND)).unwrap();
            let served = server.seen.try_iter().map(|seen| match seen {
                Seen::Message(id, _) => id,
                other => panic!("{other:?}"),
            });
            served.collect()
        };
        // an event for each connection; then another turn for those with more to read
        assert_eq!(turn().len(), COUNT);
        let (second, third) = (turn(), turn());
        assert_eq!((second.len(), third.len()), (AGAIN, AGAIN));
        assert_eq!(second.union(&third).count(), COUNT, "those that were left out come first in the next turn");
    });
}

#[test]
fn a_turn_writes_the_output_of_a_bounded_number_of_connections() {
    bounded_alone(|| {
        let mut server = Turned::new(&Options::new());
        let (mut clients, ids) = crowd(&mut server, CROWD);
        server.until_quiet();
        ids.iter().for_each(|&id| server.with(id, |connection| connection.send("x").unwrap()));
        for expected in [CROWD, CROWD - LIMIT, 0] {
            let connections = server.event_loop.connections();
            let pending = ids.iter().filter(|&&id| connections.get(id).unwrap().buffered_amount() > 0).count();
            assert_eq!(pending, expected);
            server.event_loop.turn((expected == 0).then_some(Duration::ZERO)).unwrap();
        }
        for client in &mut clients {
            expect(client, b"\x81\x01x");
        }
    });
}

#[test]
fn a_turn_delivers_published_messages_to_a_bounded_number_of_members() {
    bounded_alone(|| {
        // no deadline ends the wait for events
        let mut server = Turned::new(&options(|config| {
            config.keepalive = Keepalive::Off;
            config.opening_timeout = 10 * BOUND;
        }));
        let (mut clients, _) = crowd(&mut server, CROWD);
        server.until_quiet();
        server.event_loop.connections().broadcast("1").unwrap();
        for turn in 1..=2 {
            server.event_loop.turn(None).unwrap();
            // published while the first message is delivered
            server.event_loop.connections().broadcast(["2", "3"][turn - 1]).unwrap();
            let delivered = clients.iter().filter(|client| has_bytes(client)).count();
            assert_eq!(delivered, (turn * LIMIT).min(CROWD));
        }
        server.until_quiet();
        for client in &mut clients {
            expect(client, b"\x81\x011\x81\x012\x81\x013");
        }
    });
}

/// Members end while a message has reached some of them. Others move to their places in the group's list.
#[test]
fn members_that_end_between_two_turns_of_a_delivery_do_not_change_what_the_others_get() {
    bounded_alone(|| {
        let mut server = Turned::new(&Options::new());
        let (mut clients, ids) = crowd(&mut server, CROWD);
        let group = Group::new();
        ids.iter().for_each(|&id| server.with(id, |connection| _ = connection.join(&group)));
        server.until_quiet();
        server.event_loop.connections().publish(&group, "1").unwrap();
        server.event_loop.turn(None).unwrap();
        let is_delivered: Vec<_> = clients.iter().map(has_bytes).collect();
        assert_eq!(is_delivered.iter().filter(|&&is_delivered| is_delivered).count(), LIMIT);
        // some that have the message, and some that do not have it
        let ends = |number: usize| number.is_multiple_of(10);
        for (_, &id) in ids.iter().enumerate().filter(|&(number, _)| ends(number)) {
            server.with(id, |connection| connection.abort());
        }
        server.event_loop.connections().publish(&group, "2").unwrap();
        server.until_quiet();
        for (number, client) in clients.iter_mut().enumerate().filter(|&(number, _)| !ends(number)) {
            server.with(ids[number], |connection| connection.send("end").unwrap());
            server.event_loop.turn(Some(Duration::ZERO)).unwrap();
            expect(client, b"\x81\x011\x81\x012\x81\x03end");
        }
    });
}

#[test]
fn while_many_published_messages_are_pending_the_mailbox_keeps_further_ones() {
    const COUNT: usize = 1500;
    bounded_alone(|| {
        let mut server = Turned::new(&Options::new());
        let (mut clients, _) = crowd(&mut server, CROWD);
        server.until_quiet();
        let handle = server.event_loop.handle();
        for number in 0..COUNT {
            handle.broadcast(u32::try_from(number).unwrap().to_be_bytes().to_vec()).unwrap();
        }
        // the second turn delivers to the members that the first one has left out, and executes a single command
        for pending in [COUNT - 1024, COUNT - 1025, 0] {
            server.event_loop.turn(None).unwrap();
            assert_eq!(handle.pending(), pending);
        }
        server.until_quiet();
        let frame = |number: usize| [&[0x82, 4], &u32::try_from(number).unwrap().to_be_bytes()[..]].concat();
        let frames: Vec<_> = (0..COUNT).flat_map(frame).collect();
        clients.iter_mut().for_each(|client| expect(client, &frames));
    });
}

/// Returns whether bytes have arrived.
fn has_bytes(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let has_bytes = client.peek(&mut [0]).is_ok();
    client.set_nonblocking(false).unwrap();
    has_bytes
}

#[test]
fn a_turn_reports_a_bounded_number_of_failed_sends() {
    bounded_alone(|| {
        let mut server = Turned::new(&options(|config| config.max_buffered_amount = 10));
        let (_clients, _) = crowd(&mut server, CROWD);
        server.until_quiet();
        server.event_loop.connections().broadcast("longer than ten bytes").unwrap();
        for expected in [LIMIT, CROWD - LIMIT, 0] {
            server.event_loop.turn((expected == 0).then_some(Duration::ZERO)).unwrap();
            let mut count = 0;
            for seen in server.seen.try_iter() {
                assert!(
                    matches!(seen, Seen::Error(_, Error::Send(SendError::MessageTooLong { size: 21, limit: 10, .. }))),
                    "{seen:?}"
                );
                count += 1;
            }
            assert_eq!(count, expected);
        }
    });
}
