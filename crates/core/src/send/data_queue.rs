//! The queue of data frames. Frames are encoded back to back in one buffer, which segments follow: payloads that are
//! not copied. Pending bytes are never moved within a buffer: a cursor advances over them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

use crate::scratch::{BufferPool, FRAMES_MAX, FRAMES_MIN, Scratch, ScratchInner, Segment, SegmentQueue};

/// [`DataQueue::take`] copies a front of up to this many bytes, and gives away the buffer of a longer one.
const COPY_MAX: usize = 4 * 1024;
/// A buffer with frames grows up to this many bytes. Further frames get another one, so that pending bytes stay in
/// place.
const SEGMENT_MAX: usize = 16 * 1024;

/// Bytes in the order in which they are sent.
#[derive(Default)]
pub(crate) struct DataQueue {
    /// Frames back to back, or a payload. This is the buffer of the scratch if `scratch.frames` has no capacity.
    front: Vec<u8>,
    /// The number of bytes taken of the front.
    taken: usize,
    /// The segments behind the front.
    segments: Option<Box<SegmentQueue>>,
    /// The driver's scratch, while it is attached.
    scratch: Option<Box<ScratchInner>>,
}

impl DataQueue {
    /// Replaces all bytes by these.
    pub(crate) fn restart(&mut self, bytes: Vec<u8>) {
        self.clear();
        self.replace_front(bytes);
    }

    #[inline]
    pub(crate) fn attach_scratch(&mut self, scratch: &mut Scratch) {
        if self.scratch.is_none() {
            let mut inner = scratch.take();
            if self.front.capacity() == 0 {
                core::mem::swap(&mut self.front, &mut inner.frames);
            } else {
                inner.reserve_frames();
            }
            self.scratch = Some(inner);
        }
    }

    #[inline(always)]
    pub(crate) fn detach_scratch(&mut self, scratch: &mut Scratch) {
        if let Some(mut inner) = self.scratch.take() {
            if inner.frames.capacity() == 0 {
                core::mem::swap(&mut self.front, &mut inner.frames);
                if !inner.frames.is_empty() {
                    self.move_from(&mut inner);
                }
            }
            scratch.put_back(inner);
        }
    }

    /// Moves pending bytes from the scratch buffer into a buffer owned by the queue.
    #[cold]
    fn move_from(&mut self, scratch: &mut ScratchInner) {
        self.front = scratch.frames.get(self.taken..).unwrap_or_default().to_vec();
        self.taken = 0;
        scratch.frames.clear();
    }

    /// Replaces a front of which all bytes were taken.
    fn replace_front(&mut self, bytes: Vec<u8>) {
        let front = core::mem::replace(&mut self.front, bytes);
        if let Some(scratch) = &mut self.scratch
            && scratch.frames.capacity() == 0
        {
            scratch.frames = front;
            scratch.reserve_frames();
        }
    }

    /// Returns the pool of buffers for messages that are assembled, if a scratch is attached.
    #[inline]
    pub(crate) fn pool(&mut self) -> Option<&mut BufferPool> {
        self.scratch.as_mut().map(|scratch| &mut scratch.pool)
    }

    /// Returns the last buffer of the queue, with room for `additional` bytes of frames.
    #[inline]
    pub(crate) fn frames(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.segments.is_none() && self.front.capacity() - self.front.len() >= additional {
            return &mut self.front;
        }
        self.reserve(additional)
    }

    /// Grows the last buffer, or adds another one.
    #[inline(never)]
    fn reserve(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.segments.is_none() && may_grow(&self.front, additional) {
            return self.grow_front(additional);
        }
        let segments = self.segments();
        if !matches!(segments.last_mut(), Some(Segment::Owned(frames)) if may_grow(frames, additional)) {
            segments.push(Segment::default());
        }
        let frames = match self.segments.as_mut().and_then(|segments| segments.last_mut()) {
            Some(Segment::Owned(frames)) => frames,
            _ => &mut self.front,
        };
        frames.reserve(additional);
        frames
    }

    fn grow_front(&mut self, additional: usize) -> &mut Vec<u8> {
        if !self.front.is_empty() {
            self.front.reserve(additional);
        } else if additional <= FRAMES_MAX {
            let least = if self.front.capacity() == 0 { FRAMES_MIN } else { 0 };
            self.front.reserve_exact(additional.max(least));
        } else {
            // The scratch does not keep a buffer of this length for frames; the pool may have one.
            let pooled = self.pool().and_then(|pool| pool.take(additional..=additional.saturating_mul(2)));
            self.replace_front(pooled.unwrap_or_else(|| Vec::with_capacity(additional)));
        }
        &mut self.front
    }

