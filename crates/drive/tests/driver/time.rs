//! Deadlines: the effect of acknowledgements on them, and the clock and the queue that many connections share.

use std::sync::Arc;
use std::time::Duration;

use sansocket::{Config, Initiator, Instant, Keepalive, Role};
use sansocket_drive::{Action, Armed, Clock, Deadline, Deadlines, Driver, with_keepalive};

use crate::support::{BOTH, PONG, Seen, close, closed, feed, frame, opened, pending, run_timers, seconds, written};

/// Returns a connection that waits for the peer's Close frame; the transport has taken all output.
fn closing(role: Role) -> Driver {
    let mut driver = opened(role, &Config::default());
    driver.websocket_mut().send(vec![7; 5000]).unwrap();
    close(&mut driver, Instant::EPOCH);
    written(&mut driver);
    driver
}

#[test]
fn a_closing_connection_is_checked_four_times_per_closing_timeout() {
    let mut checks = vec![];
    run_timers(&mut closing(Role::Server), seconds(400.0), |_, now| {
        checks.push(now);
        Some(0)
    });
    // the first check finds that bytes were delivered, and five seconds follow
    assert_eq!(checks, [1.25, 2.5, 3.75, 5.0, 6.25].map(seconds));
}

#[test]
fn the_closing_deadline_begins_anew_while_outstanding_bytes_fall() {
    for role in BOTH {
        let mut outstanding = 5000;
        let (ended, seen) = run_timers(&mut closing(role), seconds(400.0), |_, now| {
            outstanding -= usize::from(now < seconds(100.0));
            Some(outstanding)
        });
        assert!(ended > seconds(103.0) && ended <= seconds(107.5), "{ended:?}");
        assert_eq!(seen, [closed(1006, false, Initiator::Local)]);
    }
}

#[test]
fn the_closing_deadline_does_not_begin_anew_while_outstanding_bytes_stay_or_are_unknown() {
    for role in BOTH {
        for outstanding in [Some(5000), Some(0), None] {
            let (ended, seen) = run_timers(&mut closing(role), seconds(400.0), |_, _| outstanding);
            assert!(ended >= seconds(5.0) && ended <= seconds(7.5), "{outstanding:?}: {ended:?}");
            assert_eq!(seen, [closed(1006, false, Initiator::Local)]);
        }
    }
}

#[test]
fn outstanding_bytes_may_be_reported_at_any_time() {
    let mut driver = closing(Role::Server);
    driver.acknowledged(5000, seconds(0.1));
    let (ended, _) = run_timers(&mut driver, seconds(400.0), |driver, now| {
        driver.acknowledged(4999, now); // one byte, once
        None
    });
    assert_eq!(ended, seconds(6.25));
}

#[test]
fn the_pong_deadline_begins_anew_while_outstanding_bytes_fall() {
    for role in BOTH {
        let mut outstanding = 1000;
        let mut driver = opened(role, &with_keepalive(Config::default()));
        let (at, seen) = run_timers(&mut driver, seconds(600.0), |_, _| {
            outstanding -= 1;
            Some(outstanding)
        });
        assert!(at > seconds(600.0) && seen.is_empty(), "{seen:?} at {at:?}");
    }
}

// The first number that is not zero has no predecessor to compare with: it postpones the deadline once.
#[test]
fn the_pong_deadline_ends_the_connection_while_outstanding_bytes_stay_or_are_unknown() {
    for role in BOTH {
        for (at_the_ping, later, expected) in
            [(Some(0), Some(0), 60.0), (None, None, 60.0), (Some(0), Some(6), 90.0), (None, Some(6), 90.0)]
        {
            let mut driver = opened(role, &with_keepalive(Config::default()));
            let (ended, seen) = run_timers(&mut driver, seconds(600.0), |_, now| {
                // the Ping is sent at 30 s
                if now == seconds(30.0) { at_the_ping } else { later }
            });
            assert_eq!(ended, seconds(expected), "{at_the_ping:?}, {later:?}");
            assert!(matches!(&seen[..], [Seen::Peer(_), end] if *end == closed(1006, false, Initiator::Local)));
            assert_eq!(driver.next_action(), Action::Abort);
        }
    }
}

// The number of outstanding bytes changes with each write: bytes written since the last sample are subtracted.
#[test]
fn bytes_written_since_the_last_sample_are_taken_into_account() {
    for (acknowledged, is_ended) in [(0, true), (1, false)] {
        let mut driver = opened(Role::Server, &with_keepalive(Config::default()));
        let mut outstanding = 100;
        let (_, seen) = run_timers(&mut driver, seconds(91.0), |driver, now| {
            if now > seconds(35.0) {
                driver.websocket_mut().send("of eleven..").unwrap();
                outstanding += written(driver).len() - acknowledged;
            }
            Some(outstanding)
        });
        assert_eq!(!seen.is_empty(), is_ended, "{acknowledged}: {seen:?}");
    }
}

