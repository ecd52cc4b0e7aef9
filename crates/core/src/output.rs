//! The bytes that wait for the transport.
//!
//! Two lanes lead out. Data frames, with our Close frame last, form one stream of bytes; control frames wait beside it
//! and slip in wherever one data frame ends and the next begins.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use crate::controls::{ControlFrame, Controls, ControlsFull};
use crate::encoded::EncodedMessage;
use crate::flight::InFlight;
use crate::frame::{FrameHeader, OpCode};
use crate::lane::Lane;
use crate::memory::{Scratch, Spares};
use crate::queue::Segment;

/// Bytes to be written to the transport. A driver uses one of two ways:
///
/// * **A transport that delivers what it takes**, such as a kernel socket: the output is a [`Buf`]. Write
///   [`chunk`](Buf::chunk) (with feature `std` also [`chunks_vectored`](Buf::chunks_vectored)), then
///   [`advance`](Buf::advance) by the number of bytes that the transport took. `advance` by more than there is takes
///   all there is. Nothing else may be asked of the connection between `chunk` and `advance`.
/// * **A transport that takes first and delivers later**, such as TLS, HTTP/2 or io_uring:
///   [`take_bytes`](Self::take_bytes) moves bytes out of the output, and [`delivered`](Self::delivered) reports them
///   once they were written. Until then they count in `buffered_amount`, and the closing handshake waits for them.
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
    data: Lane,
    progress: Progress,
    /// Never empty.
    aside: Option<Box<Aside>>,
    /// Bytes of both lanes.
    len: usize,
    /// Bytes that `take_bytes` took and `delivered` has not reported.
    in_flight_len: usize,
    /// Payload bytes of data frames not yet delivered.
    buffered_amount: usize,
}

/// State that exists only while control frames are queued or bytes are in flight.
#[derive(Debug, Default)]
struct Aside {
    controls: Controls,
    in_flight: InFlight,
}

/// How far the output has left. (One struct, so that its small fields share a word.)
#[derive(Debug, Default)]
struct Progress {
    /// What is left of the data frame at the front of its lane, of which a part was taken; both zero between frames.
    head: u8,
    payload: usize,
    /// Whether that payload counts in `buffered_amount`.
    is_data: bool,
    close: CloseProgress,
    /// Whether bytes were delivered since that was last asked.
    has_moved: bool,
    /// Whether pending output may delay the peer's answer to the keepalive Ping, or keep the driver from reading it.
    excuses_silence: bool,
}

impl Progress {
    fn is_between_frames(&self) -> bool {
        self.head == 0 && self.payload == 0
    }

    fn remaining(&self) -> usize {
        usize::from(self.head) + self.payload
    }

    /// Moves on by `count` bytes, no more than remain; returns how many of them are head and how many payload.
    fn advance(&mut self, count: usize) -> (usize, usize) {
        let head = count.min(usize::from(self.head));
        let payload = count - head;
        self.head -= head as u8;
        self.payload -= payload;
        (head, payload)
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
    /// Takes the driver's memory.
    #[inline]
    pub(crate) fn attach_scratch(&mut self, memory: &mut Scratch) {
        self.data.attach_scratch(memory);
    }

    /// Gives back what was lent. Bytes that still wait there move to memory of the connection's own.
    #[inline]
    pub(crate) fn detach_scratch(&mut self, memory: &mut Scratch) {
        self.data.detach_scratch(memory);
    }

    /// Memory to assemble messages in, if any was lent.
    #[inline]
    pub(crate) fn spares(&mut self) -> Option<&mut Spares> {
        self.data.spares()
    }

    /// Forgets all bytes, and begins with the head of a handshake message.
    pub(crate) fn with_head(mut self, head: Vec<u8>) -> Self {
        let len = head.len();
        let progress = Progress { payload: len, ..Progress::default() };
        self.data.restart(head);
        Self { data: self.data, progress, len, ..Self::default() }
    }

    /// Moves up to `max` bytes out of the output, from the front, as many as lie together; empty only if there are
    /// none. They are to be written in order, and reported to [`delivered`](Self::delivered) when they were.
    ///
    /// Copies no shared payload, and of the rest only chunks of up to 4 KiB.
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

    /// Reports that the transport has written `count` of the bytes that [`take_bytes`](Self::take_bytes) returned, in
    /// the order in which they were taken, in any pieces. More than were taken are as many as were taken.
    pub fn delivered(&mut self, count: usize) {
        let Some(aside) = &mut self.aside else { return };
        let payload = aside.in_flight.deliver(count);
        self.progress.has_moved |= count > 0;
        self.buffered_amount -= payload;
        self.in_flight_len = aside.in_flight.len();
        self.tidy();
    }

    /// Payload bytes accepted and not yet delivered.
    #[inline]
    pub(crate) fn buffered_amount(&self) -> usize {
        self.buffered_amount
    }

    /// All bytes that are not delivered: queued or taken.
    #[inline]
    pub(crate) fn undelivered(&self) -> usize {
        self.len + self.in_flight_len
    }

    /// Bytes not yet delivered that are not payload of messages.
    #[inline]
    pub(crate) fn framing_len(&self) -> usize {
        self.undelivered().saturating_sub(self.buffered_amount)
    }

    /// Whether every byte was delivered.
    #[inline]
    pub(crate) fn is_delivered(&self) -> bool {
        self.undelivered() == 0
    }

    /// Whether our Close frame, the last thing that is ever queued, was delivered.
    pub(crate) fn is_close_delivered(&self) -> bool {
        self.is_close_queued() && self.is_delivered()
    }

    /// Whether our Close frame was queued.
    pub(crate) fn is_close_queued(&self) -> bool {
        self.progress.close != CloseProgress::NotQueued
    }

    /// Records whether silence of the peer is excused: see [`Progress`].
    #[inline]
    pub(crate) fn excuse_silence(&mut self, is_excused: bool) {
        self.progress.excuses_silence = is_excused;
    }

    /// Whether silence of the peer is excused.
    pub(crate) fn excuses_silence(&self) -> bool {
        self.progress.excuses_silence
    }

    /// Whether a Ping of keepalive is queued, or taken and not delivered.
    pub(crate) fn has_keepalive(&self) -> bool {
        let has_keepalive = |aside: &Aside| aside.controls.has_keepalive() || aside.in_flight.has_keepalive();
        self.aside.as_deref().is_some_and(has_keepalive)
    }

    /// Whether bytes were delivered since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        core::mem::take(&mut self.progress.has_moved)
    }

