//! The inflated bytes of a message: checks the limit, validates text, and keeps what the message may refer back to.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::frame_event::ReceiveError;
use super::segments::Segments;
use crate::data::{Config, Delivery, LimitExceeded, Message, MessageKind, Subject, Utf8Validator, WindowBits};
use crate::deflate::{Context, Direction, History, Inflater};

/// The inflated part of a message.
pub(crate) struct Inflated {
    kind: MessageKind,
    content: Content,
    utf8: Utf8Validator,
    /// The number of inflated bytes.
    len: usize,
}

/// The bytes that a message keeps while it is inflated.
enum Content {
    /// All of them. The validator has the beginning of an unfinished character.
    Text(Segments<String>),
    Binary(Segments<Vec<u8>>),
    /// With chunk delivery, the last ones, unless the context of the connection keeps them.
    Chunks(History),
}

impl Inflated {
    pub(crate) fn new(kind: MessageKind, delivery: Delivery) -> Self {
        let content = match (delivery, kind) {
            (Delivery::Chunks, _) => Content::Chunks(History::default()),
            (Delivery::Messages, MessageKind::Text) => Content::Text(Segments::default()),
            (Delivery::Messages, MessageKind::Binary) => Content::Binary(Segments::default()),
        };
        Self { kind, content, utf8: Utf8Validator::default(), len: 0 }
    }

    pub(crate) const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Adds inflated bytes. `ends` says that nothing follows.
    pub(crate) fn push(&mut self, bytes: &[u8], ends: bool, config: &Config) -> Result<(), ReceiveError> {
        let limit = config.max_message_size;
        let room = limit - self.len;
        if bytes.len() > room {
            // invalid text before the limit comes first, however the bytes were split
            if self.kind == MessageKind::Text {
                self.utf8.validate(bytes.get(..room).unwrap_or_default(), |_| ())?;
            }
            return Err(LimitExceeded::beyond(Subject::InflatedMessage, limit).into());
        }
        self.len += bytes.len();
        match (&mut self.content, self.kind) {
            (Content::Text(segments), _) => self.utf8.validate(bytes, |valid| segments.push(valid, limit, ends))?,
            (Content::Binary(segments), _) => segments.push(bytes, limit, ends),
            (Content::Chunks(_), MessageKind::Text) => self.utf8.validate(bytes, |_| ())?,
            (Content::Chunks(_), MessageKind::Binary) => {}
        }
        Ok(())
    }

    /// Keeps the last bytes of chunks.
    pub(crate) fn keep_history(&mut self, bytes: &[u8], context: Option<&mut Context>, window_bits: WindowBits) {
        if let Content::Chunks(history) = &mut self.content {
            context.map_or(history, |context| &mut context.history).append(bytes, window_bits.size());
        }
    }

    /// Prepares the inflater for another DEFLATE stream in the same message. 7.2.1: it may refer back to those before.
    pub(crate) fn prime(&self, inflater: &mut Inflater, direction: &Direction<'_>) {
        let before = direction.history().into_iter();
        let max = direction.window_bits.size();
        match &self.content {
            Content::Text(segments) => {
                inflater.prime(before.chain(segments.tail(max)).chain([self.utf8.unfinished()]));
            }
            Content::Binary(segments) => inflater.prime(before.chain(segments.tail(max))),
            Content::Chunks(history) => inflater.prime(before.chain(history.parts())),
        }
    }

    /// Ends the message: completes the history of the connection. Returns the message, unless it was delivered in chunks.
    pub(crate) fn finish(&mut self, direction: &mut Direction<'_>) -> Result<Option<Message<'static>>, ReceiveError> {
        self.utf8.finish()?;
        let max = direction.window_bits.size();
        let mut keep = |part: &[u8]| {
            if let Some(context) = &mut direction.context {
                context.history.append(part, max);
            }
        };
        Ok(match &mut self.content {
            Content::Text(segments) => {
                segments.tail(max).for_each(&mut keep);
                Some(Message::Text(Cow::Owned(segments.finish())))
            }
            Content::Binary(segments) => {
                segments.tail(max).for_each(&mut keep);
                Some(Message::Binary(Cow::Owned(segments.finish())))
            }
            Content::Chunks(_) => None,
        })
    }
}
