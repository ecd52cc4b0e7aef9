//! Timers: the table of the timers that a handler has set for its loop and for connections.

use std::collections::{BTreeMap, BTreeSet};

use sansocket_drive::sansocket::Instant;

/// Names a timer of a connection or of a loop. The application chooses the numbers.
///
/// ```
/// use sansocket_mio::TimerKey;
///
/// const HEARTBEAT: TimerKey = TimerKey(0);
/// const LOGIN_DEADLINE: TimerKey = TimerKey(1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number that the application chooses")]
pub struct TimerKey(pub u64);

/// The owner of a timer: a slot of the table of connections, or the loop if `None`.
pub(crate) type TimerOwner = Option<u32>;

/// All timers that are set. A loop without timers pays for one comparison per turn; every operation is O(log n).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    times: BTreeMap<(TimerOwner, TimerKey), Instant>,
    /// The same timers, the earliest first.
    queue: BTreeSet<(Instant, TimerOwner, TimerKey)>,
    /// The time of the earliest.
    next: Option<Instant>,
}

impl Timers {
    /// Sets a timer, and replaces the owner's timer with this key.
    pub(crate) fn set(&mut self, owner: TimerOwner, key: TimerKey, at: Instant) {
        if let Some(before) = self.times.insert((owner, key), at) {
            self.queue.remove(&(before, owner, key));
        }
        self.queue.insert((at, owner, key));
        self.note_next();
    }

    /// Cancels a timer. Returns whether it was set.
    pub(crate) fn cancel(&mut self, owner: TimerOwner, key: TimerKey) -> bool {
        let before = self.times.remove(&(owner, key));
        if let Some(at) = before {
            self.queue.remove(&(at, owner, key));
            self.note_next();
        }
        before.is_some()
    }

    /// Cancels all timers of an owner.
    pub(crate) fn cancel_all(&mut self, owner: TimerOwner) {
        while let Some((&(_, key), _)) = self.times.range((owner, TimerKey(0))..=(owner, TimerKey(u64::MAX))).next() {
            self.cancel(owner, key);
        }
    }

    /// Returns when the earliest timer is due.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Removes and returns the earliest timer if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(TimerOwner, TimerKey)> {
        self.next.filter(|&next| next <= now)?;
        let (_, owner, key) = self.queue.pop_first()?;
        self.times.remove(&(owner, key));
        self.note_next();
        Some((owner, key))
    }

    fn note_next(&mut self) {
        self.next = self.queue.first().map(|&(at, ..)| at);
    }
}
