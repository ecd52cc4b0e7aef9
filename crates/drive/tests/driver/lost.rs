//! Failures of the transport: which ones are reported, how often, and what follows.

use std::io::{self, ErrorKind};

use sansocket::bytes::Buf;
use sansocket::{Config, Initiator, Instant, Role};
use sansocket_drive::{Action, Driver, is_disconnect};

use crate::support::{
    BOTH, Seen, TEXT, broken_frame, close, close_frame, closed, feed, frame, opened, pending, seconds, websocket,
    written,
};

const DISCONNECTS: [ErrorKind; 5] = [
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::NotConnected,
    ErrorKind::UnexpectedEof,
];

fn error(kind: ErrorKind) -> io::Error {
    kind.into()
}

/// Returns an open driver with pending output.
fn busy(role: Role) -> Driver {
    let mut driver = opened(role, &Config::default());
    driver.websocket_mut().send("never delivered").unwrap();
    driver
}

#[test]
fn the_kinds_of_error_that_mean_only_that_the_connection_has_ended() {
    for kind in DISCONNECTS {
        assert!(is_disconnect(&error(kind)), "{kind}");
    }
    for kind in [ErrorKind::TimedOut, ErrorKind::HostUnreachable, ErrorKind::InvalidData, ErrorKind::Other] {
        assert!(!is_disconnect(&error(kind)), "{kind}");
    }
}

// "After a write error, keep reading: the peer's last bytes may still be in the receive buffer."
#[test]
fn after_a_failed_write_reading_continues_and_the_connection_ends_with_abort() {
    for role in BOTH {
        let (mut driver, now) = (busy(role), Instant::EPOCH);
        driver.write_lost(error(ErrorKind::BrokenPipe), now);
        assert_eq!(pending(&mut driver, now), []);
        assert!(driver.has_write_ended() && !driver.has_read_ended());
        assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, until: Some(_) }));
        assert!(!driver.to_write().has_remaining(), "nothing is written any more");
        assert_eq!(driver.websocket().buffered_amount(), "never delivered".len());
        let seen = feed(&mut driver, &frame(role, TEXT, b"the last word"), now);
        assert_eq!(seen, [Seen::Message(b"the last word".to_vec())]);
        // the peer's Close frame ends the connection, since nothing can be sent
        let seen = feed(&mut driver, &close_frame(role, 1001), now);
        assert_eq!(seen, [Seen::CloseReceived(1001), closed(1001, false, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn after_a_failed_write_the_end_of_the_stream_ends_the_connection() {
    for role in BOTH {
        let (mut driver, now) = (busy(role), Instant::EPOCH);
        driver.write_lost(error(ErrorKind::ConnectionReset), now);
        assert_eq!(pending(&mut driver, now), []);
        driver.eof();
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn after_a_failed_write_a_silent_peer_does_not_hold_the_connection() {
    for role in BOTH {
        let mut driver = busy(role);
        driver.write_lost(error(ErrorKind::BrokenPipe), Instant::EPOCH);
        assert_eq!(pending(&mut driver, Instant::EPOCH), []);
        let mut now = Instant::EPOCH;
        while let Action::Wait { until: Some(at), .. } = driver.next_action() {
            assert!(at > now && at <= seconds(7.5), "{at:?}");
            now = at;
            driver.timeout(Some(0), now);
            let seen = pending(&mut driver, now);
            assert!(seen.is_empty() || seen == [closed(1006, false, Initiator::Peer)], "{seen:?}");
        }
        assert_eq!((driver.next_action(), now), (Action::Abort, seconds(5.0)));
    }
}

// Otherwise reading would stop for ever at the high-water mark, and level-triggered loops would spin after a hangup.
#[test]
fn a_failed_write_lifts_the_high_water_mark() {
    let (mut driver, now) = (opened(Role::Server, &Config::default()), Instant::EPOCH);
    driver.websocket_mut().send(vec![7; 2 << 20]).unwrap();
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: true, .. }));
    driver.write_lost(error(ErrorKind::BrokenPipe), now);
    assert_eq!(pending(&mut driver, now), []);
    assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
}

#[test]
fn a_failed_read_ends_the_connection_with_abort() {
    for role in BOTH {
        for is_busy in [true, false] {
            let now = Instant::EPOCH;
            let mut driver = if is_busy { busy(role) } else { opened(role, &Config::default()) };
            driver.read_lost(error(ErrorKind::ConnectionReset), now);
            assert!(driver.has_read_ended() && driver.has_write_ended());
            assert_eq!(driver.next_action(), Action::Again);
            assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Peer)]);
            assert_eq!(driver.next_action(), Action::Abort);
        }
    }
}

