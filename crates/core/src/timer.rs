//! The deadlines of one connection: a fixed array indexed by what each is for.

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

impl Timer {
    const ALL: [Self; 4] = [Self::Opening, Self::Ping, Self::Pong, Self::Closing];
}

/// The deadlines, and the latest reading of the clock.
#[derive(Debug)]
pub(crate) struct Timers {
    deadlines: [Instant; Timer::ALL.len()],
    now: Instant,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        let mut timers = Self { deadlines: [Instant::NEVER; Timer::ALL.len()], now: Instant::EPOCH };
        timers.advance(now);
        timers
    }

    /// Takes a reading of the clock; one that goes backwards is ignored. The last moment of all, which stands for no
    /// deadline, is taken as the one before.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now.clamp(self.now, Instant::LAST);
    }

    /// The latest reading.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// Sets the deadline `after` from now, and at least a nanosecond from now: a timer that fired may be set again at
    /// once without `poll_timeout` naming the same moment for ever.
    pub(crate) fn set(&mut self, timer: Timer, after: Duration) {
        *self.deadline_mut(timer) = self.now + after.max(Duration::from_nanos(1));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        *self.deadline_mut(timer) = Instant::NEVER;
    }

    pub(crate) fn stop_all(&mut self) {
        self.deadlines = [Instant::NEVER; Timer::ALL.len()];
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.deadline(timer) != Instant::NEVER
    }

    /// Stops and returns a timer whose deadline has come.
    pub(crate) fn pop_expired(&mut self) -> Option<Timer> {
        let expired = Timer::ALL.into_iter().find(|&timer| self.deadline(timer) <= self.now)?;
        self.stop(expired);
        Some(expired)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.iter().copied().min().filter(|&next| next != Instant::NEVER)
    }

    #[expect(clippy::indexing_slicing, reason = "a timer is an index of the array")]
    fn deadline(&self, timer: Timer) -> Instant {
        self.deadlines[timer as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "a timer is an index of the array")]
    fn deadline_mut(&mut self, timer: Timer) -> &mut Instant {
        &mut self.deadlines[timer as usize]
    }
}