    /// Whether control frames can still precede our Close frame.
    pub(crate) fn takes_controls(&self) -> bool {
        self.progress.close != CloseProgress::Begun
    }

    /// Queues a data frame whose payload `write` appends.
    #[inline(always)]
    pub(crate) fn push(&mut self, header: &FrameHeader, payload_length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let frames = self.data.frames(FrameHeader::MAX_SIZE + payload_length);
        let before = frames.len();
        header.append_to(frames);
        write(frames);
        let size = frames.len() - before;
        self.count(header.opcode, size, payload_length);
    }

    /// Queues a data frame whose payload, masked already if need be, stays where it is.
    #[inline(always)]
    pub(crate) fn push_in_place(&mut self, header: &FrameHeader, payload: Segment) {
        let payload_length = payload.bytes().len();
        let frames = self.data.frames(FrameHeader::MAX_SIZE);
        let before = frames.len();
        header.append_to(frames);
        let size = frames.len() - before + payload_length;
        self.count(header.opcode, size, payload_length);
        if payload_length > 0 {
            self.data.push(payload);
        }
    }

    /// Queues the frames of a message that others share, where they are.
    pub(crate) fn push_encoded(&mut self, message: &EncodedMessage) {
        self.len += message.bytes().len();
        self.buffered_amount += message.len();
        self.data.push(Segment::Shared(message.bytes().clone()));
    }

    /// Queues a control frame; see [`Controls::push`].
    pub(crate) fn push_control(&mut self, frame: ControlFrame, max_pending: usize) -> Result<(), ControlsFull> {
        let size = frame.len();
        let replaced = self.aside.get_or_insert_default().controls.push(frame, max_pending);
        self.tidy();
        self.len = self.len + size - replaced?;
        Ok(())
    }

    /// Drops all bytes: there is no transport to take them. `buffered_amount` keeps its value.
    pub(crate) fn abandon(&mut self) {
        let mut data = core::mem::take(&mut self.data);
        data.clear();
        *self = Self { data, buffered_amount: self.buffered_amount, ..Self::default() };
    }

    #[inline]
    fn count(&mut self, opcode: OpCode, size: usize, payload_length: usize) {
        self.len += size;
        match opcode {
            OpCode::Close => self.progress.close = CloseProgress::Queued,
            _ => self.buffered_amount += payload_length,
        }
    }

