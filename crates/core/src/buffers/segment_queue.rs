//! A queue of segments, which follow the buffer in which frames are encoded.

use alloc::vec::Vec;

use bytes::Bytes;

/// The largest capacity of an empty queue, in segments.
const EMPTY_MAX: usize = 64;

/// A contiguous part of the output.
pub(crate) enum Segment {
    /// Encoded frames, or the payload of an owned message.
    Owned(Vec<u8>),
    /// A payload or whole frames in shared memory.
    Shared(Bytes),
}

impl Default for Segment {
    #[inline]
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl Segment {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Owned(bytes) => bytes.into(),
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A first-in, first-out queue in a `Vec`. The slot of a popped segment stays empty until at least half of all slots
/// are empty: then the pending segments move to the front.
#[derive(Default)]
pub(crate) struct SegmentQueue {
    /// Empty if no segment is pending.
    slots: Vec<Segment>,
    /// The number of slots at the front whose segments were popped.
    popped: usize,
}

impl SegmentQueue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) {
        if self.slots.len() == self.slots.capacity() {
            self.compact();
        }
        self.slots.push(segment);
    }

    /// Removes the empty slots, if they are half of all slots or more.
    #[cold]
    fn compact(&mut self) {
        if self.popped >= self.slots.len().div_ceil(2) {
            self.slots.drain(..self.popped);
            self.popped = 0;
        }
    }

    /// Returns the pending segments.
    #[inline]
    pub(crate) fn pending(&self) -> &[Segment] {
        self.slots.get(self.popped..).unwrap_or_default()
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Segment> {
        self.slots.last_mut()
    }

    pub(crate) fn push_front(&mut self, segment: Segment) {
        match self.popped.checked_sub(1) {
            Some(popped) => {
                self.popped = popped;
                if let Some(slot) = self.slots.get_mut(popped) {
                    *slot = segment;
                }
            }
            None => self.slots.insert(0, segment),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Segment> {
        let first = core::mem::take(self.slots.get_mut(self.popped)?);
        self.popped += 1;
        if self.popped == self.slots.len() {
            self.slots.clear();
            self.reset();
        }
        Some(first)
    }

    /// Removes all segments, the last one first, and passes them to `remove`.
    #[inline]
    pub(crate) fn clear(&mut self, mut remove: impl FnMut(Segment)) {
        while let Some(segment) = self.slots.pop() {
            remove(segment);
        }
        self.reset();
    }

    /// Prepares the empty slots for further segments. Frees them if there are many.
    #[inline]
    fn reset(&mut self) {
        self.popped = 0;
        if self.slots.capacity() > EMPTY_MAX {
            self.slots = Vec::new();
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}
