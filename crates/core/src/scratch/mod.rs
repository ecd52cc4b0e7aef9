//! Scratch memory: a driver keeps it, and attaches it to the connection that has its turn. Sending and receiving use it
//! ([`ScratchInner`]); the driver sees only [`Scratch`].

mod buffer_pool;
mod segment_queue;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub(crate) use self::buffer_pool::BufferPool;
pub(crate) use self::segment_queue::{Segment, SegmentQueue};

/// The first allocation for frames holds at least this many bytes, so that a batch of short frames needs one.
pub(crate) const FRAMES_MIN: usize = 1024;
/// A longer buffer for frames is not kept.
pub(crate) const FRAMES_MAX: usize = 128 * 1024;
/// A queue with room for more segments is not kept.
const QUEUE_MAX: usize = 64;

/// Scratch memory of a driver: see [`Connection::attach_scratch`](crate::Connection::attach_scratch).
///
/// It serves any number of connections, one after the other: a second connection that attaches it before the first
/// detaches gets an empty scratch.
///
/// It grows with use: up to 128 KiB to encode frames in, and up to 4 MiB to assemble messages in that arrive in pieces.
/// The latter comes from the payloads of owned messages that were sent in one frame, and of messages that were
/// [recycled](crate::Connection::recycle).
pub struct Scratch(Option<Box<ScratchInner>>);

/// The memory, while a connection has it.
#[derive(Default)]
pub(crate) struct ScratchInner {
    /// A buffer to encode frames in. Without capacity while the data queue has it.
    pub(crate) frames: Vec<u8>,
    /// An empty queue. `None` while the data queue has it.
    pub(crate) queue: Option<Box<SegmentQueue>>,
    pub(crate) pool: BufferPool,
}

impl Scratch {
    /// Creates empty scratch memory, which grows with use.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Box::default()))
    }

    /// Takes the memory for a connection: an empty one if another connection has it, or was dropped with it.
    #[inline]
    pub(crate) fn take(&mut self) -> Box<ScratchInner> {
        self.0.take().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn put_back(&mut self, inner: Box<ScratchInner>) {
        match &mut self.0 {
            None => self.0 = Some(inner),
            Some(present) => present.merge(*inner),
        }
    }
}

impl ScratchInner {
    /// Adds the memory that a second connection had at the same time.
    #[cold]
    fn merge(&mut self, other: Self) {
        if other.frames.capacity() > self.frames.capacity() {
            self.frames = other.frames;
        }
        self.queue = self.queue.take().or(other.queue);
        self.pool.merge(other.pool);
    }

    /// Makes sure that `frames` has capacity, which marks that the data queue encodes in a buffer that it owns.
    #[cold]
    pub(crate) fn reserve_frames(&mut self) {
        if self.frames.capacity() == 0 {
            self.frames.reserve(FRAMES_MIN);
        }
    }

    /// Keeps an emptied queue for the next connection, and the buffers of its segments.
    pub(crate) fn keep_queue(&mut self, mut queue: Box<SegmentQueue>) {
        queue.clear(|segment| {
            if let Segment::Owned(bytes) = segment {
                self.pool.keep_sent(bytes);
            }
        });
        self.queue = Some(queue).filter(|queue| queue.capacity() <= QUEUE_MAX);
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
