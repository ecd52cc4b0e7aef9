//! When to connect again.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use rand_chacha::ChaCha8Rng;
use sansocket::Instant;
use sansocket::rand_core::SeedableRng;
use sansocket_dial::{Backoff, DialError, ReconnectPolicy};

use crate::support::refused;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Instant = Instant::EPOCH;

fn backoff(policy: ReconnectPolicy) -> Backoff<ChaCha8Rng> {
    Backoff::new(policy, ChaCha8Rng::seed_from_u64(1))
}

/// Returns the largest of many delays before each attempt.
fn ceilings(policy: ReconnectPolicy, attempts: usize) -> Vec<Duration> {
    let mut largest = vec![Duration::ZERO; attempts];
    for seed in 0..2000 {
        let backoff = Backoff::new(policy, ChaCha8Rng::seed_from_u64(seed));
        largest.iter_mut().zip(backoff).for_each(|(largest, delay)| *largest = delay.max(*largest));
    }
    largest
}

fn unreachable() -> DialError {
    DialError::Name { host: "example.com".into(), error: ErrorKind::NotFound.into() }
}

fn refusal(status: u16, fields: &[(&str, &str)]) -> DialError {
    DialError::Opening(refused(status, fields))
}

#[test]
fn delays_are_spread_below_a_ceiling_that_doubles_up_to_the_limit() {
    let policy = ReconnectPolicy::default().first_delay(SECOND).max_delay(5 * SECOND);
    for (largest, ceiling) in ceilings(policy, 6).into_iter().zip([1, 2, 4, 5, 5, 5]) {
        let ceiling = ceiling * SECOND;
        assert!(largest < ceiling && largest > ceiling * 99 / 100, "{largest:?} {ceiling:?}");
    }
    let below_half = backoff(policy).skip(10).take(1000).filter(|delay| *delay < 5 * SECOND / 2).count();
    assert!((400..600).contains(&below_half), "{below_half}");
}

#[test]
fn extreme_policies_do_not_overflow() {
    let policy = ReconnectPolicy::default().first_delay(Duration::MAX).max_delay(Duration::MAX);
    assert_eq!(backoff(policy).take(100).count(), 100);
    let policy = ReconnectPolicy::default().first_delay(Duration::ZERO);
    assert!(backoff(policy).take(100).all(|delay| delay.is_zero()));
    let policy = ReconnectPolicy::default().max_delay(Duration::ZERO);
    assert!(backoff(policy).take(100).all(|delay| delay.is_zero()));
}

#[test]
fn attempts_are_counted_and_limited() {
    let mut backoff = backoff(ReconnectPolicy::default().max_attempts(2));
    assert_eq!(backoff.attempts(), 0);
    assert!(backoff.failed(&unreachable(), SystemTime::UNIX_EPOCH).is_some());
    assert!(backoff.closed(NOW).is_some());
    assert_eq!(backoff.attempts(), 2);
    assert_eq!(backoff.closed(NOW), None);
    assert_eq!(backoff.failed(&unreachable(), SystemTime::UNIX_EPOCH), None);
}

#[test]
fn a_connection_that_was_stable_begins_the_count_again() {
    let mut backoff = backoff(ReconnectPolicy::default().stable_after(30 * SECOND).max_attempts(2));
    backoff.next();
    backoff.next();
    backoff.opened(NOW);
    assert_eq!(backoff.closed(NOW + Duration::from_millis(29_999)), None);
    backoff.opened(NOW);
    assert!(backoff.closed(NOW + 30 * SECOND).is_some());
    assert_eq!(backoff.attempts(), 1);
    // without a connection in between, nothing was stable
    assert!(backoff.closed(NOW + 90 * SECOND).is_some());
    assert_eq!(backoff.closed(NOW + 180 * SECOND), None);
}

#[test]
fn a_refusal_that_does_not_change_is_not_retried() {
    for status in 200..600 {
        let delay = backoff(ReconnectPolicy::default()).failed(&refusal(status, &[]), SystemTime::UNIX_EPOCH);
        assert_eq!(delay.is_none(), (300..500).contains(&status) && status != 408 && status != 429, "{status}");
    }
}

#[test]
fn retry_after_is_respected_and_bounded() {
    let clock = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    for (value, expected) in [
        ("120", 120),
        ("0", 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("99999999999999999999999", 300),
        ("Sat, 06 Nov 2094 08:50:37 GMT", 300),
        ("-1", 0),
        ("soon", 0),
        ("", 0),
    ] {
        for status in [408, 429, 503] {
            let error = refusal(status, &[("Retry-After", value)]);
            let delay = backoff(ReconnectPolicy::default()).failed(&error, clock).unwrap();
            let expected = expected * SECOND;
            assert!(delay >= expected && delay < expected + SECOND, "{value}: {delay:?}");
        }
    }
}

#[test]
fn errors_of_the_caller_and_of_certificates_are_not_retried() {
    let tls = |is_permanent| DialError::Tls { host: "x".into(), error: ErrorKind::InvalidData.into(), is_permanent };
    let url = DialError::from("http://x/".parse::<sansocket_dial::Target>().unwrap_err());
    for error in [tls(true), url, DialError::TlsNotBuiltIn, DialError::Canceled] {
        assert_eq!(backoff(ReconnectPolicy::default()).failed(&error, SystemTime::UNIX_EPOCH), None, "{error}");
    }
    for error in [tls(false), unreachable(), DialError::Unreachable(Vec::new())] {
        assert!(backoff(ReconnectPolicy::default()).failed(&error, SystemTime::UNIX_EPOCH).is_some(), "{error}");
    }
}
