//! Predicts the events of received bytes: a direct implementation of RFC 6455 section 5 that shares no code with the
//! core.

use std::sync::Arc;

use sansocket::{Config, Delivery, Error, MessageKind, ProtocolError, Role};

use crate::strict_inflater::StrictInflater;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WholeMessage {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Vec<u8>,
}

/// What the received bytes must produce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpectedEvent {
    Message(WholeMessage),
    /// With chunk delivery: the part of a message that has arrived, and whether it ends the message.
    Chunk(WholeMessage, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code is 1005 if there was none.
    Close(u16, String),
    /// The connection must fail for one of these reasons, which are all in the same frame.
    Failure(Vec<Failure>),
}

/// Why a connection must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Rule(ProtocolError),
    /// A limit is exceeded: its name, its value and the size.
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

/// Parses what an endpoint receives.
#[derive(Debug)]
pub(crate) struct ReceiveModel {
    /// The role of the endpoint that receives.
    role: Role,
    config: Arc<Config>,
    /// Inflates what the peer compresses, if that was agreed.
    inflater: Option<StrictInflater>,
    /// The number of compressed messages that ended.
    compressed_messages: usize,
    bytes: Vec<u8>,
    /// Whether the head of the opening handshake, which the model skips, is over.
    is_open: bool,
    frame: Option<Frame>,
    message: Option<PartialMessage>,
    /// Text is not UTF-8: the connection must fail once the chunk before the error is delivered.
    is_invalid: bool,
    /// A Close frame arrived, or a rule was broken: the bytes that follow are ignored.
    is_finished: bool,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    fin: bool,
    key: [u8; 4],
    length: u64,
    /// The part that has arrived, unmasked.
    payload: Vec<u8>,
}

#[derive(Debug)]
struct PartialMessage {
    kind: MessageKind,
    /// What was received of a compressed message.
    compressed: Option<Vec<u8>>,
    /// The application's bytes. Those of a compressed message are complete at the end of a frame, with chunk delivery
    /// always.
    payload: Vec<u8>,
    /// The number of bytes delivered in chunks.
    delivered: usize,
    /// The number of bytes known to be UTF-8.
    valid: usize,
    /// The sum of the lengths that its frames announced.
    announced: u64,
    empty_in_a_row: u32,
}

impl ReceiveModel {
    pub(crate) fn new(role: Role, config: Arc<Config>) -> Self {
        Self {
            role,
            config,
            inflater: None,
            compressed_messages: 0,
            bytes: Vec::new(),
            is_open: false,
            frame: None,
            message: None,
            is_invalid: false,
            is_finished: false,
        }
    }

    /// Agrees to compression: this inflater inflates the peer's messages.
    pub(crate) fn agree(&mut self, inflater: Option<StrictInflater>) {
        self.inflater = inflater;
    }

    /// Returns whether compression was agreed.
    pub(crate) const fn is_compressed(&self) -> bool {
        self.inflater.is_some()
    }

    /// Returns the number of compressed messages that were received whole.
    pub(crate) const fn compressed_messages(&self) -> usize {
        self.compressed_messages
    }

    /// Adds received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.is_finished {
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

    /// Returns how many bytes the core may have to buffer until more arrive.
    pub(crate) fn held(&self) -> usize {
        let frame = self.frame.as_ref().map_or(0, |frame| frame.payload.len());
        let held = |message: &PartialMessage| message.payload.len() + message.compressed.as_ref().map_or(0, Vec::len);
        self.bytes.len() + frame + self.message.as_ref().map_or(0, held)
    }

    /// Ignores all further bytes.
    pub(crate) fn discard(&mut self) {
        self.is_finished = true;
        self.bytes.clear();
    }

