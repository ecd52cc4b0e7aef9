//! When a missing answer to a keepalive Ping ends the connection, and when it does not, because the Ping or the answer
//! may be queued behind other bytes.

use sansocket::bytes::Buf;
use sansocket::{Config, Connection, Role};

use crate::keepalive::{TIMED_OUT, keepalive, timeout};
use crate::support::*;

// Section 5.4: a Ping is sent after the frame that has begun. A slow peer does not time out while it reads that frame,
// but does if it has received the Ping and does not answer.
#[test]
fn a_peer_that_reads_a_long_message_does_not_time_out() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.send(vec![0; 500_000]).unwrap();
        connection.output().advance(100_000);
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None), "the Ping is queued");
        for deadline in [40, 50, 60] {
            assert_eq!(connection.poll_timeout(), Some(seconds(deadline)));
            connection.output().advance(100_000);
            assert_eq!(timeout(&mut connection, seconds(deadline)), Ok(None), "the peer reads the message");
        }
        let rest = connection.output().remaining();
        connection.output().advance(rest);
        assert_eq!(timeout(&mut connection, seconds(70)), Ok(None), "the Ping was written only now");
        assert_eq!(timeout(&mut connection, seconds(80)).map(drop), TIMED_OUT);
    }
}

#[test]
fn a_peer_that_reads_nothing_times_out() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.send(vec![0; 500_000]).unwrap();
        connection.output().advance(100_000);
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
        assert_eq!(timeout(&mut connection, seconds(40)).map(drop), TIMED_OUT);
    }
}

// A server that does not read (`wants_read`) cannot receive a Pong.
#[test]
fn a_client_that_reads_does_not_time_out_while_the_server_does_not_read() {
    let mut config = keepalive();
    config.high_water_mark = 1_000;
    let mut server = endpoint(Role::Server, &config);
    for _ in 0..10 {
        server.send([0; 1_000].as_slice()).unwrap();
    }
    assert_eq!(timeout(&mut server, seconds(30)), Ok(None));
    for deadline in [40, 50] {
        server.output().advance(3_000);
        assert!(!server.wants_read());
        assert_eq!(timeout(&mut server, seconds(deadline)), Ok(None));
    }
    let rest = server.output().remaining();
    server.output().advance(rest);
    assert!(server.wants_read());
    assert_eq!(timeout(&mut server, seconds(60)), Ok(None));
    assert_eq!(timeout(&mut server, seconds(70)).map(drop), TIMED_OUT);
}

// The same if the backlog was queued after the Ping was written.
#[test]
fn messages_sent_after_the_ping_excuse_a_late_pong() {
    let mut config = keepalive();
    config.high_water_mark = 1_000;
    let mut server = endpoint(Role::Server, &config);
    assert_eq!(timeout(&mut server, seconds(30)), Ok(None));
    assert_eq!(take_output(&mut server), [Frame::ping("")]);
    server.send(vec![0; 10_000]).unwrap();
    assert!(!server.wants_read());
    server.output().advance(9_500);
    assert!(server.wants_read(), "but only since the last bytes were taken");
    assert_eq!(timeout(&mut server, seconds(40)), Ok(None));
    assert_eq!(timeout(&mut server, seconds(50)).map(drop), TIMED_OUT);
}

/// After the keepalive Ping was written, `send` queues so much that the server stops reading: the connection does not
/// time out.
fn check_late_pong_is_excused(mark: usize, send: impl Fn(&mut Connection)) {
    let mut config = keepalive();
    config.high_water_mark = mark;
    let mut server = endpoint(Role::Server, &config);
    assert_eq!(timeout(&mut server, seconds(30)), Ok(None));
    assert_eq!(take_output(&mut server), [Frame::ping("")]);
    send(&mut server);
    server.output().advance(1);
    assert!(!server.wants_read());
    assert_eq!(timeout(&mut server, seconds(40)), Ok(None), "the Pong may be unread");
}

// The same if the backlog has control frames of the application.
#[test]
fn control_frames_sent_after_the_ping_excuse_a_late_pong() {
    check_late_pong_is_excused(0, |server| server.send("message").unwrap());
    check_late_pong_is_excused(0, |server| server.ping(b"ping").unwrap());
    check_late_pong_is_excused(0, |server| server.pong(b"pong").unwrap());
    let mark = Config::default().high_water_mark;
    check_late_pong_is_excused(mark, |server| {
        server.send(vec![0; mark - 10]).unwrap();
        assert!(server.wants_read());
        (0..3).for_each(|_| server.ping(&[7; 125]).unwrap());
    });
}

// The same if the keepalive Ping itself is the backlog.
#[test]
fn a_partly_written_ping_excuses_a_late_pong() {
    let mut config = keepalive();
    config.high_water_mark = 0;
    let mut server = endpoint(Role::Server, &config);
    assert_eq!(timeout(&mut server, seconds(30)), Ok(None));
    server.output().advance(1);
    assert!(!server.wants_read());
    assert_eq!(timeout(&mut server, seconds(40)), Ok(None));
    let rest = server.output().remaining();
    server.output().advance(rest);
    assert_eq!(timeout(&mut server, seconds(50)).map(drop), Ok(()), "the client can answer now");
    assert_eq!(timeout(&mut server, seconds(60)).map(drop), TIMED_OUT);
}