    /// Queues bytes without copying them.
    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) {
        self.segments().push(segment);
    }

    #[inline]
    fn segments(&mut self) -> &mut SegmentQueue {
        let scratch = &mut self.scratch;
        self.segments
            .get_or_insert_with(|| scratch.as_mut().and_then(|scratch| scratch.queue.take()).unwrap_or_default())
    }

    /// Returns the contiguous bytes at the front. They are empty only if the queue is.
    #[inline]
    pub(crate) fn chunk(&self) -> &[u8] {
        let front = self.front.get(self.taken..).unwrap_or_default();
        if !front.is_empty() {
            return front;
        }
        self.pending_segments().first().map_or(&[], Segment::bytes)
    }

    /// Returns all bytes as contiguous chunks, none of which is empty.
    #[inline]
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let front = self.front.get(self.taken..).unwrap_or_default();
        let front = Some(front).filter(|front| !front.is_empty());
        front.into_iter().chain(self.pending_segments().iter().map(Segment::bytes))
    }

    #[inline]
    fn pending_segments(&self) -> &[Segment] {
        self.segments.as_ref().map_or(&[], |segments| segments.pending())
    }

    /// Takes `count` bytes, and releases the buffers that the cursor has passed.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let available = self.chunk().len();
            if available == 0 {
                return;
            }
            let step = count.min(available);
            count -= step;
            if self.taken < self.front.len() {
                self.taken += step;
            } else if let Some(Segment::Shared(bytes)) = self.segments.as_mut().and_then(|queue| queue.first_mut()) {
                bytes.advance(step);
            }
            if step == available {
                self.next_segment();
            }
        }
    }

    /// Takes `count` bytes of the first chunk, which must have them. Copies at most [`COPY_MAX`] bytes.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        let available = self.chunk().len();
        if self.taken < self.front.len() && available <= COPY_MAX {
            let bytes = Bytes::copy_from_slice(self.chunk().get(..count).unwrap_or_default());
            self.advance(count);
            return bytes;
        }
        let mut bytes = if self.taken < self.front.len() {
            let mut front = Bytes::from(core::mem::take(&mut self.front));
            front.advance(core::mem::take(&mut self.taken));
            front
        } else {
            match self.segments.as_mut().and_then(|segments| segments.pop()) {
                Some(Segment::Owned(bytes)) => bytes.into(),
                Some(Segment::Shared(bytes)) => bytes,
                None => return Bytes::new(),
            }
        };
        let taken = bytes.split_to(count.min(bytes.len()));
        if !bytes.is_empty() {
            self.segments().push_front(Segment::Shared(bytes));
        }
        self.next_segment();
        taken
    }

    /// Advances to the next segment, after all contiguous bytes at the front were taken.
    fn next_segment(&mut self) {
        self.clear_front();
        let Some(segments) = &mut self.segments else { return };
        if matches!(segments.first_mut(), Some(segment) if segment.bytes().is_empty()) {
            segments.pop();
        }
        if let Some(Segment::Owned(_)) = segments.first_mut()
            && let Some(Segment::Owned(frames)) = segments.pop()
        {
            self.replace_front(frames);
        }
        if self.pending_segments().is_empty() {
            self.clear_segments();
        }
    }

    /// Drops all bytes.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.clear_front();
        if self.segments.is_some() {
            self.clear_segments();
        }
    }

    /// Drops the bytes of the front. Keeps the buffer if it is that of the scratch, and not too long.
    #[inline]
    fn clear_front(&mut self) {
        self.taken = 0;
        match &self.scratch {
            Some(scratch) if scratch.frames.capacity() == 0 && self.front.capacity() <= FRAMES_MAX => {
                self.front.clear();
            }
            _ => self.release_front(),
        }
    }

    /// Releases a front that the scratch does not keep. The buffer of the scratch takes its place.
    #[inline(never)]
    fn release_front(&mut self) {
        let front = core::mem::take(&mut self.front);
        if let Some(scratch) = &mut self.scratch {
            scratch.pool.keep_sent(front);
            core::mem::swap(&mut self.front, &mut scratch.frames);
        }
    }

    /// Drops the segments. Returns their memory to the scratch, if one is attached.
    #[inline(never)]
    fn clear_segments(&mut self) {
        if let (Some(scratch), Some(segments)) = (&mut self.scratch, self.segments.take()) {
            scratch.keep_queue(segments);
        }
    }
}

/// Omits payloads.
impl fmt::Debug for DataQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataQueue").finish_non_exhaustive()
    }
}

/// Returns whether a buffer may take `additional` bytes of frames: it has room, or is so short that it may grow.
fn may_grow(frames: &Vec<u8>, additional: usize) -> bool {
    frames.is_empty() || frames.len() + additional <= frames.capacity().max(SEGMENT_MAX)
}
