//! A message that stays in the caller's buffer until it is whole ([`Input::refillable`]): unmasked as it comes, its
//! fragments moved together. It is then lent like one that came at once.

use crate::config::Config;
use crate::event::Role;
use crate::frame::{FrameHeader, MaskingKey, OpCode};
use crate::input::Input;
use crate::message::MessageKind;
use crate::receiver::Rest;

/// How it lies in the input, from the next byte on: the head of its first frame, what has arrived of its payload, a gap
/// as long as the heads of its other frames, and then what has not been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    /// `None` before its first frame.
    pub(crate) kind: Option<MessageKind>,
    head: u8,
    payload: usize,
    gap: usize,
    /// Of the latest frame.
    pub(crate) rest: Rest,
}

/// How far a message has come.
pub(crate) enum Progress<'b> {
    /// Here it is. Text is yet to be validated.
    Whole(MessageKind, &'b [u8]),
    /// More of it is to follow in the caller's buffer.
    Left,
    /// It does not fit the buffer, or something else comes next, or something that may break a rule.
    Other,
}

impl Left {
    /// Looks at what has arrived.
    pub(crate) fn receive<'b>(&mut self, input: &mut Input<'b>, role: Role, config: &Config) -> Progress<'b> {
        // 5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is
        let is_masked = role == Role::Server;
        loop {
            self.receive_payload(input.remaining_mut());
            if self.rest.length > 0 {
                return self.leave(input, self.size() as u64 + self.rest.length);
            }
            if self.rest.fin {
                return self.take(input).map_or(Progress::Other, |(kind, payload)| Progress::Whole(kind, payload));
            }
            let bytes = input.remaining().get(self.size()..).unwrap_or_default();
            let Some((head, length, key)) = FrameHeader::decode_rest(bytes, is_masked) else {
                let head = FrameHeader::size_of(bytes);
                return if bytes.len() < head {
                    self.leave(input, (self.size() + head) as u64)
                } else {
                    Progress::Other
                };
            };
            let first = bytes.first().copied().unwrap_or_default();
            if !self.begin_frame(first, head, length, key, config) {
                return Progress::Other;
            }
        }
    }

    /// Leaves what has arrived, the beginning of so many bytes; if more fragments are to come, of nobody knows how
    /// many.
    fn leave(&self, input: &mut Input<'_>, count: u64) -> Progress<'static> {
        let is_left = if self.kind.is_none() || self.rest.fin { input.leave(count) } else { input.leave_open(count) };
        if is_left { Progress::Left } else { Progress::Other }
    }

    /// Takes from the input what has arrived.
    pub(crate) fn take<'b>(&self, input: &mut Input<'b>) -> Option<(MessageKind, &'b mut [u8])> {
        let kind = self.kind?;
        input.take(self.head.into());
        let payload = input.take(self.payload);
        input.take(self.gap);
        Some((kind, payload))
    }

    /// Bytes from the first of the message to the next that has not been looked at.
    const fn size(&self) -> usize {
        self.head as usize + self.payload + self.gap
    }

    /// Unmasks what there is of the frame's payload, and moves it to what came before.
    fn receive_payload(&mut self, bytes: &mut [u8]) {
        let begin = self.size();
        let count = bytes.len().saturating_sub(begin).min(usize::try_from(self.rest.length).unwrap_or(usize::MAX));
        let stays_as_it_is = self.gap == 0 && self.rest.key == [0; 4];
        if !stays_as_it_is && let Some(bytes) = bytes.get_mut(begin - self.gap..begin + count) {
            sansocket_mask::shift(bytes, self.gap, self.rest.key, 0);
        }
        self.payload += count;
        self.rest.advance(count);
    }

    /// Begins the message or goes on with it, unless the frame that begins with this byte is none of it, or breaks a
    /// rule or a limit. Fragments without payload are counted elsewhere.
    fn begin_frame(&mut self, first: u8, head: usize, length: u64, key: MaskingKey, config: &Config) -> bool {
        let most = config.max_message_size.saturating_sub(self.payload) as u64;
        if !(1..=most).contains(&length) || !config.permits_frame(length) {
            return false;
        }
        match (self.kind, OpCode::from_u8(first & !FrameHeader::FIN)) {
            (None, Some(OpCode::Text)) => (self.kind, self.head) = (Some(MessageKind::Text), head as u8),
            (None, Some(OpCode::Binary)) => (self.kind, self.head) = (Some(MessageKind::Binary), head as u8),
            (Some(_), Some(OpCode::Continuation)) => self.gap += head,
            _ => return false,
        }
        self.rest = Rest { length, key, fin: first & FrameHeader::FIN != 0 };
        true
    }
}
