//! The bytes to be written to the transport, in two queues. Data frames are one stream of bytes, which ends with our
//! Close frame. Control frames have a separate queue, and are sent between any two data frames.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::control_queue::{ControlFrame, ControlQueue, ControlQueueFull};
use super::data_queue::DataQueue;
use super::in_flight::InFlight;
use crate::frame::{FrameHeader, OpCode};
use crate::scratch::{BufferPool, Scratch, Segment};

/// Bytes to be written to the transport. A driver writes them in one of two ways:
///
/// * **A transport that delivers the bytes that it takes**, such as a kernel socket: use the output as a [`Buf`]. Write
///   [`chunk`](Buf::chunk) (with feature `std` also [`chunks_vectored`](Buf::chunks_vectored)), then call
///   [`advance`](Buf::advance) with the number of bytes that the transport took. (More than `remaining` counts as
///   `remaining`.) Call no other method of the connection between `chunk` and `advance`.
/// * **A transport that takes bytes and delivers them later**, such as TLS, HTTP/2 or io_uring:
///   [`take_bytes`](Self::take_bytes) moves bytes out of the output, and [`delivered`](Self::delivered) reports that
///   they were written. Until then they count in `buffered_amount`, and the closing handshake waits for them.
///
/// ```
/// use sansocket::{Config, Connection, Instant, bytes::Buf};
///
/// let mut server = Connection::server(Config::default(), Instant::EPOCH);
/// server.send("Hello")?;
/// let bytes = server.output().take_bytes(16 * 1024);
/// assert_eq!((&bytes[..], server.output().remaining(), server.buffered_amount()), (&b"\x81\x05Hello"[..], 0, 5));
/// server.output().delivered(bytes.len()); // the transport wrote them
/// assert_eq!(server.buffered_amount(), 0);
/// # Ok::<(), sansocket::SendError>(())
/// ```
#[derive(Debug, Default)]
pub struct Output {
    data: DataQueue,
    progress: Progress,
    /// `None` unless control frames are queued or bytes are in flight.
    transient: Option<Box<Transient>>,
    /// The number of bytes in both queues.
    len: usize,
    /// The number of bytes that `take_bytes` took and `delivered` has not reported.
    in_flight_len: usize,
    /// The number of payload bytes of data frames that are not delivered.
    buffered_amount: usize,
}

/// State that exists only while control frames are queued or bytes are in flight.
#[derive(Debug, Default)]
struct Transient {
    controls: ControlQueue,
    in_flight: InFlight,
}

/// The position in the current frame, and the state of delivery. (One struct, so that small fields share a word.)
#[derive(Debug, Default)]
struct Progress {
    /// The remaining bytes of a data frame that was taken in part, of its head and of its payload. Both are zero
    /// between frames.
    head: u8,
    payload: usize,
    /// Whether that payload counts in `buffered_amount`.
    is_data: bool,
    close: CloseProgress,
    /// Whether bytes were delivered since the last [`Output::take_progress`].
    has_progress: bool,
    /// See [`Output::pong_excused`].
    pong_excused: bool,
}

impl Progress {
    fn is_between_frames(&self) -> bool {
        self.head == 0 && self.payload == 0
    }

    fn remaining(&self) -> usize {
        usize::from(self.head) + self.payload
    }

    /// Advances by `count` bytes, no more than remain. Returns how many of them are head and how many payload.
    fn advance(&mut self, count: usize) -> (usize, usize) {
        let head = count.min(usize::from(self.head));
        let payload = count - head;
        self.head -= head as u8;
        self.payload -= payload;
        (head, payload)
    }
}

/// The progress of our Close frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CloseProgress {
    #[default]
    NotQueued,
    Queued,
    /// Its first byte was taken: no other frame can precede it.
    Begun,
    /// All output was delivered, including the Close frame.
    Delivered,
}

impl Output {
    #[inline]
    pub(crate) fn attach_scratch(&mut self, scratch: &mut Scratch) {
        self.data.attach_scratch(scratch);
    }

    /// Detaches the scratch. Pending bytes in its buffer move to a buffer that the connection owns.
    #[inline]
    pub(crate) fn detach_scratch(&mut self, scratch: &mut Scratch) {
        self.data.detach_scratch(scratch);
    }

