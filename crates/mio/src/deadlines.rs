//! When which connection is due. A deadline that moves into the future, as keepalive's does with every byte that comes,
//! costs nothing: the entry stays where it was, and when it comes up the connection is asked anew. So the work of a
//! wake-up does not grow with the connections that idle.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sansocket::Instant;

/// An entry for a connection: the one with the deadline's moment in its [`Armed`], or one that no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<Deadline>>,
}

/// A connection's entry that counts: none of its deadlines comes before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Armed(Option<std::num::NonZeroU64>);

impl Armed {
    /// Whether a deadline comes before the entry, so that it needs one of its own.
    #[inline]
    pub(crate) fn is_later_than(self, deadline: Instant) -> bool {
        self.0.is_none_or(|at| at.get() > deadline.as_nanos())
    }

    pub(crate) fn is_at(self, at: Instant) -> bool {
        self == Self::from(at)
    }
}

impl From<Instant> for Armed {
    /// The first nanosecond is taken as the second.
    fn from(at: Instant) -> Self {
        Self(std::num::NonZeroU64::new(at.as_nanos().max(1)))
    }
}

impl Deadlines {
    pub(crate) fn push(&mut self, deadline: Deadline) {
        self.heap.push(Reverse(deadline));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(deadline)| deadline.at)
    }

    /// Takes an entry that has come up.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Deadline> {
        let &Reverse(deadline) = self.heap.peek()?;
        (deadline.at <= now).then(|| {
            self.heap.pop();
            deadline
        })
    }

    /// Forgets entries that no longer count, once they are the most: connections that come and go leave nothing.
    pub(crate) fn tidy(&mut self, connections: usize, counts: impl Fn(&Deadline) -> bool) {
        if self.heap.len() > 2 * connections + 64 {
            self.heap.retain(|Reverse(deadline)| counts(deadline));
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
    fn entries_that_no_longer_count_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        for at in 0..100_000 {
            deadlines.push(deadline(at, 0));
            deadlines.tidy(1, |deadline| deadline.at.as_nanos() == at);
            assert!(deadlines.heap.len() <= 2 + 64);
        }
    }
}
