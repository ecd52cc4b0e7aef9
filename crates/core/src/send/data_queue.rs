//! The queue of data frames. Frames are encoded back to back in one buffer, which segments follow: further frames, and
//! payloads that are not copied. Pending bytes are never moved within a buffer: a cursor advances over them.

use alloc::vec::Vec;
use core::mem;

use bytes::{Buf, Bytes};

use crate::buffers::{BufferPool, Segment, SegmentQueue};

/// The smallest first allocation for frames, in bytes: a batch of short frames needs only one.
const FRAMES_MIN: usize = 1024;
/// The largest buffer for frames that a scratch keeps, in bytes. A longer frame gets a separate buffer.
const FRAMES_MAX: usize = 128 * 1024;
/// [`DataQueue::take`] copies up to this many bytes of a buffer, and gives away the buffer of a longer chunk.
const COPY_MAX: usize = 4 * 1024;
/// A buffer with frames grows up to this many bytes. Further frames get another one, so that pending bytes stay in
/// place.
const SEGMENT_MAX: usize = 16 * 1024;

/// Bytes in the order in which they are sent.
#[derive(Default)]
pub(crate) struct DataQueue {
    /// Frames back to back.
    front: Vec<u8>,
    /// The segments behind the front.
    segments: SegmentQueue,
    /// The number of bytes taken of the first chunk: the front or, if the front is empty, the first segment.
    taken: usize,
    /// The pool of the scratch; `None` if no scratch is attached.
    pub(crate) pool: Option<BufferPool>,
}

impl DataQueue {
    /// Returns the last buffer of the queue, with room for `additional` bytes of frames.
    #[inline]
    pub(crate) fn frames(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.segments.is_empty() && self.front.capacity() - self.front.len() >= additional {
            return &mut self.front;
        }
        self.reserve(additional)
    }

    /// Grows the last buffer, or adds another one.
    #[inline(never)]
    fn reserve(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.segments.is_empty() && additional <= FRAMES_MAX && may_grow(&self.front, additional) {
            match self.front.capacity() {
                0 => self.front.reserve_exact(additional.max(FRAMES_MIN)),
                _ if self.front.is_empty() => self.front.reserve_exact(additional),
                _ => self.front.reserve(additional),
            }
            return &mut self.front;
        }
        if !matches!(self.segments.last_mut(), Some(Segment::Owned(frames)) if may_grow(frames, additional)) {
            let pooled = self.pool.as_mut().filter(|_| additional > FRAMES_MAX);
            let pooled = pooled.and_then(|pool| pool.take(additional..=additional.saturating_mul(2)));
            self.segments.push(Segment::Owned(pooled.unwrap_or_default()));
        }
        let Some(Segment::Owned(frames)) = self.segments.last_mut() else { return &mut self.front }; // not reached
        frames.reserve(additional);
        frames
    }