#[test]
fn a_failure_is_reported_once_and_before_close() {
    for role in BOTH {
        let (mut driver, now) = (busy(role), Instant::EPOCH);
        driver.write_lost(error(ErrorKind::TimedOut), now);
        driver.write_lost(error(ErrorKind::HostUnreachable), now);
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), [Seen::Io(ErrorKind::TimedOut)]);
        assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
        driver.write_lost(error(ErrorKind::TimedOut), now);
        driver.read_lost(error(ErrorKind::TimedOut), now);
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Abort);

        let mut driver = busy(role);
        driver.read_lost(error(ErrorKind::TimedOut), now);
        let seen = [Seen::Io(ErrorKind::TimedOut), closed(1006, false, Initiator::Peer)];
        assert_eq!(pending(&mut driver, now), seen);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

// The connection ends as soon as it learns that it cannot write, but the failure is reported first.
#[test]
fn a_failure_is_reported_before_the_close_that_it_causes_at_once() {
    for role in BOTH {
        let now = Instant::EPOCH;
        let mut driver = busy(role);
        feed(&mut driver, &close_frame(role, 1000), now);
        driver.write_lost(error(ErrorKind::TimedOut), now);
        let seen = [Seen::Io(ErrorKind::TimedOut), closed(1000, false, Initiator::Peer)];
        assert_eq!(pending(&mut driver, now), seen);
        assert_eq!(driver.next_action(), Action::Abort);

        let mut driver = busy(role);
        driver.eof();
        assert_eq!(pending(&mut driver, now), []);
        driver.write_lost(error(ErrorKind::TimedOut), now);
        let seen = [Seen::Io(ErrorKind::TimedOut), closed(1006, false, Initiator::Peer)];
        assert_eq!(pending(&mut driver, now), seen);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn nothing_follows_close() {
    for role in BOTH {
        let (mut driver, now) = (busy(role), Instant::EPOCH);
        driver.write_lost(error(ErrorKind::TimedOut), now);
        driver.websocket_mut().abort(now);
        let seen = pending(&mut driver, now);
        assert_eq!(seen.last(), Some(&closed(1006, false, Initiator::Local)), "{seen:?}");
        assert_eq!(driver.next_action(), Action::Abort);
        driver.read_lost(error(ErrorKind::TimedOut), now);
        driver.timeout(Some(7), now);
        assert_eq!(pending(&mut driver, now), []);
        assert_eq!(feed(&mut driver, &broken_frame(role), now), []);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn a_disconnect_is_not_reported_but_close_is() {
    for role in BOTH {
        for kind in DISCONNECTS {
            let (mut driver, now) = (busy(role), Instant::EPOCH);
            driver.read_lost(error(kind), now);
            assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Peer)], "{kind}");
        }
    }
}

#[test]
fn a_failure_of_the_transport_is_not_reported_after_one_of_the_peer() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        assert!(matches!(feed(&mut driver, &broken_frame(role), now)[..], [Seen::Peer(_)]));
        driver.read_lost(error(ErrorKind::TimedOut), now);
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Local)]);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

// `was_clean`: "The order in which FIN arrives, a later reset and a deadline in E do not change it."
#[test]
fn a_reset_after_both_closes_is_clean() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        close(&mut driver, now);
        written(&mut driver);
        assert_eq!(feed(&mut driver, &close_frame(role, 1000), now), [Seen::CloseReceived(1000)]);
        driver.read_lost(error(ErrorKind::ConnectionReset), now);
        assert_eq!(pending(&mut driver, now), [closed(1000, true, Initiator::Local)]);
    }
}

// Once a fault: "Emptying the output with `output().advance(MAX)` makes `was_clean` true."
#[test]
fn a_close_that_was_not_delivered_is_not_clean() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        close(&mut driver, now);
        driver.write_lost(error(ErrorKind::BrokenPipe), now);
        let seen = feed(&mut driver, &close_frame(role, 1000), now);
        assert_eq!(seen, [Seen::CloseReceived(1000), closed(1000, false, Initiator::Local)]);
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn a_transport_that_fails_before_the_connection_is_open_is_reported_once() {
    for role in BOTH {
        for is_read in [true, false] {
            let (mut driver, now) = (Driver::new(websocket(role, &Config::default())), Instant::EPOCH);
            if is_read {
                driver.read_lost(error(ErrorKind::TimedOut), now);
            } else {
                driver.write_lost(error(ErrorKind::TimedOut), now);
            }
            assert_eq!(pending(&mut driver, now), [Seen::Io(ErrorKind::TimedOut)], "{role:?} {is_read}");
            driver.eof();
            assert_eq!(pending(&mut driver, now), []);
            assert!(matches!(driver.next_action(), Action::Close | Action::Abort), "{role:?} {is_read}");
        }
    }
}
