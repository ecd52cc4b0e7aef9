//! A peer that keeps to no rule: frames in any order, some of them bent or broken, plain noise, and the end of the
//! stream at any moment. What an endpoint must make of it, the [reading](crate::reading) says.

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Input, Instant, OriginPolicy, Role, WebSocket};

use crate::choices::Choices;
use crate::content;
use crate::endpoint::Context;
use crate::network::{Network, Read};
use crate::settings::MILLISECOND;
use crate::trace::Short;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: sim.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: second\r\n\r\n";

/// After so many single bytes, it writes a byte once in a second at most: a run has a bounded number of steps.
const DRIPS_MAX: usize = 2000;

/// The other end of an endpoint, and not its friend.
#[derive(Debug)]
pub(crate) struct Adversary {
    role: Role,
    left: usize,
    pub(crate) next_at: Option<u64>,
    pace: u64,
    /// Once in so many frames, one is broken.
    malice: usize,
    has_greeted: bool,
    reading: ReadMode,
    pub(crate) reads_at: u64,
    /// It writes a byte at a time, once in so many nanoseconds.
    drips: Option<u64>,
    writes_at: u64,
    dripped: usize,
    /// It sends for as long as the connection lasts.
    is_endless: bool,
    /// How many more frames it sends at once.
    flood: usize,
    request: Vec<u8>,
    outgoing: Vec<u8>,
    /// The rest of a fragmented message.
    message: Option<Vec<u8>>,
    has_closed: bool,
    has_shut: bool,
    pub(crate) is_done: bool,
}

/// How it reads what it is sent, once the opening handshake is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadMode {
    Everything,
    Nothing,
    /// So many bytes, once in so many nanoseconds.
    Slow(usize, u64),
}

impl Adversary {
    pub(crate) fn new(role: Role, choices: &mut Choices<'_>, now: u64) -> Self {
        let pauses = [5, 20, 100, 1000].map(|pause| pause * MILLISECOND);
        Self {
            role,
            left: choices.pick(&[12, 0, 4, 24, 40]),
            next_at: (role == Role::Client).then_some(now),
            pace: choices.pick(&[1, 0, 10, 60]) * MILLISECOND,
            malice: choices.pick(&[100, 1000, 30, 6]),
            has_greeted: false,
            reading: match choices.below(8) {
                5 => ReadMode::Nothing,
                6 => ReadMode::Slow(1, choices.pick(&pauses)),
                7 => ReadMode::Slow(1000, choices.pick(&pauses)),
                _ => ReadMode::Everything,
            },
            reads_at: now,
            drips: choices.once_in(6).then(|| choices.pick(&pauses)),
            writes_at: now,
            dripped: 0,
            is_endless: choices.once_in(5),
            flood: choices.pick(&[1000, 0, 100]),
            request: Vec::new(),
            outgoing: Vec::new(),
            message: None,
            has_closed: false,
            has_shut: false,
            is_done: false,
        }
    }

    /// When it writes what waits to be written, if anything does.
    pub(crate) fn writes_at(&self) -> Option<u64> {
        (!self.outgoing.is_empty() && !self.has_shut).then_some(self.writes_at)
    }

    pub(crate) fn listens(&self) -> bool {
        self.reading != ReadMode::Nothing || !self.has_greeted
    }

    pub(crate) fn write(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        let most = self.outgoing.len();
        let mut count = if cx.choices.once_in(2) { cx.choices.between(1, most) } else { most };
        if let Some(pause) = self.drips
            && self.has_greeted
            && self.left == 0
        {
            count = 1;
            self.dripped += 1;
            self.writes_at = cx.now + if self.dripped < DRIPS_MAX { pause } else { pause.max(1000 * MILLISECOND) };
        }
        let Ok(count) = network.write(end, &self.outgoing[..count], cx.now, cx.choices) else {
            self.is_done = true;
            return network.close(end, cx.now);
        };
        cx.trace.line("adversary", format_args!("writes {}", Short(&self.outgoing[..count])));
        self.outgoing.drain(..count);
    }

    /// Reads, of which only the request of a client matters: a server must answer its key.
    pub(crate) fn read(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        let is_asked = self.role == Role::Server && !self.has_greeted;
        let most = match self.reading {
            ReadMode::Slow(most, pause) if !is_asked => {
                self.reads_at = cx.now + pause;
                most
            }
            _ => usize::MAX,
        };
        match network.read(end, most, cx.now) {
            Read::Bytes(bytes) if is_asked => {
                self.request.extend(bytes);
                if self.request.ends_with(b"\r\n\r\n") {
                    self.next_at = Some(cx.now + cx.choices.below(3) as u64 * self.pace);
                }
            }
            Read::Bytes(_) | Read::Nothing => {}
            Read::End | Read::Failed(_) => {
                cx.trace.line("adversary", format_args!("is told that it is over"));
                self.is_done = true;
                network.close(end, cx.now);
            }
        }
    }

    /// The next move.
    pub(crate) fn act(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        self.next_at = None;
        if !self.has_greeted {
            self.greet(cx);
            // frames may come along with the handshake
            if !cx.choices.once_in(3) {
                self.next_at = Some(cx.now + self.pace);
                return;
            }
        }
        if self.left == 0 {
            return self.finish(end, network, cx);
        }
        self.left -= 1;
        for _ in 0..cx.choices.between(1, 4) {
            let frame = self.frame(cx.choices);
            cx.trace.line("adversary", format_args!("makes a frame {}", Short(&frame)));
            self.outgoing.extend(frame);
        }
        self.next_at = Some(cx.now + cx.choices.below(3) as u64 * self.pace);
    }

