//! A message that stays in the caller's buffer until it is whole ([`Input::refillable`]): unmasked as it comes, its fragments
//! moved together. It is then lent like one that came at once.

use crate::config::Config;
use crate::event::Role;
use crate::frame::{FrameHeader, OpCode};
use crate::input::Input;
use crate::message::MessageKind;
use crate::receiver::{Rest, check_frame};

/// How it lies in the input, from the next byte on: the head of its first frame, what has arrived of its payload, a gap as
/// long as the heads of its other frames, and then what has not been looked at.
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
        loop {
            self.receive_payload(input.remaining_mut());
            if self.rest.length > 0 {
                return self.leave(input, self.size() as u64 + self.rest.length);
            }
            if self.rest.fin {
                return self.take(input).map_or(Progress::Other, |(kind, payload)| Progress::Whole(kind, payload));
            }
            let bytes = input.remaining().get(self.size()..).unwrap_or_default();
            match FrameHeader::decode(bytes) {
                Ok(Some((header, size))) if self.goes_on_with(&header, role, config) => self.begin_frame(&header, size),
                Ok(None) => {
                    let head = FrameHeader::size_of(bytes);
                    return self.leave(input, (self.size() + head) as u64);
                }
                _ => return Progress::Other,
            }
        }
    }

    /// Leaves what has arrived, the beginning of so many bytes; if more fragments are to come, of nobody knows how many.
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

    /// Whether the message begins or goes on with this frame, and that breaks no rule and no limit. Fragments without payload
    /// are counted elsewhere.
    fn goes_on_with(&self, header: &FrameHeader, role: Role, config: &Config) -> bool {
        let is_next = match header.opcode {
            OpCode::Text | OpCode::Binary => self.kind.is_none(),
            OpCode::Continuation => self.kind.is_some(),
            OpCode::Close | OpCode::Ping | OpCode::Pong => false,
        };
        let most = config.max_frame_payload.min(config.max_message_size.saturating_sub(self.payload) as u64);
        is_next && (1..=most).contains(&header.payload_length) && check_frame(header, role).is_ok()
    }

    fn begin_frame(&mut self, header: &FrameHeader, head: usize) {
        self.rest = Rest::new(header);
        match header.opcode {
            OpCode::Text => (self.kind, self.head) = (Some(MessageKind::Text), head as u8),
            OpCode::Binary => (self.kind, self.head) = (Some(MessageKind::Binary), head as u8),
            _ => self.gap += head,
        }
    }
}
