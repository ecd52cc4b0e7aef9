//! The deadlines of many connections.
//!
//! A deadline that moves into the future, as the keepalive deadline does with every received byte, costs nothing: its
//! entry stays in the queue, and when the entry is due, the loop asks the connection for its deadline again. The work
//! of a wake-up therefore does not grow with the number of idle connections.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;

use sansocket::Instant;

/// An entry of a connection. The entry whose time equals the connection's [`Armed`] is current; others are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "the owner of the connections makes its entries")]
pub struct Deadline {
    /// When to ask the connection for its deadline.
    pub at: Instant,
    /// The connection's index in its owner's table.
    pub index: u32,
    /// The generation of the index: connections that use the index one after the other have different generations.
    pub generation: u32,
}

/// A queue of entries, the earliest first.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<Deadline>>,
}

/// The time of a connection's current entry. None of the connection's deadlines comes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed(Option<NonZeroU64>);

impl Armed {
    /// Returns whether the deadline comes before the current entry: push a new entry for it.
    #[inline]
    pub fn is_later_than(self, deadline: Instant) -> bool {
        self.0.is_none_or(|at| at.get() > deadline.as_nanos())
    }

    /// Returns whether the current entry is due at this time.
    pub fn is_at(self, at: Instant) -> bool {
        self == Self::from(at)
    }
}

impl From<Instant> for Armed {
    /// The nanosecond 0 counts as 1.
    fn from(at: Instant) -> Self {
        Self(NonZeroU64::new(at.as_nanos().max(1)))
    }
}

impl Deadlines {
    /// Adds an entry.
    pub fn push(&mut self, deadline: Deadline) {
        self.heap.push(Reverse(deadline));
    }

    /// Returns when the earliest entry is due.
    #[inline]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(deadline)| deadline.at)
    }

    /// Removes and returns the earliest entry if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Deadline> {
        let &Reverse(deadline) = self.heap.peek()?;
        (deadline.at <= now).then(|| {
            self.heap.pop();
            deadline
        })
    }

    /// Removes stale entries once they outnumber the connections, so that connections that come and go cost no memory.
    pub fn tidy(&mut self, connections: usize, is_current: impl Fn(&Deadline) -> bool) {
        if self.heap.len() > 2 * connections + 64 {
            self.heap.retain(|Reverse(deadline)| is_current(deadline));
            self.heap.shrink_to(2 * connections + 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(at: u64, index: u32) -> Deadline {
        Deadline { at: Instant::from_nanos(at), index, generation: 0 }
    }

    #[test]
    fn the_earliest_comes_first_and_none_before_its_time() {
        let mut deadlines = Deadlines::default();
        for (at, index) in [(30, 0), (10, 1), (20, 2)] {
            deadlines.push(deadline(at, index));
        }
        assert_eq!(deadlines.next(), Some(Instant::from_nanos(10)));
        assert_eq!(deadlines.pop_due(Instant::from_nanos(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| deadlines.pop_due(Instant::from_nanos(20))).map(|d| d.index).collect();
        assert_eq!(due, [1, 2]);
    }

    #[test]
    fn only_an_earlier_deadline_needs_an_entry() {
        let armed = Armed::from(Instant::from_nanos(20));
        assert!(Armed::default().is_later_than(Instant::from_nanos(u64::MAX)));
        assert!(armed.is_later_than(Instant::from_nanos(19)));
        assert!(!armed.is_later_than(Instant::from_nanos(20)) && !armed.is_later_than(Instant::from_nanos(21)));
        assert!(armed.is_at(Instant::from_nanos(20)));
    }

    #[test]
    fn stale_entries_are_removed() {
        let mut deadlines = Deadlines::default();
        for at in 0..100_000 {
            deadlines.push(deadline(at, 0));
            deadlines.tidy(1, |deadline| deadline.at.as_nanos() == at);
            assert!(deadlines.heap.len() <= 2 + 64);
        }
    }
}