#[test]
fn a_pong_keeps_the_connection() {
    for role in BOTH {
        let mut driver = opened(role, &with_keepalive(Config::default()));
        let (at, seen) = run_timers(&mut driver, seconds(600.0), |driver, now| {
            assert_eq!(feed(driver, &frame(role, PONG, b""), now), [Seen::Pong(vec![])]);
            None
        });
        assert!(at > seconds(600.0) && seen.is_empty());
    }
}

#[test]
fn early_and_repeated_timeouts_are_harmless() {
    let mut driver = opened(Role::Server, &with_keepalive(Config::default()));
    let Action::Wait { until: Some(at), .. } = driver.next_action() else { panic!() };
    for now in [0.0, 1.0, 1.0, 29.0].map(seconds) {
        driver.timeout(Some(0), now);
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), []);
        assert_eq!(driver.next_action(), Action::Wait { read: true, write: false, until: Some(at) });
    }
}

#[test]
fn a_connection_is_quiet_if_it_waits_only_for_bytes_or_its_deadline() {
    let quiet = || opened(Role::Server, &with_keepalive(Config::default()));
    assert!(quiet().is_quiet());
    let mut driver = quiet();
    driver.timeout(None, seconds(1.0));
    assert!(!driver.is_quiet());
    pending(&mut driver, seconds(1.0));
    assert!(driver.is_quiet());
    driver.eof();
    assert!(!driver.is_quiet());
    let mut driver = quiet();
    driver.websocket_mut().abort(seconds(1.0));
    assert!(!driver.is_quiet());
    let mut driver = quiet();
    driver.write_lost(std::io::ErrorKind::BrokenPipe.into(), seconds(1.0));
    assert!(!driver.is_quiet());
}

#[test]
fn keepalive_is_enabled_unless_the_configuration_says_otherwise() {
    let config = || Config::default().max_message_size(1000);
    let thirty = Keepalive::Every(Duration::from_secs(30));
    assert_eq!(*with_keepalive(config()), config().keepalive(thirty));
    for keepalive in [Keepalive::Off, Keepalive::Every(Duration::from_secs(1)), thirty] {
        let shared = Arc::new(config().keepalive(keepalive));
        assert!(Arc::ptr_eq(&with_keepalive(Arc::clone(&shared)), &shared), "{keepalive:?}");
    }
    let shared = Arc::new(config());
    assert_eq!(with_keepalive(Arc::clone(&shared)).keepalive, thirty);
    assert_eq!(shared.keepalive, Keepalive::Default, "others share it");
    assert_eq!(config().pong_timeout, Duration::from_secs(30));
}

#[test]
fn the_clock_of_the_process_is_one_and_does_not_go_backwards() {
    let (first, second) = (Clock::of_process(), Clock::of_process());
    let times = [first.now(), second.now(), first.now()];
    assert!(times.is_sorted());
    let hour = Duration::from_secs(3600);
    assert_eq!(first.until(times[0]), Duration::ZERO);
    let remaining = first.until(times[0] + hour);
    assert!(remaining <= hour && remaining > Duration::ZERO);
}

// As in a loop: an entry stays in the queue while the connection's deadline is postponed, and is renewed when it is
// due.
#[test]
fn a_deadline_that_is_postponed_costs_one_entry_per_interval() {
    let mut driver = opened(Role::Server, &with_keepalive(Config::default()));
    let (mut deadlines, mut armed, mut pushed, mut pings) = (Deadlines::default(), Armed::default(), 0, 0);
    for second in 0..200 {
        let now = seconds(f64::from(second));
        while let Some(due) = deadlines.pop_due(now) {
            assert!(armed.is_at(due.at));
            armed = Armed::default();
            if let Action::Wait { until: Some(at), .. } = driver.next_action()
                && at <= now
            {
                driver.timeout(Some(0), now);
            }
        }
        if second < 100 {
            feed(&mut driver, &frame(Role::Server, PONG, b""), now);
        } else if !pending(&mut driver, now).is_empty() {
            break;
        }
        pings += usize::from(!written(&mut driver).is_empty());
        let Action::Wait { until: Some(at), .. } = driver.next_action() else { panic!() };
        if armed.is_later_than(at) {
            armed = at.into();
            pushed += 1;
            deadlines.push(Deadline { at, index: 0, generation: 0 });
        }
    }
    assert_eq!((pushed, pings), (6, 1));
    assert_eq!(deadlines.next(), None);
}