    /// Returns the next event, if its bytes have arrived.
    pub(crate) fn next(&mut self) -> Option<ExpectedEvent> {
        while self.is_open && !self.is_finished {
            let event = match self.frame.take() {
                _ if self.is_invalid => Some(ExpectedEvent::Failure(vec![ProtocolError::Utf8Invalid.into()])),
                None => self.head()?,
                Some(frame) => self.payload(frame)?,
            };
            if matches!(event, Some(ExpectedEvent::Close(..) | ExpectedEvent::Failure(_))) {
                self.discard();
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Skips chunks, and returns the next event if it is a failure.
    pub(crate) fn next_failure(&mut self) -> Option<ExpectedEvent> {
        let mut event = self.next();
        while matches!(event, Some(ExpectedEvent::Chunk(..))) {
            event = self.next();
        }
        event.or_else(|| self.early_failure()).filter(|event| matches!(event, ExpectedEvent::Failure(_)))
    }

    /// Returns the failure of a compressed message that exceeds the limit before its frame is complete. The core finds
    /// it now or later, at the latest when the frame is complete: it may collect compressed bytes.
    fn early_failure(&self) -> Option<ExpectedEvent> {
        let message = self.message.as_ref()?;
        let payload = self.inflater.as_ref()?.inflate_beginning(message.compressed.as_ref()?);
        Some(ExpectedEvent::Failure(vec![self.excess(payload.len())?]))
    }

    /// Returns the failure of a compressed message with this many bytes, if they exceed the limit. The error does not
    /// say by how many.
    fn excess(&self, length: usize) -> Option<Failure> {
        let limit = self.config.max_message_size;
        (length > limit).then_some(Failure::Limit("max_message_size", limit as u64, limit as u64 + 1))
    }

    /// Parses a frame head. Returns `None` if it is incomplete, and `Some(None)` if it produces no event.
    fn head(&mut self) -> Option<Option<ExpectedEvent>> {
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
        let mut failures = self.head_failures(&frame, first / 16 % 8, masked);
        if match extended {
            2 => length < 126,
            8 => length < 65_536,
            _ => false,
        } {
            failures.push(ProtocolError::LengthNotMinimal.into());
        }
        if extended > 0 && frame.opcode >= 8 {
            // 5.5: an extended length means more than 125 bytes, even if its value is less
            failures.push(ProtocolError::ControlFrameTooLong.into());
        }
        if !failures.is_empty() {
            return Some(Some(ExpectedEvent::Failure(failures)));
        }
        let event = if length == 0 { self.end(frame) } else { self.keep(frame) };
        Some(event)
    }

    fn keep(&mut self, frame: Frame) -> Option<ExpectedEvent> {
        self.frame = Some(frame);
        None
    }

    /// Returns every rule and limit that the head breaks; begins or continues a message.
    fn head_failures(&mut self, frame: &Frame, rsv: u8, masked: bool) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut rule = |is_broken: bool, rule: ProtocolError| failures.extend(is_broken.then_some(Failure::Rule(rule)));
        let is_control = frame.opcode >= 8;
        // RFC 7692 6.1: RSV1 is set on the first frame of a compressed message
        let is_compressed = rsv == 4 && matches!(frame.opcode, 1 | 2) && self.inflater.is_some();
        rule(rsv != 0 && !is_compressed, ProtocolError::ReservedBitSet);
        rule(matches!(frame.opcode, 3..=7 | 11..), ProtocolError::OpCodeReserved);
        rule(frame.length >= 1 << 63, ProtocolError::LengthTopBitSet);
        rule(self.role == Role::Server && !masked, ProtocolError::FrameNotMasked);
        rule(self.role == Role::Client && masked, ProtocolError::FrameMasked);
        rule(is_control && !frame.fin, ProtocolError::ControlFrameFragmented);
        if is_control {
            return failures;
        }
        rule(frame.opcode == 0 && self.message.is_none(), ProtocolError::ContinuationUnexpected);
        rule(frame.opcode != 0 && self.message.is_some(), ProtocolError::ContinuationMissing);
        let mut limit = |name, limit: u64, size: u64| {
            failures.extend((size > limit).then_some(Failure::Limit(name, limit, size)));
        };
        if let Some(max) = self.config.max_frame_payload {
            limit("max_frame_payload", max, frame.length);
        }
        let message = self.message.get_or_insert_with(|| PartialMessage {
            kind: if frame.opcode == 1 { MessageKind::Text } else { MessageKind::Binary },
            compressed: is_compressed.then(Vec::new),
            payload: Vec::new(),
            delivered: 0,
            valid: 0,
            announced: 0,
            empty_in_a_row: 0,
        });
        if message.compressed.is_none() {
            message.announced = message.announced.saturating_add(frame.length);
        }
        limit("max_message_size", self.config.max_message_size as u64, message.announced);
        message.empty_in_a_row = if frame.length == 0 && !frame.fin { message.empty_in_a_row + 1 } else { 0 };
        limit("max_empty_fragments", self.config.max_empty_fragments.into(), message.empty_in_a_row.into());
        failures
    }

    /// Takes the available bytes of a payload. Returns `None` if there are none, and `Some(None)` if they produce no
    /// event.
    fn payload(&mut self, mut frame: Frame) -> Option<Option<ExpectedEvent>> {
        let before = frame.payload.len();
        let count = (frame.length - before as u64).min(self.bytes.len() as u64) as usize;
        let unmasked = self.bytes.drain(..count).enumerate().map(|(at, byte)| byte ^ frame.key[(before + at) % 4]);
        frame.payload.extend(unmasked);
        if count == 0 {
            self.frame = Some(frame);
            return None;
        }
        let is_complete = frame.payload.len() as u64 == frame.length;
        if frame.opcode < 8
            && let Some(message) = &mut self.message
        {
            message.append(&frame.payload[before..]);
            if is_complete || self.config.delivery == Delivery::Chunks {
                message.inflate(self.inflater.as_ref());
            }
            if !message.is_valid_so_far() {
                return Some(self.invalid());
            }
            let length = message.payload.len();
            if is_complete
                && message.compressed.is_some()
                && let Some(failure) = self.excess(length)
            {
                return Some(Some(ExpectedEvent::Failure(vec![failure])));
            }
        }
        if is_complete {
            return Some(self.end(frame));
        }
        let chunk = if frame.opcode < 8 { self.chunk(false) } else { None };
        self.frame = Some(frame);
        Some(chunk)
    }

    /// With chunk delivery, returns the bytes of the message that are not delivered yet.
    fn chunk(&mut self, last: bool) -> Option<ExpectedEvent> {
        let message = self.message.as_mut().filter(|_| self.config.delivery == Delivery::Chunks)?;
        let payload = message.payload[message.delivered..].to_vec();
        message.delivered = message.payload.len();
        (last || !payload.is_empty())
            .then_some(ExpectedEvent::Chunk(WholeMessage { kind: message.kind, payload }, last))
    }

    /// Ends a frame whose payload is complete.
    fn end(&mut self, frame: Frame) -> Option<ExpectedEvent> {
        match frame.opcode {
            8 => return Some(close(&frame.payload)),
            9 => return Some(ExpectedEvent::Ping(frame.payload)),
            10 => return Some(ExpectedEvent::Pong(frame.payload)),
            _ => {}
        }
        if frame.fin
            && let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater)
            && let Some(compressed) = &message.compressed
        {
            let inflated = inflater.inflate(compressed).expect("only an endpoint agrees to compression");
            assert!(message.payload == inflated.payload, "a compressed message inflates to more at its end");
            self.compressed_messages += 1;
        }
        // 8.1: text is UTF-8; bytes not known to be valid here can only be an incomplete character
        let is_cut = |text: &PartialMessage| text.kind == MessageKind::Text && text.valid < text.payload.len();
        if frame.fin && self.message.as_ref().is_some_and(is_cut) {
            return self.invalid();
        }
        let chunk = self.chunk(frame.fin);
        if !frame.fin {
            return chunk;
        }
        let message = self.message.take()?;
        chunk.or(Some(ExpectedEvent::Message(WholeMessage { kind: message.kind, payload: message.payload })))
    }

    /// Notes that the text is not UTF-8. With chunk delivery, the valid bytes before the error are delivered first.
    fn invalid(&mut self) -> Option<ExpectedEvent> {
        self.is_invalid = true;
        let message = self.message.as_mut()?;
        let is_prefix = |bytes: &[u8]| str::from_utf8(bytes).err().is_none_or(|error| error.error_len().is_none());
        while !is_prefix(&message.payload[message.valid..]) {
            message.payload.pop();
        }
        self.chunk(false)
    }
}

impl PartialMessage {
    /// Adds received bytes.
    fn append(&mut self, bytes: &[u8]) {
        self.compressed.as_mut().unwrap_or(&mut self.payload).extend_from_slice(bytes);
    }

