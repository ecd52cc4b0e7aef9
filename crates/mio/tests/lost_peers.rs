//! Peers that vanish while output is pending and the loop does not read from them: each connection ends, its descriptor
//! is closed, and the loop rests.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::Initiator;
use sansocket_mio::{CloseCode, ConnectionId, ListenOptions};
use support::paced::*;
use support::turned::Turned;
use support::*;

/// The size of a socket's buffer; Linux doubles it.
const BUFFER: usize = 32 * 1024;
const HIGH_WATER_MARK: usize = 64 * 1024;
const PENDING: usize = 2 << 20;

/// Returns a server, and a client with so much pending output that the server does not read from it.
fn congested(sent: &[u8]) -> (Turned, TcpStream, ConnectionId) {
    let mut server = Turned::new(&options(|config| {
        config.high_water_mark = HIGH_WATER_MARK;
        config.keepalive = sansocket_mio::Keepalive::Off;
    }));
    server.address = server.event_loop.listen_on(listener(BUFFER), &ListenOptions::new()).unwrap();
    let address = server.address;
    let client = spawn(move || small_client(address, BUFFER));
    let id = server.until(|seen| if let Seen::Open(id) = seen { Some(id) } else { None });
    let mut client = client.join();
    server.with(id, |connection| connection.send(vec![7; PENDING]).unwrap());
    server.until_quiet();
    client.write_all(sent).unwrap();
    server.until_quiet();
    server.with(id, |connection| assert!(connection.buffered_amount() > HIGH_WATER_MARK));
    assert_eq!(server.seen.try_iter().count(), 0, "nothing is read");
    (server, client, id)
}

/// Returns the kernel's name of the socket behind a connection's descriptor, and its path under `/proc`.
fn descriptor(server: &mut Turned, id: ConnectionId) -> (PathBuf, PathBuf) {
    let fd = server.event_loop.connections().get(id).unwrap().stream().unwrap().as_raw_fd();
    let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
    (fs::read_link(&path).unwrap(), path)
}

/// Turns until the connection has ended. Returns the number of turns.
fn turns_to_the_end(server: &mut Turned, id: ConnectionId) -> usize {
    let began = Instant::now();
    for turns in 1.. {
        server.event_loop.turn(Some(BOUND)).unwrap();
        if server.event_loop.connections().get(id).is_none() {
            return turns;
        }
        assert!(began.elapsed() < BOUND, "the connection does not end");
    }
    unreachable!()
}

/// Checks that the peer's last bytes are read, although the loop did not read before. `on_close` must report
/// `expected`.
fn check_lost(sent: &[u8], vanish: fn(TcpStream), messages: usize, expected: CloseCode) {
    let (mut server, client, id) = congested(sent);
    let (socket, path) = descriptor(&mut server, id);
    vanish(client);
    let turns = turns_to_the_end(&mut server, id);
    assert!(turns <= 4, "{turns} turns");
    assert_ne!(fs::read_link(path).ok(), Some(socket), "the descriptor is still open");
    let (mut received, mut closes) = (0, Vec::new());
    for seen in server.seen.try_iter() {
        match seen {
            Seen::Message(..) => received += 1,
            Seen::CloseReceived(_, frame) => assert_eq!(frame.code, expected),
            Seen::Close(_, close) => closes.push(close),
            other => panic!("{other:?}"),
        }
    }
    let [close] = &closes[..] else { panic!("{closes:?}") };
    assert_eq!((received, close.code, close.was_clean, close.initiator), (messages, expected, false, Initiator::Peer));
    server.until_quiet();
}

#[test]
fn a_reset_while_output_is_pending_ends_the_connection() {
    bounded(|| check_lost(b"", reset, 0, CloseCode::ABNORMAL));
}

/// The kernel of a client that leaves bytes unread answers the next segment with a reset.
#[test]
fn a_peer_that_drops_tcp_with_bytes_unread_ends_the_connection() {
    bounded(|| check_lost(b"", drop, 0, CloseCode::ABNORMAL));
}

#[test]
fn bytes_before_a_reset_are_read_although_reading_was_held_back() {
    bounded(|| {
        check_lost(HELLO, reset, 1, CloseCode::ABNORMAL);
        check_lost(CLOSE, reset, 0, CloseCode::NORMAL);
        check_lost(&[HELLO, HELLO, CLOSE].concat(), drop, 2, CloseCode::NORMAL);
    });
}

/// The end of the stream is not read while so much output is pending. It must not wake the loop again and again.
#[test]
fn a_half_close_that_is_not_read_does_not_make_the_loop_spin() {
    bounded(|| {
        for sent in [&b""[..], HELLO, CLOSE] {
            let (mut server, client, id) = congested(sent);
            client.shutdown(Shutdown::Write).unwrap();
            let mut turns = 0;
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(500) {
                server.event_loop.turn(Some(SHORT)).unwrap();
                turns += 1;
            }
            // one turn for the event, and one for each wait
            assert!(turns <= 6, "{turns} turns");
            assert_eq!(server.seen.try_iter().count(), 0, "nothing is read");
            // the output still arrives
            let reading = spawn(move || read_message(&mut slowly(&client, BUFFER, Duration::ZERO)).unwrap().len());
            turns_to_the_end(&mut server, id);
            assert_eq!(reading.join(), PENDING);
        }
    });
}

/// The peer resets a connection that is closing, which has output pending.
#[test]
fn a_reset_while_closing_ends_the_connection() {
    bounded(|| {
        let (mut server, client, id) = congested(b"");
        let (socket, path) = descriptor(&mut server, id);
        server.with(id, |connection| connection.close(CloseCode::NORMAL, "").unwrap());
        server.until_quiet();
        reset(client);
        let turns = turns_to_the_end(&mut server, id);
        assert!(turns <= 4, "{turns} turns");
        assert_ne!(fs::read_link(path).ok(), Some(socket), "the descriptor is still open");
        let close = server.until(|seen| if let Seen::Close(_, close) = seen { Some(close) } else { None });
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Local));
    });
}
