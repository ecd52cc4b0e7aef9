//! The two queues of an output, and the position in them. They exist only while bytes are pending or a scratch is
//! attached.

use alloc::boxed::Box;
#[cfg(feature = "deflate")]
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::{fmt, mem};

use bytes::Bytes;

use super::control_queue::ControlQueue;
use super::data_queue::DataQueue;
use super::in_flight::InFlight;
use crate::buffers::BufferPool;
#[cfg(feature = "deflate")]
use crate::deflate::Codecs;
use crate::frame::{FrameHeader, OpCode};

/// Data frames, control frames, and bytes in flight.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) data: DataQueue,
    /// `None` unless control frames are queued or bytes are in flight.
    transient: Option<Box<Transient>>,
    frame: FrameCursor,
    /// The application bytes of the compressed frames in the queue of data frames, in order.
    #[cfg(feature = "deflate")]
    inflated: VecDeque<usize>,
    /// The codecs of the scratch; `None` if no scratch is attached, or none was needed.
    #[cfg(feature = "deflate")]
    codecs: Option<Box<Codecs>>,
}

/// State that exists only while control frames are queued or bytes are in flight.
#[derive(Default)]
struct Transient {
    controls: ControlQueue,
    in_flight: InFlight,
}

/// The remaining bytes of a data frame that was taken in part. Both numbers are zero between frames.
#[derive(Default)]
struct FrameCursor {
    payload: usize,
    head: u8,
    kind: FrameKind,
    /// The application bytes of a compressed frame.
    #[cfg(feature = "deflate")]
    inflated: usize,
    /// Whether the latest message is compressed.
    #[cfg(feature = "deflate")]
    is_compressed: bool,
}

/// The kind of the latest frame that was taken in part.
#[derive(Default, PartialEq, Eq)]
enum FrameKind {
    /// The head of a handshake message: none of its bytes count in `buffered_amount`.
    #[default]
    Head,
    Data,
    #[cfg(feature = "deflate")]
    Compressed,
    Close,
}

impl FrameCursor {
    fn is_between_frames(&self) -> bool {
        self.head == 0 && self.payload == 0
    }

    fn remaining(&self) -> usize {
        usize::from(self.head) + self.payload
    }

    /// Advances by `count` bytes, no more than remain. Returns how many of them are framing, and how many payload. All
    /// bytes of a compressed frame count as framing: see [`take_inflated`](Self::take_inflated).
    fn advance(&mut self, count: usize) -> (usize, usize) {
        let head = count.min(usize::from(self.head));
        let payload = count - head;
        self.head -= head as u8;
        self.payload -= payload;
        if self.kind == FrameKind::Data { (head, payload) } else { (count, 0) }
    }

    /// Returns the application bytes of a compressed frame whose last byte was taken; 0 in all other cases.
    #[inline]
    fn take_inflated(&mut self) -> usize {
        #[cfg(feature = "deflate")]
        if self.kind == FrameKind::Compressed && self.is_between_frames() {
            return mem::take(&mut self.inflated);
        }
        0
    }
}

impl Queues {
    /// Creates the queues of a scratch.
    #[cold]
    pub(crate) fn of_scratch() -> Box<Self> {
        let mut queues = Box::<Self>::default();
        queues.data.pool = Some(BufferPool::default());
        queues
    }

    /// Queues the head of a handshake message in empty queues. Returns its size.
    pub(crate) fn push_head(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.frame.payload = self.data.push_head(write);
        self.frame.payload
    }

    /// Returns the queue of control frames, unless it is empty.
    #[inline]
    pub(crate) fn controls(&self) -> Option<&ControlQueue> {
        let transient = self.transient.as_deref()?;
        (!transient.controls.is_empty()).then_some(&transient.controls)
    }

    /// Returns the queue of control frames, to add one. Call [`free_transient`](Self::free_transient) then.
    pub(crate) fn controls_mut(&mut self) -> &mut ControlQueue {
        &mut self.transient.get_or_insert_default().controls
    }

    /// Returns whether a keepalive Ping is queued or in flight.
    pub(crate) fn has_keepalive(&self) -> bool {
        let Some(Transient { controls, in_flight }) = self.transient.as_deref() else { return false };
        controls.has_keepalive() || in_flight.has_keepalive()
    }

    /// Returns whether a byte of our Close frame was taken.
    pub(crate) fn has_begun_close(&self) -> bool {
        self.frame.kind == FrameKind::Close
    }

    /// Takes up to `max` contiguous bytes, which are then in flight.
    pub(crate) fn take(&mut self, max: usize) -> Bytes {
        match self.controls() {
            None => self.take_data(max),
            Some(_) if self.frame.is_between_frames() => self.take_controls(max),
            Some(_) => self.take_data(max.min(self.frame.remaining())),
        }
    }

    /// Removes up to `count` of the bytes in flight. Returns how many were removed, and how many of them were payload.
    pub(crate) fn deliver(&mut self, count: usize) -> (usize, usize) {
        let Some(transient) = &mut self.transient else { return (0, 0) };
        let before = transient.in_flight.len();
        let payload = transient.in_flight.deliver(count);
        let delivered = before - transient.in_flight.len();
        self.free_transient();
        (delivered, payload)
    }

    /// Takes up to `count` bytes, no further than the end of a frame, while none is in flight. Returns how many, and
    /// how many of them were payload.
    pub(crate) fn advance_frame(&mut self, count: usize) -> (usize, usize) {
        if self.frame.is_between_frames()
            && let Some(transient) = &mut self.transient
        {
            let taken = transient.controls.advance(count);
            self.free_transient();
            return (taken, 0);
        }
        if self.frame.is_between_frames() {
            self.begin_frame(0);
        }
        let count = count.min(self.frame.remaining());
        let (_, payload) = self.frame.advance(count);
        self.data.advance(count);
        (count, payload + self.frame.take_inflated())
    }

