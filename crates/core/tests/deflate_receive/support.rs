//! Compresses with C zlib, encodes frames, and receives them in every way.

use std::borrow::Cow;
use std::mem;

use flate2::{Compress, Compression, FlushCompress};
use rand_chacha::ChaCha8Rng;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    Agreement, Config, Connection, Delivery, Error, Event, Input, Instant, MessageKind, PermessageDeflate, Role,
    Scratch, WindowBits,
};

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];
/// The first bytes of frames: FIN, RSV1 to RSV3, opcode.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const TEXT: u8 = 0x01;
pub(crate) const BINARY: u8 = 0x02;
pub(crate) const CONTINUATION: u8 = 0x00;

/// An agreement with this window in both directions.
pub(crate) fn agreed(bits: u8, takeover: bool) -> PermessageDeflate {
    let mut agreed = PermessageDeflate::default();
    agreed.server_max_window_bits = WindowBits::new(bits).unwrap();
    agreed.client_max_window_bits = agreed.server_max_window_bits;
    agreed.server_no_context_takeover = !takeover;
    agreed.client_no_context_takeover = !takeover;
    agreed
}

pub(crate) fn endpoint(role: Role, config: &Config, agreed: PermessageDeflate) -> Connection {
    let connection = match role {
        Role::Client => Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(7692), Instant::EPOCH),
        Role::Server => Connection::server(config.clone(), Instant::EPOCH),
    };
    connection.with_agreement(Agreement::new().with_compression(agreed))
}

/// Encodes a frame to an endpoint with this role.
pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let (mask, key) = if role == Role::Server { (0x80, &[0x37, 0xfa, 0x21, 0x3d][..]) } else { (0, &[][..]) };
    let mut bytes = match payload.len() {
        length @ 0..=125 => vec![first, mask | length as u8],
        length @ 126..=65_535 => [&[first, mask | 126], &(length as u16).to_be_bytes()[..]].concat(),
        length => [&[first, mask | 127], &(length as u64).to_be_bytes()[..]].concat(),
    };
    bytes.extend(key);
    let at = bytes.len();
    bytes.extend(payload);
    for (index, byte) in bytes.iter_mut().skip(at).enumerate() {
        *byte ^= key.get(index % 4).unwrap_or(&0);
    }
    bytes
}

/// A compressed binary message in one frame.
pub(crate) fn message(role: Role, compressed: &[u8]) -> Vec<u8> {
    frame(role, FIN | RSV1 | BINARY, compressed)
}

/// A compressed message of this kind in fragments that end at these positions, and one more.
pub(crate) fn fragments(role: Role, opcode: u8, compressed: &[u8], ends: &[usize]) -> Vec<u8> {
    let (mut wire, mut begin) = (Vec::new(), 0);
    for &end in ends {
        let first = if wire.is_empty() { RSV1 | opcode } else { CONTINUATION };
        wire.extend(frame(role, first, &compressed[begin..end]));
        begin = end;
    }
    let first = if wire.is_empty() { RSV1 | opcode } else { CONTINUATION };
    wire.extend(frame(role, FIN | first, &compressed[begin..]));
    wire
}

/// A peer that compresses with C zlib.
pub(crate) struct Peer(Compress);

impl Peer {
    pub(crate) fn new(level: u32, bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::new(level), false, bits))
    }

    /// Compresses a message, and removes the tail (7.2.1).
    pub(crate) fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        let mut compressed = self.flush(message, FlushCompress::Sync);
        assert!(compressed.ends_with(&[0, 0, 0xff, 0xff]));
        compressed.truncate(compressed.len() - 4);
        compressed
    }

    /// Compresses a message into a stream that ends with it, and begins another one.
    pub(crate) fn finish(&mut self, message: &[u8]) -> Vec<u8> {
        let compressed = self.flush(message, FlushCompress::Finish);
        self.0.reset();
        compressed
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    fn flush(&mut self, message: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut compressed = Vec::with_capacity(message.len() + message.len() / 8 + 1024);
        let (before, total) = (self.0.total_in(), message.len() as u64);
        self.0.compress_vec(message, &mut compressed, flush).unwrap();
        assert!(self.0.total_in() - before == total && compressed.len() < compressed.capacity());
        compressed
    }
}

/// Compresses one message, without earlier ones.
pub(crate) fn compress(message: &[u8]) -> Vec<u8> {
    Peer::new(6, 15).compress(message)
}

/// What a connection reported. Chunks are joined to messages; pieces of an unfinished message are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) messages: Vec<(MessageKind, Vec<u8>)>,
    pub(crate) controls: usize,
    pub(crate) error: Option<Error>,
    unfinished: Vec<u8>,
}

impl Received {
    pub(crate) fn binary(messages: &[&[u8]]) -> Self {
        let messages = messages.iter().map(|bytes| (MessageKind::Binary, bytes.to_vec())).collect();
        Self { messages, ..Self::default() }
    }

    pub(crate) fn close_code(&self) -> Option<u16> {
        Some(self.error.as_ref()?.close_code()?.as_u16())
    }

