//! The messages of the clients: JSON trades as frames that were compressed before.

use std::ops::Range;

use anyhow::{Result, ensure};
use sansocket_samples::{Content, Samples};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::echo::{Cell, Compression, Takeover};
use crate::raw::{COMPRESSED, FINAL_BINARY, KEY, frame};

/// The seed of the messages.
const SEED: u64 = 18;
/// The minimum number of messages in the cycle, and of their bytes: more than any window, so that the same message again
/// is no longer in it.
const MESSAGES_MIN: usize = 64;
const BYTES_MIN: usize = 256 << 10;
/// The memory level of the compressor, zlib's default.
const MEMORY_LEVEL: i32 = 8;
/// The end of the bytes of a message's sync flush, which is not sent (RFC 7692 section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A cycle of distinct messages, which every connection sends from its beginning.
///
/// With takeover, each message refers back to the ones before it in the cycle, and the first one to none. So a
/// connection can send the cycle again and again: what a message refers to has been sent before it in every round.
#[derive(Debug)]
pub(super) struct Messages {
    payloads: Vec<Vec<u8>>,
    /// The first byte of every frame, in both directions.
    first: u8,
    /// The frames of all messages.
    frames: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Messages {
    /// Creates the messages of a cell, whose number is a multiple of those in flight.
    ///
    /// # Errors
    ///
    /// If a message does not shrink: a server would send it uncompressed.
    pub(super) fn new(cell: Cell, compression: Compression) -> Result<Self> {
        let length = cell.payload.0;
        ensure!(length > 0, "an empty message cannot be compressed");
        let count = MESSAGES_MIN.max(BYTES_MIN.div_ceil(length)).next_multiple_of(cell.in_flight);
        let payloads = Samples::new(Content::Json, SEED).messages(length, count);
        let mut compressor = Compressor::new(compression);
        let flag = if compression.takeover == Takeover::Plain { 0 } else { COMPRESSED };
        let mut messages = Self { payloads, first: FINAL_BINARY | flag, frames: Vec::new(), ends: Vec::new() };
        for payload in &messages.payloads {
            let bytes = match compression.takeover {
                Takeover::Plain => payload.clone(),
                Takeover::On | Takeover::Off => {
                    let bytes = compressor.compress(payload);
                    ensure!(
                        bytes.len() < payload.len(),
                        "a message of {length} bytes does not shrink; use a longer one"
                    );
                    bytes
                }
            };
            messages.frames.extend(frame(messages.first, &bytes, Some(KEY)));
            messages.ends.push(messages.frames.len());
        }
        Ok(messages)
    }

    /// Returns the range of the frames of `count` messages, the first of which is the one with this number.
    pub(super) fn range(&self, number: u64, count: usize) -> Range<usize> {
        let index = self.index(number);
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        begin..self.ends[index + count - 1]
    }

    /// Returns the bytes of frames.
    pub(super) fn frames(&self, range: Range<usize>) -> &[u8] {
        &self.frames[range]
    }

    /// Returns the first byte of every frame.
    pub(super) fn first_byte(&self) -> u8 {
        self.first
    }

    /// Returns the payload of the message with this number, as the application sees it.
    pub(super) fn payload(&self, number: u64) -> &[u8] {
        &self.payloads[self.index(number)]
    }

    fn index(&self, number: u64) -> usize {
        (number % self.payloads.len() as u64) as usize
    }
}

/// The compressor of the clients' messages.
struct Compressor {
    deflate: Deflate,
    has_takeover: bool,
}

impl Compressor {
    fn new(compression: Compression) -> Self {
        let deflate = Deflate::new_with_config(DeflateConfig {
            level: compression.level.into(),
            window_bits: -i32::from(compression.window_bits),
            mem_level: MEMORY_LEVEL,
            ..DeflateConfig::default()
        });
        Self { deflate, has_takeover: compression.takeover == Takeover::On }
    }

    /// Compresses a message, without the tail.
    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.has_takeover {
            self.deflate.reset();
        }
        let before = self.deflate.total_out();
        // more than zlib's bound for bytes that do not shrink, and a sync flush
        let mut output = vec![0; 2 * payload.len() + 64];
        self.deflate.compress(payload, &mut output, DeflateFlush::SyncFlush).expect("the stream is valid");
        output.truncate((self.deflate.total_out() - before) as usize);
        assert!(output.ends_with(&TAIL), "a sync flush ends with an empty block");
        output.truncate(output.len() - TAIL.len());
        output
    }
}