    /// Takes control frames, which are next.
    fn take_controls(&mut self, max: usize) -> Bytes {
        let Some(Aside { controls, in_flight }) = self.aside.as_deref_mut() else { return Bytes::new() };
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

    /// The control frames, if there are any.
    #[inline]
    fn controls(&self) -> Option<&Controls> {
        let aside = self.aside.as_deref()?;
        (!aside.controls.is_empty()).then_some(&aside.controls)
    }

    /// Frees what is not needed any more.
    fn tidy(&mut self) {
        if self.in_flight_len == 0 && self.controls().is_none() {
            self.aside = None;
        }
    }

    /// Takes up to `max` bytes of the data lane, and records which of them are payload.
    fn take_data(&mut self, max: usize) -> Bytes {
        let count = max.min(self.data.chunk().len());
        let mut at = 0;
        while at < count {
            if self.progress.is_between_frames() {
                self.begin_frame(at);
            }
            let step = (count - at).min(self.progress.remaining());
            if step == 0 {
                break; // not reached: every frame in the lane is our own
            }
            let (head, payload) = self.progress.advance(step);
            let (framing, payload) = if self.progress.is_data { (head, payload) } else { (step, 0) };
            self.aside.get_or_insert_default().in_flight.push(framing, payload);
            at += step;
        }
        self.data.take(count)
    }

    /// The pieces of both lanes in the order in which they leave; up to the first control frame that waits its turn.
    fn chunks<'a>(&'a self, controls: &'a Controls) -> impl Iterator<Item = &'a [u8]> {
        let (first, data, last) = if self.progress.is_between_frames() {
            (Some(controls), usize::MAX, None)
        } else {
            (None, self.progress.remaining(), Some(controls))
        };
        let data = self.data.chunks().scan(data, |left, chunk| {
            if *left == 0 {
                return None;
            }
            let (chunk, _) = chunk.split_at(chunk.len().min(*left));
            *left -= chunk.len();
            Some(chunk)
        });
        let first = first.into_iter().flat_map(|controls| controls.chunks());
        let last = last.into_iter().flat_map(|controls| controls.chunks());
        first.chain(data).chain(last).filter(|chunk| !chunk.is_empty())
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn put_both<'a>(&'a self, controls: &'a Controls, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        put(self.chunks(controls), slices)
    }

    #[inline(never)]
    fn chunk_of_both<'a>(&'a self, controls: &'a Controls) -> &'a [u8] {
        self.chunks(controls).next().unwrap_or_default()
    }

    /// Reads the head of the data frame that begins `at` bytes into the first chunk: frames in the lane are our own,
    /// and a head lies in one piece.
    fn begin_frame(&mut self, at: usize) {
        let head = self.data.chunk().get(at..).unwrap_or_default();
        let Ok(Some((header, size))) = FrameHeader::decode(head) else { return };
        if header.opcode == OpCode::Close {
            self.progress.close = CloseProgress::Begun;
        }
        self.progress.head = size as u8;
        self.progress.payload = header.payload_length as usize;
        self.progress.is_data = header.opcode != OpCode::Close;
    }

    /// All has been taken.
    #[inline(always)]
    fn drain(&mut self) {
        if self.len == 0 {
            return;
        }
        self.data.clear();
        // to drop nothing is a call too
        if self.aside.is_some() {
            self.aside = None;
        }
        self.progress.head = 0;
        self.progress.payload = 0;
        self.len = 0;
        self.buffered_amount = 0;
        self.progress.has_moved = true;
        // 5.5.1: what follows a Close frame would be discarded, so that nothing may
        if self.progress.close != CloseProgress::NotQueued {
            self.progress.close = CloseProgress::Begun;
        }
    }

    /// Takes bytes while others are in flight. `count` more bytes are then delivered: the earliest in flight.
    #[cold]
    fn advance_behind(&mut self, count: usize) {
        let count = count.min(self.len);
        let mut left = count;
        while left > 0 {
            match self.take_bytes(left).len() {
                0 => break,
                taken => left -= taken,
            }
        }
        self.delivered(count);
    }

    #[inline(never)]
    fn advance_part(&mut self, count: usize) {
        if self.in_flight_len > 0 {
            return self.advance_behind(count);
        }
        self.progress.has_moved = true;
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
        if self.progress.is_between_frames()
            && let Some(aside) = &mut self.aside
        {
            let taken = aside.controls.advance(count);
            self.tidy();
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

    /// The bytes that are next; as many as lie together.
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
            Some(controls) => self.put_both(controls, slices),
            None => put(self.data.chunks(), slices),
        }
    }
}

/// Puts chunks into the slices, as many as there are of both, and returns how many.
#[cfg(feature = "std")]
#[inline]
fn put<'a>(mut chunks: impl Iterator<Item = &'a [u8]>, slices: &mut [std::io::IoSlice<'a>]) -> usize {
    let mut count = 0;
    let _ = chunks.try_for_each(|chunk| {
        *slices.get_mut(count)? = std::io::IoSlice::new(chunk);
        count += 1;
        Some(())
    });
    count
}
