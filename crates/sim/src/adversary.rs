//! A peer that breaks the rules: it sends frames in any order, some of them invalid, random bytes, and the end of the
//! stream at any moment. The [receive model](crate::receive_model) predicts what an endpoint makes of it.

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Input, Instant, OriginPolicy, Role, WebSocket};

use crate::choices::Choices;
use crate::content;
use crate::context::{Context, Short};
use crate::network::{Network, Read};
use crate::settings::MILLISECOND;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: sim.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: second\r\n\r\n";

/// After this many single bytes it writes at most one byte per second, which bounds the steps of a run.
const DRIPS_MAX: usize = 2000;

/// The state of the hostile peer of an endpoint.
#[derive(Debug)]
pub(crate) struct Adversary {
    role: Role,
    /// Moves that remain before it ends the connection.
    remaining_moves: usize,
    pub(crate) next_at: Option<u64>,
    pace: u64,
    /// On average one frame in this many is invalid.
    broken_one_in: usize,
    has_sent_handshake: bool,
    reading: ReadMode,
    pub(crate) reads_at: u64,
    /// If set, it writes single bytes with this pause, in nanoseconds.
    drip_pause: Option<u64>,
    writes_at: u64,
    drip_count: usize,
    /// It sends until the connection ends.
    is_endless: bool,
    /// Frames that remain of its flood, which have short pauses.
    flood_frames: usize,
    request: Vec<u8>,
    outgoing: Vec<u8>,
    /// The rest of a fragmented message.
    message: Option<Vec<u8>>,
    has_closed: bool,
    has_shut: bool,
    pub(crate) is_done: bool,
}

/// How it reads after the opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadMode {
    Everything,
    Nothing,
    /// At most this many bytes, then a pause in nanoseconds.
    Slow(usize, u64),
}

impl Adversary {
    pub(crate) fn new(role: Role, choices: &mut Choices<'_>, now: u64) -> Self {
        let pauses = [5, 20, 100, 1000].map(|pause| pause * MILLISECOND);
        Self {
            role,
            remaining_moves: choices.pick(&[12, 0, 4, 24, 40]),
            next_at: (role == Role::Client).then_some(now),
            pace: choices.pick(&[1, 0, 10, 60]) * MILLISECOND,
            broken_one_in: choices.pick(&[100, 1000, 30, 6]),
            has_sent_handshake: false,
            reading: match choices.below(8) {
                5 => ReadMode::Nothing,
                6 => ReadMode::Slow(1, choices.pick(&pauses)),
                7 => ReadMode::Slow(1000, choices.pick(&pauses)),
                _ => ReadMode::Everything,
            },
            reads_at: now,
            drip_pause: choices.once_in(6).then(|| choices.pick(&pauses)),
            writes_at: now,
            drip_count: 0,
            is_endless: choices.once_in(5),
            flood_frames: choices.pick(&[1000, 0, 100]),
            request: Vec::new(),
            outgoing: Vec::new(),
            message: None,
            has_closed: false,
            has_shut: false,
            is_done: false,
        }
    }

    /// Returns when it writes its pending bytes, if there are any.
    pub(crate) fn writes_at(&self) -> Option<u64> {
        (!self.outgoing.is_empty() && !self.has_shut).then_some(self.writes_at)
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading != ReadMode::Nothing || !self.has_sent_handshake
    }

    pub(crate) fn write(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        let most = self.outgoing.len();
        let mut count = if cx.choices.once_in(2) { cx.choices.between(1, most) } else { most };
        if let Some(pause) = self.drip_pause
            && self.has_sent_handshake
            && self.remaining_moves == 0
        {
            count = 1;
            self.drip_count += 1;
            self.writes_at = cx.now + if self.drip_count < DRIPS_MAX { pause } else { pause.max(1000 * MILLISECOND) };
        }
        let Ok(count) = network.write(end, &self.outgoing[..count], cx.now, cx.choices) else {
            self.is_done = true;
            return network.close(end, cx.now);
        };
        cx.trace.line("adversary", format_args!("writes {}", Short(&self.outgoing[..count])));
        self.outgoing.drain(..count);
    }

