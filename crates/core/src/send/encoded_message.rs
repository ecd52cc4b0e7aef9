//! Messages that are encoded once and sent to many peers.

#[cfg(feature = "deflate")]
use alloc::{borrow::Cow, sync::Arc, vec::Vec};
use core::fmt;

use bytes::{Buf, Bytes};

#[cfg(feature = "deflate")]
use super::compressed_form::LazyForm;
use super::output::Output;
#[cfg(feature = "deflate")]
use super::sender::decode_frames;
use super::sender::{Masking, Sender};
#[cfg(feature = "deflate")]
use crate::data::Compress;
use crate::data::{Config, Message, MessageKind};

/// A message encoded once, to be sent to any number of connections.
///
/// Servers do not mask (RFC 6455 section 5.1), so they send the same bytes to every client. Clones share the bytes, and
/// so do the outputs in which they are pending, unless a copy takes less memory than a reference (below 256 bytes). A
/// client can send the message too, but copies it, since it must mask.
///
/// ```
/// use std::sync::Arc;
/// use sansocket::bytes::Buf;
/// use sansocket::{Config, Connection, EncodedMessage, Instant};
///
/// let config = Arc::new(Config::default());
/// let mut servers: Vec<_> = (0..10).map(|_| Connection::server(Arc::clone(&config), Instant::EPOCH)).collect();
///
/// let message = EncodedMessage::new("Hello", &config);
/// for server in &mut servers {
///     server.send_encoded(&message)?;
///     assert_eq!(server.output().chunk(), b"\x81\x05Hello");
/// }
/// # Ok::<(), sansocket::SendError>(())
/// ```
#[derive(Clone)]
pub struct EncodedMessage {
    kind: MessageKind,
    /// The payload's length in bytes.
    len: usize,
    /// Unmasked frames, back to back.
    frames: Bytes,
    /// The compressed form, for receivers that agreed to permessage-deflate.
    #[cfg(feature = "deflate")]
    form: Option<Arc<LazyForm>>,
}

impl EncodedMessage {
    /// Encodes a message, in frames of up to [`Config::max_sent_frame_payload`] bytes of payload.
    ///
    /// With [`Config::compression`], it is also compressed, once, when it is first sent to a connection that agreed to
    /// permessage-deflate with a window as large as that of the settings: without the history of any connection, so
    /// that all of them can decode it.
    pub fn new<'m>(message: impl Into<Message<'m>>, config: &Config) -> Self {
        Self::encode(
            message.into(),
            config,
            #[cfg(feature = "deflate")]
            Compress::AsConfigured,
        )
    }

    /// Encodes a message that is compressed or not: see [`Compress`].
    #[cfg(feature = "deflate")]
    pub fn new_with<'m>(message: impl Into<Message<'m>>, compress: Compress, config: &Config) -> Self {
        Self::encode(message.into(), config, compress)
    }

    fn encode(message: Message<'_>, config: &Config, #[cfg(feature = "deflate")] compress: Compress) -> Self {
        let (kind, len) = (message.kind(), message.len());
        let mut output = Output::default();
        Sender::new(Masking::Server).queue_copied(&mut output, kind.into(), message.as_bytes(), true, config);
        let frames = output.copy_to_bytes(output.remaining());
        Self {
            kind,
            len,
            frames,
            #[cfg(feature = "deflate")]
            form: LazyForm::new(len, compress, config),
        }
    }

    /// Returns the kind: text or binary.
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the payload's length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the payload is empty, which is legal.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the compressed form, if the message may be compressed.
    #[cfg(feature = "deflate")]
    pub(crate) fn form(&self) -> Option<&LazyForm> {
        self.form.as_deref()
    }

    /// Returns the payload.
    #[cfg(feature = "deflate")]
    pub(super) fn payload(&self) -> Cow<'_, [u8]> {
        let mut frames = decode_frames(&self.frames).map(|(_, payload)| payload);
        let first = frames.next().unwrap_or_default();
        if first.len() == self.len {
            return Cow::Borrowed(first);
        }
        let mut payload = Vec::with_capacity(self.len);
        payload.extend_from_slice(first);
        frames.for_each(|frame| payload.extend_from_slice(frame));
        Cow::Owned(payload)
    }

    /// Returns the frames as a server sends them.
    pub(crate) const fn frames(&self) -> &Bytes {
        &self.frames
    }
}

impl fmt::Debug for EncodedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedMessage").field("kind", &self.kind).field("len", &self.len).finish()
    }
}