    /// Returns the pool of buffers for messages that are assembled, if a scratch is attached.
    #[inline]
    pub(crate) fn pool(&mut self) -> Option<&mut BufferPool> {
        self.data.pool()
    }

    /// Replaces all bytes by the head of a handshake message.
    pub(crate) fn with_head(mut self, head: Vec<u8>) -> Self {
        let len = head.len();
        let progress = Progress { payload: len, ..Progress::default() };
        self.data.restart(head);
        Self { data: self.data, progress, len, ..Self::default() }
    }

    /// Moves up to `max` contiguous bytes out of the output, from its front. They are empty only if the output is, or
    /// `max` is 0. Write them in order, then report them to [`delivered`](Self::delivered).
    ///
    /// Does not copy shared payloads, nor other chunks of more than 4 KiB.
    pub fn take_bytes(&mut self, max: usize) -> Bytes {
        if max == 0 || self.len == 0 {
            return Bytes::new();
        }
        let is_between_frames = self.progress.is_between_frames();
        let bytes = match self.controls() {
            Some(_) if is_between_frames => self.take_controls(max),
            Some(_) => self.take_data(max.min(self.progress.remaining())),
            None => self.take_data(max),
        };
        self.len -= bytes.len();
        self.in_flight_len += bytes.len();
        bytes
    }

    /// Reports that the transport has written `count` more of the bytes that [`take_bytes`](Self::take_bytes) returned,
    /// in the order in which they were taken. A `count` above the number of bytes in flight reports all of them.
    pub fn delivered(&mut self, count: usize) {
        let Some(transient) = &mut self.transient else { return };
        let payload = transient.in_flight.deliver(count);
        self.progress.has_progress |= count > 0;
        self.buffered_amount -= payload;
        self.in_flight_len = transient.in_flight.len();
        self.free_transient();
    }

    /// Returns the payload bytes accepted and not yet delivered.
    #[inline]
    pub(crate) fn buffered_amount(&self) -> usize {
        self.buffered_amount
    }

    /// Returns how many bytes are not delivered: queued or in flight.
    #[inline]
    pub(crate) fn undelivered(&self) -> usize {
        self.len + self.in_flight_len
    }

    /// Returns how many undelivered bytes are not payload of messages.
    #[inline]
    pub(crate) fn framing_len(&self) -> usize {
        self.undelivered().saturating_sub(self.buffered_amount)
    }

    /// Returns whether every byte was delivered.
    #[inline]
    pub(crate) fn is_delivered(&self) -> bool {
        self.undelivered() == 0
    }

    /// Returns the progress of our Close frame, which is the last frame that is ever queued.
    pub(crate) fn close_progress(&self) -> CloseProgress {
        match self.progress.close {
            CloseProgress::Begun if self.is_delivered() => CloseProgress::Delivered,
            progress => progress,
        }
    }

    /// Records whether a missing Pong is excused: pending output delays the keepalive Ping, or keeps the driver from
    /// reading the Pong.
    #[inline]
    pub(crate) fn set_pong_excused(&mut self, is_excused: bool) {
        self.progress.pong_excused = is_excused;
    }

    pub(crate) fn pong_excused(&self) -> bool {
        self.progress.pong_excused
    }

    /// Returns whether a keepalive Ping is queued or in flight.
    pub(crate) fn has_keepalive(&self) -> bool {
        let Some(Transient { controls, in_flight }) = self.transient.as_deref() else { return false };
        controls.has_keepalive() || in_flight.has_keepalive()
    }