    /// Reads, and drops everything but the request of a client, whose key the response must answer.
    pub(crate) fn read(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        let has_request = self.role == Role::Server && !self.has_sent_handshake;
        let most = match self.reading {
            ReadMode::Slow(most, pause) if !has_request => {
                self.reads_at = cx.now + pause;
                most
            }
            _ => usize::MAX,
        };
        match network.read(end, most, cx.now) {
            Read::Bytes(bytes) if has_request => {
                self.request.extend(bytes);
                if self.request.ends_with(b"\r\n\r\n") {
                    self.next_at = Some(cx.now + cx.choices.below(3) as u64 * self.pace);
                }
            }
            Read::Bytes(_) | Read::Nothing => {}
            Read::End | Read::Failed(_) => {
                cx.trace.line("adversary", format_args!("reads the end of the stream or an error"));
                self.is_done = true;
                network.close(end, cx.now);
            }
        }
    }

    /// Performs the next move.
    pub(crate) fn act(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        self.next_at = None;
        if !self.has_sent_handshake {
            self.send_handshake(cx);
            // frames may come along with the handshake
            if !cx.choices.once_in(3) {
                self.next_at = Some(cx.now + self.pace);
                return;
            }
        }
        if self.remaining_moves == 0 {
            return self.finish(end, network, cx);
        }
        self.remaining_moves -= 1;
        for _ in 0..cx.choices.between(1, 4) {
            let frame = self.frame(cx.choices);
            cx.trace.line("adversary", format_args!("queues a frame {}", Short(&frame)));
            self.outgoing.extend(frame);
        }
        self.next_at = Some(cx.now + cx.choices.below(3) as u64 * self.pace);
    }

    fn finish(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        match cx.choices.below(5) {
            0 if !self.has_closed => {
                self.has_closed = true;
                let close = self.encode(0x88, &1000_u16.to_be_bytes(), cx.choices);
                self.outgoing.extend(close);
                self.remaining_moves = cx.choices.below(2);
                self.next_at = Some(cx.now + self.pace);
            }
            _ if self.is_endless && !network.is_closed(1 - end) => {
                if self.outgoing.len() < 1000 {
                    let frame = self.control_frame(cx.choices.pick(&[9, 10]), cx.choices);
                    self.outgoing.extend(frame);
                }
                // the flood ends in single frames with long pauses, which bounds the steps of a run
                self.flood_frames = self.flood_frames.saturating_sub(1);
                let pause = if self.flood_frames > 0 { 5 } else { 1000 };
                self.next_at = Some(cx.now + self.pace.max(pause * MILLISECOND));
            }
            1 => {}
            2 => {
                cx.trace.line("adversary", format_args!("drops the connection"));
                self.is_done = true;
                network.abort(end, cx.now);
            }
            _ => {
                cx.trace.line("adversary", format_args!("ends the stream"));
                self.has_shut = true;
                network.shut(end, cx.now);
            }
        }
    }

    fn send_handshake(&mut self, cx: &mut Context<'_, '_>) {
        self.has_sent_handshake = true;
        let mut head = match self.role {
            Role::Client => REQUEST.to_vec(),
            Role::Server => response(&mut self.request),
        };
        if cx.choices.once_in(16) {
            match cx.choices.below(3) {
                0 => head.truncate(cx.choices.below(head.len())),
                1 => head = content::bytes(cx.choices, 200),
                _ => {
                    let at = cx.choices.below(head.len());
                    head[at] ^= cx.choices.between(1, 255) as u8;
                }
            }
        }
        cx.trace.line("adversary", format_args!("sends the handshake {}", Short(&head)));
        self.outgoing.extend(head);
    }

    /// Returns a frame that is valid in this state, or one that is not.
    fn frame(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        if choices.once_in(self.broken_one_in) {
            return self.invalid_frame(choices);
        }
        match choices.below(16) {
            0..=9 => self.data_frame(choices),
            10..=12 => self.control_frame(9, choices),
            13 | 14 => self.control_frame(10, choices),
            _ if choices.once_in(3) => {
                let code: u16 = choices.pick(&[1000, 1001, 1003, 1007, 1014, 3000, 4999]);
                let length = content::length(choices, 123);
                let reason = content::text(choices, length);
                let body = [&code.to_be_bytes(), reason.as_bytes()].concat();
                let body = if choices.once_in(4) { &[] } else { &body[..] };
                self.encode(0x88, body, choices)
            }
            _ => self.data_frame(choices),
        }
    }

    fn control_frame(&self, opcode: u8, choices: &mut Choices<'_>) -> Vec<u8> {
        let length = choices.pick(&[4, 0, 1, 124, 125]);
        let payload = content::bytes(choices, length);
        self.encode(0x80 | opcode, &payload, choices)
    }

