//! The columns "progress" and "at the deadline" of the table in `closing/mod.rs`, for each phase and role. The peer is
//! silent, drips, floods, reads slowly, or only acknowledges bytes.

use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{CloseCode, Config, Connection, Input, Instant, Role, TransportAction};

use crate::keepalive::keepalive;
use crate::phases::{Cell, Phase, Step, assert_ended, in_every_cell, step};
use crate::support::*;

use sansocket::Initiator::{Local, Peer};

const TIMEOUT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);

fn config() -> Config {
    let mut config = Config::default();
    config.closing_timeout = TIMEOUT;
    config.closing_limit = LIMIT;
    config
}

/// Returns a closing connection. In phase `Draining` it has a backlog that lasts longer than the limit.
fn reach(cell: &Cell, role: Role) -> Option<Connection> {
    if matches!(cell.phase, Phase::Open | Phase::Ended) {
        return None;
    }
    let mut connection = endpoint(role, &config());
    if cell.phase == Phase::Draining {
        connection.send(&[1; 1_000]).unwrap();
    }
    cell.steps.iter().for_each(|&next| step(&mut connection, next));
    Some(connection)
}

/// Handles deadlines while the peer acts every `interval` until `until`. Returns the time of the end, and the `Close`.
fn run(
    connection: &mut Connection,
    interval: Duration,
    until: Instant,
    mut act: impl FnMut(&mut Connection, Instant) -> Option<OwnedEvent>,
) -> (Instant, OwnedEvent) {
    let mut now = Instant::EPOCH;
    let mut next_act = now + interval;
    loop {
        let deadline = connection.poll_timeout().expect("a closing connection has a deadline");
        let is_acting = next_act <= until && next_act <= deadline;
        now = now.max(if is_acting { next_act } else { deadline });
        let mut event = if is_acting { act(connection, now) } else { None };
        next_act = if is_acting { next_act + interval } else { next_act };
        if event.is_none() && connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            event = owned(connection.handle_timeout(now)).unwrap();
        }
        if let Some(close) = event.or_else(|| pending_event(connection, now)) {
            return (now, close);
        }
        assert!(now <= seconds(1_000), "the connection never ends");
    }
}

/// The behavior of the peer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behavior {
    /// Nothing.
    Nothing,
    /// Reads a byte every 4 s.
    Reads,
    /// Sends a byte of a long message every 4 s.
    Drips,
    /// Sends a Ping every 100 ms.
    Floods,
    /// Acknowledges bytes every 4 s.
    Acknowledges,
}

impl Behavior {
    const ALL: [Self; 5] = [Self::Nothing, Self::Reads, Self::Drips, Self::Floods, Self::Acknowledges];

    /// Returns whether the behavior counts as progress in this cell.
    fn is_progress(self, cell: &Cell) -> bool {
        match self {
            Self::Nothing => false,
            Self::Reads => cell.phase == Phase::Draining,
            Self::Drips | Self::Floods => {
                matches!(cell.phase, Phase::AwaitingClose | Phase::WriteLost) && !cell.has_failed()
            }
            Self::Acknowledges => true,
        }
    }

    fn interval(self) -> Duration {
        if self == Self::Floods { Duration::from_millis(100) } else { Duration::from_secs(4) }
    }

    fn act(self, connection: &mut Connection, now: Instant, drip: &mut impl Iterator<Item = u8>) {
        let mut bytes = match self {
            Self::Nothing => return,
            Self::Reads => return drop(take(connection, 1)),
            Self::Acknowledges => return connection.progress(now),
            _ if !connection.wants_read() => return,
            Self::Drips => vec![drip.next().unwrap()],
            Self::Floods => wire(connection.role(), &[Frame::ping([7; 100])]),
        };
        let mut input = Input::new(&mut bytes);
        while let Ok(Some(event)) = connection.receive(&mut input, now) {
            assert!(matches!(OwnedEvent::from(event), OwnedEvent::Ping(_)));
        }
    }
}

/// Runs a cell while the peer acts until `until`.
fn run_cell(cell: &Cell, role: Role, behavior: Behavior, until: Instant) -> Option<(Instant, OwnedEvent, Connection)> {
    let mut connection = reach(cell, role)?;
    let mut drip = wire(role, &[Frame::binary([7; 200])]).into_iter();
    let (at, close) = run(&mut connection, behavior.interval(), until, |connection, now| {
        behavior.act(connection, now, &mut drip);
        None
    });
    Some((at, close, connection))
}

