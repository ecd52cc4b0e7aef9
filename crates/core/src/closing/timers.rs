//! The deadline of a connection, which has at most one timer at a time.

use core::time::Duration;

use crate::data::Instant;

/// The purpose of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The opening handshake must be complete.
    Opening,
    /// Nothing was received for the keepalive interval: send a Ping.
    Ping,
    /// Bytes must have arrived since the keepalive Ping.
    Pong,
    /// Check the progress of a closing connection.
    Closing,
}

impl Timer {
    /// The position of the timer's number in the word that holds timer and duration.
    const SHIFT: u32 = 62;

    const fn bits(self) -> u64 {
        (self as u64) << Self::SHIFT
    }

    const fn from_bits(word: u64) -> Self {
        match word >> Self::SHIFT {
            0 => Self::Opening,
            1 => Self::Ping,
            2 => Self::Pong,
            _ => Self::Closing,
        }
    }
}

/// The current time and the deadline, which is `since` plus a number of nanoseconds. That number shares a word with the
/// timer, so that an idle connection is 8 bytes smaller.
#[derive(Debug)]
pub(crate) struct Timers {
    now: Instant,
    since: Instant,
    timer_and_after: u64,
}

/// The word when no timer is set.
const NEVER: u64 = u64::MAX;
/// The bits of the number of nanoseconds. All of them set (146 years) mean no deadline.
const AFTER_MASK: u64 = (1 << Timer::SHIFT) - 1;

impl Timers {
    /// Creates timers without a deadline.
    pub(crate) fn new(now: Instant) -> Self {
        let mut timers = Self { now: Instant::EPOCH, since: Instant::EPOCH, timer_and_after: NEVER };
        timers.advance(now);
        timers
    }

    /// Sets the current time, unless it goes backwards. `u64::MAX` means no deadline, so it becomes the instant before.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now.min(Instant::LAST).max(self.now);
    }

    /// Returns the current time.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// Sets the timer, in place of any other, to `after` from now, and at least 1 ns: a timer that fired may be set
    /// again, and must not have the same deadline.
    pub(crate) fn set(&mut self, timer: Timer, after: Duration) {
        self.since = self.now;
        let after = u64::try_from(after.as_nanos()).unwrap_or(AFTER_MASK).max(1);
        self.timer_and_after = if after < AFTER_MASK { timer.bits() | after } else { NEVER };
    }

    /// Restarts the timer with the same duration, if it is set. Returns whether it is.
    #[inline]
    pub(crate) fn restart(&mut self, timer: Timer) -> bool {
        let is_set = self.is_set(timer);
        if is_set {
            self.since = self.now;
        }
        is_set
    }

    pub(crate) fn stop(&mut self) {
        self.timer_and_after = NEVER;
    }

    #[inline]
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.timer_and_after >> Timer::SHIFT == timer as u64 && self.timer_and_after != NEVER
    }

    /// Stops the timer and returns it, if its deadline has come.
    pub(crate) fn pop_expired(&mut self) -> Option<Timer> {
        let has_come = self.next().is_some_and(|deadline| deadline <= self.now);
        has_come.then(|| Timer::from_bits(core::mem::replace(&mut self.timer_and_after, NEVER)))
    }

    /// Returns the deadline.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.timer_and_after == NEVER {
            return None;
        }
        let deadline = self.since.as_nanos().checked_add(self.timer_and_after & AFTER_MASK)?;
        (deadline != u64::MAX).then_some(Instant::from_nanos(deadline))
    }
}
