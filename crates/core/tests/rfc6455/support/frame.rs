//! Encodes and decodes frames without the code under test.

use sansocket::Role;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A frame of section 5.2, valid or not.
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

/// How the payload length is encoded.
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

    /// Masks the frame as the peer of an endpoint with this role must (section 5.1).
    pub(crate) fn masked_for(self, role: Role) -> Self {
        match (role, self.key) {
            (Role::Server, None) => self.masked([0x37, 0xfa, 0x21, 0x3d]),
            _ => self,
        }
    }

    /// Masks the frame for a server's peer, and not for a client's: the reverse of section 5.1.
    pub(crate) fn wrongly_masked_for(self, role: Role) -> Self {
        self.masked_for(match role {
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

    /// Claims this payload length in the head.
    pub(crate) fn claiming(self, length: u64) -> Self {
        Self { length: Length::Claimed(length), ..self }
    }

    /// Returns the encoded frame.
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

    /// Returns the length of the head.
    pub(crate) fn head_size(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    /// Decodes whole frames. Keeps their keys, and notes lengths that are not minimal.
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

    /// Decodes whole frames, without their masking keys, so that they can be compared.
    pub(crate) fn parse_unmasked(wire: &[u8]) -> Vec<Self> {
        Self::parse_all(wire).into_iter().map(Self::unmasked).collect()
    }

    /// Removes the masking key.
    pub(crate) fn unmasked(self) -> Self {
        Self { key: None, ..self }
    }
}

/// A summary of a stream of frames, the last of which may be cut anywhere.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StreamSummary {
    /// Payload bytes of data frames.
    pub(crate) payload: usize,
    /// Whether a byte of a Close frame was sent.
    pub(crate) has_close: bool,
}

impl StreamSummary {
    pub(crate) fn new(mut wire: &[u8]) -> Self {
        let mut summary = Self::default();
        while let [first, rest @ ..] = wire {
            summary.has_close |= first % 16 == CLOSE;
            let [second, rest @ ..] = rest else { break };
            let (size, key) = (usize::from(second % 128), if *second >= 128 { 4 } else { 0 });
            let extended = [0, 2, 8][size.saturating_sub(125)];
            if rest.len() < extended + key {
                break;
            }
            let number = rest[..extended].iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
            let length = if extended == 0 { size } else { number };
            let rest = &rest[extended + key..];
            let present = length.min(rest.len());
            summary.payload += if first % 16 < CLOSE { present } else { 0 };
            wire = &rest[present..];
        }
        summary
    }
}

/// 5.2: returns the 7 bits, and the bytes after them.
fn length_field(length: u64) -> (u8, Vec<u8>) {
    match length {
        0..=125 => (length as u8, vec![]),
        126..=65_535 => (126, (length as u16).to_be_bytes().to_vec()),
        _ => (127, length.to_be_bytes().to_vec()),
    }
}
