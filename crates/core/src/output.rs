//! The bytes that wait for the transport.
//!
//! Two lanes lead out. Data frames, with our Close frame last, form one stream of bytes; control frames wait beside it
//! and slip in wherever one data frame ends and the next begins. Bytes stay where they were written until they are
//! taken: a cursor moves, they do not.

#[cfg(feature = "std")]
extern crate std;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use crate::closing::Sent;
use crate::controls::{ControlFrame, Controls, ControlsFull};
use crate::encoded::EncodedMessage;
use crate::frame::{FrameHeader, OpCode};

/// The first allocation for frames holds at least this many bytes, so that a batch of small ones needs one.
const SEGMENT_MIN: usize = 1024;
/// Frames share an allocation, which grows up to this many bytes: what has been written is then not moved any more.
const SEGMENT_MAX: usize = 16 * 1024;

/// Memory that was lent and grows beyond this many bytes is not given back.
const LENT_MAX: usize = 128 * 1024;

/// Bytes waiting for the transport, as a [`Buf`]: write [`chunk`](Buf::chunk) (with feature `std` also
/// [`chunks_vectored`](Buf::chunks_vectored)) to the transport, then [`advance`](Buf::advance) by what it took.
///
/// Nothing else may be asked of the connection between the two, or the chunk may no longer be what is next. To advance
/// by more than there is takes all there is. To hold a chunk, bind the output first:
/// `let output = ws.output(); let chunk = output.chunk();`.
#[derive(Debug, Default)]
pub struct Output {
    /// The front of the data lane: frames encoded back to back.
    front: Vec<u8>,
    /// Bytes already taken of `front`.
    taken: usize,
    /// The data lane behind `front`.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 32 in every idle connection")]
    behind: Option<Box<VecDeque<Segment>>>,
    /// What is left of the data frame at the front of its lane.
    current: Current,
    /// Never empty.
    controls: Option<Box<Controls>>,
    /// Bytes of both lanes.
    len: usize,
    /// Payload bytes of data frames not yet taken.
    buffered_amount: usize,
    close: CloseProgress,
    /// Whether bytes were taken since that was last asked.
    has_moved: bool,
    /// Whether the memory of `front` is the driver's, to be given back.
    is_lent: bool,
    /// Whether what waits, or waited, may keep the peer from answering the Ping of keepalive, or its Pong from being read.
    pub(crate) excuses_silence: bool,
}

#[derive(Debug)]
enum Segment {
    /// Frames encoded back to back, or the head of one whose payload follows.
    Frames(Vec<u8>),
    /// A payload, or whole frames, that others share.
    Shared(Bytes),
}

/// A data frame of which a part has been taken; both zero between frames.
#[derive(Debug, Default)]
struct Current {
    head: u8,
    payload: usize,
    /// Whether the payload counts in `buffered_amount`.
    is_data: bool,
}

impl Current {
    fn is_between_frames(&self) -> bool {
        self.head == 0 && self.payload == 0
    }

