//! The codec of permessage-deflate alone, and connections of sansocket that compress, for the bench `deflate` and the
//! guard.

use std::fmt;
use std::hint::black_box;
use std::mem;

use sansocket::bytes::Buf;
use sansocket::{Compression, CompressionLevel, Config, Event, Input, Instant, Scratch, WebSocket, WindowBits};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use crate::wire::{self, From};
use crate::{CompressionSettings, opened};

/// The end of a message's sync flush, which is not sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The flag RSV1, and the opcode of a binary message.
const COMPRESSED_BINARY: u8 = 0x42;

/// zlib-rs alone, with a compressor and an inflater that no other connection uses: the least work with the same codec.
pub struct Codec {
    deflate: Deflate,
    inflate: Inflate,
    has_takeover: bool,
    output: Vec<u8>,
}

impl Codec {
    /// Creates a codec for messages of up to `length` bytes, with the memory level of our default settings.
    #[must_use]
    pub fn new(settings: CompressionSettings, length: usize) -> Self {
        let deflate = Deflate::new_with_config(DeflateConfig {
            level: settings.level.into(),
            window_bits: -i32::from(settings.window_bits),
            mem_level: Compression::default().memory_level.get().into(),
            ..DeflateConfig::default()
        });
        let inflate = Inflate::new(false, settings.window_bits);
        // more than zlib's bound for bytes that do not shrink, and a sync flush
        Self { deflate, inflate, has_takeover: settings.has_takeover, output: vec![0; 2 * length + 64] }
    }

    /// Compresses a message, without the tail.
    pub fn compress(&mut self, payload: &[u8]) -> &[u8] {
        if !self.has_takeover {
            self.deflate.reset();
        }
        let before = self.deflate.total_out();
        self.deflate.compress(payload, &mut self.output, DeflateFlush::SyncFlush).expect("the stream is valid");
        let produced = (self.deflate.total_out() - before) as usize;
        self.output[..produced].strip_suffix(&TAIL).expect("a sync flush ends with an empty block")
    }

    /// Inflates a message.
    pub fn inflate(&mut self, payload: &[u8]) -> &[u8] {
        if !self.has_takeover {
            self.inflate.reset(false);
        }
        let before = self.inflate.total_out();
        let mut produced = 0;
        for input in [payload, &TAIL] {
            let output = &mut self.output[produced..];
            self.inflate.decompress(input, output, InflateFlush::SyncFlush).expect("the stream is valid");
            produced = (self.inflate.total_out() - before) as usize;
        }
        &self.output[..produced]
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").field("has_takeover", &self.has_takeover).finish_non_exhaustive()
    }
}

/// Compresses messages as a client would, one after the other.
#[must_use]
pub fn compress(settings: CompressionSettings, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let length = messages.iter().map(Vec::len).max().unwrap_or_default();
    let mut codec = Codec::new(settings, length);
    messages.iter().map(|message| codec.compress(message).to_vec()).collect()
}

/// Returns the client's frame of a compressed message.
#[must_use]
pub fn frame(compressed: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    wire::frame(&mut wire, From::Client, COMPRESSED_BINARY, true, compressed);
    wire
}

/// A server of sansocket whose connections share a scratch, and with it the codecs, as those of an event loop do.
#[derive(Debug)]
pub struct Server {
    connections: Vec<WebSocket>,
    scratch: Scratch,
    buffer: Vec<u8>,
}

impl Server {
    /// Opens connections that have agreed to compress.
    ///
    /// # Panics
    ///
    /// If they do not agree.
    #[must_use]
    pub fn open(settings: CompressionSettings, connections: usize) -> Self {
        let open = |_| {
            let ws = opened::open(From::Server, config(settings));
            assert!(ws.compression().is_some(), "the connection does not compress");
            ws
        };
        Self { connections: (0..connections).map(open).collect(), scratch: Scratch::new(), buffer: Vec::new() }
    }

    /// Sends a message over a connection. Calls `each` with each contiguous part of the output.
    pub fn send(&mut self, connection: usize, message: &[u8], mut each: impl FnMut(&[u8])) {
        let ws = &mut self.connections[connection];
        ws.attach_scratch(&mut self.scratch);
        ws.send(message).unwrap();
        let output = ws.output();
        while output.has_remaining() {
            let chunk = output.chunk();
            each(chunk);
            let count = chunk.len();
            output.advance(count);
        }
        ws.detach_scratch(&mut self.scratch);
    }

    /// Copies a frame into the read buffer, and receives it over a connection. Calls `each` with each message.
    pub fn receive(&mut self, connection: usize, frame: &[u8], each: impl FnMut(&[u8])) {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.resize(frame.len(), 0);
        wire::copy(&mut buffer, black_box(frame));
        self.receive_in_place(connection, &mut buffer, each);
        self.buffer = buffer;
    }

    /// Receives bytes over a connection in one turn. Calls `each` with each message.
    pub fn receive_in_place(&mut self, connection: usize, bytes: &mut [u8], mut each: impl FnMut(&[u8])) {
        let ws = &mut self.connections[connection];
        ws.attach_scratch(&mut self.scratch);
        let mut input = Input::new(bytes);
        while let Some(event) = ws.receive(&mut input, Instant::EPOCH).unwrap() {
            let Event::Message(message) = event else { panic!("{event:?}") };
            each(message.as_bytes());
            ws.recycle(message);
        }
        ws.detach_scratch(&mut self.scratch);
    }
}

/// Returns our settings.
fn config(settings: CompressionSettings) -> Config {
    let mut compression = if settings.has_takeover { Compression::default() } else { Compression::small() };
    compression.level = CompressionLevel::new(settings.level).expect("a valid level");
    compression.window_bits = WindowBits::new(settings.window_bits).expect("a valid window");
    compression.peer_window_bits = compression.window_bits;
    compression.threshold = 0;
    Config::default().compression(compression)
}

/// A server's frame.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a frame has these parts")]
pub struct Frame<'a> {
    /// Whether it is the first of a compressed message: RSV1.
    pub is_compressed: bool,
    /// Whether it is the last of a message: FIN.
    pub is_final: bool,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a frame from the beginning of bytes; `None` if they do not contain all of it.
    pub fn take(wire: &mut &'a [u8]) -> Option<Self> {
        let (&[first, short], rest) = wire.split_first_chunk()?;
        let (length, rest) = match short {
            126 => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?,
            127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length) as usize, rest))?,
            length => (length.into(), rest),
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        *wire = rest;
        Some(Self { is_compressed: first & 0x40 != 0, is_final: first & 0x80 != 0, payload })
    }
}
