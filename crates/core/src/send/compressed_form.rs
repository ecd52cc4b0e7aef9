//! The compressed forms of encoded messages, each of which is created once, when a connection first needs it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroUsize;
use std::sync::OnceLock;

use bytes::Bytes;

use super::broadcast_stream::StreamPart;
use crate::data::{Compress, Compression, Config};
use crate::deflate::history_size;

/// Encoded messages, of which at least one is compressed.
///
/// In the *cold* form, each message is compressed alone, so every receiver can decode it whose window is large enough.
/// In the *warm* form of a batch, messages refer to those before them, in the batch and in the stream.
pub(crate) struct CompressedForm {
    /// Unmasked frames, back to back.
    pub(crate) frames: Bytes,
    /// The application bytes of each compressed frame.
    pub(crate) inflated: Box<[usize]>,
    /// The last application bytes of the compressed messages.
    pub(crate) tail: Box<[u8]>,
    /// Whether the tail has all application bytes of the compressed messages.
    pub(crate) is_whole: bool,
    /// The application bytes behind the last message that might have been compressed, and is not.
    pub(crate) unbroken: usize,
}

/// The cold form of a message, or of a batch.
pub(crate) struct LazyForm {
    pub(super) compression: Compression,
    /// See [`Config::max_sent_frame_payload`].
    pub(super) max_frame: NonZeroUsize,
    pub(super) form: OnceLock<Option<CompressedForm>>,
}

/// The warm form of a batch.
pub(crate) struct WarmForm {
    pub(crate) part: StreamPart,
    pub(super) form: OnceLock<Option<CompressedForm>>,
}

impl WarmForm {
    pub(super) const fn new(part: StreamPart) -> Self {
        Self { part, form: OnceLock::new() }
    }
}

impl LazyForm {
    /// Returns the form of a message with a payload of `len` bytes; `None` if it is not to be compressed.
    pub(super) fn new(len: usize, compress: Compress, config: &Config) -> Option<Arc<Self>> {
        let compression = config.compression.as_ref()?;
        let is_compressed = match compress {
            Compress::AsConfigured => len >= compression.threshold,
            Compress::Yes => true,
            Compress::No => false,
        };
        is_compressed.then(|| {
            let (compression, max_frame) = (compression.clone(), config.max_sent_frame_payload);
            Arc::new(Self { compression, max_frame, form: OnceLock::new() })
        })
    }

    /// Returns how many bytes before a message it may refer to.
    pub(super) fn history_size(&self) -> usize {
        history_size(&self.compression, self.compression.window_bits)
    }
}

/// Omits payloads.
impl fmt::Debug for LazyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyForm").finish_non_exhaustive()
    }
}
