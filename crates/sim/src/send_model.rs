//! Predicts the bytes that an endpoint sends: the accepted messages in order, our Close frame after them, and control
//! frames between them. Every frame that the driver takes is parsed and compared.
//!
//! How much a message shrinks is not predicted but observed: the model bounds it, and derives the frames and
//! `buffered_amount` from it exactly. A [strict inflater](crate::strict_inflater) inflates each compressed message.

use std::collections::VecDeque;

use sansocket::Role;

use crate::strict_inflater::StrictInflater;

/// Why a Ping or Pong is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlSource {
    Reply,
    Application,
    Keepalive,
}

#[derive(Debug)]
struct Control {
    source: ControlSource,
    opcode: u8,
    payload: Vec<u8>,
}

/// What one call of the application sends: a message or a fragment.
#[derive(Debug)]
pub(crate) struct SendCall {
    /// The opcode of its first frame.
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
    /// Whether it ends the message.
    pub(crate) last: bool,
    /// The maximum payload of a frame.
    pub(crate) frame_max: usize,
    pub(crate) coding: Coding,
}

/// How what one call sends may be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    /// Compressed, if that is shorter.
    IfShorter,
    Compressed,
}

/// A call whose frames are pending.
#[derive(Debug)]
struct PendingCall {
    call: SendCall,
    /// The length of the compressed bytes, if the call is compressed.
    compressed: Option<usize>,
    /// The application's bytes of the compressed frames that are not taken.
    inflated: usize,
}

/// The body of our Close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CloseBody {
    Exact(Vec<u8>),
    /// This code, and a reason that the core chooses.
    Code(u16),
}

