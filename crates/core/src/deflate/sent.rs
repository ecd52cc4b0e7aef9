//! The compression of what a connection sends (RFC 7692 sections 6.1 and 7.2.1).

use alloc::vec::Vec;
use core::mem;

use super::codecs::Codecs;
use super::context::{Context, Direction, StreamEnd};
use super::deflater::Settings;
use crate::data::{Compression, WindowBits};

/// The largest buffer for compressed bytes to keep, in bytes.
const BUFFER_MAX: usize = 128 * 1024;

/// An empty message, or the end of one whose last fragment is empty (7.2.3.6).
const EMPTY: u8 = 0x00;

/// Compressed bytes, in a buffer of the codecs: [`recycle`](Codecs::recycle) returns it.
pub(crate) struct Compressed {
    buffer: Vec<u8>,
    size: usize,
}

impl Compressed {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.size).unwrap_or_default()
    }
}

impl Direction<'_> {
    /// Compresses a message. Returns `None` if it would not get shorter; the context is then unchanged.
    pub(crate) fn compress(&mut self, data: &[u8], compression: &Compression) -> Option<Compressed> {
        let settings = Settings::new(compression, self.window_bits);
        let max = history_size(compression, self.window_bits);
        let context = self.context.as_deref_mut().filter(|_| compression.context_takeover);
        self.codecs.compress(data, settings, context.map(|context| (context, max)))
    }

    /// Compresses a fragment of a message. The context has at least the fragments before it.
    pub(crate) fn compress_fragment(&mut self, data: &[u8], last: bool, compression: &Compression) -> Compressed {
        let mut buffer = mem::take(&mut self.codecs.compressed);
        if data.is_empty() {
            // a flush without data would write an empty block the first time, and nothing the second time
            buffer.resize(buffer.len().max(1), EMPTY);
            buffer.iter_mut().take(1).for_each(|byte| *byte = EMPTY);
            return Compressed { buffer, size: last.into() };
        }
        let settings = Settings::new(compression, self.window_bits);
        let mut deflater = self.codecs.take_deflater(settings);
        deflater.prime(self.context.as_deref().and_then(|context| context.token), self.history());
        let size = deflater.compress_fragment(data, last, &mut buffer);
        if let Some(context) = self.context.as_deref_mut() {
            context.append(data, history_size(compression, self.window_bits));
            deflater.token = Some(self.codecs.next_token());
            context.token = deflater.token;
        }
        self.codecs.keep_deflater(deflater);
        Compressed { buffer, size }
    }

    /// Returns how the peer's window ends; `None` without context takeover.
    pub(crate) fn stream(&self, compression: &Compression) -> Option<StreamEnd> {
        self.context.as_deref().filter(|_| compression.context_takeover).map(|context| context.stream)
    }

    /// Notes that messages were sent which were compressed without this context, and end with `tail` and `stream`.
    /// Unless the tail is all of their data, later messages cannot refer to anything before it.
    pub(crate) fn note_encoded(&mut self, tail: &[u8], is_whole: bool, stream: StreamEnd, compression: &Compression) {
        let Some(context) = self.context.as_deref_mut().filter(|_| compression.context_takeover) else { return };
        if !is_whole {
            context.history.clear();
        }
        context.append(tail, history_size(compression, self.window_bits));
        context.stream = stream;
    }
}

impl Codecs {
    /// Compresses a message for many receivers, which all have `context`; without one, it refers to no other message.
    /// Returns `None` if it would not get shorter.
    pub(crate) fn compress_encoded(
        &mut self,
        data: &[u8],
        compression: &Compression,
        context: Option<&mut Context>,
    ) -> Option<Compressed> {
        let (bits, max) = (compression.window_bits, history_size(compression, compression.window_bits));
        self.compress(data, Settings::new(compression, bits), context.map(|context| (context, max)))
    }

    /// Takes the buffer of compressed bytes back.
    pub(crate) fn recycle(&mut self, compressed: Compressed) {
        if compressed.buffer.capacity() <= BUFFER_MAX {
            self.compressed = compressed.buffer;
        }
    }

    /// Compresses a message. The context keeps up to `max` bytes of what was sent.
    fn compress(
        &mut self,
        data: &[u8],
        settings: Settings,
        context: Option<(&mut Context, usize)>,
    ) -> Option<Compressed> {
        let mut buffer = mem::take(&mut self.compressed);
        let mut deflater = self.take_deflater(settings);
        match &context {
            Some((context, _)) => deflater.prime(context.token, context.history.parts()),
            None => deflater.prime(None, [&[]; 2]),
        }
        let size = deflater.compress(data, &mut buffer);
        if size.is_some()
            && let Some((context, max)) = context
        {
            context.append(data, max);
            deflater.token = Some(self.next_token());
            context.token = deflater.token;
        }
        self.keep_deflater(deflater);
        let compressed = Compressed { buffer, size: size.unwrap_or_default() };
        if size.is_some() {
            return Some(compressed);
        }
        self.recycle(compressed);
        None
    }
}

/// Returns how many bytes of sent data a connection keeps.
pub(crate) fn history_size(compression: &Compression, window_bits: WindowBits) -> usize {
    compression.sent_history.min(window_bits.size())
}
