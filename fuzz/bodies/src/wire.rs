//! Encodes and decodes frames (RFC 6455 section 5.2) without the core, and makes streams of frames from fuzz bytes.

use arbitrary::{Result, Unstructured};
use sansocket::Role;

/// A request and a response of valid opening handshakes. The nonce is that of `response::client`.
pub(crate) const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// Lengths at which the encoding changes, and others.
const LENGTHS: [usize; 16] = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 1_000, 4_096, 10_000, 65_535, 65_536, 65_537];
/// A stream of generated frames ends after this many bytes.
const STREAM_MAX: usize = 70_000;

/// A frame with its payload unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, key: None, payload: payload.into() }
    }

    /// Encodes a frame to `role`; a server receives masked frames.
    pub(crate) fn to(self, role: Role, key: [u8; 4]) -> Vec<u8> {
        let length = self.payload.len() as u64;
        let form = Form::minimal(length);
        Self { key: (role == Role::Server).then_some(key), ..self }.bytes(length, form)
    }

    /// Encodes the frame with this length, which may be wrong, in this form.
    fn bytes(&self, length: u64, form: Form) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let mask = u8::from(self.key.is_some()) << 7;
        match form {
            Form::Bits7 => bytes.push(mask | length as u8 & 0x7F),
            Form::Bits16 => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            Form::Bits64 => {
                bytes.push(mask | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(self.key.into_iter().flatten());
        bytes.extend(xor(&self.payload, self.key));
        bytes
    }
}

/// The number of bits that encode a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bits7,
    Bits16,
    Bits64,
}

impl Form {
    fn minimal(length: u64) -> Self {
        match length {
            ..126 => Self::Bits7,
            126..65_536 => Self::Bits16,
            _ => Self::Bits64,
        }
    }
}

/// A frame head as section 5.2 draws it, not validated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) length: u64,
    /// The length field of the second byte.
    pub(crate) length_field: u8,
    /// The size of the head in bytes.
    pub(crate) size: usize,
}

/// Decodes a head; returns `None` if it is incomplete.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let length_field = second & 0x7F;
    let extended = match length_field {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = match extended {
        0 => u64::from(length_field),
        _ => bytes.get(2..2 + extended)?.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
    };
    let mut size = 2 + extended;
    let mut key = None;
    if second & 0x80 != 0 {
        key = Some(bytes.get(size..size + 4)?.try_into().ok()?);
        size += 4;
    }
    Some(Head { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 0xF, key, length, length_field, size })
}

/// Decodes all frames; panics if one is incomplete.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let head = head(bytes).expect("a whole head");
        let end = head.size + head.length as usize;
        let payload = xor(&bytes[head.size..end], head.key);
        frames.push(Frame { fin: head.fin, rsv: head.rsv, opcode: head.opcode, key: head.key, payload });
        bytes = &bytes[end..];
    }
    frames
}

/// Masks or unmasks (section 5.3), byte by byte.
pub(crate) fn xor(payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let Some(key) = key else { return payload.to_vec() };
    payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// Makes bytes from a peer to `role`: the rest of the input unchanged, or frames made from it, most of them valid.
pub(crate) fn stream(u: &mut Unstructured<'_>, role: Role) -> Result<Vec<u8>> {
    let is_generated = u.arbitrary::<u8>()? % 2 == 1;
    if !is_generated {
        return Ok(u.bytes(u.len())?.to_vec());
    }
    let mut bytes = Vec::new();
    while !u.is_empty() && bytes.len() < STREAM_MAX {
        bytes.extend(frame(u, role)?);
    }
    Ok(bytes)
}

/// Makes a frame to `role` from fuzz bytes.
pub(crate) fn frame(u: &mut Unstructured<'_>, role: Role) -> Result<Vec<u8>> {
    let (kind, mutation) = u.arbitrary::<(u8, u8)>()?;
    let (opcode, fin) = match kind % 10 {
        0 => (TEXT, true),
        1 => (BINARY, true),
        2 => (TEXT, false),
        3 => (BINARY, false),
        4 | 5 => (CONTINUATION, false),
        6 => (CONTINUATION, true),
        7 => (PING, true),
        8 => (PONG, true),
        _ => (CLOSE, true),
    };
    let payload = payload(u, opcode)?;
    let key = (role == Role::Server).then_some(u.arbitrary::<[u8; 4]>()?);
    let mut frame = Frame { fin, rsv: 0, opcode, key, payload };
    let mut length = frame.payload.len() as u64;
    let mut form = Form::minimal(length);
    // one frame in eight is invalid or unusual
    match mutation {
        0xE0..=0xE3 => frame.fin = !frame.fin,
        0xE4..=0xE7 => frame.rsv = 1 << (mutation % 3),
        0xE8..=0xEB => frame.opcode = u.arbitrary::<u8>()? & 0xF,
        0xEC..=0xEF => frame.key = if frame.key.is_some() { None } else { Some([1, 2, 3, 4]) },
        0xF0..=0xF3 => form = Form::Bits16,
        0xF4..=0xF7 => form = Form::Bits64,
        0xF8..=0xFB => {
            length = u.arbitrary::<u64>()? >> (u.arbitrary::<u8>()? % 64);
            form = Form::minimal(length);
        }
        0xFC.. => frame.payload.truncate(frame.payload.len() / 2),
        _ => {}
    }
    Ok(frame.bytes(length, form))
}

/// Makes a payload of fuzz bytes, or of a length near those at which the encoding changes.
pub(crate) fn payload(u: &mut Unstructured<'_>, opcode: u8) -> Result<Vec<u8>> {
    let choice = u.arbitrary::<u8>()?;
    if opcode == CLOSE && choice < 0xC0 {
        let code: u16 = u.arbitrary::<u16>()? % 6_000;
        return Ok([&code.to_be_bytes()[..], u.bytes(usize::from(choice % 8).min(u.len()))?].concat());
    }
    match choice {
        ..0xE0 => Ok(u.bytes(usize::from(choice & 0x1F).min(u.len()))?.to_vec()),
        _ => {
            let length = LENGTHS[usize::from(choice % 16)];
            let length = if opcode & 8 == 0 { length } else { length.min(126) };
            // characters of one to three bytes, which cuts may split
            let text = "a\u{e9}\u{20ac}-".as_bytes();
            Ok(text.iter().copied().cycle().take(length).collect())
        }
    }
}
