//! What must leave an endpoint, byte for byte: the messages that were accepted, in order; our Close frame behind them;
//! control frames between them. Every frame that the transport takes is read and held against that.

use std::collections::VecDeque;

use sansocket::Role;

/// Why a Ping or Pong is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Answer,
    Asked,
    Keepalive,
}

#[derive(Debug)]
struct Control {
    purpose: Purpose,
    opcode: u8,
    payload: Vec<u8>,
}

/// What one call of the application's sends: a message, or a fragment of one.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Of its first frame.
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
    /// Whether the message ends with it.
    pub(crate) last: bool,
    /// The longest payload of a frame.
    pub(crate) frame_max: usize,
}

/// What our Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Body(Vec<u8>),
    /// This code, and a reason in words of the core's own.
    Code(u16),
}

/// The frame that is leaving.
#[derive(Debug)]
struct PartialFrame {
    lane: Lane,
    head: Vec<u8>,
    /// Known once the head is whole.
    length: Option<usize>,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Control,
    Data,
    Close,
}

/// Everything that waits to leave.
#[derive(Debug)]
pub(crate) struct Writing {
    role: Role,
    /// Bytes of the opening handshake.
    handshake: usize,
    controls: VecDeque<Control>,
    units: VecDeque<Unit>,
    /// How much of the first unit has left in whole frames, and whether it is in its first.
    sent: usize,
    is_continued: bool,
    close: Option<Farewell>,
    close_begun: bool,
    leaving: Option<PartialFrame>,
    /// Payload bytes of messages that were not delivered.
    buffered: usize,
    /// What was taken and not delivered, in order: how many bytes, and whether they are payload of messages.
    in_flight: VecDeque<(usize, bool)>,
    /// All bytes.
    len: usize,
}

