//! Messages out: frame heads, masking while copying, fragmentation (RFC 6455 sections 5.3, 5.4, 6.1).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use rand_core::CryptoRng;

use crate::closing::CloseCode;
use crate::config::Config;
use crate::controls::{ControlFrame, ControlKind};
use crate::encoded::EncodedMessage;
use crate::event::Role;
use crate::fragment_payload::FragmentPayload;
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MaskingKey, OpCode};
use crate::message::{Message, MessageKind};
use crate::output::Output;
use crate::queue::Segment;
use crate::send_error::SendError;
use crate::utf8::Utf8;

/// From this many bytes on, the payload of an owned message's frames is queued as it is.
const OWNED_MIN: usize = 4 * 1024;
/// The same for a shared message. What is shorter takes less memory beside its head than by reference.
const SHARED_MIN: usize = 256;

/// From this many bytes on, a copy by masking with zeros is faster than glibc's, which leaves it to `rep movsb`: that
/// takes two to four times as long on AMD's Zen 4, and is about level elsewhere.
const COPIED_BY_MASK: usize = 3 * 1024;

/// Where a client's masking keys come from; a server has none (RFC 6455 section 5.1).
pub(crate) enum Masking {
    Client(Box<dyn CryptoRng + Send + Sync>),
    Server,
}

impl Masking {
    #[inline]
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Client(_) => Role::Client,
            Self::Server => Role::Server,
        }
    }

    /// 5.3: the masking key needs to be unpredictable, and a fresh one is chosen for every frame
    #[inline]
    fn key(&mut self) -> Option<MaskingKey> {
        match self {
            Self::Client(rng) => Some(rng.next_u32().to_le_bytes()),
            Self::Server => None,
        }
    }
}

impl fmt::Debug for Masking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.role().fmt(f)
    }
}

/// Turns messages into frames.
#[derive(Debug)]
pub(crate) struct Sender {
    masking: Masking,
    /// The message that the application sends by the fragment, between its first and its last.
    fragmented: Option<Fragmented>,
}

#[derive(Debug)]
struct Fragmented {
    kind: MessageKind,
    utf8: Utf8,
}

impl Sender {
    pub(crate) fn new(masking: Masking) -> Self {
        Self { masking, fragmented: None }
    }

    #[inline]
    pub(crate) fn role(&self) -> Role {
        self.masking.role()
    }

    /// Whether a message with a payload of this size can be queued; otherwise [`refuse_message`](Self::refuse_message)
    /// says why.
    #[inline]
    pub(crate) fn takes_message(&self, output: &Output, size: usize, config: &Config) -> bool {
        self.fragmented.is_none() && has_room(output, size, config)
    }

    pub(crate) fn refuse_message<M>(&self, message: M, size: usize, config: &Config) -> SendError<M> {
        if self.fragmented.is_some() { SendError::MessageUnfinished } else { no_room(message, size, config) }
    }

    /// Queues a message, for which there must be room.
    #[inline]
    pub(crate) fn message(&mut self, output: &mut Output, message: Message<'_>, config: &Config) {
        let payload = message.as_bytes();
        if payload.len() < OWNED_MIN.min(config.max_sent_frame_payload.get()) {
            self.copied_frame(output, message.kind().into(), payload, true);
        } else {
            self.long(output, message, config);
        }
    }

    /// Queues a message of many frames, or one that may be worth more than a copy.
    #[inline(never)]
    fn long(&mut self, output: &mut Output, message: Message<'_>, config: &Config) {
        let opcode = message.kind().into();
        let payload = match message {
            Message::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Message::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Message::Binary(bytes) => bytes,
        };
        match payload {
            Cow::Owned(payload) if frame_size(payload.len(), config) >= OWNED_MIN => {
                self.owned(output, opcode, payload, config);
            }
            payload => self.copied(output, opcode, &payload, true, config),
        }
    }

    /// Queues a shared message, for which there must be room.
    #[inline]
    pub(crate) fn shared(
        &mut self,
        output: &mut Output,
        kind: MessageKind,
        payload: Bytes,
        config: &Config,
    ) -> Result<(), SendError<Bytes>> {
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(&payload).is_err() {
            return Err(SendError::Utf8Invalid);
        }
        self.shared_frames(output, kind.into(), payload, true, config);
        Ok(())
    }

