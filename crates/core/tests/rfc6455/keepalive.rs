//! Keepalive: sections 5.5.2 and 5.5.3, and lines 7 and 8 of the contract (`contract.rs`). `pong_timeout.rs` tests a
//! late Pong, `deadlines.rs` the deadlines of a closing connection.

use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{
    CloseCode, Config, Connection, Error, Event, Initiator, Input, Instant, ReadyState, Role, SendError, TimeoutKind,
    TransportAction,
};

use crate::support::*;

pub(crate) const TIMED_OUT: Result<(), Error> = Err(Error::Timeout(TimeoutKind::Pong));

/// Returns a configuration with a Ping after 30 seconds of silence, and the end 10 seconds later.
pub(crate) fn keepalive() -> Config {
    let mut config = Config::default();
    config.keepalive = sansocket::Keepalive::Every(Duration::from_secs(30));
    config.pong_timeout = Duration::from_secs(10);
    config
}

pub(crate) fn receive(connection: &mut Connection, bytes: &[u8], now: Instant) -> Result<Vec<OwnedEvent>, Error> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let mut events = Vec::new();
    while let Some(event) = connection.receive(&mut input, now)? {
        events.push(event.into());
    }
    Ok(events)
}

pub(crate) fn timeout(connection: &mut Connection, now: Instant) -> Result<Option<OwnedEvent>, Error> {
    let event = connection.handle_timeout(now).map(|event| event.map(OwnedEvent::from));
    assert_no_spin(connection, now);
    event
}

/// Contract 7: checks that `handle_timeout` leaves no deadline that has passed, so that its driver does not spin.
fn assert_no_spin(connection: &Connection, now: Instant) {
    if let Some(next) = connection.poll_timeout() {
        assert!(next > now, "{next:?} is not after {now:?}");
    }
}

// In the core, keepalive is off by default.
#[test]
fn a_connection_without_keepalive_has_no_deadline() {
    for role in BOTH {
        let mut connection = endpoint(role, &Config::default());
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(timeout(&mut connection, seconds(1_000_000)), Ok(None));
        assert_eq!(receive(&mut connection, &wire(role, &[Frame::text("?")]), seconds(1_000_001)).unwrap().len(), 1);
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(take_output(&mut connection), []);
    }
}

// Section 5.5.2: "A Ping frame may serve either as a keepalive or as a means to verify that the remote endpoint is
// still responsive."
#[test]
fn silence_causes_a_ping_and_a_pong_restarts_the_interval() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        for round in 0..5 {
            let due = seconds(30 + 35 * round);
            assert_eq!(connection.poll_timeout(), Some(due));
            assert_eq!(timeout(&mut connection, due), Ok(None));
            assert_eq!(take_output(&mut connection), [Frame::ping("")]);
            assert_eq!(connection.poll_timeout(), Some(due + Duration::from_secs(10)));
            let received = due + Duration::from_secs(5);
            receive(&mut connection, &wire(role, &[Frame::pong("")]), received).unwrap();
            assert_eq!(connection.poll_timeout(), Some(received + Duration::from_secs(30)));
        }
    }
}

// The interval starts at the time that the constructor is given, not at the epoch.
#[test]
fn the_interval_starts_when_the_connection_is_created() {
    use sansocket::rand_core::SeedableRng;
    let server = Connection::server(keepalive(), seconds(100));
    let client = Connection::client(keepalive(), ChaCha8Rng::seed_from_u64(1), seconds(100));
    for connection in [server, client] {
        assert_eq!(connection.poll_timeout(), Some(seconds(130)));
    }
}

// A peer that sends a slow message, or a part of a head, is not silent.
#[test]
fn any_received_byte_restarts_the_interval() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        let message = wire(role, &[Frame::text("a message that comes slowly")]);
        for (index, byte) in message.iter().enumerate() {
            let now = seconds(29 * (index as u64 + 1));
            assert_eq!(timeout(&mut connection, now), Ok(None));
            receive(&mut connection, &[*byte], now).unwrap();
            assert_eq!(connection.poll_timeout(), Some(now + Duration::from_secs(30)));
        }
        assert_eq!(take_output(&mut connection), [], "no Ping was needed");

        // after a Ping, the first byte of any frame is enough
        let pinged = connection.poll_timeout().unwrap();
        assert_eq!(timeout(&mut connection, pinged), Ok(None));
        let received = pinged + Duration::from_secs(9);
        receive(&mut connection, &message[..1], received).unwrap();
        assert_eq!(connection.poll_timeout(), Some(received + Duration::from_secs(30)));
        assert_eq!(timeout(&mut connection, pinged + Duration::from_secs(10)), Ok(None));
        assert_eq!(connection.ready_state(), ReadyState::Open);
    }
}

