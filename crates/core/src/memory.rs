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
/// connections, one after the other.
///
/// It grows with use: up to 128 KiB to encode frames in, and up to 4 MiB in which messages that arrive in pieces are
/// assembled, once messages that were so long have been sent from it.
pub struct Memory(Option<Box<Lent>>);

/// What is lent.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// To encode frames in.
    pub(crate) frames: Vec<u8>,
    /// Empty.
    #[expect(clippy::box_collection, reason = "as it is in the lane")]
    pub(crate) queue: Option<Box<VecDeque<Segment>>>,
    pub(crate) spares: Spares,
}

/// Memory of payloads that were sent, for messages that arrive.
#[derive(Debug, Default)]
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
        self.0 = Some(lent);
    }
}

impl Lent {
    /// Keeps the memory of a queue for the next one.
    #[expect(clippy::box_collection, reason = "as it is in the lane")]
    pub(crate) fn keep_queue(&mut self, mut queue: Box<VecDeque<Segment>>) {
        while let Some(segment) = queue.pop_front() {
            if let Segment::Frames(bytes) = segment {
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