    fn remaining(&self) -> usize {
        usize::from(self.head) + self.payload
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CloseProgress {
    #[default]
    NotQueued,
    Queued,
    /// Its first byte has been taken: nothing may follow.
    Begun,
}

impl Output {
    /// Takes the driver's memory to write in, if no bytes wait: for a driver that owns many connections, of which few
    /// send at a time, and that writes what one sends before it turns to the next. So a connection that sends a little
    /// need not ask the allocator for memory. It is to be given back ([`give_back`](Self::give_back)) when that was
    /// written.
    ///
    /// ```
    /// use sansocket::bytes::Buf;
    /// use sansocket::{Config, Connection, Instant};
    ///
    /// let mut memory = Vec::with_capacity(1024);
    /// let mut connection = Connection::server(Config::default(), Instant::EPOCH);
    ///
    /// connection.output().lend(&mut memory);
    /// connection.send("Hello")?;
    /// let written = connection.output().chunk().len(); // as much as the transport takes
    /// connection.output().advance(written);
    /// connection.output().give_back(&mut memory);
    /// assert!(memory.is_empty() && memory.capacity() >= 1024);
    /// # Ok::<(), sansocket::SendError>(())
    /// ```
    #[inline]
    pub fn lend(&mut self, memory: &mut Vec<u8>) {
        if self.len == 0 && !self.is_lent {
            memory.clear();
            core::mem::swap(&mut self.front, memory);
            self.is_lent = true;
        }
    }

    /// Gives back the memory that was [lent](Self::lend). Bytes that still wait move to memory of the connection's own.
    /// It may have grown, up to 128 KiB; what has grown beyond is freed.
    #[inline]
    pub fn give_back(&mut self, memory: &mut Vec<u8>) {
        if core::mem::take(&mut self.is_lent) {
            if self.front.is_empty() && memory.capacity() == 0 {
                core::mem::swap(&mut self.front, memory);
            } else {
                *memory = self.split_front();
            }
        }
    }

    /// Output that begins with the head of a handshake message.
    pub(crate) fn with_head(head: Vec<u8>) -> Self {
        let len = head.len();
        Self { front: head, current: Current { head: 0, payload: len, is_data: false }, len, ..Self::default() }
    }

    /// Payload bytes accepted and not yet taken.
    #[inline]
    pub(crate) fn buffered_amount(&self) -> usize {
        self.buffered_amount
    }

    /// Bytes that are not payload of messages.
    #[inline]
    pub(crate) fn framing_len(&self) -> usize {
        self.len.saturating_sub(self.buffered_amount)
    }

    /// How far our Close frame has come. It is the last thing that is ever queued.
    pub(crate) fn close_sent(&self) -> Sent {
        match self.close {
            CloseProgress::NotQueued => Sent::Nothing,
            _ if self.len > 0 => Sent::Queued,
            _ => Sent::Taken,
        }
    }

    /// Whether a Ping of keepalive waits.
    pub(crate) fn has_keepalive(&self) -> bool {
        self.controls.as_ref().is_some_and(|controls| controls.has_keepalive())
    }

    /// Whether bytes were taken since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        core::mem::take(&mut self.has_moved)
    }

    /// Whether control frames can still precede our Close frame.
    pub(crate) fn takes_controls(&self) -> bool {
        self.close != CloseProgress::Begun
    }

    /// Queues a data frame whose payload `write` appends.
    #[inline(always)]
    pub(crate) fn push(&mut self, header: &FrameHeader, payload_length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let frames = self.frames(FrameHeader::MAX_SIZE + payload_length);
        let before = frames.len();
        header.append_to(frames);
        write(frames);
        let size = frames.len() - before;
        self.count(header.opcode, size, payload_length);
    }

    /// Queues a data frame whose payload, masked already if need be, stays where it is.
    pub(crate) fn push_by_reference(&mut self, header: &FrameHeader, payload: Bytes) {
        let frames = self.frames(FrameHeader::MAX_SIZE);
        let before = frames.len();
        header.append_to(frames);
        let size = frames.len() - before + payload.len();
        self.count(header.opcode, size, payload.len());
        if !payload.is_empty() {
            self.behind.get_or_insert_default().push_back(Segment::Shared(payload));
        }
    }

    /// Queues the frames of a message that others share, where they are.
    pub(crate) fn push_encoded(&mut self, message: &EncodedMessage) {
        self.len += message.bytes().len();
        self.buffered_amount += message.len();
        self.behind.get_or_insert_default().push_back(Segment::Shared(message.bytes().clone()));
    }

    /// Queues a control frame; see [`Controls::push`].
    pub(crate) fn push_control(&mut self, frame: ControlFrame, max_pending: usize) -> Result<(), ControlsFull> {
        let size = frame.len();
        let mut controls = self.controls.take().unwrap_or_default();
        let pushed = controls.push(frame, max_pending);
        self.controls = Some(controls).filter(|controls| !controls.is_empty());
        self.len = self.len + size - pushed?;
        Ok(())
    }

    /// Forgets all bytes: there is no transport to take them. What the application was told is buffered stays buffered.
    pub(crate) fn abandon(&mut self) {
        *self = Self { buffered_amount: self.buffered_amount, ..Self::default() };
    }

    /// The end of the data lane, with room for `additional` bytes.
    #[inline]
    fn frames(&mut self, additional: usize) -> &mut Vec<u8> {
        if self.behind.is_none() && self.front.capacity() - self.front.len() >= additional {
            return &mut self.front;
        }
        self.make_room(additional)
    }

    #[inline(never)]
    fn make_room(&mut self, additional: usize) -> &mut Vec<u8> {
        let fits =
            |frames: &Vec<u8>| frames.is_empty() || frames.len() + additional <= frames.capacity().max(SEGMENT_MAX);
        let frames = match &mut self.behind {
            None if fits(&self.front) => {
                let least = if self.front.capacity() == 0 { SEGMENT_MIN } else { 0 };
                self.front.reserve(additional.max(least));
                self.is_lent &= self.front.capacity() <= LENT_MAX;
                &mut self.front
            }
            behind => {
                let behind = behind.get_or_insert_default();
                if !matches!(behind.back(), Some(Segment::Frames(frames)) if fits(frames)) {
                    behind.push_back(Segment::Frames(Vec::new()));
                }
                match behind.back_mut() {
                    Some(Segment::Frames(frames)) => frames,
                    _ => &mut self.front,
                }
            }
        };
        frames.reserve(additional);
        frames
    }

    #[inline]
    fn count(&mut self, opcode: OpCode, size: usize, payload_length: usize) {
        self.len += size;
        match opcode {
            OpCode::Close => self.close = CloseProgress::Queued,
            _ => self.buffered_amount += payload_length,
        }
    }

    /// The pieces of output in the order in which they leave; up to the first control frame that waits its turn.
    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let (first, data, last) = match &self.controls {
            Some(controls) if self.current.is_between_frames() => (Some(controls), usize::MAX, None),
            Some(controls) => (None, self.current.remaining(), Some(controls)),
            None => (None, usize::MAX, None),
        };
        let front = self.front.get(self.taken..).unwrap_or_default();
        let behind = self.behind.iter().flat_map(|behind| behind.iter().map(Segment::bytes));
        let data = core::iter::once(front).chain(behind).scan(data, |left, chunk| {
            let (chunk, _) = chunk.split_at(chunk.len().min(*left));
            *left -= chunk.len();
            Some(chunk)
        });
        let first = first.into_iter().flat_map(|controls| controls.chunks());
        let last = last.into_iter().flat_map(|controls| controls.chunks());
        first.chain(data).chain(last).filter(|chunk| !chunk.is_empty())
    }

