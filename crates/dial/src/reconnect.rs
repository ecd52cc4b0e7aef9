//! Reconnection: when to connect again after a failure or the loss of a connection (RFC 6455 section 7.2.3).

use std::time::{Duration, SystemTime};

use sansocket::Instant;
use sansocket::rand_core::Rng;

use crate::error::DialError;

/// When to connect again.
///
/// The delay before an attempt is random, between zero and a ceiling ("full jitter"): clients that lost their
/// connections together do not return together. The ceiling is [`first_delay`](Self#structfield.first_delay), doubles
/// with each attempt, and is at most [`max_delay`](Self#structfield.max_delay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The ceiling of the first delay. Default: 1 s.
    pub first_delay: Duration,
    /// The largest ceiling. Default: 60 s.
    pub max_delay: Duration,
    /// The longest time that a server may ask for with `Retry-After`; a longer one counts as this. Default: 5 min.
    pub max_retry_after: Duration,
    /// How long a connection must have been open to be stable: after it, the ceiling is `first_delay` again. Default:
    /// 30 s.
    pub stable_after: Duration,
    /// The most consecutive attempts without a stable connection. Default: `None`, no limit.
    pub max_attempts: Option<u32>,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(5 * 60),
            stable_after: Duration::from_secs(30),
            max_attempts: None,
        }
    }
}

impl ReconnectPolicy {
    /// Sets [`first_delay`](Self#structfield.first_delay).
    #[must_use]
    pub fn first_delay(self, first_delay: Duration) -> Self {
        Self { first_delay, ..self }
    }

    /// Sets [`max_delay`](Self#structfield.max_delay).
    #[must_use]
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// Sets [`max_retry_after`](Self#structfield.max_retry_after).
    #[must_use]
    pub fn max_retry_after(self, max_retry_after: Duration) -> Self {
        Self { max_retry_after, ..self }
    }

    /// Sets [`stable_after`](Self#structfield.stable_after).
    #[must_use]
    pub fn stable_after(self, stable_after: Duration) -> Self {
        Self { stable_after, ..self }
    }

    /// Sets [`max_attempts`](Self#structfield.max_attempts).
    #[must_use]
    pub fn max_attempts(self, max_attempts: impl Into<Option<u32>>) -> Self {
        Self { max_attempts: max_attempts.into(), ..self }
    }
}

/// The delays before the attempts to connect again, as an iterator, which ends after
/// [`max_attempts`](ReconnectPolicy#structfield.max_attempts).
///
/// [`failed`](Self::failed) and [`closed`](Self::closed) also consider why the last attempt failed, and how long the
/// last connection was open.
///
/// ```
/// use std::time::Duration;
/// use rand_chacha::ChaCha8Rng;
/// use sansocket::rand_core::SeedableRng;
/// use sansocket_dial::{Backoff, ReconnectPolicy};
///
/// let policy = ReconnectPolicy::default().first_delay(Duration::from_millis(100)).max_attempts(3);
/// let mut backoff = Backoff::new(policy, ChaCha8Rng::seed_from_u64(1));
/// let ceilings = [100, 200, 400].map(Duration::from_millis);
/// assert!(backoff.by_ref().zip(ceilings).all(|(delay, ceiling)| delay <= ceiling));
/// assert_eq!(backoff.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Backoff<R> {
    policy: ReconnectPolicy,
    rng: R,
    attempts: u32,
    opened: Option<Instant>,
}

impl<R: Rng> Backoff<R> {
    /// Creates the delays of a policy. `rng` need not be secure.
    pub const fn new(policy: ReconnectPolicy, rng: R) -> Self {
        Self { policy, rng, attempts: 0, opened: None }
    }

    /// Reports that the connection has opened.
    pub fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// Reports that the connection has ended. Returns the delay before the next attempt; `None` if there is none.
    pub fn closed(&mut self, now: Instant) -> Option<Duration> {
        let open = self.opened.take().map(|opened| now - opened);
        if open.is_some_and(|open| open >= self.policy.stable_after) {
            self.attempts = 0;
        }
        self.next()
    }

    /// Reports that an attempt has failed. Returns the delay before the next one, which is at least the `Retry-After`
    /// of the server ([`DialError::retry_after`]); `None` if there is none, such as after an error that is
    /// [permanent](DialError::is_permanent).
    pub fn failed(&mut self, error: &DialError, wall_clock: SystemTime) -> Option<Duration> {
        if error.is_permanent() {
            return None;
        }
        let retry_after = error.retry_after(wall_clock).unwrap_or_default().min(self.policy.max_retry_after);
        self.next().map(|delay| delay.saturating_add(retry_after))
    }

    /// Returns the number of attempts since the beginning or the last stable connection: that of the attempt which
    /// follows the last delay.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl<R: Rng> Iterator for Backoff<R> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.policy.max_attempts.is_some_and(|limit| self.attempts >= limit) {
            return None;
        }
        let factor = 2_u32.checked_pow(self.attempts).unwrap_or(u32::MAX);
        let ceiling = self.policy.first_delay.saturating_mul(factor).min(self.policy.max_delay);
        self.attempts = self.attempts.saturating_add(1);
        let fraction = self.rng.next_u64();
        // 64 bits of nanoseconds are 584 years; the product has at most 128 bits
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        let delay = (u128::from(nanos) * u128::from(fraction)) >> u64::BITS;
        Some(Duration::from_nanos(u64::try_from(delay).unwrap_or(nanos)))
    }
}