// A connection whose peer makes progress ends after `closing_limit`; any other ends after `closing_timeout` (or up to
// 1.5 times that, since progress is sampled).
#[test]
fn progress_keeps_every_phase_alive_until_the_limit() {
    in_every_cell(|cell, role| {
        for behavior in Behavior::ALL {
            let Some((at, close, mut connection)) = run_cell(cell, role, behavior, seconds(900)) else { continue };
            let after = at - Instant::EPOCH;
            if behavior.is_progress(cell) {
                assert_eq!(after, LIMIT, "{behavior:?}");
            } else {
                assert!(TIMEOUT <= after && after <= TIMEOUT * 3 / 2, "{behavior:?}: {at:?}");
            }
            // the output is dropped, and the Close event has the peer's code or 1006
            assert_eq!(close, cell.close_if_dropped(), "{behavior:?}");
            assert_eq!(connection.transport(), cell.transport_at_deadline(), "{behavior:?}");
            assert!(!connection.output().has_remaining());
            assert_ended(&mut connection, cell.has_failed());
        }
    });
}

// The deadline runs from the latest progress, not from the beginning.
#[test]
fn every_phase_ends_a_timeout_after_its_latest_progress() {
    in_every_cell(|cell, role| {
        for behavior in Behavior::ALL {
            let Some((at, ..)) = run_cell(cell, role, behavior, seconds(20)) else { continue };
            let latest = if behavior.is_progress(cell) { seconds(20) } else { Instant::EPOCH };
            assert!((latest + TIMEOUT..=latest + TIMEOUT * 3 / 2).contains(&at), "{behavior:?}: {at:?}");
        }
    });
}

// Each phase has a whole timeout: a slow `Draining`, then `AwaitingClose`; a slow `AwaitingClose`, then `AwaitingEnd`.
#[test]
fn each_phase_begins_with_a_whole_timeout() {
    for role in BOTH {
        let mut connection = endpoint(role, &config());
        connection.send(&[1; 100]).unwrap();
        close(&mut connection, 4000, "mine");
        let (at, event) = run(&mut connection, Duration::from_secs(4), seconds(12), |connection, now| {
            let count = if now == seconds(12) { usize::MAX } else { 20 };
            take(connection, count);
            None
        });
        assert_eq!(event, abnormal(Local));
        assert!((seconds(17)..=seconds(20)).contains(&at), "AwaitingClose: {at:?}");

        let mut connection = endpoint(role, &config());
        close(&mut connection, 4000, "mine");
        let (at, event) = run(&mut connection, Duration::from_secs(4), seconds(12), |connection, now| {
            take_output(connection);
            let mut bytes = wire(role, &[if now == seconds(12) { Frame::close(3000, "") } else { Frame::pong("") }]);
            drop(connection.receive(&mut Input::new(&mut bytes), now));
            None
        });
        assert_eq!(event, close_event(3000, "", true, Local));
        assert!((seconds(17)..=seconds(20)).contains(&at), "AwaitingEnd: {at:?}");
    }
}

// The limit runs from the first of `close`, the peer's Close, a failure, FIN and `write_lost`.
#[test]
fn the_limit_runs_from_the_first_step_of_the_end() {
    type Begin = fn(&mut Connection, Instant) -> Option<OwnedEvent>;
    let begins: [Begin; 5] = [
        |connection, now| {
            connection.close(CloseCode::NORMAL, "", now).unwrap();
            None
        },
        |connection, now| {
            let mut bytes = wire(connection.role(), &[Frame::close(1000, "")]);
            drop(connection.receive(&mut Input::new(&mut bytes), now));
            None
        },
        |connection, now| {
            let mut bytes = wire(connection.role(), &[Frame::continuation("")]);
            drop(connection.receive(&mut Input::new(&mut bytes), now));
            None
        },
        |connection, now| owned(connection.receive_eof(now)).unwrap(),
        |connection, now| {
            connection.write_lost(now);
            None
        },
    ];
    for role in BOTH {
        for first in begins {
            for second in begins {
                let mut connection = endpoint(role, &config());
                connection.send(&[1; 1_000]).unwrap();
                assert_eq!(first(&mut connection, seconds(10)), None);
                let mut until_second = 20;
                let act = |connection: &mut Connection, now: Instant| {
                    connection.progress(now);
                    until_second -= 1;
                    if until_second == 0 { second(connection, now) } else { None }
                };
                let (at, _) = run(&mut connection, Duration::from_secs(1), seconds(900), act);
                assert!(at <= seconds(10) + LIMIT, "{at:?}");
            }
        }
        // and no earlier than the limit, if the second step does not end the connection
        let mut connection = endpoint(role, &config());
        connection.send(&[1; 1_000]).unwrap();
        connection.receive_eof(seconds(10)).unwrap();
        let (at, _) = run(&mut connection, Duration::from_secs(1), seconds(900), |connection, now| {
            connection.progress(now);
            connection.close(CloseCode::NORMAL, "", now).unwrap();
            None
        });
        assert_eq!(at, seconds(10) + LIMIT);
    }
}

