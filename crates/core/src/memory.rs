//! Memory that a driver of many connections keeps, and lends to the one whose turn it is.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::lane::Segment;

/// More bytes than this are not kept to encode frames in.
pub(crate) const FRAMES_MAX: usize = 128 * 1024;
/// Longer queues are not kept.
const QUEUE_MAX: usize = 64;
/// A payload in less memory than this is not worth keeping: the allocator is as good.
const SPARE_MIN: usize = 32 * 1024;
/// The memory of so many bytes of payloads is kept.
const SPARES_MAX: usize = 4 * 1024 * 1024;

/// Memory for the connection that has its turn: see [`Output::lend`](crate::Output::lend). It serves any number of
/// connections, best one after the other: if it is lent while it is lent already, there is nothing in it.
///
/// It grows with use: up to 128 KiB to encode frames in, and up to 4 MiB in which messages that arrive in pieces are
/// assembled. The latter comes from messages that were given away to be sent, and left in one frame.
pub struct Memory(Option<Box<Lent>>);

/// What is lent.
#[derive(Default)]
pub(crate) struct Lent {
    /// To encode frames in.
    pub(crate) frames: Vec<u8>,
    /// Empty.
    #[expect(clippy::box_collection, reason = "as it is in the lane")]
    pub(crate) queue: Option<Box<VecDeque<Segment>>>,
    pub(crate) spares: Spares,
}

/// Memory of payloads that were sent, for messages that arrive.
#[derive(Default)]
pub(crate) struct Spares(Vec<Vec<u8>>);

impl Memory {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Box::default()))
    }

    /// What there is to lend: nothing yet, if all of it is lent or was lost together with a connection.
    #[inline]
    pub(crate) fn take(&mut self) -> Box<Lent> {
        self.0.take().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn put_back(&mut self, lent: Box<Lent>) {
        match &mut self.0 {
            None => self.0 = Some(lent),
            Some(there) => there.join(*lent),
        }
    }
}

impl Lent {
    /// Takes in what was lent beside it, while several connections had their turns.
    #[cold]
    fn join(&mut self, other: Self) {
        if other.frames.capacity() > self.frames.capacity() {
            self.frames = other.frames;
        }
        self.queue = self.queue.take().or(other.queue);
        other.spares.0.into_iter().for_each(|bytes| self.spares.keep(bytes));
    }

    /// Keeps the memory of a queue for the next one.
    #[expect(clippy::box_collection, reason = "as it is in the lane")]
    pub(crate) fn keep_queue(&mut self, mut queue: Box<VecDeque<Segment>>) {
        while let Some(segment) = queue.pop_front() {
            if let Segment::Own(bytes) = segment {
                self.spares.keep(bytes);
            }
        }
        self.queue = Some(queue).filter(|queue| queue.capacity() <= QUEUE_MAX);
    }
}

impl Spares {
    /// Keeps the memory of a payload, instead of that of older ones if need be.
    pub(crate) fn keep(&mut self, mut bytes: Vec<u8>) {
        let size = bytes.capacity();
        if !(SPARE_MIN..=SPARES_MAX).contains(&size) {
            return;
        }
        while self.0.iter().map(Vec::capacity).sum::<usize>() + size > SPARES_MAX {
            self.0.remove(0);
        }
        bytes.clear();
        self.0.push(bytes);
    }

    /// Gives memory of some size.
    pub(crate) fn find(&mut self, size: RangeInclusive<usize>) -> Option<Vec<u8>> {
        let place = self.0.iter().rposition(|bytes| size.contains(&bytes.capacity()))?;
        Some(self.0.remove(place))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
