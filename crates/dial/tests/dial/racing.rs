//! RFC 8305: which address is tried when, and what becomes of the others.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use sansocket::Instant;
use sansocket_dial::{Action, Dial, DialError, DialOptions, Endpoint};

use crate::support::{OPENING_TIMEOUT, Outcome, World, addresses, dial, run};

const MS: Duration = Duration::from_millis(1);

#[test]
fn families_alternate_and_attempts_start_250_ms_apart() {
    let list = &["[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:80", "192.0.2.2:80"];
    let silent = addresses(&list[..3]).into_iter().map(|address| (address, Outcome::Silent)).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: silent, ..World::default() };
    let (log, result) = run(&mut dial("ws://example.com/", DialOptions::default()), &world);
    result.unwrap();
    assert_eq!(
        log,
        [
            "0 resolve example.com:80",
            "0 connect [2001:db8::1]:80",
            "250 connect 192.0.2.1:80",
            "500 connect [2001:db8::2]:80",
            "750 connect 192.0.2.2:80",
            "750 use 192.0.2.2:80",
        ]
    );
}

#[test]
fn the_family_of_the_first_address_begins() {
    let list = &["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"];
    let silent = addresses(list).into_iter().map(|address| (address, Outcome::Silent)).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: silent, ..World::default() };
    let (log, result) = run(&mut dial("ws://example.com/", DialOptions::default()), &world);
    result.unwrap_err();
    assert_eq!(log[1..4], ["0 connect 192.0.2.1:80", "250 connect [2001:db8::1]:80", "500 connect 192.0.2.2:80"]);
}

#[test]
fn the_next_attempt_starts_at_once_after_a_failure() {
    let list = &["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"];
    let outcomes = [Outcome::Refuses(10 * MS), Outcome::Refuses(20 * MS), Outcome::Connects(30 * MS)];
    let outcomes = addresses(list).into_iter().zip(outcomes).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: outcomes, ..World::default() };
    let (log, result) = run(&mut dial("ws://example.com/", DialOptions::default()), &world);
    result.unwrap();
    assert_eq!(
        log[1..],
        ["0 connect 192.0.2.1:80", "10 connect 192.0.2.2:80", "30 connect 192.0.2.3:80", "60 use 192.0.2.3:80"]
    );
}

#[test]
fn an_early_attempt_can_win_after_later_ones_started() {
    let list = &["192.0.2.1:80", "192.0.2.2:80"];
    let outcomes = [Outcome::Connects(400 * MS), Outcome::Connects(400 * MS)];
    let outcomes = addresses(list).into_iter().zip(outcomes).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: outcomes, ..World::default() };
    let (log, result) = run(&mut dial("ws://example.com/", DialOptions::default()), &world);
    result.unwrap();
    assert_eq!(log.last().unwrap(), "400 use 192.0.2.1:80");
}

#[test]
fn every_address_is_listed_with_its_failure() {
    let list = &["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.1:80"];
    let world = World {
        names: vec![("example.com:80", list)],
        addresses: addresses(list).into_iter().map(|address| (address, Outcome::Refuses(MS))).collect(),
        ..World::default()
    };
    let error = run(&mut dial("ws://example.com/", DialOptions::default()), &world).1.unwrap_err();
    let text = "TCP: cannot connect to [2001:db8::1]:80: refused; 192.0.2.1:80: refused; check that a server listens \
                there";
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_attempt_without_an_answer_is_abandoned_after_the_connect_timeout() {
    let list = &["192.0.2.1:80", "192.0.2.2:80"];
    let silent = addresses(list).into_iter().map(|address| (address, Outcome::Silent)).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: silent, ..World::default() };
    let options = DialOptions::default().connect_timeout(3000 * MS);
    let (log, result) = run(&mut dial("ws://example.com/", options), &world);
    assert_eq!(log[3..], ["3000 abandon 192.0.2.1:80", "3250 abandon 192.0.2.2:80"]);
    let text = "TCP: cannot connect to 192.0.2.1:80: no answer within 3s; 192.0.2.2:80: no answer within 3s; check the \
                address, and that no firewall drops the packets";
    assert_eq!(result.unwrap_err().to_string(), text);
}

#[test]
fn the_opening_timeout_ends_attempts_that_are_running() {
    let list = &["192.0.2.1:80"];
    let silent = addresses(list).into_iter().map(|address| (address, Outcome::Silent)).collect();
    let world = World { names: vec![("example.com:80", list)], addresses: silent, ..World::default() };
    let options = DialOptions::default().connect_timeout(60_000 * MS);
    let mut dial = dial("ws://example.com/", options);
    let DialError::Unreachable(attempts) = run(&mut dial, &world).1.unwrap_err() else { panic!("not TCP") };
    assert_eq!(attempts[0].error.kind(), ErrorKind::TimedOut);
    assert!(matches!(dial.next_action(Instant::EPOCH + OPENING_TIMEOUT), Err(DialError::Ended)));
}