    /// Returns a frame with a message or a fragment.
    fn data_frame(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let is_text = choices.once_in(2);
        let (rest, opcode) = match self.message.take() {
            Some(rest) => (rest, 0),
            None => {
                let length = content::length(choices, usize::MAX);
                let text = if is_text { content::text(choices, length).into_bytes() } else { Vec::new() };
                (if is_text { text } else { content::bytes(choices, length) }, if is_text { 1 } else { 2 })
            }
        };
        if choices.once_in(2) {
            // dropping the last byte may cut a character of a text message
            let missing = if choices.once_in(self.broken_one_in) { 1 } else { 0 };
            return self.encode(0x80 | opcode, &rest[..rest.len().saturating_sub(missing)], choices);
        }
        let cut = if choices.once_in(4) { 0 } else { choices.below(rest.len() + 1) };
        let (fragment, rest) = rest.split_at(cut);
        let frame = self.encode(opcode, fragment, choices);
        self.message = Some(rest.to_vec());
        frame
    }

    /// Returns a frame that breaks a rule, or random bytes.
    fn invalid_frame(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let payload = content::bytes(choices, 20);
        match choices.below(14) {
            0 => self.encode(0x80 | choices.pick(&[3, 7, 11, 15]), &payload, choices),
            1 => self.encode(choices.pick(&[0xC1, 0xA2, 0x92, 0xC9]), &payload, choices),
            2 => self.encode(choices.pick(&[0x09, 0x0A, 0x08]), b"", choices),
            3 => {
                let length = choices.pick(&[126, 1000]);
                self.encode(0x89, &content::bytes(choices, length), choices)
            }
            4 => frame(0x82, self.role != Role::Client, payload.len() as u64, 0, &payload, choices),
            5 => self.frame_with_long_length(2, &[20, 0, 125], choices),
            6 => self.frame_with_long_length(8, &[20, 0, 126, 65_535], choices),
            7 => frame(0x82, self.role == Role::Client, 1 << choices.pick(&[63, 62, 40, 24]), 8, &payload, choices),
            8 => self.encode(0x81, choices.pick(&content::NOT_UTF8), choices),
            9 => self.encode(0x01, choices.pick(&content::NOT_UTF8), choices),
            10 => self.encode(0x80, choices.pick(&content::NOT_UTF8), choices),
            11 => {
                let code: u16 = choices.pick(&[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]);
                self.encode(0x88, &code.to_be_bytes(), choices)
            }
            12 => self.encode(0x88, choices.pick(&[b"\x03", b"\x03\xE8\xFF", b"\x03\xE8\xE2\x82"]), choices),
            _ => content::bytes(choices, 30),
        }
    }

    /// Returns a frame with one of these lengths, encoded in `extended` bytes, which are more than it needs.
    fn frame_with_long_length(&self, extended: usize, lengths: &[usize], choices: &mut Choices<'_>) -> Vec<u8> {
        let length = choices.pick(lengths);
        let payload = content::bytes(choices, length);
        frame(0x82, self.role == Role::Client, length as u64, extended, &payload, choices)
    }

    /// Encodes a valid frame, masked if the adversary is a client.
    fn encode(&self, first: u8, payload: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
        let extended = match payload.len() {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        };
        frame(first, self.role == Role::Client, payload.len() as u64, extended, payload, choices)
    }
}

/// Encodes a frame whose length takes `extended` bytes after the 7 bits.
fn frame(first: u8, masked: bool, length: u64, extended: usize, payload: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let field = match extended {
        2 => 126,
        8 => 127,
        _ => length as u8,
    };
    let mut frame = vec![first, field | if masked { 0x80 } else { 0 }];
    frame.extend(&length.to_be_bytes()[8 - extended..]);
    let key = if masked { (choices.number() as u32).to_le_bytes() } else { [0; 4] };
    if masked {
        frame.extend(key);
    }
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    frame
}

/// Returns a valid response to the request, made by the core: computing the accept key is not under test here.
fn response(request: &mut [u8]) -> Vec<u8> {
    let mut server = WebSocket::server(Config::default(), Instant::EPOCH);
    let mut input = Input::new(request);
    let asked = server.receive(&mut input, Instant::EPOCH);
    assert!(matches!(asked, Ok(Some(Event::Request(_)))) && input.is_empty(), "a request of the simulation: {asked:?}");
    server.accept(Accept::new().origin(OriginPolicy::Any), Instant::EPOCH).expect("a good answer");
    let output = server.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}