    /// Inflates what was received of a compressed message.
    fn inflate(&mut self, inflater: Option<&StrictInflater>) {
        if let (Some(compressed), Some(inflater)) = (&self.compressed, inflater) {
            self.payload = inflater.inflate_beginning(compressed);
        }
    }

    /// Returns whether the payload is UTF-8 or a prefix of UTF-8.
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

/// Parses the body of a Close frame (5.5.1, 7.4).
fn close(body: &[u8]) -> ExpectedEvent {
    let [high, low, reason @ ..] = body else {
        return match body {
            [] => ExpectedEvent::Close(1005, String::new()),
            _ => ExpectedEvent::Failure(vec![ProtocolError::CloseBodyTooShort.into()]),
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    let is_valid = matches!(code, 1000 | 1001 | 1002 | 1003 | 1007..=1014 | 3000..=4999);
    match (is_valid, str::from_utf8(reason)) {
        (true, Ok(reason)) => ExpectedEvent::Close(code, reason.into()),
        (true, Err(_)) => ExpectedEvent::Failure(vec![ProtocolError::Utf8Invalid.into()]),
        (false, Ok(_)) => ExpectedEvent::Failure(vec![ProtocolError::CloseCodeInvalid.into()]),
        (false, Err(_)) => {
            ExpectedEvent::Failure(vec![ProtocolError::CloseCodeInvalid.into(), ProtocolError::Utf8Invalid.into()])
        }
    }
}
