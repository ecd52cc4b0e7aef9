//! The compressed forms of encoded messages, each of which is created once, when a connection first needs it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroUsize;
use std::sync::OnceLock;

use bytes::{Buf, Bytes};

use super::broadcast_stream::StreamPart;
use super::encoded_message::EncodedMessage;
use super::output::Output;
use super::sender::{Masking, Sender};
use crate::data::{Compress, Compression, Config, WindowBits};
use crate::deflate::{Codecs, Context, History, history_size};

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
    compression: Compression,
    /// See [`Config::max_sent_frame_payload`].
    max_frame: NonZeroUsize,
    form: OnceLock<Option<CompressedForm>>,
}

/// The warm form of a batch.
pub(crate) struct WarmForm {
    pub(crate) part: StreamPart,
    form: OnceLock<Option<CompressedForm>>,
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

    /// Returns the form of several messages, if one of them has a form.
    pub(super) fn of_batch(messages: &[EncodedMessage]) -> Option<Self> {
        let mut forms = messages.iter().filter_map(EncodedMessage::form);
        let first = forms.next()?;
        let (compression, max_frame) = (first.compression.clone(), first.max_frame);
        let same = forms.all(|form| form.compression.window_bits <= compression.window_bits);
        same.then(|| Self { compression, max_frame, form: OnceLock::new() })
    }

    /// Returns how many bytes before a message it may refer to.
    pub(super) fn history_size(&self) -> usize {
        history_size(&self.compression, self.compression.window_bits)
    }

    /// Returns the form for a receiver with this window, if it can decode it, and it is shorter: the warm form of
    /// `warm`, or else the cold one.
    pub(crate) fn get<'a>(
        &'a self,
        messages: &[EncodedMessage],
        warm: Option<&'a WarmForm>,
        window_bits: WindowBits,
        codecs: &mut Codecs,
    ) -> Option<&'a CompressedForm> {
        if window_bits < self.compression.window_bits {
            return None;
        }
        let form = warm.map_or(&self.form, |warm| &warm.form);
        let history = warm.map(|warm| warm.part.history());
        form.get_or_init(|| CompressedForm::new(messages, self, history, codecs)).as_ref()
    }
}

impl CompressedForm {
    /// Compresses messages; with a history, against it and each other. Returns `None` if none of them gets shorter.
    fn new(messages: &[EncodedMessage], lazy: &LazyForm, history: Option<&[u8]>, codecs: &mut Codecs) -> Option<Self> {
        let max = lazy.history_size();
        let mut context = history.map(Context::new);
        let (mut output, mut sender, mut tail) = (Output::default(), Sender::new(Masking::Server), History::default());
        let (mut len, mut unbroken) = (0, 0);
        for message in messages {
            let payload = message.payload();
            let may_compress = message.form().is_some();
            let compressed =
                may_compress.then(|| codecs.compress_encoded(&payload, &lazy.compression, context.as_mut())).flatten();
            let Some(compressed) = compressed else {
                if may_compress {
                    unbroken = 0;
                }
                sender.queue_encoded(&mut output, message.frames(), message.len());
                continue;
            };
            sender.queue_compressed(&mut output, message.kind(), compressed.bytes(), payload.len(), lazy.max_frame);
            codecs.recycle(compressed);
            tail.append(&payload, max);
            len += payload.len();
            unbroken += payload.len();
        }
        let inflated = output.take_inflated();
        if inflated.is_empty() {
            return None;
        }
        let frames = output.copy_to_bytes(output.remaining());
        let tail = tail.parts().concat();
        Some(Self { frames, inflated, is_whole: tail.len() == len, tail: tail.into(), unbroken })
    }
}

/// Omits payloads.
impl fmt::Debug for LazyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyForm").finish_non_exhaustive()
    }
}
