//! Memory that a driver of many connections keeps, and lends to the one whose turn it is.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::lane::SEGMENT_MIN;
use crate::queue::{Queue, Segment};

/// More bytes than this are not kept to encode frames in.
pub(crate) const FRAMES_MAX: usize = 128 * 1024;
/// Longer queues are not kept.
const QUEUE_MAX: usize = 64;
/// What was sent from less memory than this is not worth keeping: the allocator is as good, and much of it may have
/// waited.
const SENT_MIN: usize = 32 * 1024;
/// A message in less memory than this is not worth recycling.
const RECYCLED_MIN: usize = 4 * 1024;
/// The memory of so many bytes of payloads is kept.
const SPARES_MAX: usize = 4 * 1024 * 1024;
/// The memory of so many payloads is kept: it is searched from one end to the other.
const SPARES_COUNT: usize = 64;

/// Scratch memory of a driver: see [`WebSocket::attach_scratch`](crate::WebSocket::attach_scratch). It serves any
/// number of connections, best one after the other: if it is lent while it is lent already, there is nothing in it.
///
/// It grows with use: up to 128 KiB to encode frames in, and up to 4 MiB in which messages that arrive in pieces are
/// assembled. The latter comes from messages that were given away to be sent and left in one frame, or that were
/// [recycled](crate::WebSocket::recycle).
pub struct Scratch(Option<Box<Lent>>);

/// What is lent.
#[derive(Default)]
pub(crate) struct Lent {
    /// To encode frames in; without capacity while the lane does so.
    pub(crate) frames: Vec<u8>,
    /// Empty.
    pub(crate) queue: Option<Box<Queue>>,
    pub(crate) spares: Spares,
}

/// Memory of payloads that are not needed any more, for messages that arrive.
#[derive(Default)]
pub(crate) struct Spares {
    /// The latest is the last.
    kept: Vec<Vec<u8>>,
    /// Bytes of all together.
    size: usize,
    /// None that is kept has fewer bytes.
    shortest: usize,
}

impl Scratch {
    /// Creates empty scratch memory, which grows with use.
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
        other.spares.kept.into_iter().for_each(|bytes| self.spares.recycle(bytes));
    }

    /// The lane's front is elsewhere: that frames have capacity here tells so.
    #[cold]
    pub(crate) fn hold_frames(&mut self) {
        if self.frames.capacity() == 0 {
            self.frames.reserve(SEGMENT_MIN);
        }
    }

    /// Keeps the memory of a queue for the next one.
    pub(crate) fn keep_queue(&mut self, mut queue: Box<Queue>) {
        queue.clear(|segment| {
            if let Segment::Own(bytes) = segment {
                self.spares.keep(bytes);
            }
        });
        self.queue = Some(queue).filter(|queue| queue.capacity() <= QUEUE_MAX);
    }
}

impl Spares {
    /// Keeps the memory of what was sent, or has been moved elsewhere.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) {
        self.keep_from(SENT_MIN, bytes);
    }

    /// Keeps the memory of a message.
    pub(crate) fn recycle(&mut self, bytes: Vec<u8>) {
        self.keep_from(RECYCLED_MIN, bytes);
    }

    /// Keeps memory of so many bytes or more, if need be instead of shorter one: if there is no room, what was used
    /// last is better given to the allocator than what was used long ago.
    fn keep_from(&mut self, least: usize, mut bytes: Vec<u8>) {
        let size = bytes.capacity();
        if !(least..=SPARES_MAX).contains(&size) {
            return;
        }
        while self.size + size > SPARES_MAX || self.kept.len() == SPARES_COUNT {
            if size <= self.shortest {
                return;
            }
            let sizes = self.kept.iter().map(Vec::capacity).enumerate();
            let Some((place, shortest)) = sizes.min_by_key(|&(_, size)| size) else { return };
            self.shortest = shortest;
            if shortest < size {
                self.remove(place);
            }
        }
        bytes.clear();
        self.shortest = if self.kept.is_empty() { size } else { self.shortest.min(size) };
        self.size += size;
        self.kept.push(bytes);
    }

    /// Gives memory of some size.
    pub(crate) fn find(&mut self, size: RangeInclusive<usize>) -> Option<Vec<u8>> {
        let place = self.kept.iter().rposition(|bytes| size.contains(&bytes.capacity()))?;
        Some(self.remove(place))
    }

    /// Gives the most memory that there is, if it is so much.
    pub(crate) fn largest(&mut self, least: usize) -> Option<Vec<u8>> {
        let sizes = self.kept.iter().map(Vec::capacity).enumerate();
        let (place, _) = sizes.max_by_key(|&(_, size)| size).filter(|&(_, size)| size >= least)?;
        Some(self.remove(place))
    }

    fn remove(&mut self, place: usize) -> Vec<u8> {
        let bytes = self.kept.remove(place);
        self.size -= bytes.capacity();
        bytes
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
