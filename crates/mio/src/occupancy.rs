//! Occupancy: the number of connections of each loop, by which accepted clients are spread over the loops.

use std::iter;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// A loop keeps a client unless it has more connections than the loop with the fewest, by more than an eighth of these.
///
/// If the system chooses loops at random, as Linux does, their numbers differ by a few times the square root of the
/// average. From 500 connections per loop on, an eighth is about as much. Simulated with 2 to 64 loops of 500, 3 % of
/// the clients are handed over while the number of connections grows, and 1 % while as many come as go.
const SLACK: usize = 8;
/// Added to the number of a loop that is stopping, so that it never has the fewest connections.
const STOPPING: usize = usize::MAX / 2;

/// The number of connections of each loop that runs together with others. Clients count from when a loop accepts them,
/// for the loop that gets them.
///
/// The numbers change when a connection begins or ends, and never for a message. They are not padded to cache lines:
/// each accepting loop writes one of them and reads all, which takes fewer cache lines if neighbours share one.
#[derive(Debug)]
pub(crate) struct Occupancy {
    connections: Box<[AtomicUsize]>,
}

impl Occupancy {
    pub(crate) fn new(loops: usize) -> Self {
        Self { connections: iter::repeat_with(AtomicUsize::default).take(loops).collect() }
    }

    pub(crate) fn add(&self, thread: usize) {
        self.connections[thread].fetch_add(1, Relaxed);
    }

    pub(crate) fn remove(&self, thread: usize) {
        self.connections[thread].fetch_sub(1, Relaxed);
    }

    /// Notes that a loop is stopping: no client is handed to it.
    pub(crate) fn stop(&self, thread: usize) {
        self.connections[thread].fetch_add(STOPPING, Relaxed);
    }

    /// Returns the loop to which `own` should hand a client: the one with the fewest connections, if `own` has clearly
    /// more. Of several, it is the next one by number.
    pub(crate) fn emptier_than(&self, own: usize) -> Option<usize> {
        let count = |&thread: &usize| self.connections[thread].load(Relaxed);
        let others = (own + 1..self.connections.len()).chain(0..own);
        let emptiest = others.min_by_key(count)?;
        let fewest = count(&emptiest);
        (count(&own) > fewest + fewest / SLACK).then_some(emptiest)
    }
}