// `receive` with an empty input reports no received bytes.
#[test]
fn an_empty_read_does_not_restart_the_interval() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        receive(&mut connection, &[], seconds(29)).unwrap();
        assert_eq!(connection.poll_timeout(), Some(seconds(30)));
    }
}

// Sent bytes are no sign of life of the peer.
#[test]
fn sending_does_not_restart_the_interval() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.send("hello").unwrap();
        connection.ping(b"").unwrap();
        take_output(&mut connection);
        assert_eq!(timeout(&mut connection, seconds(29)), Ok(None));
        assert_eq!(connection.poll_timeout(), Some(seconds(30)));
    }
}

// Contract 4 and 5: the close is reported with code 1006.
#[test]
fn a_missing_pong_ends_the_connection_once() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
        connection.send("into the void").unwrap();
        assert_eq!(timeout(&mut connection, Instant::from_nanos(seconds(40).as_nanos() - 1)), Ok(None), "not early");
        assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Open, TransportAction::Open));

        assert_eq!(timeout(&mut connection, seconds(40)), TIMED_OUT.map(|()| None));
        assert_eq!(connection.transport(), TransportAction::Abort, "the rest of the output is dropped");
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        assert_eq!(connection.poll_timeout(), None);
        assert!(!connection.output().has_remaining());
        assert!(connection.has_pending_event() && !connection.wants_read());
        assert_eq!(pending_event(&mut connection, seconds(41)), Some(abnormal(Initiator::Local)));
        assert_eq!(timeout(&mut connection, seconds(41)), Ok(None), "reported once");

        // contract 4: failure is sticky, even if the peer sends something later
        let late = wire(role, &[Frame::pong(""), Frame::text("here I am"), Frame::close(1000, "")]);
        for _ in 0..2 {
            assert_eq!(receive(&mut connection, &late, seconds(42)), TIMED_OUT.map(|()| vec![]));
        }
        assert_eq!(connection.poll_timeout(), None, "no keepalive after the end");
        assert_eq!(connection.send("?"), Err(SendError::NotOpen(ReadyState::Closed)));
        assert_eq!(connection.ping(b"?"), Err(SendError::NotOpen(ReadyState::Closed)));
        assert_eq!(connection.close(CloseCode::NORMAL, "", seconds(43)), Ok(()));
        assert_eq!((connection.poll_timeout(), take_output(&mut connection)), (None, vec![]));
        assert_eq!(connection.receive_eof(seconds(44)), Ok(None));
        assert_eq!(timeout(&mut connection, seconds(100)), Ok(None));
        assert_eq!((connection.ready_state(), connection.transport()), (ReadyState::Closed, TransportAction::Abort));
    }
}

// Contract 5: any call reports the Close that follows.
#[test]
fn any_call_reports_the_close_after_a_missing_pong() {
    type Call = fn(&mut Connection) -> Option<OwnedEvent>;
    let calls: [Call; 3] = [
        |connection| timeout(connection, seconds(40)).unwrap(),
        |connection| connection.receive_eof(seconds(40)).unwrap().map(OwnedEvent::from),
        |connection| pending_event(connection, seconds(40)),
    ];
    for role in BOTH {
        for call in calls {
            let mut connection = endpoint(role, &keepalive());
            assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
            assert_eq!(timeout(&mut connection, seconds(40)).map(drop), TIMED_OUT);
            assert_eq!(call(&mut connection), Some(abnormal(Initiator::Local)));
            assert_eq!(connection.ready_state(), ReadyState::Closed);
        }
    }
}

// A late driver has not sent the Ping yet: the peer gets the whole `pong_timeout` after it.
#[test]
fn a_late_driver_still_pings_before_the_connection_ends() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        assert_eq!(timeout(&mut connection, seconds(500)), Ok(None));
        assert_eq!(take_output(&mut connection), [Frame::ping("")]);
        assert_eq!(connection.poll_timeout(), Some(seconds(510)));
    }
}

// Contract 7.
#[test]
fn early_and_repeated_calls_are_harmless() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        for now in [0, 1, 15, 29, 29] {
            assert_eq!(timeout(&mut connection, seconds(now)), Ok(None));
            assert_eq!(connection.poll_timeout(), Some(seconds(30)));
        }
        assert_eq!(take_output(&mut connection), []);
        for _ in 0..3 {
            assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
            assert_eq!(connection.poll_timeout(), Some(seconds(40)));
        }
        assert_eq!(take_output(&mut connection), [Frame::ping("")], "one Ping");
    }
}

