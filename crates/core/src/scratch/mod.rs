//! Scratch memory, which a driver owns and attaches to each connection for its turn. `send` and `receive` use
//! [`ScratchInner`] and its parts; the driver sees only [`Scratch`]. Depends on nothing in the crate.

mod buffer_pool;
mod segment_queue;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub(crate) use self::buffer_pool::BufferPool;
pub(crate) use self::segment_queue::{Segment, SegmentQueue};

/// The smallest first allocation for frames, in bytes: a batch of short frames needs only one.
pub(crate) const FRAMES_MIN: usize = 1024;
/// The largest buffer for frames to keep, in bytes.
pub(crate) const FRAMES_MAX: usize = 128 * 1024;
/// The largest capacity of a queue to keep, in segments.
const QUEUE_MAX: usize = 64;

/// Scratch memory of a driver: see [`Connection::attach_scratch`](crate::Connection::attach_scratch).
///
/// One scratch serves any number of connections, one at a time: a second connection that attaches it before the first
/// detaches gets an empty scratch.
///
/// It grows with use: up to 128 KiB to encode frames, and up to 4 MiB to assemble messages that arrive in pieces. The
/// latter is the memory of owned messages that were sent in one frame, and of messages that were
/// [recycled](crate::Connection::recycle).
pub struct Scratch(Option<Box<ScratchInner>>);

/// The contents of a scratch, which move to the connection that attaches it.
#[derive(Default)]
pub(crate) struct ScratchInner {
    /// The buffer to encode frames in. It has no capacity while the data queue uses it.
    pub(crate) frames: Vec<u8>,
    /// An empty queue. `None` while the data queue uses it.
    pub(crate) queue: Option<Box<SegmentQueue>>,
    pub(crate) pool: BufferPool,
}

impl Scratch {
    /// Creates an empty scratch.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Box::default()))
    }

    /// Takes the contents for a connection. They are empty if another connection has them, or was dropped with them.
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
    /// Adds the contents that a second connection used at the same time.
    #[cold]
    fn merge(&mut self, other: Self) {
        if other.frames.capacity() > self.frames.capacity() {
            self.frames = other.frames;
        }
        self.queue = self.queue.take().or(other.queue);
        self.pool.merge(other.pool);
    }

    /// Ensures that `frames` has capacity, which shows that the data queue encodes in a buffer of the connection.
    #[cold]
    pub(crate) fn reserve_frames(&mut self) {
        if self.frames.capacity() == 0 {
            self.frames.reserve(FRAMES_MIN);
        }
    }

    /// Empties a queue and keeps it for the next connection, and the buffers of its segments.
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