/// The frame that is partly taken.
#[derive(Debug)]
struct PartialFrame {
    class: FrameClass,
    head: Vec<u8>,
    /// The length of the payload, once the head is complete.
    length: Option<usize>,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameClass {
    Control,
    Data,
    Close,
}

/// Bytes taken and not delivered.
#[derive(Debug)]
struct InFlight {
    count: usize,
    /// Whether they are payload of a message that is not compressed.
    is_payload: bool,
    /// The application's bytes that are delivered with the last of them.
    inflated: usize,
}

/// The pending output.
#[derive(Debug)]
pub(crate) struct SendModel {
    role: Role,
    /// Pending bytes of the opening handshake.
    handshake: usize,
    controls: VecDeque<Control>,
    calls: VecDeque<PendingCall>,
    /// The bytes of the first call that were taken in whole frames, and whether the next frame is a continuation.
    taken: usize,
    is_continued: bool,
    /// Inflates what this end compresses, if that was agreed.
    inflater: Option<StrictInflater>,
    /// The part of a compressed message that was taken, and the application's bytes of it.
    compressed: Vec<u8>,
    inflated: Vec<u8>,
    close: Option<CloseBody>,
    has_begun_close: bool,
    partial_frame: Option<PartialFrame>,
    /// Payload bytes of messages that are not delivered: `buffered_amount`.
    buffered: usize,
    /// Bytes taken and not delivered, in order.
    in_flight: VecDeque<InFlight>,
    /// The number of all pending bytes.
    len: usize,
}

impl SendModel {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            handshake: 0,
            controls: VecDeque::new(),
            calls: VecDeque::new(),
            taken: 0,
            is_continued: false,
            inflater: None,
            compressed: Vec::new(),
            inflated: Vec::new(),
            close: None,
            has_begun_close: false,
            partial_frame: None,
            buffered: 0,
            in_flight: VecDeque::new(),
            len: 0,
        }
    }

    /// Queues a head of the opening handshake.
    pub(crate) fn push_handshake(&mut self, length: usize) {
        self.handshake += length;
        self.len += length;
    }

    /// Agrees to compression: this inflater inflates what this end sends.
    pub(crate) fn agree(&mut self, inflater: Option<StrictInflater>) {
        self.inflater = inflater;
    }

    /// Queues what the application sent. `len` is the actual number of pending bytes.
    pub(crate) fn push(&mut self, call: SendCall, len: usize) {
        let (length, size) = (call.payload.len(), len - self.len);
        let plain = self.size_of_frames(length, call.frame_max);
        let compressed = match call.coding {
            Coding::IfShorter if size < plain => Some(self.length_in_frames(size, call.frame_max)),
            Coding::Plain | Coding::IfShorter => {
                assert_eq!(size, plain, "the size of what is not compressed");
                None
            }
            Coding::Compressed => Some(self.length_in_frames(size, call.frame_max)),
        };
        // RFC 1951 3.2.6: a byte takes at most 9 bits; blocks have a head, and an empty block ends the call
        let longest = length + length / 7 + 16;
        assert!(compressed.is_none_or(|compressed| compressed <= longest), "{compressed:?} bytes for {length}");
        self.len = len;
        self.buffered += length;
        self.calls.push_back(PendingCall { inflated: length, compressed, call });
    }

    /// Returns the size of the frames with this much payload.
    fn size_of_frames(&self, length: usize, frame_max: usize) -> usize {
        let (frames, rest) = (length / frame_max, length % frame_max);
        let has_rest = rest > 0 || frames == 0;
        frames * self.size(frame_max) + if has_rest { self.size(rest) } else { 0 }
    }

    /// Returns the payload of frames of this size: the inverse of `size_of_frames`.
    fn length_in_frames(&self, size: usize, frame_max: usize) -> usize {
        let (frames, rest) = (size / self.size(frame_max), size % self.size(frame_max));
        let rest = if rest == 0 { 0 } else { (0..rest).find(|&length| self.size(length) == rest).expect("a frame") };
        frames * frame_max + rest
    }

    /// Queues a Ping or Pong of the application. Returns whether there was room.
    pub(crate) fn queue_control(&mut self, opcode: u8, payload: &[u8], max_pending: usize) -> bool {
        let has_room = self.count_pending(ControlSource::Application) < max_pending;
        if has_room {
            self.push_control(ControlSource::Application, opcode, payload);
        }
        has_room
    }

    /// Queues the Pong for a received Ping, unless our Close frame is partly taken. 5.5.3: if too many are pending, the
    /// new one replaces the latest.
    pub(crate) fn queue_pong(&mut self, payload: &[u8], max_pending: usize) {
        if self.has_begun_close {
            return;
        }
        let begun = usize::from(
            self.partial_frame.as_ref().is_some_and(|partial_frame| partial_frame.class == FrameClass::Control),
        );
        let waiting = self.count_pending(ControlSource::Reply);
        let (old, new) =
            (self.controls.iter_mut().skip(begun).rfind(|control| control.source == ControlSource::Reply), payload);
        match old {
            Some(latest) if waiting >= max_pending => {
                self.len = self.len + new.len() - latest.payload.len();
                latest.payload = new.to_vec();
            }
            _ => self.push_control(ControlSource::Reply, 10, new),
        }
    }

    /// Queues the keepalive Ping, unless one is pending.
    pub(crate) fn queue_keepalive(&mut self) {
        if self.count_pending(ControlSource::Keepalive) == 0 {
            self.push_control(ControlSource::Keepalive, 9, &[]);
        }
    }

    /// Queues our Close frame after everything else; a second one is never sent. `len` is the actual number of pending
    /// bytes, if known: it depends on the reason that the core chooses.
    pub(crate) fn queue_close(&mut self, close: CloseBody, len: Option<usize>) {
        if self.close.is_some() {
            return;
        }
        match &close {
            CloseBody::Exact(body) => self.len += self.size(body.len()),
            CloseBody::Code(_) => {
                let (least, most) = (self.len + self.size(2), self.len + self.size(125));
                let len = len.unwrap_or(least);
                assert!(
                    (least..=most).contains(&len),
                    "no Close frame: {} bytes pending before, {len} after",
                    self.len
                );
                self.len = len;
            }
        }
        self.close = Some(close);
    }

    /// Drops the pending output. `buffered` stays.
    pub(crate) fn drop_output(&mut self) {
        let (buffered, inflater) = (self.buffered, self.inflater.take());
        *self = Self { buffered, inflater, has_begun_close: true, ..Self::new(self.role) };
    }

    /// Returns whether our Close frame, and so everything, was delivered.
    pub(crate) fn is_close_delivered(&self) -> bool {
        self.close.is_some() && self.is_delivered()
    }

    /// Returns whether everything was delivered.
    pub(crate) fn is_delivered(&self) -> bool {
        self.undelivered() == 0
    }

    /// Returns the number of bytes that are pending, or taken and not delivered.
    pub(crate) fn undelivered(&self) -> usize {
        self.len + self.in_flight.iter().map(|bytes| bytes.count).sum::<usize>()
    }

    /// Returns the number of pending control frames.
    pub(crate) fn controls(&self) -> usize {
        self.controls.len()
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Compares bytes that the driver took.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        assert!(bytes.len() <= self.len, "{} bytes were taken, but only {} are pending", bytes.len(), self.len);
        self.len -= bytes.len();
        let handshake = self.handshake.min(bytes.len());
        self.handshake -= handshake;
        self.in_flight.push_back(InFlight { count: handshake, is_payload: false, inflated: 0 });
        bytes = &bytes[handshake..];
        while !bytes.is_empty() {
            let mut partial_frame = self.partial_frame.take().unwrap_or_else(|| self.begin_frame());
            let (all, before) = (bytes.len(), partial_frame.payload.len());
            bytes = partial_frame.take(bytes);
            let (count, payload) = (all - bytes.len(), partial_frame.payload.len() - before);
            let is_compressed = partial_frame.class == FrameClass::Data
                && self.calls.front().is_some_and(|pending| pending.compressed.is_some());
            let is_payload = partial_frame.class == FrameClass::Data && !is_compressed;
            self.in_flight.push_back(InFlight { count: count - payload, is_payload: false, inflated: 0 });
            self.in_flight.push_back(InFlight { count: payload, is_payload, inflated: 0 });
            if partial_frame.length == Some(partial_frame.payload.len()) {
                let inflated = if is_compressed { self.take_inflated(partial_frame.payload.len()) } else { 0 };
                let last = self.in_flight.iter_mut().rfind(|bytes| bytes.count > 0).expect("a frame has bytes");
                last.inflated = inflated;
                self.check(&partial_frame);
            } else {
                self.partial_frame = Some(partial_frame);
            }
        }
    }

    /// Notes that `count` of the bytes taken were delivered.
    pub(crate) fn deliver(&mut self, mut count: usize) {
        while let Some(bytes) = self.in_flight.front_mut() {
            let step = count.min(bytes.count);
            bytes.count -= step;
            count -= step;
            if bytes.is_payload {
                self.buffered -= step;
            }
            if bytes.count > 0 {
                return;
            }
            self.buffered -= bytes.inflated;
            self.in_flight.pop_front();
        }
        assert_eq!(count, 0, "more was delivered than taken");
    }

    fn push_control(&mut self, source: ControlSource, opcode: u8, payload: &[u8]) {
        self.len += self.size(payload.len());
        self.controls.push_back(Control { source, opcode, payload: payload.to_vec() });
    }

    fn count_pending(&self, source: ControlSource) -> usize {
        self.controls.iter().filter(|control| control.source == source).count()
    }

    /// Returns the size of a frame with this payload (5.2).
    fn size(&self, payload: usize) -> usize {
        let extended = match payload {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        };
        2 + extended + if self.role == Role::Client { 4 } else { 0 } + payload
    }

    /// Begins the next frame. A pending control frame precedes data frames.
    fn begin_frame(&mut self) -> PartialFrame {
        let class = match (&self.close, self.controls.is_empty(), self.calls.is_empty()) {
            (_, false, _) => FrameClass::Control,
            (_, true, false) => FrameClass::Data,
            (Some(_), true, true) => FrameClass::Close,
            (None, true, true) => panic!("bytes were taken, but no frame is pending"),
        };
        self.has_begun_close |= class == FrameClass::Close;
        PartialFrame { class, head: Vec::new(), length: None, payload: Vec::new() }
    }

    /// Checks that a taken frame is the expected one.
    fn check(&mut self, frame: &PartialFrame) {
        let (fin, rsv, opcode) = (frame.head[0] >= 128, frame.head[0] / 16 % 8, frame.head[0] % 16);
        let is_compressed = frame.class == FrameClass::Data && self.calls[0].compressed.is_some() && opcode != 0;
        assert_eq!(rsv, if is_compressed { 4 } else { 0 }, "RFC 7692 6.1: the reserved bits");
        assert_eq!(frame.head[1] >= 128, self.role == Role::Client, "5.1: a client masks, a server does not");
        assert_eq!(frame.head.len() + frame.payload.len(), self.size(frame.payload.len()), "the length is not minimal");
        match frame.class {
            FrameClass::Control => {
                let control = self.controls.pop_front().expect("it was pending when it began");
                assert_eq!((opcode, fin), (control.opcode, true), "not the next control frame");
                assert_eq!(frame.payload, control.payload, "the payload of the control frame");
            }
            FrameClass::Data => self.check_data(frame, opcode, fin),
            FrameClass::Close => self.check_close(frame, opcode, fin),
        }
    }

    fn check_data(&mut self, frame: &PartialFrame, opcode: u8, fin: bool) {
        let PendingCall { call, compressed, .. } = self.calls.front().expect("it was pending when it began");
        let length = compressed.unwrap_or(call.payload.len());
        let end = length.min(self.taken + call.frame_max);
        let is_last = end == length;
        let expected = if self.is_continued { 0 } else { call.opcode };
        assert_eq!((opcode, fin), (expected, is_last && call.last), "opcode and FIN of the data frame");
        assert_eq!(frame.payload.len(), end - self.taken, "the length of the data frame");
        match compressed {
            Some(_) => self.compressed.extend_from_slice(&frame.payload),
            None => {
                let is_equal = frame.payload == call.payload[self.taken..end];
                assert!(is_equal, "the payload differs from what was sent, from byte {} on", self.taken);
            }
        }
        if is_last && compressed.is_some() {
            self.inflated.extend_from_slice(&call.payload);
        }
        if fin && compressed.is_some() {
            let inflater = self.inflater.as_mut().expect("compressed without an agreement");
            let message = inflater.inflate(&std::mem::take(&mut self.compressed)).expect("a compressed message");
            let is_equal = message.payload == std::mem::take(&mut self.inflated);
            assert!(is_equal, "a compressed message inflates to something else than was sent");
        }
        self.is_continued = !fin;
        self.taken = end;
        if is_last {
            self.taken = 0;
            self.calls.pop_front();
        }
    }

    /// Returns how many of the application's bytes are delivered with a compressed frame of the first call: all that
    /// remain with the last frame of the call, and with the others a share in proportion to their length.
    fn take_inflated(&mut self, length: usize) -> usize {
        let pending = self.calls.front_mut().expect("it was pending when it began");
        let remaining = pending.compressed.unwrap_or(0) - self.taken;
        let share = if length == remaining { pending.inflated } else { pending.inflated * length / remaining };
        pending.inflated -= share;
        share
    }

    fn check_close(&self, frame: &PartialFrame, opcode: u8, fin: bool) {
        assert_eq!((opcode, fin), (8, true), "not our Close frame");
        match self.close.as_ref().expect("it was pending when it began") {
            CloseBody::Exact(body) => assert_eq!(&frame.payload, body, "the body of the Close frame"),
            CloseBody::Code(code) => {
                assert_eq!(frame.payload[..2], code.to_be_bytes(), "the close code of the failure");
                assert!(str::from_utf8(&frame.payload[2..]).is_ok(), "the reason is not UTF-8");
            }
        }
        assert_eq!(self.len, 0, "bytes follow our Close frame");
    }
}

impl PartialFrame {
    /// Takes the bytes of this frame, and returns the rest.
    fn take<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while self.length.is_none() && !bytes.is_empty() {
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            self.length = self.read_length();
        }
        let Some(length) = self.length else { return bytes };
        let before = self.payload.len();
        let (taken, rest) = bytes.split_at(bytes.len().min(length - before));
        let key = if self.head[1] >= 128 { &self.head[self.head.len() - 4..] } else { &[0; 4] };
        self.payload.extend(taken.iter().zip((before..).map(|at| key[at % 4])).map(|(byte, key)| byte ^ key));
        rest
    }

    /// Returns the length of the payload, once the head is complete.
    fn read_length(&self) -> Option<usize> {
        let second = *self.head.get(1)?;
        let extended = match second % 128 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let size = 2 + extended + if second >= 128 { 4 } else { 0 };
        if self.head.len() < size {
            return None;
        }
        let number = self.head[2..2 + extended].iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        Some(if extended == 0 { usize::from(second % 128) } else { number })
    }
}