    /// Queues bytes that are not frames, which `write` appends, in an empty queue. Returns how many.
    pub(crate) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        write(&mut self.front);
        let size = self.front.len();
        if self.front.capacity() > FRAMES_MAX {
            self.segments.push(Segment::Owned(mem::take(&mut self.front)));
        }
        size
    }

    /// Queues bytes without copying them.
    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) {
        self.segments.push(segment);
    }

    /// Returns the contiguous bytes at the front. They are empty only if the queue is.
    #[inline]
    pub(crate) fn chunk(&self) -> &[u8] {
        let chunk = if self.front.is_empty() {
            self.segments.pending().first().map_or(&[][..], Segment::bytes)
        } else {
            &self.front
        };
        chunk.get(self.taken..).unwrap_or_default()
    }

    /// Returns all bytes as contiguous chunks, none of which is empty.
    #[inline]
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let front = Some(&self.front[..]).filter(|front| !front.is_empty());
        let segments = self.segments.pending().iter().map(Segment::bytes);
        let mut taken = self.taken;
        front.into_iter().chain(segments).map(move |chunk| chunk.get(mem::take(&mut taken)..).unwrap_or_default())
    }

    /// Takes `count` bytes, and releases the buffers that the cursor has passed.
    pub(crate) fn advance(&mut self, mut count: usize) {
        loop {
            let available = self.chunk().len();
            if count < available {
                self.taken += count;
                return;
            }
            if available == 0 {
                return;
            }
            count -= available;
            self.next_chunk();
        }
    }

    /// Takes `count` bytes of the first chunk, which must have them. Copies at most [`COPY_MAX`] bytes.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        let is_shared = self.front.is_empty() && matches!(self.segments.pending().first(), Some(Segment::Shared(_)));
        let chunk = self.chunk();
        if !is_shared && chunk.len() <= COPY_MAX {
            let bytes = Bytes::copy_from_slice(chunk.get(..count).unwrap_or_default());
            self.advance(count);
            return bytes;
        }
        let mut bytes = match self.front.is_empty() {
            true => self.segments.pop().unwrap_or_default().into_bytes(),
            false => mem::take(&mut self.front).into(),
        };
        bytes.advance(mem::take(&mut self.taken));
        let taken = bytes.split_to(count.min(bytes.len()));
        if !bytes.is_empty() {
            self.segments.push_front(Segment::Shared(bytes));
        }
        taken
    }

    /// Drops all bytes. With a scratch, keeps the buffers.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.taken = 0;
        self.front.clear();
        if !self.segments.is_empty() {
            self.clear_segments();
        }
    }

    /// Moves the pending bytes out of the queue of a scratch, which keeps its buffer.
    pub(crate) fn take_pending(&mut self) -> Self {
        let mut pending = Self { segments: mem::take(&mut self.segments), ..Self::default() };
        if self.front.is_empty() {
            pending.taken = self.taken;
        } else {
            pending.front = self.front.get(self.taken..).unwrap_or_default().to_vec();
        }
        self.clear();
        pending
    }

    /// Frees the buffer for frames if all of its bytes were taken.
    pub(crate) fn free_taken(&mut self) {
        if self.front.is_empty() {
            self.front = Vec::new();
        }
    }

    /// Adds the buffers of another empty queue.
    pub(crate) fn merge(&mut self, other: Self) {
        if other.front.capacity() > self.front.capacity() {
            self.front = other.front;
        }
        if other.segments.capacity() > self.segments.capacity() {
            self.segments = other.segments;
        }
        if let Some(pool) = other.pool {
            self.merge_pool(pool);
        }
    }

    /// Adds the buffers of another pool.
    pub(crate) fn merge_pool(&mut self, other: BufferPool) {
        match &mut self.pool {
            Some(pool) => pool.merge(other),
            None => self.pool = Some(other),
        }
    }

    /// Advances to the next chunk, after all bytes of the first one were taken.
    fn next_chunk(&mut self) {
        self.taken = 0;
        if self.front.is_empty() {
            let segment = self.segments.pop();
            if let (Some(Segment::Owned(bytes)), Some(pool)) = (segment, &mut self.pool) {
                pool.keep_sent(bytes);
            }
        } else if self.pool.is_some() {
            self.front.clear();
        } else {
            self.front = Vec::new();
        }
    }

    /// Drops the segments, and returns their buffers to the pool.
    #[inline(never)]
    fn clear_segments(&mut self) {
        let pool = &mut self.pool;
        self.segments.clear(|segment| {
            if let (Segment::Owned(bytes), Some(pool)) = (segment, pool.as_mut()) {
                pool.keep_sent(bytes);
            }
        });
    }
}

/// Returns whether a buffer may take `additional` bytes of frames: it has room, or is so short that it may grow.
fn may_grow(frames: &Vec<u8>, additional: usize) -> bool {
    frames.is_empty() || frames.len() + additional <= frames.capacity().max(SEGMENT_MAX)
}