impl Writing {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            handshake: 0,
            controls: VecDeque::new(),
            units: VecDeque::new(),
            sent: 0,
            is_continued: false,
            close: None,
            close_begun: false,
            leaving: None,
            buffered: 0,
            in_flight: VecDeque::new(),
            len: 0,
        }
    }

    /// A head of the opening handshake, of this length, was queued.
    pub(crate) fn push_handshake(&mut self, length: usize) {
        self.handshake += length;
        self.len += length;
    }

    /// The application sent something.
    pub(crate) fn push(&mut self, unit: Unit) {
        let (frames, rest) = (unit.payload.len() / unit.frame_max, unit.payload.len() % unit.frame_max);
        let has_rest = rest > 0 || frames == 0;
        self.len += frames * self.size(unit.frame_max) + if has_rest { self.size(rest) } else { 0 };
        self.buffered += unit.payload.len();
        self.units.push_back(unit);
    }

    /// A Ping or Pong was asked for; whether there is room for it.
    pub(crate) fn ask(&mut self, opcode: u8, payload: &[u8], max_pending: usize) -> bool {
        let has_room = self.waiting(Purpose::Asked) < max_pending;
        if has_room {
            self.push_control(Purpose::Asked, opcode, payload);
        }
        has_room
    }

    /// A Ping came: its Pong is due, unless our Close frame has begun to leave. 5.5.3: where too many wait, only the
    /// latest need be sent.
    pub(crate) fn answer(&mut self, payload: &[u8], max_pending: usize) {
        if self.close_begun {
            return;
        }
        let begun = usize::from(self.leaving.as_ref().is_some_and(|leaving| leaving.lane == Lane::Control));
        let waiting = self.waiting(Purpose::Answer);
        let (old, new) =
            (self.controls.iter_mut().skip(begun).rfind(|control| control.purpose == Purpose::Answer), payload);
        match old {
            Some(latest) if waiting >= max_pending => {
                self.len = self.len + new.len() - latest.payload.len();
                latest.payload = new.to_vec();
            }
            _ => self.push_control(Purpose::Answer, 10, new),
        }
    }

    /// The keepalive Ping is due, unless one waits already.
    pub(crate) fn keep_alive(&mut self) {
        if self.waiting(Purpose::Keepalive) == 0 {
            self.push_control(Purpose::Keepalive, 9, &[]);
        }
    }

    /// Our Close frame goes behind everything else; a second is never sent. `len` is what really waits, if that is
    /// known: the words of a reason are the core's.
    pub(crate) fn close(&mut self, farewell: Farewell, len: Option<usize>) {
        if self.close.is_some() {
            return;
        }
        match &farewell {
            Farewell::Body(body) => self.len += self.size(body.len()),
            Farewell::Code(_) => {
                let (least, most) = (self.len + self.size(2), self.len + self.size(125));
                let len = len.unwrap_or(least);
                assert!((least..=most).contains(&len), "no Close frame: {} and then {len}", self.len);
                self.len = len;
            }
        }
        self.close = Some(farewell);
    }

    /// There is nobody to take it: what waits is forgotten, but stays counted.
    pub(crate) fn abandon(&mut self) {
        let buffered = self.buffered;
        *self = Self { buffered, close_begun: true, ..Self::new(self.role) };
    }

    /// Whether our Close frame, and so everything, was delivered.
    pub(crate) fn is_close_delivered(&self) -> bool {
        self.close.is_some() && self.is_delivered()
    }

    /// Whether everything was delivered.
    pub(crate) fn is_delivered(&self) -> bool {
        self.undelivered() == 0
    }

    /// Bytes that wait, or were taken and not delivered.
    pub(crate) fn undelivered(&self) -> usize {
        self.len + self.in_flight.iter().map(|(count, _)| count).sum::<usize>()
    }

    /// How many control frames wait.
    pub(crate) fn controls(&self) -> usize {
        self.controls.len()
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The driver took these bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        assert!(bytes.len() <= self.len, "{} bytes left, but {} were sent", bytes.len(), self.len);
        self.len -= bytes.len();
        let handshake = self.handshake.min(bytes.len());
        self.handshake -= handshake;
        self.in_flight.push_back((handshake, false));
        bytes = &bytes[handshake..];
        while !bytes.is_empty() {
            let mut leaving = self.leaving.take().unwrap_or_else(|| self.begin());
            let (all, before) = (bytes.len(), leaving.payload.len());
            bytes = leaving.take(bytes);
            let (count, payload) = (all - bytes.len(), leaving.payload.len() - before);
            self.in_flight.push_back((count - payload, false));
            self.in_flight.push_back((payload, leaving.lane == Lane::Data));
            if leaving.length == Some(leaving.payload.len()) {
                self.check(&leaving);
            } else {
                self.leaving = Some(leaving);
            }
        }
    }

    /// The driver reports that the transport delivered so many of the bytes taken.
    pub(crate) fn deliver(&mut self, mut count: usize) {
        while let Some((left, is_payload)) = self.in_flight.front_mut() {
            let step = count.min(*left);
            *left -= step;
            count -= step;
            if *is_payload {
                self.buffered -= step;
            }
            if *left > 0 {
                return;
            }
            self.in_flight.pop_front();
        }
        assert_eq!(count, 0, "more was delivered than taken");
    }

    fn push_control(&mut self, purpose: Purpose, opcode: u8, payload: &[u8]) {
        self.len += self.size(payload.len());
        self.controls.push_back(Control { purpose, opcode, payload: payload.to_vec() });
    }

    fn waiting(&self, purpose: Purpose) -> usize {
        self.controls.iter().filter(|control| control.purpose == purpose).count()
    }

    /// The bytes of a frame with this payload (5.2).
    fn size(&self, payload: usize) -> usize {
        let extended = match payload {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        };
        2 + extended + if self.role == Role::Client { 4 } else { 0 } + payload
    }

    /// A frame begins to leave. Control frames find their way between data frames: one that waits is next.
    fn begin(&mut self) -> PartialFrame {
        let lane = match (&self.close, self.controls.is_empty(), self.units.is_empty()) {
            (_, false, _) => Lane::Control,
            (_, true, false) => Lane::Data,
            (Some(_), true, true) => Lane::Close,
            (None, true, true) => panic!("bytes left that nobody sent"),
        };
        self.close_begun |= lane == Lane::Close;
        PartialFrame { lane, head: Vec::new(), length: None, payload: Vec::new() }
    }

    /// A frame has left: it must be the one that was next.
    fn check(&mut self, frame: &PartialFrame) {
        let (fin, rsv, opcode) = (frame.head[0] >= 128, frame.head[0] / 16 % 8, frame.head[0] % 16);
        assert_eq!(rsv, 0, "a reserved bit was set");
        assert_eq!(frame.head[1] >= 128, self.role == Role::Client, "5.1: a client masks, a server does not");
        assert_eq!(frame.head.len() + frame.payload.len(), self.size(frame.payload.len()), "the length is not minimal");
        match frame.lane {
            Lane::Control => {
                let control = self.controls.pop_front().expect("one waited when it began");
                assert_eq!((opcode, fin), (control.opcode, true), "not the control frame that was next");
                assert_eq!(frame.payload, control.payload, "not the payload of the control frame that was next");
            }
            Lane::Data => self.check_data(frame, opcode, fin),
            Lane::Close => self.check_close(frame, opcode, fin),
        }
    }

    fn check_data(&mut self, frame: &PartialFrame, opcode: u8, fin: bool) {
        let unit = self.units.front().expect("one waited when it began");
        let end = unit.payload.len().min(self.sent + unit.frame_max);
        let is_last = end == unit.payload.len();
        let expected = if self.is_continued { 0 } else { unit.opcode };
        assert_eq!(
            (opcode, fin),
            (expected, is_last && unit.last),
            "not the opcode and FIN of the frame that was next"
        );
        assert!(
            frame.payload == unit.payload[self.sent..end],
            "not the payload that was sent, from byte {}",
            self.sent
        );
        self.is_continued = !fin;
        self.sent = end;
        if is_last {
            self.sent = 0;
            self.units.pop_front();
        }
    }

    fn check_close(&self, frame: &PartialFrame, opcode: u8, fin: bool) {
        assert_eq!((opcode, fin), (8, true), "not our Close frame");
        match self.close.as_ref().expect("it waited when it began") {
            Farewell::Body(body) => assert_eq!(&frame.payload, body, "not the Close frame that was asked for"),
            Farewell::Code(code) => {
                assert_eq!(frame.payload[..2], code.to_be_bytes(), "not the code for the rule that was broken");
                assert!(str::from_utf8(&frame.payload[2..]).is_ok(), "the reason is no text");
            }
        }
        assert_eq!(self.len, 0, "something follows our Close frame");
    }
}

impl PartialFrame {
    /// Takes what belongs to this frame; returns the rest.
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

    /// The payload's length, once the head is whole.
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
