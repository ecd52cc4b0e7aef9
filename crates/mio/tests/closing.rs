//! How long the end of a connection may take, over real sockets: with peers that are silent, drip, flood or read a byte
//! at a time; when a loop stops; and when the application aborts.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::Initiator;
use sansocket_mio::{CloseCode, Connection, ConnectionId, ListenOptions};
use support::paced::*;
use support::turned::Turned;
use support::*;

/// The size of a socket's buffer; Linux doubles it.
const BUFFER: usize = 32 * 1024;
/// More bytes than the kernel buffers.
const PENDING: usize = 2 << 20;
const TIMEOUT: Duration = Duration::from_millis(1_000);
/// A timeout that does not expire between two steps of a peer, even on a busy machine.
const LONG_TIMEOUT: Duration = Duration::from_millis(3_000);
const LIMIT: Duration = Duration::from_millis(4_500);
/// The tolerance for a busy machine. Without its deadline, a connection would never end.
const LATE: Duration = Duration::from_secs(15);
/// A deadline that must not expire during the test.
const FAR: Duration = Duration::from_secs(60);

/// A server that answers each message with 2 MiB, and then closes if `closes` is set.
fn server(closes: bool, stop_timeout: Duration, timeout: Duration, limit: Duration) -> Turned {
    let options = options(|config| {
        (config.closing_timeout, config.closing_limit) = (timeout, limit);
        config.keepalive = sansocket_mio::Keepalive::Off;
        // the loop keeps reading, whatever output is pending
        config.high_water_mark = 2 * PENDING;
    });
    let mut server = Turned::new(&options.stop_timeout(stop_timeout));
    server.address = server.event_loop.listen_on(listener(BUFFER), &ListenOptions::new()).unwrap();
    server.event_loop.handler().reaction = Some(if closes { send_and_close } else { send });
    server
}

fn send(connection: &mut Connection<'_, Recorder>) {
    connection.send(vec![7; PENDING]).unwrap();
}

fn send_and_close(connection: &mut Connection<'_, Recorder>) {
    send(connection);
    connection.close(CloseCode::NORMAL, "").unwrap();
}

/// An open client with a small receive buffer.
fn connect(server: &mut Turned) -> (TcpStream, ConnectionId) {
    let address = server.address;
    let client = spawn(move || small_client(address, BUFFER));
    let id = server.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None });
    (client.join(), id)
}

/// How a connection ended, and when.
type End = (ConnectionId, CloseCode, bool, Duration);

/// Turns until `count` connections have ended. Returns their ends and the number of turns.
fn ends(server: &mut Turned, began: Instant, count: usize) -> (Vec<End>, usize) {
    let (mut ends, mut turns) = (Vec::new(), 0);
    while ends.len() < count {
        assert!(began.elapsed() < BOUND, "{ends:?}");
        server.event_loop.turn(Some(BOUND)).unwrap();
        turns += 1;
        for seen in server.seen.try_iter() {
            if let Seen::Close(id, close) = seen {
                ends.push((id, close.code, close.was_clean, began.elapsed()));
            }
        }
    }
    (ends, turns)
}

fn check_duration(what: &str, took: Duration, least: Duration) {
    let most = least * 3 / 2 + LATE;
    assert!((least..most).contains(&took), "{what}: ended after {took:?}, not within {least:?} to {most:?}");
}

/// How a connection begins to end.
#[derive(Clone, Copy)]
enum Beginning {
    WeClose,
    PeerCloses,
    PeerHalfCloses,
    PeerBreaksProtocol,
    /// The server closes in reaction to a message.
    PeerAsks,
}

fn begin(server: &mut Turned, beginning: Beginning, client: &mut TcpStream, id: ConnectionId) {
    match beginning {
        Beginning::WeClose => server.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap()),
        Beginning::PeerCloses => client.write_all(CLOSE).unwrap(),
        Beginning::PeerHalfCloses => client.shutdown(Shutdown::Write).unwrap(),
        Beginning::PeerBreaksProtocol => client.write_all(b"\xf1\x80\0\0\0\0").unwrap(),
        Beginning::PeerAsks => client.write_all(HELLO).unwrap(),
    }
}

