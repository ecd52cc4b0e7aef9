//! Frames on the wire, written and read without the code under test.

use sansocket::Role;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A frame of section 5.2, legal or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    /// The payload before masking.
    pub(crate) payload: Vec<u8>,
    length: Length,
}

/// How the payload length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Minimal,
    In16Bits,
    In64Bits,
    /// In the fewest bytes, but not the length of the payload.
    Claimed(u64),
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { fin: true, rsv: 0, opcode, key: None, payload, length: Length::Minimal }
    }

    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, text)
    }

    pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, bytes)
    }

    pub(crate) fn continuation(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, bytes)
    }

    pub(crate) fn ping(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(PING, bytes)
    }

    pub(crate) fn pong(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(PONG, bytes)
    }

    /// A Close frame with a status code.
    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    pub(crate) fn fin(self, fin: bool) -> Self {
        Self { fin, ..self }
    }

    pub(crate) fn rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    pub(crate) fn masked(self, key: [u8; 4]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Masked as the peer of an endpoint with this role has to: section 5.1.
    pub(crate) fn to(self, role: Role) -> Self {
        match (role, self.key) {
            (Role::Server, None) => self.masked([0x37, 0xfa, 0x21, 0x3d]),
            _ => self,
        }
    }

    /// Masked exactly as the peer of an endpoint with this role must not.
    pub(crate) fn wrongly_to(self, role: Role) -> Self {
        self.to(match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        })
    }

    pub(crate) fn length_in_16_bits(self) -> Self {
        Self { length: Length::In16Bits, ..self }
    }

    pub(crate) fn length_in_64_bits(self) -> Self {
        Self { length: Length::In64Bits, ..self }
    }

    /// Says that the payload has this length, whatever it has.
    pub(crate) fn claiming(self, length: u64) -> Self {
        Self { length: Length::Claimed(length), ..self }
    }

    /// The frame on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let actual = self.payload.len() as u64;
        let (field, extended) = match self.length {
            Length::Minimal => length_field(actual),
            Length::Claimed(length) => length_field(length),
            Length::In16Bits => (126, (actual as u16).to_be_bytes().to_vec()),
            Length::In64Bits => (127, actual.to_be_bytes().to_vec()),
        };
        let mut wire = vec![u8::from(self.fin) * 128 + self.rsv * 16 + self.opcode];
        wire.push(u8::from(self.key.is_some()) * 128 + field);
        wire.extend(extended);
        wire.extend(self.key.iter().flatten());
        let key = self.key.unwrap_or_default();
        wire.extend(self.payload.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]));
        wire
    }

    /// Bytes on the wire up to the payload.
    pub(crate) fn head_size(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    /// Reads whole frames; their keys, and any length that is not minimal, included.
    pub(crate) fn parse_all(mut wire: &[u8]) -> Vec<Self> {
        let mut frames = Vec::new();
        while !wire.is_empty() {
            let (first, second) = (wire[0], wire[1]);
            let (length, encoding, size) = match second % 128 {
                126 => (u64::from(u16::from_be_bytes([wire[2], wire[3]])), Length::In16Bits, 4),
                127 => (u64::from_be_bytes(wire[2..10].try_into().unwrap()), Length::In64Bits, 10),
                field => (u64::from(field), Length::Minimal, 2),
            };
            let key: Option<[u8; 4]> = (second >= 128).then(|| wire[size..size + 4].try_into().unwrap());
            let begin = size + key.map_or(0, |_| 4);
            let end = begin + length as usize;
            let mask = key.unwrap_or_default();
            let payload = wire[begin..end].iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
            let is_minimal = length_field(length).1.len() == size - 2;
            let length = if is_minimal { Length::Minimal } else { encoding };
            frames.push(Self { fin: first >= 128, rsv: first / 16 % 8, opcode: first % 16, key, payload, length });
            wire = &wire[end..];
        }
        frames
    }

    /// The frame without its masking key, so that it can be compared.
    pub(crate) fn unmasked(self) -> Self {
        Self { key: None, ..self }
    }
}

/// 5.2: the 7 bits, and the bytes after them.
fn length_field(length: u64) -> (u8, Vec<u8>) {
    match length {
        0..=125 => (length as u8, vec![]),
        126..=65_535 => (126, (length as u16).to_be_bytes().to_vec()),
        _ => (127, length.to_be_bytes().to_vec()),
    }
}
