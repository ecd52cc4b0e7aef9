//! The lane of data frames: encoded back to back, but for payloads that stay where they are. Bytes stay where they were
//! written until they are taken: a cursor moves, they do not.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

use crate::memory::{FRAMES_MAX, Lent, Scratch, Spares};
use crate::queue::{Queue, Segment};

/// The first allocation for frames holds at least this many bytes, so that a batch of small ones needs one.
pub(crate) const SEGMENT_MIN: usize = 1024;
/// [`Lane::take`] copies from a front that holds up to this many bytes, and gives away the memory of a longer one.
const TAKEN_BY_COPY: usize = 4 * 1024;
/// Frames share an allocation, which grows up to this many bytes: what has been written is then not moved any more.
const SEGMENT_MAX: usize = 16 * 1024;

/// Bytes in the order in which they leave.
#[derive(Default)]
pub(crate) struct Lane {
    /// Frames encoded back to back, or a payload. While what is lent has none for frames, this is that memory.
    front: Vec<u8>,
    /// Bytes already taken of the front.
    taken: usize,
    /// What lies behind the front.
    behind: Option<Box<Queue>>,
    /// The driver's memory, to be given back.
    lent: Option<Box<Lent>>,
}

impl Lane {
    /// Forgets all bytes, and begins with these.
    pub(crate) fn restart(&mut self, bytes: Vec<u8>) {
        self.clear();
        self.replace_front(bytes);
    }

    #[inline]
    pub(crate) fn attach_scratch(&mut self, memory: &mut Scratch) {
        if self.lent.is_none() {
            let mut lent = memory.take();
            if self.front.capacity() == 0 {
                core::mem::swap(&mut self.front, &mut lent.frames);
            } else {
                lent.hold_frames();
            }
            self.lent = Some(lent);
        }
    }

    #[inline(always)]
    pub(crate) fn detach_scratch(&mut self, memory: &mut Scratch) {
        if let Some(mut lent) = self.lent.take() {
            if lent.frames.capacity() == 0 {
                core::mem::swap(&mut self.front, &mut lent.frames);
                if !lent.frames.is_empty() {
                    self.move_from(&mut lent);
                }
            }
            memory.put_back(lent);
        }
    }

    /// What waits in memory that is given back moves to memory of the lane's own.
    #[cold]
    fn move_from(&mut self, lent: &mut Lent) {
        self.front = lent.frames.get(self.taken..).unwrap_or_default().to_vec();
        self.taken = 0;
        lent.frames.clear();
    }

    /// Puts other memory in the front's place, of which all bytes have been taken.
    fn replace_front(&mut self, bytes: Vec<u8>) {
        let front = core::mem::replace(&mut self.front, bytes);
        if let Some(lent) = &mut self.lent
            && lent.frames.capacity() == 0
        {
            lent.frames = front;
            lent.hold_frames();
        }
    }

    /// Memory for messages that arrive, if any was lent.
    #[inline]
    pub(crate) fn spares(&mut self) -> Option<&mut Spares> {
        self.lent.as_mut().map(|lent| &mut lent.spares)
    }

    /// The end of the lane, if it has room for `additional` bytes of frames, or room made for them.
    #[inline]
    pub(crate) fn frames(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.behind.is_none() && self.front.capacity() - self.front.len() >= additional {
            return &mut self.front;
        }
        self.make_room(additional)
    }

    #[inline(never)]
    fn make_room(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.behind.is_none() && fits(&self.front, additional) {
            return self.grow_front(additional);
        }
        let behind = self.behind();
        if !matches!(behind.last_mut(), Some(Segment::Own(frames)) if fits(frames, additional)) {
            behind.push(Segment::default());
        }
        let frames = match self.behind.as_mut().and_then(|behind| behind.last_mut()) {
            Some(Segment::Own(frames)) => frames,
            _ => &mut self.front,
        };
        frames.reserve(additional);
        frames
    }

    fn grow_front(&mut self, additional: usize) -> &mut Vec<u8> {
        if !self.front.is_empty() {
            self.front.reserve(additional);
        } else if additional <= FRAMES_MAX {
            let least = if self.front.capacity() == 0 { SEGMENT_MIN } else { 0 };
            self.front.reserve_exact(additional.max(least));
        } else {
            // too much to leave with the driver for good; what was left of a payload may do
            let spare = self.spares().and_then(|spares| spares.find(additional..=additional.saturating_mul(2)));
            self.replace_front(spare.unwrap_or_else(|| Vec::with_capacity(additional)));
        }
        &mut self.front
    }