/// The peer neither reads nor ends TCP. Some have output pending: the echo of their message.
#[test]
fn the_connection_to_a_silent_peer_ends_after_closing_timeout() {
    use Beginning::*;
    bounded(|| {
        let mut server = server(false, FAR, TIMEOUT, FAR);
        let cases = [
            ("closed, nothing pending", &b""[..], WeClose, CloseCode::ABNORMAL, false),
            ("closed, output pending", HELLO, WeClose, CloseCode::ABNORMAL, false),
            ("half-closed, output pending", HELLO, PeerHalfCloses, CloseCode::ABNORMAL, false),
            ("the peer closed, output pending", HELLO, PeerCloses, CloseCode::NORMAL, false),
            ("the peer closed and keeps TCP open", b"", PeerCloses, CloseCode::NORMAL, true),
            ("the peer broke the protocol", b"", PeerBreaksProtocol, CloseCode::ABNORMAL, false),
        ];
        let mut clients: Vec<_> = cases.iter().map(|_| connect(&mut server)).collect();
        for ((_, sent, ..), (client, _)) in cases.iter().zip(&mut clients) {
            client.write_all(sent).unwrap();
        }
        server.until_quiet();
        let began = Instant::now();
        for ((_, _, beginning, ..), (client, id)) in cases.iter().zip(&mut clients) {
            begin(&mut server, *beginning, client, *id);
        }
        let (ends, turns) = ends(&mut server, began, cases.len());
        // one for each check of the acknowledged bytes: four in each closing_timeout
        assert!(turns < 10 * cases.len(), "{turns} turns");
        for ((what, .., code, was_clean), (_, id)) in cases.iter().zip(&clients) {
            let end = ends.iter().find(|(ended, ..)| ended == id).unwrap();
            assert_eq!((end.1, end.2), (*code, *was_clean), "{what}");
            check_duration(what, end.3, TIMEOUT);
        }
        assert!(server.event_loop.connections().is_empty());
    });
}

