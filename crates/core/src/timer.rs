//! The deadline of a connection. Whatever its state, it waits for one thing at a time.

use core::time::Duration;

use crate::time::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The opening handshake must be over.
    Opening,
    /// Nothing has been heard for the keepalive interval: send a Ping.
    Ping,
    /// Something must have been heard since the keepalive Ping.
    Pong,
    /// The closing handshake, and TCP after it, must be over.
    Closing,
}

/// The clock's latest reading, and the deadline: `after` nanoseconds since `since`.
#[derive(Debug)]
pub(crate) struct Timers {
    now: Instant,
    since: Instant,
    after: u64,
    timer: Timer,
}

/// No deadline.
const NEVER: u64 = u64::MAX;

impl Timers {
    /// No deadline yet.
    pub(crate) fn new(now: Instant) -> Self {
        let mut timers = Self { now: Instant::EPOCH, since: Instant::EPOCH, after: NEVER, timer: Timer::Opening };
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
        self.after = u64::try_from(after.as_nanos()).unwrap_or(NEVER).max(1);
        self.timer = timer;
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
        self.after = NEVER;
    }

    #[inline]
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.timer == timer && self.after != NEVER
    }

    /// Stops the timer if its deadline has come, and says which it was.
    pub(crate) fn pop_expired(&mut self) -> Option<Timer> {
        let has_come = self.next().is_some_and(|deadline| deadline <= self.now);
        has_come.then(|| {
            self.stop();
            self.timer
        })
    }

    /// The deadline.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        let deadline = self.since.as_nanos().saturating_add(self.after);
        (deadline != NEVER).then_some(Instant::from_nanos(deadline))
    }
}
