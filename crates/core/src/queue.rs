//! What waits in the lane of data frames behind its front.

use alloc::vec::Vec;

use bytes::Bytes;

pub(crate) enum Segment {
    /// Frames encoded back to back, the head of one whose payload follows, or a payload that was given away.
    Own(Vec<u8>),
    /// A payload, or whole frames, that others share.
    Shared(Bytes),
}

impl Default for Segment {
    #[inline]
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Segment {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Segments in the order in which they leave. The place of one that has left stays empty until at least half of all
/// places are: then those that wait move up.
#[derive(Default)]
pub(crate) struct Queue {
    places: Vec<Segment>,
    /// Places at the front whose segments have left.
    empty: usize,
}

impl Queue {
    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) {
        if self.places.len() == self.places.capacity() {
            self.move_up();
        }
        self.places.push(segment);
    }

    #[cold]
    fn move_up(&mut self) {
        if self.empty >= self.places.len().div_ceil(2) {
            self.places.drain(..self.empty);
            self.empty = 0;
        }
    }

    /// Those that wait.
    #[inline]
    pub(crate) fn waiting(&self) -> &[Segment] {
        self.places.get(self.empty..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn first_mut(&mut self) -> Option<&mut Segment> {
        self.places.get_mut(self.empty)
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Segment> {
        self.places.get_mut(self.empty..)?.last_mut()
    }

    /// Puts a segment in front of all others.
    pub(crate) fn push_front(&mut self, segment: Segment) {
        match self.empty.checked_sub(1) {
            Some(empty) => {
                self.empty = empty;
                if let Some(place) = self.places.get_mut(empty) {
                    *place = segment;
                }
            }
            None => self.places.insert(0, segment),
        }
    }

    /// The first leaves.
    pub(crate) fn pop(&mut self) -> Option<Segment> {
        let first = core::mem::take(self.first_mut()?);
        self.empty += 1;
        Some(first)
    }

    /// All leave, the last one first.
    #[inline]
    pub(crate) fn clear(&mut self, mut leave: impl FnMut(Segment)) {
        self.empty = 0;
        while let Some(segment) = self.places.pop() {
            leave(segment);
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity()
    }
}
