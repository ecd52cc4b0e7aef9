//! Creates the compressed forms of encoded messages.

use std::sync::OnceLock;

use bytes::Buf;

use super::compressed_form::{CompressedForm, LazyForm, WarmForm};
use super::encoded_message::EncodedMessage;
use super::output::Output;
use super::sender::{Masking, Sender};
use crate::data::WindowBits;
use crate::deflate::{Codecs, Context, History};

impl LazyForm {
    /// Returns the form of several messages, if one of them has a form.
    pub(super) fn of_batch(messages: &[EncodedMessage]) -> Option<Self> {
        let mut forms = messages.iter().filter_map(EncodedMessage::form);
        let first = forms.next()?;
        let (compression, max_frame) = (first.compression.clone(), first.max_frame);
        let same = forms.all(|form| form.compression.window_bits <= compression.window_bits);
        same.then(|| Self { compression, max_frame, form: OnceLock::new() })
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