    #[inline(never)]
    fn chunk_of_both(&self) -> &[u8] {
        self.chunks().next().unwrap_or_default()
    }

    /// The contiguous bytes at the front of the data lane.
    #[inline]
    fn data_chunk(&self) -> &[u8] {
        let front = self.front.get(self.taken..).unwrap_or_default();
        if !front.is_empty() {
            return front;
        }
        self.behind.as_ref().and_then(|behind| behind.front()).map_or(&[], Segment::bytes)
    }

    /// Reads the head of the data frame that is next: frames in the lane are our own, so that it can be read.
    fn begin_frame(&mut self) {
        let Ok(Some((header, size))) = FrameHeader::decode(self.data_chunk()) else { return };
        if header.opcode == OpCode::Close {
            self.close = CloseProgress::Begun;
        }
        self.current = Current {
            head: size as u8,
            payload: header.payload_length as usize,
            is_data: header.opcode != OpCode::Close,
        };
    }

    /// All has been taken.
    #[inline]
    fn drain(&mut self) {
        if self.len == 0 {
            return;
        }
        self.clear_front();
        // to drop nothing is a call too
        if self.behind.is_some() {
            self.behind = None;
        }
        if self.controls.is_some() {
            self.controls = None;
        }
        self.current = Current::default();
        self.len = 0;
        self.buffered_amount = 0;
        self.has_moved = true;
        // 5.5.1: what follows a Close frame would be discarded, so that nothing may
        if self.close != CloseProgress::NotQueued {
            self.close = CloseProgress::Begun;
        }
    }

    #[inline]
    fn clear_front(&mut self) {
        self.taken = 0;
        if self.is_lent {
            self.front.clear();
        } else {
            self.front = Vec::new();
        }
    }

    /// Moves the bytes that wait to memory of their own, and returns that in which they were.
    #[cold]
    fn split_front(&mut self) -> Vec<u8> {
        let rest = self.front.split_off(core::mem::take(&mut self.taken));
        let mut front = core::mem::replace(&mut self.front, rest);
        front.clear();
        front
    }

    #[inline(never)]
    fn advance_part(&mut self, count: usize) {
        self.has_moved = true;
        self.len -= count;
        let mut left = count;
        while left > 0 {
            match self.advance_frame(left) {
                0 => return,
                taken => left -= taken,
            }
        }
    }

    /// Takes up to `count` bytes, no further than the end of a frame; returns how many.
    fn advance_frame(&mut self, count: usize) -> usize {
        if let Some(controls) = self.controls.as_mut().filter(|_| self.current.is_between_frames()) {
            let taken = controls.advance(count);
            if controls.is_empty() {
                self.controls = None;
            }
            return taken;
        }
        if self.current.is_between_frames() {
            self.begin_frame();
        }
        let count = count.min(self.current.remaining());
        let head = count.min(usize::from(self.current.head));
        let payload = count - head;
        self.current.head -= head as u8;
        self.current.payload -= payload;
        if self.current.is_data {
            self.buffered_amount -= payload;
        }
        self.advance_data(count);
        count
    }

    /// Moves the cursor of the data lane, and gives back what it has passed.
    fn advance_data(&mut self, mut count: usize) {
        while count > 0 {
            let available = self.data_chunk().len();
            if available == 0 {
                return;
            }
            let step = count.min(available);
            count -= step;
            if self.taken < self.front.len() {
                self.taken += step;
            } else if let Some(Segment::Shared(bytes)) = self.behind.as_mut().and_then(|behind| behind.front_mut()) {
                bytes.advance(step);
            }
            if step == available {
                self.next_segment();
            }
        }
    }

    /// The contiguous bytes at the front have all been taken: gives them back and brings up what lies behind.
    fn next_segment(&mut self) {
        self.clear_front();
        let Some(behind) = &mut self.behind else { return };
        if matches!(behind.front(), Some(segment) if segment.bytes().is_empty()) {
            behind.pop_front();
        }
        if let Some(Segment::Frames(frames)) = behind.front_mut() {
            self.is_lent = false;
            self.front = core::mem::take(frames);
            behind.pop_front();
        }
        if behind.is_empty() {
            self.behind = None;
        }
    }
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len
    }

    /// The bytes that are next; as many as lie together.
    #[inline]
    fn chunk(&self) -> &[u8] {
        if self.controls.is_some() { self.chunk_of_both() } else { self.data_chunk() }
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        if count >= self.len {
            self.drain();
        } else if count > 0 {
            self.advance_part(count);
        }
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(self.chunks()).map(|(slice, chunk)| *slice = std::io::IoSlice::new(chunk)).count()
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}