    /// Returns whether bytes were delivered since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        core::mem::take(&mut self.progress.has_progress)
    }

    /// Queues a data frame whose payload `write` appends.
    #[inline(always)]
    pub(crate) fn push(&mut self, header: &FrameHeader, payload_length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let frames = self.data.frames(FrameHeader::MAX_SIZE + payload_length);
        let before = frames.len();
        header.append_to(frames);
        write(frames);
        let size = frames.len() - before;
        self.count_frame(header.opcode, size, payload_length);
    }

    /// Queues a data frame without copying its payload, which the caller has masked if necessary.
    #[inline(always)]
    pub(crate) fn push_segment(&mut self, header: &FrameHeader, payload: Segment) {
        let payload_length = payload.bytes().len();
        let frames = self.data.frames(FrameHeader::MAX_SIZE);
        let before = frames.len();
        header.append_to(frames);
        let size = frames.len() - before + payload_length;
        self.count_frame(header.opcode, size, payload_length);
        if payload_length > 0 {
            self.data.push(payload);
        }
    }

    /// Queues shared data frames, whose payloads have `payload_length` bytes, without copying them.
    pub(crate) fn push_encoded(&mut self, frames: Bytes, payload_length: usize) {
        self.len += frames.len();
        self.buffered_amount += payload_length;
        self.data.push(Segment::Shared(frames));
    }

    /// Queues data frames, whose payloads have `payload_length` bytes, by copying them.
    pub(crate) fn push_encoded_copy(&mut self, frames: &[u8], payload_length: usize) {
        self.len += frames.len();
        self.buffered_amount += payload_length;
        self.data.frames(frames.len()).extend_from_slice(frames);
    }

    /// Queues a control frame; see [`ControlQueue::push`].
    pub(crate) fn push_control(&mut self, frame: ControlFrame, max_pending: usize) -> Result<(), ControlQueueFull> {
        let size = frame.len();
        let replaced = self.transient.get_or_insert_default().controls.push(frame, max_pending);
        self.free_transient();
        self.len = self.len + size - replaced?;
        Ok(())
    }

    /// Drops all bytes, because the transport will not take them. `buffered_amount` keeps its value.
    pub(crate) fn abandon(&mut self) {
        let mut data = core::mem::take(&mut self.data);
        data.clear();
        *self = Self { data, buffered_amount: self.buffered_amount, ..Self::default() };
    }

    /// Counts a frame that was queued.
    #[inline]
    fn count_frame(&mut self, opcode: OpCode, size: usize, payload_length: usize) {
        self.len += size;
        match opcode {
            OpCode::Close => self.progress.close = CloseProgress::Queued,
            _ => self.buffered_amount += payload_length,
        }
    }

    /// Takes up to `max` bytes of the control frames, which are then in flight.
    fn take_controls(&mut self, max: usize) -> Bytes {
        let Some(Transient { controls, in_flight }) = self.transient.as_deref_mut() else { return Bytes::new() };
        let mut bytes = Vec::new();
        while bytes.len() < max && !controls.is_empty() {
            let had_keepalive = controls.has_keepalive();
            let before = bytes.len();
            bytes.extend(controls.chunks().next().unwrap_or_default().iter().take(max - before));
            in_flight.push(bytes.len() - before, 0);
            controls.advance(bytes.len() - before);
            if had_keepalive && !controls.has_keepalive() {
                in_flight.note_keepalive();
            }
        }
        bytes.into()
    }

    /// Returns the queue of control frames, unless it is empty.
    #[inline]
    fn controls(&self) -> Option<&ControlQueue> {
        let transient = self.transient.as_deref()?;
        (!transient.controls.is_empty()).then_some(&transient.controls)
    }

    /// Frees `transient` if it is empty.
    fn free_transient(&mut self) {
        if self.in_flight_len == 0 && self.controls().is_none() {
            self.transient = None;
        }
    }

    /// Takes up to `max` bytes of the data frames, which are then in flight.
    fn take_data(&mut self, max: usize) -> Bytes {
        let count = max.min(self.data.chunk().len());
        let mut offset = 0;
        while offset < count {
            if self.progress.is_between_frames() {
                self.begin_frame(offset);
            }
            let step = (count - offset).min(self.progress.remaining());
            if step == 0 {
                break; // not reached: every frame in the queue is our own
            }
            let (head, payload) = self.progress.advance(step);
            let (framing, payload) = if self.progress.is_data { (head, payload) } else { (step, 0) };
            self.transient.get_or_insert_default().in_flight.push(framing, payload);
            offset += step;
        }
        self.data.take(count)
    }

    /// Returns the chunks of both queues in the order in which they are sent: the control frames come first, or behind
    /// a data frame that was taken in part.
    fn chunks<'a>(&'a self, controls: &'a ControlQueue) -> impl Iterator<Item = &'a [u8]> {
        let (first, data, last) = if self.progress.is_between_frames() {
            (Some(controls), usize::MAX, None)
        } else {
            (None, self.progress.remaining(), Some(controls))
        };
        let data = self.data.chunks().scan(data, |remaining, chunk| {
            if *remaining == 0 {
                return None;
            }
            let (chunk, _) = chunk.split_at(chunk.len().min(*remaining));
            *remaining -= chunk.len();
            Some(chunk)
        });
        let first = first.into_iter().flat_map(|controls| controls.chunks());
        let last = last.into_iter().flat_map(|controls| controls.chunks());
        first.chain(data).chain(last).filter(|chunk| !chunk.is_empty())
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn fill_from_both<'a>(&'a self, controls: &'a ControlQueue, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        fill(self.chunks(controls), slices)
    }

    #[inline(never)]
    fn chunk_of_both<'a>(&'a self, controls: &'a ControlQueue) -> &'a [u8] {
        self.chunks(controls).next().unwrap_or_default()
    }

    /// Decodes the head of the data frame at this offset of the first chunk. The head is contiguous: we encoded it.
    fn begin_frame(&mut self, offset: usize) {
        let head = self.data.chunk().get(offset..).unwrap_or_default();
        let Ok(Some((header, size))) = FrameHeader::decode(head) else { return };
        if header.opcode == OpCode::Close {
            self.progress.close = CloseProgress::Begun;
        }
        self.progress.head = size as u8;
        self.progress.payload = header.payload_length as usize;
        self.progress.is_data = header.opcode != OpCode::Close;
    }

    /// Takes all bytes, none of which is in flight.
    #[inline(always)]
    fn drain(&mut self) {
        if self.len == 0 {
            return;
        }
        self.data.clear();
        // dropping `None` costs a call
        if self.transient.is_some() {
            self.transient = None;
        }
        self.progress.head = 0;
        self.progress.payload = 0;
        self.len = 0;
        self.buffered_amount = 0;
        self.progress.has_progress = true;
        // 5.5.1: the peer discards frames behind a Close frame, so no frame may follow it
        if self.progress.close != CloseProgress::NotQueued {
            self.progress.close = CloseProgress::Begun;
        }
    }

    /// Handles `advance` while bytes are in flight: takes bytes, and reports the `count` earliest bytes as delivered.
    #[cold]
    fn advance_in_flight(&mut self, count: usize) {
        let count = count.min(self.len);
        let mut remaining = count;
        while remaining > 0 {
            match self.take_bytes(remaining).len() {
                0 => break,
                taken => remaining -= taken,
            }
        }
        self.delivered(count);
    }

    /// Handles an `advance` that does not drain the output.
    #[inline(never)]
    fn advance_part(&mut self, count: usize) {
        if self.in_flight_len > 0 {
            return self.advance_in_flight(count);
        }
        self.progress.has_progress = true;
        self.len -= count;
        let mut remaining = count;
        while remaining > 0 {
            match self.advance_frame(remaining) {
                0 => return,
                taken => remaining -= taken,
            }
        }
    }

    /// Takes up to `count` bytes, no further than the end of a frame, and returns how many.
    fn advance_frame(&mut self, count: usize) -> usize {
        if self.progress.is_between_frames()
            && let Some(transient) = &mut self.transient
        {
            let taken = transient.controls.advance(count);
            self.free_transient();
            return taken;
        }
        if self.progress.is_between_frames() {
            self.begin_frame(0);
        }
        let count = count.min(self.progress.remaining());
        let (_, payload) = self.progress.advance(count);
        if self.progress.is_data {
            self.buffered_amount -= payload;
        }
        self.data.advance(count);
        count
    }
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len
    }

    /// Returns the contiguous bytes at the front.
    #[inline]
    fn chunk(&self) -> &[u8] {
        match self.controls() {
            Some(controls) => self.chunk_of_both(controls),
            None => self.data.chunk(),
        }
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        if count >= self.len && self.in_flight_len == 0 {
            self.drain();
        } else if count > 0 {
            self.advance_part(count);
        }
    }

    #[cfg(feature = "std")]
    #[inline]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        match self.controls() {
            Some(controls) => self.fill_from_both(controls, slices),
            None => fill(self.data.chunks(), slices),
        }
    }
}

/// Fills the slices with chunks as far as there are both, and returns how many slices it filled.
#[cfg(feature = "std")]
#[inline]
fn fill<'a>(mut chunks: impl Iterator<Item = &'a [u8]>, slices: &mut [std::io::IoSlice<'a>]) -> usize {
    let mut count = 0;
    let _ = chunks.try_for_each(|chunk| {
        *slices.get_mut(count)? = std::io::IoSlice::new(chunk);
        count += 1;
        Some(())
    });
    count
}
