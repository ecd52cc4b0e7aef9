//! The deadline of a connection. In every state, a connection waits for one thing at a time.

use core::time::Duration;

use crate::data::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The opening handshake must be over.
    Opening,
    /// Nothing was received for the keepalive interval: send a Ping.
    Ping,
    /// Something must have been received since the keepalive Ping.
    Pong,
    /// Look at a closing connection.
    Closing,
}

impl Timer {
    /// Where its number lies in the word that holds the timer and its time.
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

/// The clock's latest reading, and the deadline: a number of nanoseconds since `since`. The number shares a word with
/// the timer, so that an idle connection is 8 bytes smaller.
#[derive(Debug)]
pub(crate) struct Timers {
    now: Instant,
    since: Instant,
    timer_and_after: u64,
}

/// No deadline, and no timer is set.
const NEVER: u64 = u64::MAX;
/// The bits that hold the number of nanoseconds. All set, they stand for more than 146 years, which is no deadline
/// either.
const AFTER: u64 = (1 << Timer::SHIFT) - 1;

impl Timers {
    /// No deadline yet.
    pub(crate) fn new(now: Instant) -> Self {
        let mut timers = Self { now: Instant::EPOCH, since: Instant::EPOCH, timer_and_after: NEVER };
        timers.advance(now);
        timers
    }

    /// Takes a reading of the clock; one that goes backwards is ignored. The last moment of all, which stands for no
    /// deadline, is taken as the one before.
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now.clamp(self.now, Instant::LAST);
    }

    /// The latest reading.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// Sets the deadline, in the place of any other, `after` from now, and at least a nanosecond from now: a timer that
    /// fired may be set again at once without `poll_timeout` naming the same moment for ever.
    pub(crate) fn set(&mut self, timer: Timer, after: Duration) {
        self.since = self.now;
        let after = u64::try_from(after.as_nanos()).unwrap_or(AFTER).max(1);
        self.timer_and_after = if after < AFTER { timer.bits() | after } else { NEVER };
    }

    /// Lets the timer begin anew, if it is this one that is set; returns whether it is.
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

    /// Stops the timer if its deadline has come, and says which it was.
    pub(crate) fn pop_expired(&mut self) -> Option<Timer> {
        let has_come = self.next().is_some_and(|deadline| deadline <= self.now);
        has_come.then(|| Timer::from_bits(core::mem::replace(&mut self.timer_and_after, NEVER)))
    }

    /// The deadline.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.timer_and_after == NEVER {
            return None;
        }
        let deadline = self.since.as_nanos().saturating_add(self.timer_and_after & AFTER);
        (deadline != u64::MAX).then_some(Instant::from_nanos(deadline))
    }
}
