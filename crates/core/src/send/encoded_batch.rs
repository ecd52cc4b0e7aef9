//! Several encoded messages, joined, to be sent to many peers in one step.

use core::fmt;

#[cfg(feature = "deflate")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

#[cfg(feature = "deflate")]
use super::compressed_form::LazyForm;
use super::encoded_message::EncodedMessage;

/// Several [encoded messages](EncodedMessage), joined once, that any number of connections send in one step: for
/// servers that publish several messages to the same clients.
///
/// Clones share the bytes, and so do the outputs in which they are pending. A client can send a batch too, but copies
/// it, since it must mask.
///
/// ```
/// use sansocket::bytes::Buf;
/// use sansocket::{Config, Connection, EncodedBatch, EncodedMessage, Instant};
///
/// let config = Config::default();
/// let messages = ["a", "b", "c"].map(|text| EncodedMessage::new(text, &config));
/// let batch = EncodedBatch::new(&messages);
/// assert_eq!((batch.count(), batch.len()), (3, 3));
///
/// let mut server = Connection::server(config, Instant::EPOCH);
/// server.send_batch(&batch)?;
/// assert_eq!(server.output().chunk(), b"\x81\x01a\x81\x01b\x81\x01c");
/// # Ok::<(), sansocket::SendError>(())
/// ```
#[derive(Clone)]
pub struct EncodedBatch {
    count: usize,
    /// The length of all payloads together, in bytes.
    len: usize,
    /// Unmasked frames, back to back.
    frames: Bytes,
    /// The compressed form, and the messages from which it is created.
    #[cfg(feature = "deflate")]
    form: Option<(Arc<LazyForm>, Arc<[EncodedMessage]>)>,
}

impl EncodedBatch {
    /// Joins messages. Copies their frames, unless there is only one message.
    #[must_use]
    pub fn new(messages: &[EncodedMessage]) -> Self {
        let frames = match messages {
            [message] => message.frames().clone(),
            messages => {
                let mut frames = Vec::with_capacity(messages.iter().map(|message| message.frames().len()).sum());
                messages.iter().for_each(|message| frames.extend_from_slice(message.frames()));
                frames.into()
            }
        };
        Self {
            count: messages.len(),
            len: messages.iter().map(EncodedMessage::len).sum(),
            frames,
            #[cfg(feature = "deflate")]
            form: LazyForm::of_batch(messages).map(|form| (form, messages.into())),
        }
    }

    /// Returns the number of messages.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the length of all payloads together, in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the payloads have no bytes. The batch may contain empty messages.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the compressed form, if a message may be compressed, and the messages.
    #[cfg(feature = "deflate")]
    pub(crate) fn form(&self) -> Option<(&LazyForm, &[EncodedMessage])> {
        self.form.as_ref().map(|(form, messages)| (&**form, &**messages))
    }

    /// Returns the frames as a server sends them.
    pub(crate) const fn frames(&self) -> &Bytes {
        &self.frames
    }
}

impl fmt::Debug for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedBatch").field("count", &self.count).field("len", &self.len).finish()
    }
}
