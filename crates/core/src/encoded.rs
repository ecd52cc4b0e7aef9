//! A message in the frames that it travels in, for many receivers.

use core::fmt;

use bytes::{Buf, Bytes};

use crate::config::Config;
use crate::frame::{FrameHeader, OpCode};
use crate::message::{Message, MessageKind};
use crate::output::Output;
use crate::sender::{Masking, Sender};

/// A message encoded once, to be sent to any number of connections.
///
/// Servers do not mask (RFC 6455 section 5.1), so that the same bytes go to every client. A clone shares them, and so
/// does the output of every connection that they wait in, unless they are so few (256 bytes) that a copy takes less
/// memory than a reference. A client may send it too, but has to copy, since it must mask.
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
    /// Payload bytes.
    len: usize,
    /// Frames of our own making, back to back.
    frames: Bytes,
}

impl EncodedMessage {
    /// Encodes a message, in frames as long as [`Config::max_sent_frame_payload`] lets them be.
    pub fn new<'m>(message: impl Into<Message<'m>>, config: &Config) -> Self {
        let message = message.into();
        let (kind, len) = (message.kind(), message.len());
        let mut output = Output::default();
        Sender::new(Masking::Server).copied(&mut output, kind.into(), message.as_bytes(), true, config);
        let frames = output.copy_to_bytes(output.remaining());
        Self { kind, len, frames }
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

    /// The frames as a server sends them.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.frames
    }

    /// The frames one by one: what each is, its payload, and whether it is the last.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (OpCode, &[u8], bool)> {
        let mut rest: &[u8] = &self.frames;
        core::iter::from_fn(move || {
            let Ok(Some((header, size))) = FrameHeader::decode(rest) else { return None };
            let (frame, behind) = rest.split_at_checked(size + header.payload_length as usize)?;
            rest = behind;
            Some((header.opcode, frame.get(size..)?, header.fin))
        })
    }
}

impl fmt::Debug for EncodedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedMessage").field("kind", &self.kind).field("len", &self.len).finish()
    }
}