    fn finish(&mut self, end: usize, network: &mut Network, cx: &mut Context<'_, '_>) {
        match cx.choices.below(5) {
            0 if !self.has_closed => {
                self.has_closed = true;
                let close = self.wire(0x88, &1000_u16.to_be_bytes(), cx.choices);
                self.outgoing.extend(close);
                self.left = cx.choices.below(2);
                self.next_at = Some(cx.now + self.pace);
            }
            _ if self.is_endless && !network.is_closed(1 - end) => {
                if self.outgoing.len() < 1000 {
                    let frame = self.control_frame(cx.choices.pick(&[9, 10]), cx.choices);
                    self.outgoing.extend(frame);
                }
                // a flood that lasts becomes a drip, so that a run has a bounded number of steps
                self.flood = self.flood.saturating_sub(1);
                let pause = if self.flood > 0 { 5 } else { 1000 };
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

    fn greet(&mut self, cx: &mut Context<'_, '_>) {
        self.has_greeted = true;
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
        cx.trace.line("adversary", format_args!("greets with {}", Short(&head)));
        self.outgoing.extend(head);
    }

    /// A frame that would be legal here, or one that is not.
    fn frame(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        if choices.once_in(self.malice) {
            return self.broken_frame(choices);
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
                self.wire(0x88, body, choices)
            }
            _ => self.data_frame(choices),
        }
    }

    fn control_frame(&self, opcode: u8, choices: &mut Choices<'_>) -> Vec<u8> {
        let length = choices.pick(&[4, 0, 1, 124, 125]);
        let payload = content::bytes(choices, length);
        self.wire(0x80 | opcode, &payload, choices)
    }

    /// A message, or a fragment of one.
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
            // now and then it ends too soon, which is nothing to a binary message and may be within a character of text
            let missing = if choices.once_in(self.malice) { 1 } else { 0 };
            return self.wire(0x80 | opcode, &rest[..rest.len().saturating_sub(missing)], choices);
        }
        let cut = if choices.once_in(4) { 0 } else { choices.below(rest.len() + 1) };
        let (fragment, rest) = rest.split_at(cut);
        let frame = self.wire(opcode, fragment, choices);
        self.message = Some(rest.to_vec());
        frame
    }

    /// A frame that breaks a rule, or bytes that are no frame.
    fn broken_frame(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let payload = content::bytes(choices, 20);
        match choices.below(14) {
            0 => self.wire(0x80 | choices.pick(&[3, 7, 11, 15]), &payload, choices),
            1 => self.wire(choices.pick(&[0xC1, 0xA2, 0x92, 0xC9]), &payload, choices),
            2 => self.wire(choices.pick(&[0x09, 0x0A, 0x08]), b"", choices),
            3 => {
                let length = choices.pick(&[126, 1000]);
                self.wire(0x89, &content::bytes(choices, length), choices)
            }
            4 => frame(0x82, self.role != Role::Client, payload.len() as u64, 0, &payload, choices),
            5 => self.long_winded(2, &[20, 0, 125], choices),
            6 => self.long_winded(8, &[20, 0, 126, 65_535], choices),
            7 => frame(0x82, self.role == Role::Client, 1 << choices.pick(&[63, 62, 40, 24]), 8, &payload, choices),
            8 => self.wire(0x81, choices.pick(&content::NOT_UTF8), choices),
            9 => self.wire(0x01, choices.pick(&content::NOT_UTF8), choices),
            10 => self.wire(0x80, choices.pick(&content::NOT_UTF8), choices),
            11 => {
                let code: u16 = choices.pick(&[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]);
                self.wire(0x88, &code.to_be_bytes(), choices)
            }
            12 => self.wire(0x88, choices.pick(&[b"\x03", b"\x03\xE8\xFF", b"\x03\xE8\xE2\x82"]), choices),
            _ => content::bytes(choices, 30),
        }
    }

    /// A frame whose length is one of these, in more bytes than that takes.
    fn long_winded(&self, extended: usize, lengths: &[usize], choices: &mut Choices<'_>) -> Vec<u8> {
        let length = choices.pick(lengths);
        let payload = content::bytes(choices, length);
        frame(0x82, self.role == Role::Client, length as u64, extended, &payload, choices)
    }

    /// A frame on the wire, masked as it must be.
    fn wire(&self, first: u8, payload: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
        let extended = match payload.len() {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        };
        frame(first, self.role == Role::Client, payload.len() as u64, extended, payload, choices)
    }
}

/// A frame with its length in this many more bytes than the 7 bits.
fn frame(first: u8, masked: bool, length: u64, extended: usize, payload: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let field = match extended {
        2 => 126,
        8 => 127,
        _ => length as u8,
    };
    let mut wire = vec![first, field | if masked { 0x80 } else { 0 }];
    wire.extend(&length.to_be_bytes()[8 - extended..]);
    let key = if masked { (choices.number() as u32).to_le_bytes() } else { [0; 4] };
    if masked {
        wire.extend(key);
    }
    wire.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    wire
}

/// A good answer to this request: how a key is answered is not what is tested here.
fn response(request: &mut [u8]) -> Vec<u8> {
    let mut server = WebSocket::server(Config::default(), Instant::EPOCH);
    let mut input = Input::new(request);
    let asked = server.receive(&mut input, Instant::EPOCH);
    assert!(matches!(asked, Ok(Some(Event::Request(_)))) && input.is_empty(), "a request of our own: {asked:?}");
    server.accept(Accept::new().origin(OriginPolicy::Any), Instant::EPOCH).expect("a good answer");
    let output = server.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}