    /// Queues a shared message, or the fragment of one: a server by reference, unless its frames are short.
    #[inline]
    fn shared_frames(&mut self, output: &mut Output, opcode: OpCode, payload: Bytes, last: bool, config: &Config) {
        let frame = frame_size(payload.len(), config);
        if self.role() == Role::Client || frame < SHARED_MIN {
            self.copied(output, opcode, &payload, last, config);
        } else if frame == payload.len() {
            let header = FrameHeader { fin: last, ..FrameHeader::new(opcode, frame as u64) };
            output.push_in_place(&header, Segment::Shared(payload));
        } else {
            self.by_reference(output, opcode, payload, last, config, |_| None);
        }
    }

    /// Queues an encoded message, for which there must be room.
    pub(crate) fn encoded(&mut self, output: &mut Output, message: &EncodedMessage) {
        match self.role() {
            Role::Server if message.bytes().len() >= SHARED_MIN => output.push_encoded(message),
            // 5.1: a client must mask every frame
            _ => message.frames().for_each(|(opcode, payload, fin)| self.copied_frame(output, opcode, payload, fin)),
        }
    }

    pub(crate) fn fragment(
        &mut self,
        output: &mut Output,
        kind: MessageKind,
        payload: FragmentPayload<'_>,
        last: bool,
        config: &Config,
    ) -> Result<(), SendError> {
        let bytes = payload.as_bytes();
        let mut utf8 = match &self.fragmented {
            Some(fragmented) if fragmented.kind != kind => return Err(SendError::FragmentKindMismatch),
            Some(fragmented) => fragmented.utf8,
            None => Utf8::default(),
        };
        if !has_room(output, bytes.len(), config) {
            return Err(no_room((), bytes.len(), config));
        }
        if kind == MessageKind::Text {
            utf8.push(bytes, |_| ())?;
            if last {
                utf8.finish()?;
            }
        }
        let opcode = if self.fragmented.is_some() { OpCode::Continuation } else { kind.into() };
        self.fragmented = (!last).then_some(Fragmented { kind, utf8 });
        match payload {
            FragmentPayload::Borrowed(payload) => self.copied(output, opcode, payload, last, config),
            FragmentPayload::Shared(payload) => self.shared_frames(output, opcode, payload, last, config),
        }
        Ok(())
    }

    /// A Ping or Pong.
    pub(crate) fn control(
        &mut self,
        output: &mut Output,
        opcode: OpCode,
        payload: &[u8],
        kind: ControlKind,
        config: &Config,
    ) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlPayloadTooLong(payload.len()));
        }
        let header = FrameHeader { mask: self.masking.key(), ..FrameHeader::new(opcode, payload.len() as u64) };
        let frame = ControlFrame::new(&header, payload, kind);
        output
            .push_control(frame, config.max_pending_controls)
            .map_err(|_| SendError::BufferFull { message: (), size: payload.len() })
    }

    /// Our Close frame, behind everything accepted before it (section 5.5.1).
    pub(crate) fn close(&mut self, output: &mut Output, code: CloseCode, reason: &str) -> Result<(), SendError> {
        check_close(code, reason)?;
        let mut body = Vec::new();
        if code.is_sendable() {
            body.extend_from_slice(&code.as_u16().to_be_bytes());
        }
        body.extend_from_slice(reason.as_bytes());
        self.copied_frame(output, OpCode::Close, &body, true);
        Ok(())
    }

    /// Queues a message, or the fragment of one, by copying it: masked in the same pass.
    pub(crate) fn copied(
        &mut self,
        output: &mut Output,
        mut opcode: OpCode,
        payload: &[u8],
        last: bool,
        config: &Config,
    ) {
        let mut rest = payload;
        while let Some((frame, behind)) = rest.split_at_checked(config.max_sent_frame_payload.get())
            && !behind.is_empty()
        {
            self.copied_frame(output, opcode, frame, false);
            opcode = OpCode::Continuation;
            rest = behind;
        }
        self.copied_frame(output, opcode, rest, last);
    }

    #[inline(always)]
    fn copied_frame(&mut self, output: &mut Output, opcode: OpCode, payload: &[u8], fin: bool) {
        match self.masking.key() {
            None => {
                let header = FrameHeader { fin, ..FrameHeader::new(opcode, payload.len() as u64) };
                output.push(&header, payload.len(), |frames| copy(frames, payload));
            }
            Some(key) => masked_frame(output, opcode, payload, fin, key),
        }
    }

    /// Queues a message that is ours to give away: masked where it lies.
    fn owned(&mut self, output: &mut Output, opcode: OpCode, mut payload: Vec<u8>, config: &Config) {
        let size = config.max_sent_frame_payload.get();
        if payload.len() <= size {
            let header =
                FrameHeader { mask: self.mask(&mut payload), ..FrameHeader::new(opcode, payload.len() as u64) };
            return output.push_in_place(&header, Segment::Own(payload));
        }
        let keys: Vec<_> = payload.chunks_mut(size).map_while(|frame| self.mask(frame)).collect();
        self.by_reference(output, opcode, payload.into(), true, config, |frame| keys.get(frame).copied());
    }

    /// Masks the payload of a frame, if frames are to be masked.
    fn mask(&mut self, payload: &mut [u8]) -> Option<MaskingKey> {
        let key = self.masking.key()?;
        sansocket_mask::apply(payload, key, 0);
        Some(key)
    }

    /// Queues a message, or the fragment of one, without copying it, each frame with the head that `mask` of its number
    /// gives.
    fn by_reference(
        &self,
        output: &mut Output,
        mut opcode: OpCode,
        mut payload: Bytes,
        last: bool,
        config: &Config,
        mask: impl Fn(usize) -> Option<MaskingKey>,
    ) {
        for number in 0.. {
            let frame = payload.split_to(frame_size(payload.len(), config));
            let is_over = payload.is_empty();
            let (fin, length) = (is_over && last, frame.len() as u64);
            let header = FrameHeader { fin, mask: mask(number), ..FrameHeader::new(opcode, length) };
            output.push_in_place(&header, Segment::Shared(frame));
            if is_over {
                break;
            }
            opcode = OpCode::Continuation;
        }
    }
}

