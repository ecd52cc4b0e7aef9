//! Several encoded messages, joined, to be sent to many peers in one step.

use core::fmt;

use alloc::vec::Vec;
#[cfg(feature = "deflate")]
use alloc::{boxed::Box, sync::Arc};
use bytes::Bytes;

#[cfg(feature = "deflate")]
use super::broadcast_stream::BroadcastStream;
#[cfg(feature = "deflate")]
use super::compressed_form::{LazyForm, WarmForm};
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
    /// `None` if no message may be compressed.
    #[cfg(feature = "deflate")]
    forms: Option<Arc<BatchForms>>,
}

/// The compressed forms of a batch, and the messages from which they are created.
#[cfg(feature = "deflate")]
pub(crate) struct BatchForms {
    pub(crate) cold: LazyForm,
    /// Only of a batch that belongs to a stream.
    pub(crate) warm: Option<WarmForm>,
    pub(crate) messages: Box<[EncodedMessage]>,
}

impl EncodedBatch {
    /// Joins messages. Copies their frames, unless there is only one message.
    #[must_use]
    pub fn new(messages: &[EncodedMessage]) -> Self {
        Self {
            #[cfg(feature = "deflate")]
            forms: BatchForms::new(messages, None),
            ..Self::joined(messages)
        }
    }

    /// Joins messages, without their compressed forms.
    fn joined(messages: &[EncodedMessage]) -> Self {
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
            forms: None,
        }
    }

    /// Joins messages that follow the other messages of `stream`, and appends them to it. See [`BroadcastStream`].
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn following(messages: &[EncodedMessage], stream: &mut BroadcastStream) -> Self {
        Self { forms: BatchForms::new(messages, Some(stream)), ..Self::joined(messages) }
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

    /// Returns the compressed forms, if a message may be compressed.
    #[cfg(feature = "deflate")]
    pub(crate) fn forms(&self) -> Option<&BatchForms> {
        self.forms.as_deref()
    }

    /// Returns the frames as a server sends them.
    pub(crate) const fn frames(&self) -> &Bytes {
        &self.frames
    }
}

#[cfg(feature = "deflate")]
impl BatchForms {
    fn new(messages: &[EncodedMessage], stream: Option<&mut BroadcastStream>) -> Option<Arc<Self>> {
        let cold = LazyForm::of_batch(messages)?;
        let payloads = messages.iter().filter(|message| message.form().is_some()).map(EncodedMessage::payload);
        let warm = stream.map(|stream| WarmForm::new(stream.append(payloads, cold.history_size())));
        Some(Arc::new(Self { cold, warm, messages: messages.into() }))
    }
}

impl fmt::Debug for EncodedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedBatch").field("count", &self.count).field("len", &self.len).finish()
    }
}
