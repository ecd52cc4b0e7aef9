//! The chunks of one message become a message: limits added up over its fragments, text validated as it arrives.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::{Config, Delivery};
use crate::error::ProtocolError;
use crate::message::{Chunk, Message, MessageKind};
use crate::utf8::{InvalidUtf8, Utf8};

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::Utf8Invalid
    }
}

/// A message that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Assembly {
    payload: Payload,
    /// Payload bytes of the frames whose heads have arrived.
    announced: u64,
    /// Frames without payload since the last one with.
    empty_fragments: u32,
}

/// What has arrived: of text, only whole characters are in the string. With chunk delivery nothing is kept.
#[derive(Debug)]
enum Payload {
    Text { text: String, utf8: Utf8 },
    Binary(Vec<u8>),
}

/// A finished message, or as much of one as has arrived.
#[derive(Debug)]
pub(crate) enum Delivered<'b> {
    Message(Message<'b>),
    Chunk(Chunk<'b>),
}

impl Assembly {
    pub(crate) fn new(kind: MessageKind) -> Self {
        let payload = match kind {
            MessageKind::Text => Payload::Text { text: String::new(), utf8: Utf8::default() },
            MessageKind::Binary => Payload::Binary(Vec::new()),
        };
        Self { payload, announced: 0, empty_fragments: 0 }
    }

    /// A frame of the message begins: its length counts before a byte of it has arrived.
    pub(crate) fn begin_frame(&mut self, payload_length: u64, fin: bool, config: &Config) -> Result<(), ProtocolError> {
        self.announced = self.announced.saturating_add(payload_length);
        check_message_length(self.announced, config)?;
        self.empty_fragments = if payload_length == 0 && !fin { self.empty_fragments.saturating_add(1) } else { 0 };
        if self.empty_fragments > config.max_empty_fragments {
            return Err(ProtocolError::EmptyFragmentsTooMany);
        }
        Ok(())
    }

    /// Takes the next piece of the message, unmasked; `last` if the message ends with it.
    /// Returns what there is to deliver.
    pub(crate) fn push<'b>(
        &mut self,
        piece: &'b [u8],
        last: bool,
        delivery: Delivery,
    ) -> Result<Option<Delivered<'b>>, ProtocolError> {
        match delivery {
            Delivery::Messages => {
                match &mut self.payload {
                    Payload::Text { text, utf8 } => utf8.push(piece, |valid| text.push_str(valid))?,
                    Payload::Binary(bytes) => bytes.extend_from_slice(piece),
                }
                if last { self.finish().map(|message| Some(Delivered::Message(message))) } else { Ok(None) }
            }
            Delivery::Chunks => {
                if let Payload::Text { utf8, .. } = &mut self.payload {
                    utf8.push(piece, |_| ())?;
                    if last {
                        utf8.finish()?;
                    }
                }
                let chunk = Chunk::new(self.kind(), piece, last);
                Ok((last || !piece.is_empty()).then_some(Delivered::Chunk(chunk)))
            }
        }
    }

    fn finish(&mut self) -> Result<Message<'static>, ProtocolError> {
        Ok(match &mut self.payload {
            Payload::Text { text, utf8 } => {
                utf8.finish()?;
                Message::Text(Cow::Owned(core::mem::take(text)))
            }
            Payload::Binary(bytes) => Message::Binary(Cow::Owned(core::mem::take(bytes))),
        })
    }

    fn kind(&self) -> MessageKind {
        match self.payload {
            Payload::Text { .. } => MessageKind::Text,
            Payload::Binary(_) => MessageKind::Binary,
        }
    }
}

/// A message that lies whole in the input is lent as it is.
#[inline]
pub(crate) fn message(kind: MessageKind, payload: &[u8]) -> Result<Message<'_>, ProtocolError> {
    Ok(match kind {
        MessageKind::Text => {
            Message::Text(Cow::Borrowed(simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::Utf8Invalid)?))
        }
        MessageKind::Binary => Message::Binary(Cow::Borrowed(payload)),
    })
}

/// The same, as it is to be delivered.
pub(crate) fn whole(kind: MessageKind, payload: &[u8], delivery: Delivery) -> Result<Delivered<'_>, ProtocolError> {
    let message = message(kind, payload)?;
    Ok(match delivery {
        Delivery::Messages => Delivered::Message(message),
        Delivery::Chunks => Delivered::Chunk(Chunk::new(kind, payload, true)),
    })
}

pub(crate) fn check_message_length(length: u64, config: &Config) -> Result<(), ProtocolError> {
    if length > config.max_message_size as u64 { Err(ProtocolError::MessageTooLong) } else { Ok(()) }
}