// Contract 7: time that goes backwards is clamped.
#[test]
fn a_clock_that_goes_backwards_is_ignored() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        assert_eq!(timeout(&mut connection, seconds(20)), Ok(None));
        receive(&mut connection, &wire(role, &[Frame::pong("")]), seconds(3)).unwrap();
        assert_eq!(connection.poll_timeout(), Some(seconds(50)), "received at 20, not at 3");
        assert_eq!(timeout(&mut connection, Instant::EPOCH), Ok(None));
        connection.close(CloseCode::NORMAL, "", seconds(1)).unwrap();
        assert_eq!(timeout(&mut connection, millis(24_999)), Ok(None), "closed at 20, not at 1");
        assert_eq!(timeout(&mut connection, seconds(3)), Ok(None));
        // a deadline that has passed stays passed, even if the clock goes back
        assert!(matches!(timeout(&mut connection, seconds(25)), Ok(Some(OwnedEvent::Close { .. }))));
    }
}

// Every call that takes the time advances the clock of the connection.
#[test]
fn every_call_with_a_time_advances_the_clock() {
    let read: &[fn(&mut Connection)] = &[
        |connection| drop(receive(connection, &[], seconds(20))),
        |connection| drop(connection.handle_timeout(seconds(20))),
        |connection| drop(connection.close(CloseCode::ABNORMAL, "", seconds(20))),
        |connection| connection.progress(seconds(20)),
    ];
    for role in BOTH {
        for read in read {
            let mut connection = endpoint(role, &keepalive());
            read(&mut connection);
            connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
            assert_eq!(timeout(&mut connection, millis(24_999)), Ok(None));
            assert!(matches!(timeout(&mut connection, seconds(25)), Ok(Some(OwnedEvent::Close { .. }))));
        }
    }
}

// Section 7.1.1: a closing connection has only the closing timer, and sends no Ping.
#[test]
fn keepalive_stops_when_the_connection_closes() {
    let begin: &[fn(&mut Connection)] = &[
        |connection| drop(connection.close(CloseCode::NORMAL, "", seconds(32))),
        |connection| drop(receive(connection, &wire(connection.role(), &[Frame::close(1000, "")]), seconds(32))),
        |connection| drop(receive(connection, &[0xff; 14], seconds(32))),
        |connection| connection.write_lost(seconds(32)),
    ];
    let mut config = keepalive();
    config.closing_timeout = Duration::from_secs(1_000);
    config.closing_limit = Duration::from_secs(1_000);
    for role in BOTH {
        for begin in begin {
            for pinged in [false, true] {
                let mut connection = endpoint(role, &config);
                if pinged {
                    timeout(&mut connection, seconds(30)).unwrap();
                    take_output(&mut connection);
                }
                begin(&mut connection);
                take_output(&mut connection);
                for now in (32..1_032).step_by(100) {
                    assert_eq!(timeout(&mut connection, seconds(now)), Ok(None));
                    let _ = receive(&mut connection, &wire(role, &[Frame::pong("")]), seconds(now));
                    assert!(connection.poll_timeout().is_some_and(|next| next <= seconds(now + 250)));
                }
                assert_eq!(take_output(&mut connection), [], "no Ping");
                assert!(matches!(timeout(&mut connection, seconds(1_032)), Ok(Some(OwnedEvent::Close { .. }))));
            }
        }
    }
}

// Contract 6: a keepalive Ping is sent after the frame that has begun, not after the backlog.
#[test]
fn a_keepalive_ping_overtakes_a_backlog() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.send(vec![1; 3_000_000]).unwrap();
        connection.output().advance(1);
        timeout(&mut connection, seconds(30)).unwrap();
        let remaining = connection.output().remaining();
        // the frame that has begun is the first of three
        let head = if role == Role::Client { 14 } else { 10 };
        connection.output().advance(head + 1024 * 1024 - 1);
        assert!(connection.output().remaining() < remaining);
        assert_eq!(connection.output().chunk()[0], 0x89);
    }
}