// Section 7.1.1: timeouts of zero and very long ones are valid. The limit bounds them.
#[test]
fn the_closing_timeout_and_limit_are_the_configured_ones() {
    let nanos = Duration::from_nanos;
    for role in BOTH {
        for (timeout, limit, earliest, latest) in [
            (Duration::ZERO, LIMIT, nanos(0), nanos(2)),
            (nanos(1), LIMIT, nanos(1), nanos(3)),
            (Duration::from_secs(40), LIMIT, Duration::from_secs(40), Duration::from_secs(60)),
            (Duration::MAX, LIMIT, LIMIT, LIMIT),
            (TIMEOUT, Duration::ZERO, nanos(0), nanos(2)),
            (TIMEOUT, Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(1)),
        ] {
            let mut config = Config::default();
            (config.closing_timeout, config.closing_limit) = (timeout, limit);
            for begin in [Step::Close, Step::Receive, Step::Fail, Step::LoseWrite] {
                let mut connection = endpoint(role, &config);
                step(&mut connection, begin);
                let (at, _) = wait_for_end(&mut connection);
                let after = at - Instant::EPOCH;
                assert!(earliest <= after && after <= latest, "{timeout:?}, {limit:?}: after {after:?}");
            }
        }
        let mut config = Config::default();
        (config.closing_timeout, config.closing_limit) = (Duration::MAX, Duration::MAX);
        let mut connection = endpoint(role, &config);
        close(&mut connection, 1000, "");
        assert_eq!(connection.poll_timeout(), None, "later than any `Instant`");
    }
}

// CVE-2024-23672: with the defaults, a peer that never answers our Close, and sends an endless message byte by byte.
#[test]
fn a_peer_that_drips_is_dropped_at_the_limit() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        take_output(&mut connection);
        let mut drip = wire(role, &[Frame::binary([7; 1_000])]).into_iter();
        let (at, event) = run(&mut connection, Duration::from_secs(1), seconds(900), |connection, now| {
            let mut byte = [drip.next().unwrap()];
            assert_eq!(connection.receive(&mut Input::new(&mut byte), now), Ok(None));
            None
        });
        assert_eq!((at, event), (seconds(300), abnormal(Local)));
        assert_eq!(connection.transport(), TransportAction::Abort);
    }
}

// `AwaitingEnd`: a peer that keeps TCP open has received everything. The deadline ends TCP, and the close is clean.
#[test]
fn a_deadline_after_both_close_frames_is_clean() {
    for role in BOTH {
        let mut connection = open(role);
        let mut bytes = wire(role, &[Frame::close(1000, "")]);
        drop(connection.receive(&mut Input::new(&mut bytes), Instant::EPOCH));
        take_output(&mut connection);
        let (at, event) = wait_for_end(&mut connection);
        assert!((seconds(5)..=seconds(7)).contains(&at), "{at:?}");
        assert_eq!((event, connection.transport()), (closed(1000, ""), TransportAction::Close));
    }
}

// `handle_timeout` before the deadline changes nothing. A driver that is late ends the connection all the same.
#[test]
fn early_and_late_calls_are_harmless() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        for early in [0, 1, 1_000, 1_249] {
            let next = connection.poll_timeout();
            assert_eq!(connection.handle_timeout(millis(early)), Ok(None));
            assert_eq!(connection.poll_timeout(), next);
        }
        take(&mut connection, 1);
        // 100 s late, but a byte was taken since the previous call
        assert_eq!(connection.handle_timeout(seconds(100)), Ok(None));
        assert_eq!(owned(connection.handle_timeout(seconds(200))), Ok(Some(abnormal(Local))));
    }
}

// `progress` restarts the Pong deadline of an open connection, and no other timer.
#[test]
fn progress_restarts_the_pong_deadline_of_an_open_connection() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.progress(seconds(20));
        assert_eq!(connection.poll_timeout(), Some(seconds(30)), "an acknowledgement is no sign of life");
        assert_eq!(connection.handle_timeout(seconds(30)), Ok(None));
        take_output(&mut connection);
        for now in [35, 44, 53] {
            connection.progress(seconds(now));
            assert_eq!(connection.poll_timeout(), Some(seconds(now + 10)));
            assert_eq!(connection.handle_timeout(seconds(now + 8)), Ok(None));
        }
        assert!(connection.handle_timeout(seconds(63)).is_err());
        assert_eq!(pending_event(&mut connection, seconds(63)), Some(abnormal(Local)));
        assert_eq!(connection.transport(), TransportAction::Abort);

        let mut idle = endpoint(role, &Config::default());
        idle.progress(seconds(1));
        assert_eq!((idle.poll_timeout(), idle.transport()), (None, TransportAction::Open));
    }
}

// FIN while output is pending: a slow reader receives its data, and the initiator is the peer.
#[test]
fn a_slow_reader_that_half_closed_gets_everything() {
    for role in BOTH {
        let mut connection = endpoint(role, &config());
        connection.send(&[1; 100]).unwrap();
        assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None));
        let size = connection.output().remaining();
        let mut delivered = 0;
        let (at, event) = run(&mut connection, Duration::from_secs(4), seconds(900), |connection, _| {
            delivered += take(connection, 10).len();
            None
        });
        assert_eq!((delivered, event), (size, abnormal(Peer)));
        assert_eq!(at, seconds(4 * size.div_ceil(10) as u64));
        assert_eq!(connection.transport(), TransportAction::Close);
    }
}
