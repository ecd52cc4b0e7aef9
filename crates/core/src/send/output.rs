//! The bytes to be written to the transport, in two queues. Data frames are one stream of bytes, which ends with our
//! Close frame. Control frames have a separate queue, and are sent between any two data frames.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::control_queue::{ControlFrame, ControlQueueFull};
use super::queues::Queues;
use super::scratch::Scratch;
use crate::buffers::{BufferPool, Segment};
#[cfg(feature = "deflate")]
use crate::deflate::Codecs;
use crate::frame::{FrameHeader, OpCode};

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
    /// `None` if no byte is pending and no scratch is attached, so that an idle connection is small.
    queues: Option<Box<Queues>>,
    /// The number of bytes in the queues.
    len: usize,
    /// The number of bytes that `take_bytes` took and `delivered` has not reported.
    in_flight_len: usize,
    /// The number of payload bytes of data frames that are not delivered.
    buffered_amount: usize,
    close: CloseProgress,
    /// Whether bytes were delivered since the last [`Output::take_progress`].
    has_progress: bool,
    /// See [`Output::set_pong_excused`].
    pong_excused: bool,
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
    /// Attaches the scratch: its queues, or its pool alone if output is pending.
    #[inline]
    pub(crate) fn attach_scratch(&mut self, scratch: &mut Scratch) {
        match &mut self.queues {
            None => self.queues = Some(scratch.take()),
            Some(queues) => scratch.attach_to_pending(queues),
        }
    }

    /// Detaches the scratch. Pending output moves to queues and buffers that the connection owns.
    #[inline(always)]
    pub(crate) fn detach_scratch(&mut self, scratch: &mut Scratch) {
        if self.is_delivered() {
            if let Some(queues) = self.queues.take() {
                scratch.put_back(queues);
            }
        } else if let Some(queues) = &mut self.queues {
            scratch.detach_from_pending(queues);
        }
    }

    /// Returns the pool of buffers for messages that are assembled, if a scratch is attached.
    #[inline]
    pub(crate) fn pool(&mut self) -> Option<&mut BufferPool> {
        self.queues.as_mut()?.data.pool.as_mut()
    }

    /// Returns whether a scratch is attached.
    #[cfg(feature = "deflate")]
    pub(crate) fn has_scratch(&self) -> bool {
        self.queues.as_ref().is_some_and(|queues| queues.data.pool.is_some())
    }

    /// Returns the codecs of the scratch; `None` if no scratch is attached.
    #[cfg(feature = "deflate")]
    pub(crate) fn codecs(&mut self) -> Option<&mut Codecs> {
        self.queues.as_mut()?.codecs()
    }

    /// Queues the head of a handshake message, which `write` appends, in an empty output.
    pub(crate) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.len = self.queues_mut().push_head(write);
    }

    /// Moves up to `max` contiguous bytes out of the output, from its front. They are empty only if the output is, or
    /// `max` is 0. Write them in order, then report them to [`delivered`](Self::delivered).
    ///
    /// Does not copy shared payloads, nor other chunks of more than 4 KiB.
    pub fn take_bytes(&mut self, max: usize) -> Bytes {
        if max == 0 || self.len == 0 {
            return Bytes::new();
        }
        let Some(queues) = &mut self.queues else { return Bytes::new() };
        let bytes = queues.take(max);
        self.len -= bytes.len();
        self.in_flight_len += bytes.len();
        self.note_begun_close();
        bytes
    }

    /// Reports that the transport has written `count` more of the bytes that [`take_bytes`](Self::take_bytes) returned,
    /// in the order in which they were taken. A `count` above the number of bytes in flight reports all of them.
    pub fn delivered(&mut self, count: usize) {
        let Some(queues) = &mut self.queues else { return };
        let (delivered, payload) = queues.deliver(count);
        self.has_progress |= delivered > 0;
        self.in_flight_len -= delivered;
        self.buffered_amount -= payload;
        self.free_drained();
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
        match self.close {
            CloseProgress::Begun if self.is_delivered() => CloseProgress::Delivered,
            progress => progress,
        }
    }

    /// Records whether a missing Pong is excused: pending output delays the keepalive Ping, or keeps the driver from
    /// reading the Pong.
    #[inline]
    pub(crate) fn set_pong_excused(&mut self, is_excused: bool) {
        self.pong_excused = is_excused;
    }

    pub(crate) fn pong_excused(&self) -> bool {
        self.pong_excused
    }

    /// Returns whether a keepalive Ping is queued or in flight.
    pub(crate) fn has_keepalive(&self) -> bool {
        self.queues.as_ref().is_some_and(|queues| queues.has_keepalive())
    }

    /// Returns whether bytes were delivered since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        core::mem::take(&mut self.has_progress)
    }

    /// Queues a data frame whose payload `write` appends.
    #[inline(always)]
    pub(crate) fn push(&mut self, header: &FrameHeader, payload_length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let frames = self.queues_mut().data.frames(FrameHeader::MAX_SIZE + payload_length);
        let before = frames.len();
        header.append_to(frames);
        write(frames);
        let size = frames.len() - before;
        self.count_frame(header.opcode, size, payload_length);
    }

    /// Queues a compressed data frame with `inflated` application bytes, whose payload `write` appends.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_compressed(&mut self, header: &FrameHeader, inflated: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let queues = self.queues.get_or_insert_with(new_queues);
        queues.push_inflated(inflated, header.opcode == OpCode::Continuation);
        let frames = queues.data.frames(FrameHeader::MAX_SIZE + header.payload_length as usize);
        let before = frames.len();
        header.append_to(frames);
        write(frames);
        self.len += frames.len() - before;
        self.buffered_amount += inflated;
    }

    /// Takes the application bytes of the compressed frames that are queued.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_inflated(&mut self) -> Box<[usize]> {
        self.queues.as_mut().map(|queues| queues.take_inflated()).unwrap_or_default()
    }

    /// Adds the application bytes of compressed frames that are about to be queued as encoded frames.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_inflated(&mut self, inflated: &[usize]) {
        let queues = self.queues.get_or_insert_with(new_queues);
        inflated.iter().for_each(|&inflated| queues.push_inflated(inflated, false));
    }

    /// Queues a data frame without copying its payload, which the caller has masked if necessary.
    #[inline(always)]
    pub(crate) fn push_segment(&mut self, header: &FrameHeader, payload: Segment) {
        let payload_length = payload.bytes().len();
        let data = &mut self.queues_mut().data;
        let frames = data.frames(FrameHeader::MAX_SIZE);
        let before = frames.len();
        header.append_to(frames);
        let size = frames.len() - before + payload_length;
        if payload_length > 0 {
            data.push(payload);
        }
        self.count_frame(header.opcode, size, payload_length);
    }

    /// Queues shared data frames, whose payloads have `payload_length` bytes, without copying them.
    pub(crate) fn push_encoded(&mut self, frames: Bytes, payload_length: usize) {
        self.len += frames.len();
        self.buffered_amount += payload_length;
        self.queues_mut().data.push(Segment::Shared(frames));
    }

    /// Queues data frames, whose payloads have `payload_length` bytes, by copying them.
    pub(crate) fn push_encoded_copy(&mut self, frames: &[u8], payload_length: usize) {
        self.len += frames.len();
        self.buffered_amount += payload_length;
        self.queues_mut().data.frames(frames.len()).extend_from_slice(frames);
    }

    /// Queues a control frame; see [`ControlQueue::push`](super::control_queue::ControlQueue::push).
    pub(crate) fn push_control(&mut self, frame: ControlFrame, max_pending: usize) -> Result<(), ControlQueueFull> {
        let size = frame.len();
        let queues = self.queues_mut();
        let replaced = queues.controls_mut().push(frame, max_pending);
        queues.free_transient();
        if let Ok(replaced) = replaced {
            self.len = self.len + size - replaced;
        }
        self.free_drained();
        replaced.map(|_| ())
    }

    /// Drops all bytes, because the transport will not take them. `buffered_amount` keeps its value.
    pub(crate) fn abandon(&mut self) {
        if let Some(queues) = &mut self.queues {
            queues.clear();
        }
        *self = Self { queues: self.queues.take(), buffered_amount: self.buffered_amount, ..Self::default() };
        self.free_drained();
    }

    #[inline]
    fn queues_mut(&mut self) -> &mut Queues {
        self.queues.get_or_insert_with(new_queues)
    }

    /// Frees the queues if they are empty. Those of a scratch stay, but forget the latest frame: the next connection
    /// has its own.
    fn free_drained(&mut self) {
        if !self.is_delivered() {
            return;
        }
        match &mut self.queues {
            Some(queues) if queues.data.pool.is_some() => queues.clear(),
            _ => self.queues = None,
        }
    }

    /// Counts a frame that was queued.
    #[inline]
    fn count_frame(&mut self, opcode: OpCode, size: usize, payload_length: usize) {
        self.len += size;
        match opcode {
            OpCode::Close => self.close = CloseProgress::Queued,
            _ => self.buffered_amount += payload_length,
        }
    }

    /// Records that a byte of our Close frame was taken, if one was.
    fn note_begun_close(&mut self) {
        if self.queues.as_ref().is_some_and(|queues| queues.has_begun_close()) {
            self.close = CloseProgress::Begun;
        }
    }

    /// Takes all bytes, none of which is in flight.
    #[inline(always)]
    fn drain(&mut self) {
        let Some(queues) = self.queues.as_mut().filter(|_| self.len > 0) else { return };
        queues.clear();
        let is_of_scratch = queues.data.pool.is_some();
        self.len = 0;
        self.buffered_amount = 0;
        self.has_progress = true;
        // 5.5.1: the peer discards frames behind a Close frame, so no frame may follow it
        if self.close != CloseProgress::NotQueued {
            self.close = CloseProgress::Begun;
        }
        if !is_of_scratch {
            self.queues = None;
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
        let Some(queues) = &mut self.queues else { return };
        let mut remaining = count;
        while remaining > 0 {
            let (taken, payload) = queues.advance_frame(remaining);
            if taken == 0 {
                break; // not reached: more bytes are queued
            }
            remaining -= taken;
            self.buffered_amount -= payload;
        }
        self.has_progress = true;
        self.len -= count;
        self.note_begun_close();
    }
}

/// Creates the queues of a connection without a scratch.
#[cold]
fn new_queues() -> Box<Queues> {
    Box::default()
}

impl Buf for Output {
    #[inline]
    fn remaining(&self) -> usize {
        self.len
    }

    /// Returns the contiguous bytes at the front.
    #[inline]
    fn chunk(&self) -> &[u8] {
        self.queues.as_ref().map_or(&[], |queues| queues.chunk())
    }

    #[inline(always)]
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
        let Some(queues) = &self.queues else { return 0 };
        match queues.controls() {
            Some(controls) => fill(queues.chunks_of_both(controls), slices),
            None => fill(queues.data.chunks(), slices),
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
