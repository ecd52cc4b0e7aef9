//! The compressed form of encoded messages, which is created once, when a connection first needs it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroUsize;
use std::sync::OnceLock;

use bytes::{Buf, Bytes};

use super::encoded_message::EncodedMessage;
use super::output::Output;
use super::sender::{Masking, Sender};
use crate::data::{Compress, Compression, Config, WindowBits};
use crate::deflate::{Codecs, History, history_size};

/// Encoded messages, of which at least one is compressed. Each message is compressed without the history of any
/// receiver, so every receiver can decode it whose window is large enough.
pub(crate) struct CompressedForm {
    /// Unmasked frames, back to back.
    pub(crate) frames: Bytes,
    /// The application bytes of each compressed frame.
    pub(crate) inflated: Box<[usize]>,
    /// The last application bytes of the compressed messages.
    pub(crate) tail: Box<[u8]>,
    /// Whether the tail has all application bytes of the compressed messages.
    pub(crate) is_whole: bool,
}

/// The compressed form of a message, or of a batch, which is created when a connection first needs it.
pub(crate) struct LazyForm {
    compression: Compression,
    /// See [`Config::max_sent_frame_payload`].
    max_frame: NonZeroUsize,
    form: OnceLock<Option<CompressedForm>>,
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

    /// Returns the form of several messages, if one of them has a form.
    pub(super) fn of_batch(messages: &[EncodedMessage]) -> Option<Arc<Self>> {
        let mut forms = messages.iter().filter_map(EncodedMessage::form);
        let first = forms.next()?;
        let (compression, max_frame) = (first.compression.clone(), first.max_frame);
        let same = forms.all(|form| form.compression.window_bits <= compression.window_bits);
        same.then(|| Arc::new(Self { compression, max_frame, form: OnceLock::new() }))
    }

    /// Returns the form for a receiver with this window, if it can decode it, and it is shorter.
    pub(crate) fn get(
        &self,
        messages: &[EncodedMessage],
        window_bits: WindowBits,
        codecs: &mut Codecs,
    ) -> Option<&CompressedForm> {
        if window_bits < self.compression.window_bits {
            return None;
        }
        self.form.get_or_init(|| CompressedForm::new(messages, self, codecs)).as_ref()
    }
}

impl CompressedForm {
    /// Compresses messages. Returns `None` if none of them gets shorter.
    fn new(messages: &[EncodedMessage], lazy: &LazyForm, codecs: &mut Codecs) -> Option<Self> {
        let max = history_size(&lazy.compression, lazy.compression.window_bits);
        let (mut output, mut sender, mut tail, mut len) =
            (Output::default(), Sender::new(Masking::Server), History::default(), 0);
        for message in messages {
            let payload = message.payload();
            let compressed = message.form().and_then(|_| codecs.compress_alone(&payload, &lazy.compression));
            let Some(compressed) = compressed else {
                sender.queue_encoded(&mut output, message.frames(), message.len());
                continue;
            };
            sender.queue_compressed(&mut output, message.kind(), compressed.bytes(), payload.len(), lazy.max_frame);
            codecs.recycle(compressed);
            tail.append(&payload, max);
            len += payload.len();
        }
        let inflated = output.take_inflated();
        if inflated.is_empty() {
            return None;
        }
        let frames = output.copy_to_bytes(output.remaining());
        let tail = tail.parts().concat();
        Some(Self { frames, inflated, is_whole: tail.len() == len, tail: tail.into() })
    }
}

/// Omits payloads.
impl fmt::Debug for LazyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyForm").finish_non_exhaustive()
    }
}
