//! Endpoints that agreed to permessage-deflate, and a peer that reads what they send: frames as RFC 6455 draws them, and
//! messages with the strict inflater.

use std::mem;

use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    Agreement, Compression, CompressionLevel, Config, Connection, Instant, MemoryLevel, MessageKind, PermessageDeflate,
    Role, WindowBits,
};

use crate::strict_inflater::{Inflated, StrictInflater};

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];

/// An agreement with this window, and with or without takeover, in the direction of the data that `role` sends. The
/// other direction has the opposite: it must not matter.
pub(crate) fn agreed(role: Role, bits: u8, takeover: bool) -> PermessageDeflate {
    let (mut agreed, sent) = (PermessageDeflate::default(), WindowBits::new(bits).unwrap());
    let other = if bits == 8 { WindowBits::MAX } else { WindowBits::MIN };
    match role {
        Role::Client => {
            (agreed.client_max_window_bits, agreed.server_max_window_bits) = (sent, other);
            (agreed.client_no_context_takeover, agreed.server_no_context_takeover) = (!takeover, takeover);
        }
        Role::Server => {
            (agreed.server_max_window_bits, agreed.client_max_window_bits) = (sent, other);
            (agreed.server_no_context_takeover, agreed.client_no_context_takeover) = (!takeover, takeover);
        }
    }
    agreed
}

/// Settings with this level and this memory level, a window of 32 KiB, and a history of this many bytes.
pub(crate) fn compression(level: u8, memory_level: u8, history: usize) -> Compression {
    let mut compression = Compression::default();
    compression.level = CompressionLevel::new(level).unwrap();
    compression.memory_level = MemoryLevel::new(memory_level).unwrap();
    compression.window_bits = WindowBits::MAX;
    compression.sent_history = history;
    compression
}

/// A configuration with the default settings of compression.
pub(crate) fn config() -> Config {
    Config::default().compression(Compression::default())
}

pub(crate) fn endpoint(role: Role, config: &Config, agreed: PermessageDeflate) -> Connection {
    let connection = match role {
        Role::Client => Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(7692), Instant::EPOCH),
        Role::Server => Connection::server(config.clone(), Instant::EPOCH),
    };
    connection.with_agreement(Agreement::new().with_compression(agreed))
}

/// A connection with the default settings, and its peer.
pub(crate) fn pair(role: Role, takeover: bool) -> (Connection, Peer) {
    (endpoint(role, &config(), agreed(role, 12, takeover)), Peer::new(role, 12, takeover))
}

/// Takes all output.
pub(crate) fn drain(connection: &mut Connection) -> Vec<u8> {
    let output = connection.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// A frame with its payload unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) rsv1: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
    /// The size on the wire.
    pub(crate) size: usize,
}

/// Decodes frames that `role` sends.
pub(crate) fn frames(role: Role, mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let before = bytes.len();
        let (first, second) = (bytes.get_u8(), bytes.get_u8());
        let length = match second & 0x7f {
            126 => usize::from(bytes.get_u16()),
            127 => bytes.get_u64() as usize,
            length => usize::from(length),
        };
        assert_eq!(second & 0x80 != 0, role == Role::Client, "a client masks, and a server does not");
        let key = if role == Role::Client { bytes.get_u32().to_be_bytes() } else { [0; 4] };
        let (payload, rest) = bytes.split_at(length);
        bytes = rest;
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let size = before - bytes.len();
        assert_eq!(first & 0x30, 0, "RSV2 and RSV3 are not set");
        frames.push(Frame { fin: first & 0x80 != 0, rsv1: first & 0x40 != 0, opcode: first & 0x0f, payload, size });
    }
    frames
}

/// A message that the peer received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Vec<u8>,
    /// The payloads of all frames together.
    pub(crate) wire: Vec<u8>,
    /// The number of frames.
    pub(crate) frames: usize,
    /// `None` if the message is not compressed.
    pub(crate) inflated: Option<Inflated>,
}

impl Message {
    /// Returns how far the message reaches back beyond its beginning, in bytes. It must be compressed.
    pub(crate) fn reach(&self) -> usize {
        self.inflated.as_ref().expect("a compressed message").reach
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.inflated.is_some()
    }
}

/// Reads what an endpoint sends.
pub(crate) struct Peer {
    role: Role,
    inflater: StrictInflater,
    /// The frames of an unfinished message.
    unfinished: Vec<Frame>,
    /// The number of control frames.
    pub(crate) controls: usize,
}

impl Peer {
    /// Creates the peer of an endpoint with this role, which sends with this window.
    pub(crate) fn new(role: Role, bits: u8, takeover: bool) -> Self {
        Self { role, inflater: StrictInflater::new(bits, takeover), unfinished: Vec::new(), controls: 0 }
    }

    /// Takes all output of the endpoint, and returns the messages that are complete.
    pub(crate) fn read(&mut self, connection: &mut Connection) -> Vec<Message> {
        self.decode(&drain(connection))
    }

    /// Takes all output of the endpoint, which is one message.
    pub(crate) fn read_one(&mut self, connection: &mut Connection) -> Message {
        let mut messages = self.read(connection);
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    /// Decodes whole frames.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for frame in frames(self.role, bytes) {
            if frame.opcode >= 8 {
                assert!(frame.fin && !frame.rsv1, "6.1: control frames are not compressed");
                self.controls += 1;
                continue;
            }
            assert_eq!(frame.opcode == 0, !self.unfinished.is_empty(), "RFC 6455 5.4: fragments are continued");
            // Deflate 40
            assert!(!frame.rsv1 || frame.opcode != 0, "6.1: RSV1 is set on the first fragment only");
            let fin = frame.fin;
            self.unfinished.push(frame);
            if fin {
                let frames = mem::take(&mut self.unfinished);
                messages.push(self.message(&frames));
            }
        }
        messages
    }

    fn message(&mut self, frames: &[Frame]) -> Message {
        let wire: Vec<u8> = frames.iter().flat_map(|frame| &frame.payload).copied().collect();
        let inflated = frames[0].rsv1.then(|| {
            assert!(!wire.ends_with(&[0, 0, 0xff, 0xff]), "7.2.1: the tail is removed");
            self.inflater.inflate(&wire).unwrap_or_else(|fault| panic!("{fault}: {} bytes", wire.len()))
        });
        let payload = inflated.as_ref().map_or_else(|| wire.clone(), |inflated| inflated.payload.clone());
        let kind = if frames[0].opcode == 1 { MessageKind::Text } else { MessageKind::Binary };
        Message { kind, payload, wire, frames: frames.len(), inflated }
    }
}

/// Returns text that compresses to about a third: records with random numbers.
pub(crate) fn records(len: usize, seed: u64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::new();
    while text.len() < len {
        let (id, price) = (rng.next_u32() % 1000, rng.next_u32() % 100_000);
        text += &format!("{{\"id\":{id},\"side\":\"buy\",\"price\":{price}}},");
    }
    text.truncate(len);
    text
}

/// Returns bytes that do not compress.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