#[test]
fn an_address_in_the_url_needs_no_lookup() {
    for (url, expected) in [("ws://192.0.2.1:9001/", "192.0.2.1:9001"), ("wss://[2001:db8::1]/", "[2001:db8::1]:443")] {
        let (log, result) = run(&mut dial(url, DialOptions::default()), &World::default());
        result.unwrap();
        assert_eq!(log[0], format!("0 connect {expected}"));
    }
}

/// Returns the lookup that the dial asks for.
fn lookup(dial: &mut Dial) -> sansocket_dial::LookupId {
    match dial.next_action(Instant::EPOCH).unwrap() {
        Action::Resolve { lookup, .. } => lookup,
        action => panic!("{action:?}"),
    }
}

#[test]
fn ipv4_addresses_alone_are_held_back_for_50_ms() {
    let at = |millis: u32| Instant::EPOCH + millis * MS;
    let mut dial = dial("ws://example.com/", DialOptions::default());
    let lookup = lookup(&mut dial);
    dial.resolved_some(lookup, addresses(&["192.0.2.1:80"]));
    assert!(matches!(dial.next_action(at(7)), Ok(Action::Wait { until }) if until == at(57)));
    assert!(matches!(dial.next_action(at(56)), Ok(Action::Wait { until }) if until == at(57)));
    assert!(matches!(dial.next_action(at(57)), Ok(Action::Connect { .. })));
}

#[test]
fn ipv6_addresses_end_the_resolution_delay_and_go_first() {
    let at = |millis: u32| Instant::EPOCH + millis * MS;
    let mut dial = dial("ws://example.com/", DialOptions::default());
    let lookup = lookup(&mut dial);
    dial.resolved_some(lookup, addresses(&["192.0.2.1:80"]));
    assert!(matches!(dial.next_action(at(0)), Ok(Action::Wait { .. })));
    dial.resolved(lookup, Ok(addresses(&["[2001:db8::1]:80"])));
    let endpoint = |action| match action {
        Ok(Action::Connect { endpoint: Endpoint::Tcp(address), .. }) => address.to_string(),
        action => panic!("{action:?}"),
    };
    assert_eq!(endpoint(dial.next_action(at(20))), "[2001:db8::1]:80");
    assert_eq!(endpoint(dial.next_action(at(270))), "192.0.2.1:80");
}

#[test]
fn addresses_that_arrive_later_join_the_race() {
    let mut dial = dial("ws://example.com/", DialOptions::default());
    let lookup = lookup(&mut dial);
    dial.resolved_some(lookup, addresses(&["[2001:db8::1]:80"]));
    let Ok(Action::Connect { attempt, .. }) = dial.next_action(Instant::EPOCH) else { panic!("no attempt") };
    dial.connect_failed(attempt, ErrorKind::ConnectionRefused.into());
    // the lookup may have more, so nothing has failed yet
    assert!(matches!(dial.next_action(Instant::EPOCH), Ok(Action::Wait { .. })));
    dial.resolved(lookup, Ok(addresses(&["192.0.2.1:80"])));
    assert!(matches!(dial.next_action(Instant::EPOCH), Ok(Action::Connect { .. })));
}

#[test]
fn a_lookup_that_fails_after_its_first_addresses_does_not_end_the_race() {
    let mut dial = dial("ws://example.com/", DialOptions::default());
    let lookup = lookup(&mut dial);
    dial.resolved_some(lookup, addresses(&["192.0.2.1:80"]));
    dial.resolved(lookup, Err(ErrorKind::TimedOut.into()));
    assert!(matches!(dial.next_action(Instant::EPOCH), Ok(Action::Connect { .. })));
}

#[test]
fn a_name_without_addresses_is_an_error_of_the_name() {
    let world = World { names: vec![("example.com:80", &[])], ..World::default() };
    let error = run(&mut dial("ws://example.com/", DialOptions::default()), &world).1.unwrap_err();
    assert_eq!(error.to_string(), "name: no address for example.com: the name has no address; check the name");
}

#[test]
fn reports_about_other_attempts_and_lookups_are_ignored() {
    let mut first = dial("ws://example.com/", DialOptions::default());
    let stale = lookup(&mut first);
    first.resolved(stale, Ok(addresses(&["192.0.2.1:80"])));
    let Ok(Action::Connect { attempt, .. }) = first.next_action(Instant::EPOCH) else { panic!("no attempt") };
    first.resolved(stale, Err(ErrorKind::NotFound.into()));
    first.connected(attempt);
    first.connected(attempt);
    first.connect_failed(attempt, ErrorKind::ConnectionRefused.into());
    assert!(matches!(first.next_action(Instant::EPOCH), Ok(Action::Use(_))));
    assert!(matches!(first.next_action(Instant::EPOCH), Ok(Action::Open(_))));
    assert!(matches!(first.next_action(Instant::EPOCH), Ok(Action::Wait { .. })));
}