/// Received bytes and delivered bytes are progress, but not beyond `closing_limit`.
#[test]
fn the_connection_to_a_peer_that_drips_or_reads_little_ends_at_closing_limit() {
    bounded(|| {
        const PAUSE: Duration = Duration::from_millis(20);
        let mut server = server(true, FAR, LONG_TIMEOUT, LIMIT);
        let mut clients: Vec<_> = (0..2).map(|_| connect(&mut server)).collect();
        server.until_quiet();
        let (mut dripping, drips) = (clients[0].0.try_clone().unwrap(), clients[0].1);
        let began = Instant::now();
        server.with(drips, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
        clients[1].0.write_all(HELLO).unwrap();
        // a message that never ends
        spawn(move || {
            let mut message = masked(0, 1 << 20).into_iter();
            while dripping.write_all(&[message.next().unwrap()]).is_ok() {
                thread::sleep(PAUSE);
            }
        });
        let mut reading = clients[1].0.try_clone().unwrap();
        spawn(move || {
            loop {
                // 100 KB/s, a byte at a time
                for _ in 0..2_000 {
                    if !matches!(reading.read(&mut [0]), Ok(1)) {
                        return;
                    }
                }
                thread::sleep(PAUSE);
            }
        });
        let (ends, turns) = ends(&mut server, began, 2);
        for (_, code, was_clean, after) in ends {
            assert_eq!((code, was_clean), (CloseCode::ABNORMAL, false));
            check_duration("dripped", after, LIMIT);
        }
        // a turn for each byte that drips in, and for each check of the acknowledged bytes
        assert!(turns < 1_000, "{turns} turns");
    });
}

/// Received bytes are progress only between the delivery of our Close frame and the arrival of the peer's.
#[test]
fn the_connection_to_a_peer_that_floods_ends() {
    use Beginning::*;
    bounded(|| {
        // between the two, received bytes are progress: the limit ends it; otherwise the timeout does
        flooded(LONG_TIMEOUT, LIMIT, &[("before the peer's Close", WeClose, CloseCode::ABNORMAL, false, LIMIT)]);
        let (both, output) = ("after both Closes", "while output is pending");
        flooded(
            TIMEOUT,
            FAR,
            &[
                (both, PeerCloses, CloseCode::NORMAL, true, TIMEOUT),
                (output, PeerAsks, CloseCode::ABNORMAL, false, TIMEOUT),
            ],
        );
    });
}

/// Floods a server; checks how each connection ends, and when.
fn flooded(timeout: Duration, limit: Duration, cases: &[(&str, Beginning, CloseCode, bool, Duration)]) {
    let mut server = server(true, FAR, timeout, limit);
    let mut clients: Vec<_> = cases.iter().map(|_| connect(&mut server)).collect();
    server.until_quiet();
    let began = Instant::now();
    for ((_, beginning, ..), (client, id)) in cases.iter().zip(&mut clients) {
        begin(&mut server, *beginning, client, *id);
        let mut client = client.try_clone().unwrap();
        spawn(move || while client.write_all(&PING.repeat(1_000)).is_ok() {});
    }
    let (ends, _) = ends(&mut server, began, cases.len());
    for ((what, _, code, was_clean, after), (client, id)) in cases.iter().zip(&clients) {
        let end = ends.iter().find(|(ended, ..)| ended == id).unwrap();
        assert_eq!((end.1, end.2), (*code, *was_clean), "{what}");
        check_duration(what, end.3, *after);
        // the thread that floods ends, unless the reset has ended it
        let _ = client.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_loop_has_stopped_after_stop_timeout_whatever_its_peers_do() {
    const STOP_TIMEOUT: Duration = Duration::from_millis(1_000);
    bounded(|| {
        let mut server = server(false, STOP_TIMEOUT, FAR, FAR);
        // never reads; reads slowly, which is progress; never answers; reads all and answers
        let mut clients: Vec<_> = (0..4).map(|_| connect(&mut server)).collect();
        for client in [0, 1, 3] {
            clients[client].0.write_all(HELLO).unwrap();
        }
        server.until_quiet();
        let ids: Vec<_> = clients.iter().map(|(_, id)| *id).collect();
        let (mut orderly, _) = clients.pop().unwrap();
        let slow = clients[1].0.try_clone().unwrap();
        spawn(move || _ = read_message(&mut slowly(&slow, 8 * 1024, Duration::from_millis(20))));
        let began = Instant::now();
        server.event_loop.connections().stop();
        let orderly = spawn(move || {
            assert_eq!(read_message(&mut orderly).unwrap().len(), PENDING);
            assert_eq!(read_frame(&mut orderly).unwrap(), (0x88, 1001_u16.to_be_bytes().to_vec()));
            orderly.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
            assert_eq!(orderly.read(&mut [0]).unwrap(), 0);
        });
        server.event_loop.run().unwrap();
        check_duration("the loop", began.elapsed(), STOP_TIMEOUT);
        orderly.join();
        let mut closes = 0;
        for seen in server.seen.try_iter() {
            let Seen::Close(id, close) = seen else { continue };
            closes += 1;
            let expected = if id == ids[3] { (CloseCode::GOING_AWAY, true) } else { (CloseCode::ABNORMAL, false) };
            assert_eq!((close.code, close.was_clean, close.initiator), (expected.0, expected.1, Initiator::Local));
        }
        assert_eq!(closes, ids.len(), "on_close is called once for each");
        // the aborted clients see a reset
        for (mut client, _) in clients {
            while let Ok(count) = client.read(&mut [0; 4096]) {
                assert!(count > 0, "not an orderly end");
            }
        }
    });
}

/// Reads to the end, which must be a reset.
fn expect_reset(client: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = client.read_to_end(&mut rest).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn abort_ends_a_connection_at_once_and_on_close_follows() {
    bounded(|| {
        let mut server = server(false, FAR, FAR, FAR);
        // idle; with output pending; from a handler
        let mut clients: Vec<_> = (0..3).map(|_| connect(&mut server)).collect();
        clients[1].0.write_all(HELLO).unwrap();
        server.until_quiet();
        assert!(matches!(server.seen.try_iter().last(), Some(Seen::Message(..))));
        server.event_loop.handler().reaction = Some(|connection| {
            connection.abort();
            assert!(connection.send("late").is_err());
        });
        for (number, (client, id)) in clients.iter_mut().enumerate() {
            match number {
                // the handler receives only the first of two messages
                2 => client.write_all(&HELLO.repeat(2)).unwrap(),
                _ => server.with(*id, |connection| connection.abort()),
            }
            let mut messages = 0;
            let close = server.until(|seen| match seen {
                Seen::Close(_, close) => Some(close),
                Seen::Message(..) => {
                    messages += 1;
                    None
                }
                other => panic!("{other:?}"),
            });
            assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Local));
            assert_eq!(messages, usize::from(number == 2));
            assert!(server.event_loop.connections().get(*id).is_none());
            expect_reset(client);
        }
    });
}

#[test]
fn dropping_a_loop_aborts_its_connections() {
    bounded(|| {
        let mut server = server(false, FAR, FAR, FAR);
        let mut clients: Vec<_> = (0..3).map(|_| connect(&mut server).0).collect();
        // idle; with output pending; closing
        clients[1].write_all(HELLO).unwrap();
        clients[2].write_all(HELLO).unwrap();
        server.until_quiet();
        clients[2].write_all(CLOSE).unwrap();
        server.until_quiet();
        let handle = server.event_loop.handle();
        drop(server);
        clients.iter_mut().for_each(expect_reset);
        assert!(handle.stop().is_err());
    });
}