/// Whether a Close frame can hold this code, or none, and this reason (sections 5.5.1 and 7.4).
pub(crate) fn check_close(code: CloseCode, reason: &str) -> Result<(), SendError> {
    let room = match code {
        code if code.is_sendable() => MAX_CONTROL_PAYLOAD - size_of::<u16>(),
        // a reason comes behind a code
        CloseCode::NO_STATUS => 0,
        code => return Err(SendError::CloseCodeNotSendable(code)),
    };
    if reason.len() > room { Err(SendError::ReasonTooLong) } else { Ok(()) }
}

/// Appends a payload as it is.
#[inline(always)]
fn copy(frames: &mut Vec<u8>, payload: &[u8]) {
    if payload.len() < COPIED_BY_MASK {
        frames.extend_from_slice(payload);
    } else {
        copy_by_mask(frames, payload);
    }
}

/// Not inlined, so that a short payload does not save the registers that the masking of a long one needs.
#[inline(never)]
fn copy_by_mask(frames: &mut Vec<u8>, payload: &[u8]) {
    sansocket_mask::append(frames, payload, [0; 4], 0);
}

#[inline(never)]
fn masked_frame(output: &mut Output, opcode: OpCode, payload: &[u8], fin: bool, key: MaskingKey) {
    let header = FrameHeader { fin, mask: Some(key), ..FrameHeader::new(opcode, payload.len() as u64) };
    output.push(&header, payload.len(), |frames| sansocket_mask::append(frames, payload, key, 0));
}

/// The payload of the frames that a message of this length leaves in, but for the last.
fn frame_size(payload: usize, config: &Config) -> usize {
    payload.min(config.max_sent_frame_payload.get())
}

/// Whether the limit leaves room for a payload. Framing has as much room again, so that empty messages are bounded too.
#[inline]
fn has_room(output: &Output, payload: usize, config: &Config) -> bool {
    let limit = buffer_limit(config);
    let fits = |amount: usize| amount + payload <= limit;
    // all together fits nearly always, and then each does
    fits(output.undelivered()) || (output.framing_len() <= limit && fits(output.buffered_amount()))
}

/// The limit on buffered payload, capped so that no sum of [`has_room`] overflows: no more of payload is pending, and
/// no more of framing but that of one message, which is memory, as the next payload is.
#[inline]
fn buffer_limit(config: &Config) -> usize {
    config.max_buffered_amount.min(usize::MAX / 4)
}

/// There is no room for the payload: now, or ever.
#[cold]
#[inline(never)]
fn no_room<M>(message: M, size: usize, config: &Config) -> SendError<M> {
    let limit = buffer_limit(config);
    if size > limit {
        SendError::MessageTooLong { message, size, limit }
    } else {
        SendError::BufferFull { message, size }
    }
}