    /// Drops all bytes. With a scratch, keeps the buffers.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.data.clear();
        // dropping `None` costs a call
        if self.transient.is_some() {
            self.transient = None;
        }
        self.frame = FrameCursor::default();
        #[cfg(feature = "deflate")]
        if !self.inflated.is_empty() {
            self.inflated.clear();
        }
    }

    /// Takes the buffers of other queues, which are empty. A second connection used them while a first one had these.
    #[cold]
    pub(crate) fn merge(&mut self, other: Self) {
        self.data.merge(other.data);
        #[cfg(feature = "deflate")]
        self.keep_codecs(other.codecs);
    }

    /// Returns the codecs of the scratch; `None` if no scratch is attached.
    #[cfg(feature = "deflate")]
    pub(crate) fn codecs(&mut self) -> Option<&mut Codecs> {
        self.data.pool.as_ref()?;
        Some(self.codecs.get_or_insert_with(|| Box::new(Codecs::new())))
    }

    /// Takes the codecs, to move them to other queues.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_codecs(&mut self) -> Option<Box<Codecs>> {
        self.codecs.take()
    }

    /// Keeps the codecs of other queues, unless these have some.
    #[cfg(feature = "deflate")]
    pub(crate) fn keep_codecs(&mut self, codecs: Option<Box<Codecs>>) {
        if self.codecs.is_none() {
            self.codecs = codecs;
        }
    }

    /// Moves the pending bytes, and those in flight, out of the queues of a scratch, which keeps its buffers.
    pub(crate) fn take_pending(&mut self) -> Self {
        Self {
            data: self.data.take_pending(),
            transient: self.transient.take(),
            frame: mem::take(&mut self.frame),
            #[cfg(feature = "deflate")]
            inflated: mem::take(&mut self.inflated),
            #[cfg(feature = "deflate")]
            codecs: None,
        }
    }

    /// Returns all contiguous bytes at the front. They are empty only if the queues are.
    #[inline]
    pub(crate) fn chunk(&self) -> &[u8] {
        match self.controls() {
            Some(controls) => self.chunk_of_both(controls),
            None => self.data.chunk(),
        }
    }

    #[inline(never)]
    fn chunk_of_both<'a>(&'a self, controls: &'a ControlQueue) -> &'a [u8] {
        self.chunks_of_both(controls).next().unwrap_or_default()
    }

    /// Returns the chunks of both queues in the order in which they are sent: the control frames come first, or behind
    /// a data frame that was taken in part.
    pub(crate) fn chunks_of_both<'a>(&'a self, controls: &'a ControlQueue) -> impl Iterator<Item = &'a [u8]> {
        let (first, data, last) = if self.frame.is_between_frames() {
            (Some(controls), usize::MAX, None)
        } else {
            (None, self.frame.remaining(), Some(controls))
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

    /// Takes up to `max` bytes of the data frames, which are then in flight.
    fn take_data(&mut self, max: usize) -> Bytes {
        let count = max.min(self.data.chunk().len());
        let mut offset = 0;
        while offset < count {
            if self.frame.is_between_frames() {
                self.begin_frame(offset);
            }
            let step = (count - offset).min(self.frame.remaining());
            if step == 0 {
                break; // not reached: every frame in the queue is our own
            }
            let (framing, payload) = self.frame.advance(step);
            let inflated = self.frame.take_inflated();
            let in_flight = &mut self.transient.get_or_insert_default().in_flight;
            in_flight.push(framing, payload);
            if inflated > 0 {
                in_flight.note_inflated(inflated);
            }
            offset += step;
        }
        self.data.take(count)
    }

    /// Decodes the head of the data frame at this offset of the first chunk. The head is contiguous: we encoded it.
    fn begin_frame(&mut self, offset: usize) {
        let head = self.data.chunk().get(offset..).unwrap_or_default();
        let Ok(Some((header, size))) = FrameHeader::decode(head) else { return };
        self.frame.payload = header.payload_length as usize;
        self.frame.head = size as u8;
        self.frame.kind = if header.opcode == OpCode::Close { FrameKind::Close } else { FrameKind::Data };
        #[cfg(feature = "deflate")]
        self.begin_compressed_frame(&header);
    }

    /// Finds the application bytes of the frame with this head, if it is compressed.
    #[cfg(feature = "deflate")]
    fn begin_compressed_frame(&mut self, header: &FrameHeader) {
        let frame = &mut self.frame;
        match header.opcode {
            OpCode::Text | OpCode::Binary => frame.is_compressed = header.rsv1,
            OpCode::Continuation => {}
            _ => frame.is_compressed = false,
        }
        if frame.is_compressed {
            frame.kind = FrameKind::Compressed;
            frame.inflated = self.inflated.pop_front().unwrap_or_default();
        }
    }

    /// Adds the application bytes of a compressed frame that is about to be queued, which continues a message or not.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_inflated(&mut self, inflated: usize, continues: bool) {
        // If the frames before it are gone, the cursor may not have seen that the message is compressed.
        if continues && self.data.chunk().is_empty() {
            self.frame.is_compressed = true;
        }
        self.inflated.push_back(inflated);
    }

    /// Takes the application bytes of the compressed frames.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_inflated(&mut self) -> Box<[usize]> {
        mem::take(&mut self.inflated).into_iter().collect()
    }

    /// Frees `transient` if it is empty.
    pub(crate) fn free_transient(&mut self) {
        if let Some(Transient { controls, in_flight }) = self.transient.as_deref()
            && controls.is_empty()
            && in_flight.len() == 0
        {
            self.transient = None;
        }
    }
}

/// Omits payloads.
impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}