#[test]
fn at_most_64_addresses_are_tried() {
    let mut dial = dial("ws://example.com/", DialOptions::default());
    let lookup = lookup(&mut dial);
    dial.resolved(lookup, Ok((0..1000_u32).map(|host| SocketAddr::from((Ipv4Addr::from_bits(host), 80))).collect()));
    let error = loop {
        match dial.next_action(Instant::EPOCH) {
            Ok(Action::Connect { attempt, .. }) => dial.connect_failed(attempt, ErrorKind::ConnectionRefused.into()),
            Ok(action) => panic!("{action:?}"),
            Err(error) => break error,
        }
    };
    let DialError::Unreachable(attempts) = error else { panic!("{error}") };
    assert_eq!(attempts.len(), 64);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let millis = || (0..4000_u64).prop_map(Duration::from_millis);
    prop_oneof![millis().prop_map(Outcome::Connects), millis().prop_map(Outcome::Refuses), Just(Outcome::Silent)]
}

/// An attempt in the log of a run. Times are in nanoseconds.
struct Attempt {
    start: u64,
    address: SocketAddr,
    outcome: Outcome,
}

impl Attempt {
    /// Returns when the attempt connects, and when it fails otherwise.
    fn ends(&self, connect_timeout: u64) -> (Option<u64>, u64) {
        let timeout = self.start + connect_timeout;
        match self.outcome {
            Outcome::Connects(after) => (Some(self.start + nanos(after)).filter(|&time| time < timeout), timeout),
            Outcome::Refuses(after) => (None, timeout.min(self.start + nanos(after))),
            Outcome::Silent => (None, timeout),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Returns addresses of these families. Each outcome is shifted by another power of two, so that no two things happen
/// at the same time.
fn hosts(families: Vec<(bool, Outcome)>) -> Vec<(SocketAddr, Outcome)> {
    let host = |(index, (is_ipv6, outcome)): (u16, (bool, Outcome))| {
        let ipv4 = Ipv4Addr::new(192, 0, 2, index as u8);
        let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, index);
        let shift = Duration::from_micros(1 << index);
        let outcome = match outcome {
            Outcome::Connects(after) => Outcome::Connects(after + shift),
            Outcome::Refuses(after) => Outcome::Refuses(after + shift),
            Outcome::Silent => Outcome::Silent,
        };
        (if is_ipv6 { (ipv6, 80).into() } else { (ipv4, 80).into() }, outcome)
    };
    (0..).zip(families).map(host).collect()
}

proptest! {
    // Whatever the addresses do: one attempt wins, the first that connects; attempts start when RFC 8305 says; the
    // families alternate; the deadline holds.
    #[test]
    fn exactly_the_first_attempt_that_connects_wins(
        families in vec((any::<bool>(), outcome()), 1..12),
        connect_timeout in 1..5_000_000_000_u64,
    ) {
        let hosts = hosts(families);
        let options = DialOptions::default().connect_timeout(Duration::from_nanos(connect_timeout));
        let mut dial = dial("ws://example.com/", options);
        let lookup = lookup(&mut dial);
        dial.resolved(lookup, Ok(hosts.iter().map(|(address, _)| *address).collect()));
        let (log, result) = run(&mut dial, &World { addresses: hosts.clone(), ..World::default() });

        let deadline = nanos(OPENING_TIMEOUT);
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut winner = None;
        for line in &log {
            let words: Vec<&str> = line.split(' ').collect();
            let time = (words[0].parse::<f64>().unwrap() * 1e6).round() as u64;
            let address: SocketAddr = words[2].parse().unwrap();
            prop_assert!(time < deadline);
            match words[1] {
                "connect" => {
                    prop_assert!(winner.is_none() && attempts.iter().all(|attempt| attempt.address != address));
                    let outcome = hosts.iter().find(|(other, _)| *other == address).unwrap().1;
                    attempts.push(Attempt { start: time, address, outcome });
                }
                "use" => prop_assert!(winner.replace((time, address)).is_none()),
                other => prop_assert_eq!(other, "abandon"),
            }
        }
        for (index, attempt) in attempts.iter().enumerate().skip(1) {
            let (earlier, before) = (&attempts[..index], &attempts[index - 1]);
            let failures = earlier.iter().map(|other| other.ends(connect_timeout).1);
            let delayed = before.start + 250_000_000;
            let due = failures.filter(|&time| time > before.start).chain([delayed]).min();
            prop_assert_eq!(Some(attempt.start), due);
            if attempt.address.is_ipv6() == before.address.is_ipv6() {
                let is_other = |address: &SocketAddr| address.is_ipv6() != attempt.address.is_ipv6();
                let all = hosts.iter().filter(|(address, _)| is_other(address)).count();
                prop_assert_eq!(all, earlier.iter().filter(|attempt| is_other(&attempt.address)).count());
            }
        }
        let connects = attempts.iter().filter_map(|attempt| {
            attempt.ends(connect_timeout).0.filter(|&time| time < deadline).map(|time| (time, attempt.address))
        });
        prop_assert_eq!(winner, connects.min());
        match result {
            Ok(_) => prop_assert!(winner.is_some()),
            Err(DialError::Unreachable(failed)) => {
                prop_assert!(winner.is_none());
                prop_assert_eq!(failed.len(), attempts.len());
            }
            Err(error) => panic!("{error}"),
        }
    }
}
