//! What an endpoint must make of the bytes that it is given: a plain reading of RFC 6455 section 5, byte after byte,
//! that shares no code with the core.

use std::sync::Arc;

use sansocket::{Config, Delivery, Error, MessageKind, ProtocolError, Role};

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Vec<u8>,
}

/// What bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadEvent {
    Message(Whole),
    /// With chunk delivery: as much of a message as has come.
    Piece(Whole, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code is 1005 if there was none.
    Close(u16, String),
    /// The connection fails for one of these reasons, all in the same frame.
    Broken(Vec<Failure>),
}

/// Why a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Rule(ProtocolError),
    /// A limit was exceeded: its name, its value and the size.
    Limit(&'static str, u64, u64),
}

impl From<ProtocolError> for Failure {
    fn from(rule: ProtocolError) -> Self {
        Self::Rule(rule)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(rule) => Self::Rule(rule),
            Error::Limit(exceeded) => Self::Limit(exceeded.name(), exceeded.limit(), exceeded.size()),
            error => panic!("{error}"),
        }
    }
}

/// Reads what an endpoint receives.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The role of the endpoint that receives.
    role: Role,
    config: Arc<Config>,
    bytes: Vec<u8>,
    /// Whether the head of the opening handshake, which is not ours to judge, is over.
    is_open: bool,
    frame: Option<Frame>,
    message: Option<PartialMessage>,
    /// Text has turned out not to be UTF-8, which is said after what came before.
    is_invalid: bool,
    /// A Close frame came, or a rule was broken: nothing that follows is read.
    is_over: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    fin: bool,
    key: [u8; 4],
    length: u64,
    /// What has come of it, unmasked.
    payload: Vec<u8>,
}

#[derive(Debug)]
struct PartialMessage {
    kind: MessageKind,
    payload: Vec<u8>,
    /// How much of the payload the application was told, with chunk delivery.
    told: usize,
    /// How much of the payload is known to be UTF-8.
    valid: usize,
    /// Lengths of its frames added up.
    announced: u64,
    empty_in_a_row: u32,
}

impl Reading {
    pub(crate) fn new(role: Role, config: Arc<Config>) -> Self {
        Self {
            role,
            config,
            bytes: Vec::new(),
            is_open: false,
            frame: None,
            message: None,
            is_invalid: false,
            is_over: false,
        }
    }