    /// Passes bytes to a connection. After an error, all calls must return the same one.
    pub(crate) fn feed(&mut self, connection: &mut Connection, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match connection.receive(&mut input, Instant::EPOCH) {
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => self.messages.push((message.kind(), message.into_bytes())),
                Ok(Some(Event::Chunk(chunk))) => {
                    let is_bounded = matches!(chunk.payload, Cow::Borrowed(_)) || chunk.payload.len() < 20 * 1024;
                    assert!(is_bounded, "a chunk of {} bytes", chunk.payload.len());
                    self.unfinished.extend_from_slice(&chunk.payload);
                    if chunk.last {
                        self.messages.push((chunk.kind, mem::take(&mut self.unfinished)));
                    }
                }
                Ok(Some(_)) => self.controls += 1,
                Err(error) => {
                    assert_eq!(*self.error.get_or_insert_with(|| error.clone()), error);
                    self.unfinished.clear();
                    break;
                }
            }
        }
        assert!(input.is_empty(), "bytes remain in the input");
    }
}

/// The pieces in which bytes arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pieces {
    Whole,
    Bytes,
    Random(u64),
}

impl Pieces {
    pub(crate) fn of(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![bytes],
            Self::Bytes => bytes.chunks(1).collect(),
            Self::Random(seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut pieces = Vec::new();
                while !bytes.is_empty() {
                    let max = 1 << (rng.next_u32() % 14);
                    let (piece, rest) = bytes.split_at((rng.next_u32() as usize % max + 1).min(bytes.len()));
                    pieces.push(piece);
                    bytes = rest;
                }
                pieces
            }
        }
    }
}

/// Receives bytes in these pieces, with a scratch for each piece or without.
pub(crate) fn receive(connection: &mut Connection, pieces: &[&[u8]], mut scratch: Option<&mut Scratch>) -> Received {
    let mut received = Received::default();
    for piece in pieces {
        if let Some(scratch) = &mut scratch {
            connection.attach_scratch(scratch);
        }
        received.feed(connection, piece);
        if let Some(scratch) = &mut scratch {
            connection.detach_scratch(scratch);
        }
    }
    received
}

/// Receives the wire data in both roles, whole and in pieces, with and without a scratch, in messages and in chunks.
/// Checks that the results are the same, and returns them.
pub(crate) fn receive_with(config: &Config, agreed: PermessageDeflate, wire: impl Fn(Role) -> Vec<u8>) -> Received {
    let mut expected = None;
    for role in BOTH {
        let wire = wire(role);
        for pieces in [Pieces::Whole, Pieces::Bytes, Pieces::Random(1), Pieces::Random(2)] {
            for delivery in [Delivery::Messages, Delivery::Chunks] {
                for has_scratch in [false, true] {
                    let mut config = config.clone();
                    config.delivery = delivery;
                    let mut connection = endpoint(role, &config, agreed);
                    let mut scratch = has_scratch.then(Scratch::new);
                    let received = receive(&mut connection, &pieces.of(&wire), scratch.as_mut());
                    let expected = expected.get_or_insert_with(|| received.clone());
                    assert!(
                        *expected == received,
                        "{role:?} {pieces:?} {delivery:?} {has_scratch}: {:?}",
                        received.error
                    );
                }
            }
        }
    }
    expected.unwrap()
}

/// Receives with the default configuration, context takeover and windows of 32 KiB.
pub(crate) fn receive_all(wire: impl Fn(Role) -> Vec<u8>) -> Received {
    receive_with(&Config::default(), agreed(15, true), wire)
}

/// Receives compressed binary messages.
pub(crate) fn receive_messages(compressed: &[&[u8]]) -> Received {
    receive_all(|role| compressed.iter().flat_map(|compressed| message(role, compressed)).collect())
}

/// Returns text that compresses to about a third: records with random numbers.
pub(crate) fn records(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    while text.len() < len {
        let (id, price) = (rng.next_u32() % 1000, rng.next_u32() % 100_000);
        text += &format!("{{\"id\":{id},\"side\":\"buy\",\"price\":{price}}},");
    }
    text.truncate(len);
    text.into_bytes()
}

/// Returns bytes that do not compress.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A compressed message that consists of a copy of 3 bytes, this far back in the window.
pub(crate) fn copy_of_3(distance: usize) -> Vec<u8> {
    // 3.2.5 of RFC 1951: the base of each distance code; from the third one on, two codes have the same number of bits
    let extra_bits = |code: u32| (code / 2).saturating_sub(1);
    let base = |code: u32| 1 + (0..code).map(|code| 1usize << extra_bits(code)).sum::<usize>();
    let code = (0..30).rev().find(|&code| base(code) <= distance).unwrap();
    let mut bits = Bits::default();
    bits.push(0b010, 3); // BFINAL 0, BTYPE 01
    bits.push_code(0b0000001, 7); // length 3
    bits.push_code(code, 5);
    bits.push((distance - base(code)) as u32, extra_bits(code));
    bits.push_code(0, 7); // end of block
    bits.push(0, 3); // an empty stored block, whose last four bytes are the tail
    bits.bytes
}

/// Bits in the order of RFC 1951 section 3.1.1.
#[derive(Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends a number: the least significant bit first.
    pub(crate) fn push(&mut self, value: u32, count: u32) {
        for index in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> index & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// Appends a Huffman code: the most significant bit first.
    pub(crate) fn push_code(&mut self, code: u32, count: u32) {
        (0..count).rev().for_each(|index| self.push(code >> index, 1));
    }
}