// Contract 7, for the shortest and longest `Duration`, and the earliest and latest `Instant`.
#[test]
fn timers_never_spin_for_any_duration_at_any_time() {
    let durations = [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1), Duration::MAX];
    let moments = [0, 1, 1 << 32, u64::MAX - 1_000_000_001, u64::MAX - 2, u64::MAX - 1, u64::MAX];
    for role in BOTH {
        for interval in durations {
            for wait in durations {
                let mut config = Config::default();
                config.keepalive = sansocket::Keepalive::Every(interval);
                config.pong_timeout = wait;
                config.closing_timeout = wait;
                for start in moments {
                    let start = Instant::from_nanos(start);
                    let mut connection = endpoint(role, &config);
                    // `timeout` checks that no wake-up leaves a deadline that has passed
                    let mut now = start;
                    for _ in 0..5 {
                        let _ = timeout(&mut connection, now);
                        now = connection.poll_timeout().unwrap_or(now);
                    }
                    let mut connection = endpoint(role, &config);
                    let _ = receive(&mut connection, &wire(role, &[Frame::ping("")]), start);
                    let _ = timeout(&mut connection, start);
                    let _ = connection.close(CloseCode::NORMAL, "", start);
                    let _ = timeout(&mut connection, start);
                }
            }
        }
    }
}

// Contract 7: with an interval and a timeout of zero, the Ping and the end follow at once.
#[test]
fn durations_of_zero_end_a_silent_connection_in_two_steps() {
    let mut config = Config::default();
    config.keepalive = sansocket::Keepalive::Every(Duration::ZERO);
    config.pong_timeout = Duration::ZERO;
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut now = Instant::EPOCH;
        let mut wakes = 0;
        while let Some(next) = connection.poll_timeout() {
            now = next;
            wakes += 1;
            if timeout(&mut connection, now).is_err() {
                break;
            }
        }
        assert_eq!((wakes, now), (2, Instant::from_nanos(2)));
        assert_eq!(connection.poll_timeout(), None);
    }
}

// Contract 7: the driver's loop ends even at the latest times that an `Instant` can hold.
#[test]
fn the_latest_instants_cause_no_loop() {
    for role in BOTH {
        for now in [u64::MAX - 1, u64::MAX] {
            let mut connection = endpoint(role, &keepalive());
            for _ in 0..3 {
                let _ = timeout(&mut connection, Instant::from_nanos(now));
            }
            assert!(connection.close(CloseCode::NORMAL, "", Instant::from_nanos(now)).is_ok());
            let _ = timeout(&mut connection, Instant::from_nanos(now));
            assert!(matches!(connection.receive_eof(Instant::from_nanos(now)), Ok(None | Some(Event::Close(_)))));
        }
    }
}

// Contract 8: the calls of a driver after every event, 100,000 times with 200,000 pending frames. In linear time, this
// would visit 2 * 10^10 frames.
#[test]
fn polls_take_constant_time_for_any_backlog() {
    for role in BOTH {
        let mut config = keepalive();
        config.max_pending_controls = 100_000;
        let mut connection = endpoint(role, &config);
        for _ in 0..100_000 {
            connection.send_shared(sansocket::MessageKind::Binary, (&b"shared"[..]).into()).unwrap();
            connection.ping(b"").unwrap();
        }
        for _ in 0..100_000 {
            let _ = (connection.poll_timeout(), connection.transport(), connection.wants_read());
            let _ = (connection.ready_state(), connection.buffered_amount(), connection.output().remaining());
            assert!(!connection.output().chunk().is_empty());
            assert_eq!(connection.handle_timeout(seconds(1)), Ok(None));
        }
    }
}

// A keepalive Ping has a limit of its own, not the one for control frames of the application. Only one is pending.
#[test]
fn keepalive_pings_are_not_limited_by_max_pending_controls() {
    for role in BOTH {
        let mut config = keepalive();
        config.max_pending_controls = 0;
        let mut connection = endpoint(role, &config);
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
        assert_eq!(receive(&mut connection, &wire(role, &[Frame::pong("")]), seconds(31)).unwrap().len(), 1);
        assert_eq!(timeout(&mut connection, seconds(61)), Ok(None));
        assert_eq!(take_output(&mut connection), [Frame::ping("")]);
    }
}

// Contract 10: after a refused Ping, the output is correct.
#[test]
fn a_refused_ping_leaves_the_output_sound() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_pending_controls = 0;
        let mut connection = endpoint(role, &config);
        assert_eq!(connection.ping(b"?"), Err(SendError::BufferFull { message: (), size: 1 }));
        connection.send("one").unwrap();
        connection.send("two").unwrap();
        connection.output().advance(1);
        assert_eq!(connection.ping(b"?"), Err(SendError::BufferFull { message: (), size: 1 }));
        let head = if role == Role::Client { 6 } else { 2 };
        assert_eq!(connection.output().remaining(), 2 * (head + 3) - 1);
        connection.output().advance(head + 3 - 1);
        assert_eq!(connection.buffered_amount(), 3);
        assert_eq!(take_output(&mut connection), [Frame::text("two")]);
    }
}