    /// More bytes came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if !self.is_open
            && let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            self.is_open = true;
            self.bytes.drain(..at + 4);
        }
    }

    /// How many bytes may have to be kept until more come.
    pub(crate) fn held(&self) -> usize {
        let frame = self.frame.as_ref().map_or(0, |frame| frame.payload.len());
        self.bytes.len() + frame + self.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Nothing more is to be read.
    pub(crate) fn discard(&mut self) {
        self.is_over = true;
        self.bytes.clear();
    }

    /// The next thing said, if the bytes reach so far.
    pub(crate) fn next(&mut self) -> Option<ReadEvent> {
        while self.is_open && !self.is_over {
            let said = match self.frame.take() {
                _ if self.is_invalid => Some(ReadEvent::Broken(vec![ProtocolError::Utf8Invalid.into()])),
                None => self.head()?,
                Some(frame) => self.payload(frame)?,
            };
            if matches!(said, Some(ReadEvent::Close(..) | ReadEvent::Broken(_))) {
                self.discard();
            }
            if said.is_some() {
                return said;
            }
        }
        None
    }

    /// The next thing said that is no piece of a message, if that is that a rule was broken.
    pub(crate) fn verdict(&mut self) -> Option<ReadEvent> {
        let mut said = self.next();
        while matches!(said, Some(ReadEvent::Piece(..))) {
            said = self.next();
        }
        said.filter(|said| matches!(said, ReadEvent::Broken(_)))
    }

    /// Reads a head; the outer `None` if it has not come whole.
    fn head(&mut self) -> Option<Option<ReadEvent>> {
        let [first, second, ..] = *self.bytes.as_slice() else { return None };
        let extended = match second % 128 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = second >= 128;
        let size = 2 + extended + if masked { 4 } else { 0 };
        let head: Vec<u8> = self.bytes.get(..size)?.to_vec();
        self.bytes.drain(..size);

        let number = head[2..2 + extended].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let length = if extended == 0 { u64::from(second % 128) } else { number };
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(&head[size - 4..]);
        }
        let frame = Frame { opcode: first % 16, fin: first >= 128, key, length, payload: Vec::new() };
        let mut broken = self.broken_by(&frame, first / 16 % 8, masked);
        if match extended {
            2 => length < 126,
            8 => length < 65_536,
            _ => false,
        } {
            broken.push(ProtocolError::LengthNotMinimal.into());
        }
        if extended > 0 && frame.opcode >= 8 {
            // 5.5: whatever the length is, its 7 bits say that it is more than 125
            broken.push(ProtocolError::ControlFrameTooLong.into());
        }
        if !broken.is_empty() {
            return Some(Some(ReadEvent::Broken(broken)));
        }
        let said = if length == 0 { self.end(frame) } else { self.keep(frame) };
        Some(said)
    }

    fn keep(&mut self, frame: Frame) -> Option<ReadEvent> {
        self.frame = Some(frame);
        None
    }

    /// Every rule that the head breaks; begins or continues a message.
    fn broken_by(&mut self, frame: &Frame, rsv: u8, masked: bool) -> Vec<Failure> {
        let mut broken = Vec::new();
        let mut rule = |is_broken: bool, rule: ProtocolError| broken.extend(is_broken.then_some(Failure::Rule(rule)));
        let is_control = frame.opcode >= 8;
        rule(rsv != 0, ProtocolError::ReservedBitSet);
        rule(matches!(frame.opcode, 3..=7 | 11..), ProtocolError::OpCodeReserved);
        rule(frame.length >= 1 << 63, ProtocolError::LengthTopBitSet);
        rule(self.role == Role::Server && !masked, ProtocolError::FrameNotMasked);
        rule(self.role == Role::Client && masked, ProtocolError::FrameMasked);
        rule(is_control && !frame.fin, ProtocolError::ControlFrameFragmented);
        if is_control {
            return broken;
        }
        rule(frame.opcode == 0 && self.message.is_none(), ProtocolError::ContinuationUnexpected);
        rule(frame.opcode != 0 && self.message.is_some(), ProtocolError::ContinuationMissing);
        let mut limit = |name, limit: u64, size: u64| {
            broken.extend((size > limit).then_some(Failure::Limit(name, limit, size)));
        };
        if let Some(most) = self.config.max_frame_payload {
            limit("max_frame_payload", most, frame.length);
        }
        let message = self.message.get_or_insert_with(|| PartialMessage {
            kind: if frame.opcode == 1 { MessageKind::Text } else { MessageKind::Binary },
            payload: Vec::new(),
            told: 0,
            valid: 0,
            announced: 0,
            empty_in_a_row: 0,
        });
        message.announced = message.announced.saturating_add(frame.length);
        limit("max_message_size", self.config.max_message_size as u64, message.announced);
        message.empty_in_a_row = if frame.length == 0 && !frame.fin { message.empty_in_a_row + 1 } else { 0 };
        limit("max_empty_fragments", self.config.max_empty_fragments.into(), message.empty_in_a_row.into());
        broken
    }

    /// Takes what has come of a payload; the outer `None` if that is nothing.
    fn payload(&mut self, mut frame: Frame) -> Option<Option<ReadEvent>> {
        let before = frame.payload.len();
        let count = (frame.length - before as u64).min(self.bytes.len() as u64) as usize;
        let unmasked = self.bytes.drain(..count).enumerate().map(|(at, byte)| byte ^ frame.key[(before + at) % 4]);
        frame.payload.extend(unmasked);
        if count == 0 {
            self.frame = Some(frame);
            return None;
        }
        if frame.opcode < 8
            && let Some(message) = &mut self.message
        {
            message.payload.extend_from_slice(&frame.payload[before..]);
            if !message.is_valid_so_far() {
                return Some(self.invalid());
            }
        }
        if frame.payload.len() as u64 == frame.length {
            return Some(self.end(frame));
        }
        let piece = if frame.opcode < 8 { self.piece(false) } else { None };
        self.frame = Some(frame);
        Some(piece)
    }

    /// With chunk delivery, what has come of a message and was not told.
    fn piece(&mut self, last: bool) -> Option<ReadEvent> {
        let message = self.message.as_mut().filter(|_| self.config.delivery == Delivery::Chunks)?;
        let payload = message.payload[message.told..].to_vec();
        message.told = message.payload.len();
        (last || !payload.is_empty()).then_some(ReadEvent::Piece(Whole { kind: message.kind, payload }, last))
    }

    /// A frame has come whole.
    fn end(&mut self, frame: Frame) -> Option<ReadEvent> {
        match frame.opcode {
            8 => return Some(close(&frame.payload)),
            9 => return Some(ReadEvent::Ping(frame.payload)),
            10 => return Some(ReadEvent::Pong(frame.payload)),
            _ => {}
        }
        // 8.1: text is UTF-8; what is left of it here can only be a character cut short
        let is_cut = |begun: &PartialMessage| begun.kind == MessageKind::Text && begun.valid < begun.payload.len();
        if frame.fin && self.message.as_ref().is_some_and(is_cut) {
            return self.invalid();
        }
        let piece = self.piece(frame.fin);
        if !frame.fin {
            return piece;
        }
        let message = self.message.take()?;
        piece.or(Some(ReadEvent::Message(Whole { kind: message.kind, payload: message.payload })))
    }

    /// The text is not UTF-8. What of it may be, so far, can have been told before.
    fn invalid(&mut self) -> Option<ReadEvent> {
        self.is_invalid = true;
        let message = self.message.as_mut()?;
        let may_be = |bytes: &[u8]| str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none());
        while !may_be(&message.payload[message.valid..]) {
            message.payload.pop();
        }
        self.piece(false)
    }
}

impl PartialMessage {
    /// Whether the payload is UTF-8, or the beginning of it.
    fn is_valid_so_far(&mut self) -> bool {
        if self.kind == MessageKind::Binary {
            return true;
        }
        match str::from_utf8(&self.payload[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return false,
        }
        true
    }
}

/// The body of a Close frame (5.5.1, 7.4).
fn close(body: &[u8]) -> ReadEvent {
    let [high, low, reason @ ..] = body else {
        return match body {
            [] => ReadEvent::Close(1005, String::new()),
            _ => ReadEvent::Broken(vec![ProtocolError::CloseBodyTooShort.into()]),
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    let may_travel = matches!(code, 1000 | 1001 | 1002 | 1003 | 1007..=1014 | 3000..=4999);
    match (may_travel, str::from_utf8(reason)) {
        (true, Ok(reason)) => ReadEvent::Close(code, reason.into()),
        (true, Err(_)) => ReadEvent::Broken(vec![ProtocolError::Utf8Invalid.into()]),
        (false, Ok(_)) => ReadEvent::Broken(vec![ProtocolError::CloseCodeInvalid.into()]),
        (false, Err(_)) => {
            ReadEvent::Broken(vec![ProtocolError::CloseCodeInvalid.into(), ProtocolError::Utf8Invalid.into()])
        }
    }
}
