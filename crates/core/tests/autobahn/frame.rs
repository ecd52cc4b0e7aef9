//! Encodes and decodes frames (section 5.2) without the code under test.

use std::fmt;

use sansocket::Role;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PONG: u8 = 10;

/// A message or a control frame.
#[derive(PartialEq)]
pub(crate) struct Reply {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// Encodes a frame with its length in the fewest bytes. `first` is FIN, RSV and opcode.
pub(crate) fn write(wire: &mut Vec<u8>, first: u8, key: Option<[u8; 4]>, payload: &[u8]) {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    wire.push(first);
    match payload.len() {
        length @ ..126 => wire.push(mask_bit | length as u8),
        length @ ..65_536 => {
            wire.push(mask_bit | 126);
            wire.extend((length as u16).to_be_bytes());
        }
        length => {
            wire.push(mask_bit | 127);
            wire.extend((length as u64).to_be_bytes());
        }
    }
    wire.extend(key.iter().flatten());
    let begin = wire.len();
    wire.extend_from_slice(payload);
    mask(key.unwrap_or_default(), &mut wire[begin..]);
}

/// Decodes the output of an endpoint. Joins fragments, and keeps the order of messages and control frames.
pub(crate) fn read_replies(role: Role, mut wire: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut message: Option<Reply> = None;
    while !wire.is_empty() {
        let (is_final, Reply { opcode, payload }) = read(role, &mut wire);
        match (opcode, &mut message) {
            (CONTINUATION, Some(message)) => message.payload.extend_from_slice(&payload),
            (TEXT | BINARY, None) => message = Some(Reply { opcode, payload }),
            (CLOSE.., _) if is_final => {
                replies.push(Reply { opcode, payload });
                continue;
            }
            _ => panic!("5.4: a frame with opcode {opcode} at a place where it is not permitted"),
        }
        if is_final {
            replies.extend(message.take());
        }
    }
    assert!(message.is_none(), "a message without an end");
    replies
}

fn read(role: Role, wire: &mut &[u8]) -> (bool, Reply) {
    let [first, second] = take(wire);
    let length = match second & 0x7f {
        126 => u16::from_be_bytes(take(wire)).into(),
        127 => u64::from_be_bytes(take(wire)),
        length => length.into(),
    };
    assert_eq!(first & 0x70, 0, "5.2: a reserved bit is set");
    assert_eq!(second & 0x80 != 0, role == Role::Client, "5.1: a client masks its frames, a server does not");
    let key = if role == Role::Client { take(wire) } else { [0; 4] };
    let (payload, rest) = wire.split_at(length.try_into().unwrap());
    *wire = rest;
    let mut payload = payload.to_vec();
    mask(key, &mut payload);
    (first & 0x80 != 0, Reply { opcode: first & 0x0f, payload })
}

fn take<const N: usize>(wire: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = wire.split_first_chunk().expect("a whole frame");
    *wire = rest;
    *taken
}

/// Masks (5.3) eight bytes at a time, since the records have hundreds of megabytes.
fn mask(key: [u8; 4], payload: &mut [u8]) {
    let twice = u64::from_ne_bytes([key, key].concat().try_into().unwrap());
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// Shows the first 40 bytes of the payload.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = &self.payload[..self.payload.len().min(40)];
        write!(f, "opcode {} with {} bytes, {}", self.opcode, self.payload.len(), begin.escape_ascii())
    }
}