    /// Adds bytes that stay where they are.
    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) {
        self.behind().push(segment);
    }

    #[inline]
    fn behind(&mut self) -> &mut Queue {
        let lent = &mut self.lent;
        self.behind.get_or_insert_with(|| lent.as_mut().and_then(|lent| lent.queue.take()).unwrap_or_default())
    }

    /// The contiguous bytes that are next.
    #[inline]
    pub(crate) fn chunk(&self) -> &[u8] {
        let front = self.front.get(self.taken..).unwrap_or_default();
        if !front.is_empty() {
            return front;
        }
        self.waiting().first().map_or(&[], Segment::bytes)
    }

    /// All bytes, in pieces. None of them is empty.
    #[inline]
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let front = self.front.get(self.taken..).unwrap_or_default();
        let front = Some(front).filter(|front| !front.is_empty());
        front.into_iter().chain(self.waiting().iter().map(Segment::bytes))
    }

    /// What lies behind the front.
    #[inline]
    fn waiting(&self) -> &[Segment] {
        self.behind.as_ref().map_or(&[], |behind| behind.waiting())
    }

    /// Takes `count` bytes, and gives back the memory of those that the cursor has passed.
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
            } else if let Some(Segment::Shared(bytes)) = self.behind.as_mut().and_then(|behind| behind.first_mut()) {
                bytes.advance(step);
            }
            if step == available {
                self.next_segment();
            }
        }
    }

    /// Takes `count` bytes of the first chunk, which has as many. Copies nothing longer than `TAKEN_BY_COPY`.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        let available = self.chunk().len();
        if self.taken < self.front.len() && available <= TAKEN_BY_COPY {
            let bytes = Bytes::copy_from_slice(self.chunk().get(..count).unwrap_or_default());
            self.advance(count);
            return bytes;
        }
        let mut bytes = if self.taken < self.front.len() {
            let mut front = Bytes::from(core::mem::take(&mut self.front));
            front.advance(core::mem::take(&mut self.taken));
            front
        } else {
            match self.behind.as_mut().and_then(|behind| behind.pop()) {
                Some(Segment::Own(bytes)) => bytes.into(),
                Some(Segment::Shared(bytes)) => bytes,
                None => return Bytes::new(),
            }
        };
        let taken = bytes.split_to(count.min(bytes.len()));
        if !bytes.is_empty() {
            self.behind().push_front(Segment::Shared(bytes));
        }
        self.next_segment();
        taken
    }

    /// The contiguous bytes at the front have all been taken: brings up what lies behind.
    fn next_segment(&mut self) {
        self.clear_front();
        let Some(behind) = &mut self.behind else { return };
        if matches!(behind.first_mut(), Some(segment) if segment.bytes().is_empty()) {
            behind.pop();
        }
        if let Some(Segment::Own(_)) = behind.first_mut()
            && let Some(Segment::Own(frames)) = behind.pop()
        {
            self.replace_front(frames);
        }
        if self.waiting().is_empty() {
            self.clear_behind();
        }
    }

    /// Takes all.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.clear_front();
        if self.behind.is_some() {
            self.clear_behind();
        }
    }

    #[inline]
    fn clear_front(&mut self) {
        self.taken = 0;
        match &self.lent {
            Some(lent) if lent.frames.capacity() == 0 && self.front.capacity() <= FRAMES_MAX => self.front.clear(),
            _ => self.give_up_front(),
        }
    }

    /// All has been taken from memory in which no more frames are to be encoded.
    #[inline(never)]
    fn give_up_front(&mut self) {
        let front = core::mem::take(&mut self.front);
        if let Some(lent) = &mut self.lent {
            lent.spares.keep(front);
            core::mem::swap(&mut self.front, &mut lent.frames);
        }
    }

    #[inline(never)]
    fn clear_behind(&mut self) {
        if let (Some(lent), Some(behind)) = (&mut self.lent, self.behind.take()) {
            lent.keep_queue(behind);
        }
    }
}

/// Payloads are nobody's business.
impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// Whether frames take so many more bytes without being moved, or so few that to move them costs little.
fn fits(frames: &Vec<u8>, additional: usize) -> bool {
    frames.is_empty() || frames.len() + additional <= frames.capacity().max(SEGMENT_MAX)
}
