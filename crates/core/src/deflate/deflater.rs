//! The compressor (RFC 7692 section 7.2.1).

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Strategy};

use super::token::Token;
use crate::data::{Compression, CompressionLevel, MemoryLevel, WindowBits};

/// The empty block at the end of a flush, without its first byte. It is removed from the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The smallest window of the compressor, which looks back at most 250 bytes in it: it serves the window of 8 bits too.
const BITS_MIN: u8 = 9;

/// A compressor with its settings. It takes 137 to 380 KB, so connections share compressors.
pub(super) struct Deflater {
    deflate: Deflate,
    settings: Settings,
    /// Identifies the window, if a message can continue it.
    pub(super) token: Option<Token>,
    /// Whether no message was compressed: a reset takes 2 microseconds.
    is_fresh: bool,
}

/// The settings of a compressor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    window_bits: u8,
    level: CompressionLevel,
    memory_level: MemoryLevel,
}

impl Settings {
    pub(super) fn new(compression: &Compression, window_bits: WindowBits) -> Self {
        Self {
            window_bits: window_bits.get().max(BITS_MIN),
            level: compression.level,
            memory_level: compression.memory_level,
        }
    }
}

impl Deflater {
    pub(super) fn new(settings: Settings) -> Self {
        let deflate = Deflate::new_with_config(DeflateConfig {
            level: settings.level.get().into(),
            method: Method::Deflated,
            // negative: without a zlib header
            window_bits: -i32::from(settings.window_bits),
            mem_level: settings.memory_level.get().into(),
            strategy: Strategy::Default,
        });
        Self { deflate, settings, token: None, is_fresh: true }
    }

    pub(super) fn has(&self, settings: Settings) -> bool {
        self.settings == settings
    }

    /// Prepares for a message that continues behind `history`: unless the window has this token, which is its contents,
    /// clears the window. The window has no token then, until the message is compressed.
    pub(super) fn prime(&mut self, token: Option<Token>, history: [&[u8]; 2]) {
        let primed = self.token.take();
        if primed.is_some() && primed == token {
            return;
        }
        if !self.is_fresh {
            self.deflate.reset();
        }
        self.is_fresh = false;
        for part in history.into_iter().filter(|part| !part.is_empty()) {
            // cannot fail: the stream is new
            let _ = self.deflate.set_dictionary(part);
        }
    }

    /// Compresses a message into `output`. Returns the number of bytes, without the tail; `None` if they are not fewer
    /// than those of the message: then the window has to be [primed](Self::prime) again.
    pub(super) fn compress(&mut self, data: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let size = self.flush(data, output).checked_sub(TAIL.len())?;
        (size < data.len()).then_some(size)
    }

    /// Compresses a fragment, which is not empty, into `output`. Returns the number of bytes. Only the last fragment of
    /// a message loses the tail.
    pub(super) fn compress_fragment(&mut self, data: &[u8], last: bool, output: &mut Vec<u8>) -> usize {
        let size = self.flush(data, output);
        if last { size.saturating_sub(TAIL.len()) } else { size }
    }

    /// Compresses all of the data, and ends it with an empty block. Returns the number of bytes written.
    ///
    /// Leaves nothing in the compressor: zlib-rs 0.6.8 is not as new after a reset then, and panics at a later message.
    fn flush(&mut self, mut data: &[u8], output: &mut Vec<u8>) -> usize {
        // The bound of zlib for all settings, and more than the empty block: one call has room for its output. If it had
        // not, the next call would write the rest, and another empty block, which changes nothing.
        let mut room = data.len() + data.len() / 8 + data.len() / 64 + 64;
        let mut size = 0;
        loop {
            if output.len() < room {
                output.resize(room, 0);
            }
            let (total_in, total_out) = (self.deflate.total_in(), self.deflate.total_out());
            let free = output.get_mut(size..).unwrap_or_default();
            let flushed = self.deflate.compress(data, free, DeflateFlush::SyncFlush);
            debug_assert!(flushed.is_ok(), "zlib-rs: {flushed:?}");
            data = data.get((self.deflate.total_in() - total_in) as usize..).unwrap_or_default();
            size += (self.deflate.total_out() - total_out) as usize;
            if flushed.is_err() || (data.is_empty() && size < output.len()) {
                return size;
            }
            room = 2 * output.len();
        }
    }
}
