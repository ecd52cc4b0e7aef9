//! Turns messages into frames: heads, masking while copying, and fragmentation (RFC 6455 sections 5.3, 5.4, 6.1).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use rand_core::CryptoRng;

use super::control_queue::{ControlFrame, ControlOrigin};
use super::output::Output;
use crate::buffers::Segment;
use crate::data::{CloseCode, Config, FragmentPayload, Message, MessageKind, Role, SendError, Utf8Validator};
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MaskingKey, OpCode};

/// An owned message whose frames have at least this many bytes of payload is queued without a copy.
const OWNED_MIN: usize = 4 * 1024;
/// The same for a shared message. A copy of a shorter payload takes less memory than a reference.
const SHARED_MIN: usize = 256;

/// The masking kernel (key 0) copies payloads of at least this many bytes: two to four times as fast as glibc's
/// `memcpy` (`rep movsb`) on AMD's Zen 4, and about level elsewhere.
const COPIED_BY_MASK: usize = 3 * 1024;

/// The source of a client's masking keys. A server does not mask (RFC 6455 section 5.1).
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

    /// Returns the key of the next frame. 5.3: it needs to be unpredictable, and fresh for every frame.
    #[inline]
    pub(super) fn key(&mut self) -> Option<MaskingKey> {
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

/// Queues messages and control frames in an output.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(super) masking: Masking,
    /// A message of which the application has sent fragments, but not the last one.
    pub(super) unfinished: Option<UnfinishedMessage>,
}

#[derive(Debug)]
pub(super) struct UnfinishedMessage {
    kind: MessageKind,
    utf8: Utf8Validator,
    #[cfg(feature = "deflate")]
    pub(super) is_compressed: bool,
}

impl Sender {
    pub(crate) fn new(masking: Masking) -> Self {
        Self { masking, unfinished: None }
    }

    #[inline]
    pub(crate) fn role(&self) -> Role {
        self.masking.role()
    }

    /// Returns whether a message with a payload of `size` bytes can be queued. If not,
    /// [`refuse_message`](Self::refuse_message) returns the reason.
    #[inline]
    pub(crate) fn accepts_message(&self, output: &Output, size: usize, config: &Config) -> bool {
        self.unfinished.is_none() && has_room(output, size, config)
    }

    pub(crate) fn refuse_message<M>(&self, message: M, size: usize, config: &Config) -> SendError<M> {
        if self.unfinished.is_some() { SendError::MessageUnfinished } else { no_room(message, size, config) }
    }

    /// Queues a message, for which the output must have room.
    #[inline]
    pub(crate) fn queue_message(&mut self, output: &mut Output, message: Message<'_>, config: &Config) {
        let payload = message.as_bytes();
        if payload.len() < OWNED_MIN && payload.len() < config.max_sent_frame_payload.get() {
            self.queue_frame(output, message.kind().into(), payload, true);
        } else {
            self.queue_long(output, message, config);
        }
    }

    /// Queues a message of several frames, or one whose payload may be queued without a copy.
    #[inline(never)]
    fn queue_long(&mut self, output: &mut Output, message: Message<'_>, config: &Config) {
        let opcode = message.kind().into();
        let payload = match message {
            Message::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Message::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Message::Binary(bytes) => bytes,
        };
        match payload {
            Cow::Owned(payload) if frame_size(payload.len(), config) >= OWNED_MIN => {
                self.queue_owned(output, opcode, payload, config);
            }
            payload => self.queue_copied(output, opcode, &payload, true, config),
        }
    }

    /// Queues a shared message, for which the output must have room. Validates text.
    #[inline]
    pub(crate) fn queue_shared_message(
        &mut self,
        output: &mut Output,
        kind: MessageKind,
        payload: Bytes,
        config: &Config,
    ) -> Result<(), SendError<Bytes>> {
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(&payload).is_err() {
            return Err(SendError::Utf8Invalid);
        }
        self.queue_shared(output, kind.into(), payload, true, config);
        Ok(())
    }

    /// Queues a shared message, or a fragment of one. A server queues it by reference, unless its frames are short.
    #[inline]
    fn queue_shared(&mut self, output: &mut Output, opcode: OpCode, payload: Bytes, last: bool, config: &Config) {
        let frame = frame_size(payload.len(), config);
        if self.role() == Role::Client || frame < SHARED_MIN {
            self.queue_copied(output, opcode, &payload, last, config);
        } else if frame == payload.len() {
            let header = FrameHeader { fin: last, ..FrameHeader::new(opcode, frame as u64) };
            output.push_segment(&header, Segment::Shared(payload));
        } else {
            self.queue_by_reference(output, opcode, payload, last, config, |_| None);
        }
    }

    /// Queues encoded frames, for which the output must have room.
    pub(crate) fn queue_encoded(&mut self, output: &mut Output, frames: &Bytes, payload_length: usize) {
        match self.role() {
            Role::Server if frames.len() >= SHARED_MIN => output.push_encoded(frames.clone(), payload_length),
            Role::Server => output.push_encoded_copy(frames, payload_length),
            // 5.1: a client must mask every frame
            Role::Client => decode_frames(frames)
                .for_each(|(header, payload)| self.queue_frame(output, header.opcode, payload, header.fin)),
        }
    }

    /// Queues a fragment of a message: see [`Connection::send_fragment`](crate::Connection::send_fragment).
    pub(crate) fn queue_fragment(
        &mut self,
        output: &mut Output,
        kind: MessageKind,
        payload: FragmentPayload<'_>,
        last: bool,
        config: &Config,
    ) -> Result<(), SendError> {
        let opcode = self.accept_fragment(output, kind, payload.as_bytes(), last, config)?;
        match payload {
            FragmentPayload::Borrowed(payload) => self.queue_copied(output, opcode, payload, last, config),
            FragmentPayload::Shared(payload) => self.queue_shared(output, opcode, payload, last, config),
        }
        Ok(())
    }

    /// Checks that a fragment can be queued, and records it. Returns the opcode of its first frame.
    pub(super) fn accept_fragment(
        &mut self,
        output: &Output,
        kind: MessageKind,
        bytes: &[u8],
        last: bool,
        config: &Config,
    ) -> Result<OpCode, SendError> {
        let mut utf8 = match &self.unfinished {
            Some(message) if message.kind != kind => return Err(SendError::FragmentKindMismatch),
            Some(message) => message.utf8,
            None => Utf8Validator::default(),
        };
        if !has_room(output, bytes.len(), config) {
            return Err(no_room((), bytes.len(), config));
        }
        if kind == MessageKind::Text {
            utf8.validate(bytes, |_| ())?;
            if last {
                utf8.finish()?;
            }
        }
        let opcode = if self.unfinished.is_some() { OpCode::Continuation } else { kind.into() };
        #[cfg(feature = "deflate")]
        let is_compressed = self.is_compressing();
        self.unfinished = (!last).then_some(UnfinishedMessage {
            kind,
            utf8,
            #[cfg(feature = "deflate")]
            is_compressed,
        });
        Ok(opcode)
    }

    /// Queues a Ping or Pong.
    pub(crate) fn queue_control(
        &mut self,
        output: &mut Output,
        opcode: OpCode,
        payload: &[u8],
        origin: ControlOrigin,
        config: &Config,
    ) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlPayloadTooLong(payload.len()));
        }
        let header = FrameHeader { mask: self.masking.key(), ..FrameHeader::new(opcode, payload.len() as u64) };
        let frame = ControlFrame::new(&header, payload, origin);
        output
            .push_control(frame, config.max_pending_controls)
            .map_err(|_| SendError::BufferFull { message: (), size: payload.len() })
    }

    /// Queues our Close frame behind all data frames (section 5.5.1).
    pub(crate) fn queue_close(&mut self, output: &mut Output, code: CloseCode, reason: &str) -> Result<(), SendError> {
        check_close(code, reason)?;
        let mut body = Vec::new();
        if code.is_sendable() {
            body.extend_from_slice(&code.as_u16().to_be_bytes());
        }
        body.extend_from_slice(reason.as_bytes());
        self.queue_frame(output, OpCode::Close, &body, true);
        Ok(())
    }

    /// Queues a message, or a fragment of one, by copying its payload, which is masked in the same pass.
    pub(crate) fn queue_copied(
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
            self.queue_frame(output, opcode, frame, false);
            opcode = OpCode::Continuation;
            rest = behind;
        }
        self.queue_frame(output, opcode, rest, last);
    }

    /// Queues a frame by copying its payload.
    #[inline(always)]
    pub(super) fn queue_frame(&mut self, output: &mut Output, opcode: OpCode, payload: &[u8], fin: bool) {
        match self.masking.key() {
            None => {
                let header = FrameHeader { fin, ..FrameHeader::new(opcode, payload.len() as u64) };
                output.push(&header, payload.len(), |frames| copy(frames, payload));
            }
            Some(key) => queue_masked_frame(output, opcode, payload, fin, key),
        }
    }

    /// Queues an owned message without a copy. Masks its payload in place.
    fn queue_owned(&mut self, output: &mut Output, opcode: OpCode, mut payload: Vec<u8>, config: &Config) {
        let size = config.max_sent_frame_payload.get();
        if payload.len() <= size {
            let header =
                FrameHeader { mask: self.mask(&mut payload), ..FrameHeader::new(opcode, payload.len() as u64) };
            return output.push_segment(&header, Segment::Owned(payload));
        }
        let keys: Vec<_> = payload.chunks_mut(size).map_while(|frame| self.mask(frame)).collect();
        self.queue_by_reference(output, opcode, payload.into(), true, config, |frame| keys.get(frame).copied());
    }

    /// Masks the payload of a frame in place, if this is a client. Returns the key.
    fn mask(&mut self, payload: &mut [u8]) -> Option<MaskingKey> {
        let key = self.masking.key()?;
        sansocket_mask::apply(payload, key, 0);
        Some(key)
    }

    /// Queues a message, or a fragment of one, without copying its payload. `mask` returns the key of a frame by index.
    fn queue_by_reference(
        &self,
        output: &mut Output,
        mut opcode: OpCode,
        mut payload: Bytes,
        last: bool,
        config: &Config,
        mask: impl Fn(usize) -> Option<MaskingKey>,
    ) {
        for index in 0.. {
            let frame = payload.split_to(frame_size(payload.len(), config));
            let is_over = payload.is_empty();
            let (fin, length) = (is_over && last, frame.len() as u64);
            let header = FrameHeader { fin, mask: mask(index), ..FrameHeader::new(opcode, length) };
            output.push_segment(&header, Segment::Shared(frame));
            if is_over {
                break;
            }
            opcode = OpCode::Continuation;
        }
    }
}

/// Checks that a Close frame can carry this code (or none) and this reason (sections 5.5.1 and 7.4).
pub(crate) fn check_close(code: CloseCode, reason: &str) -> Result<(), SendError> {
    let room = match code {
        code if code.is_sendable() => MAX_CONTROL_PAYLOAD - size_of::<u16>(),
        // a reason must follow a code
        CloseCode::NO_STATUS => 0,
        code => return Err(SendError::CloseCodeNotSendable(code)),
    };
    if reason.len() > room { Err(SendError::ReasonTooLong) } else { Ok(()) }
}

/// Appends an unmasked payload.
#[inline(always)]
fn copy(frames: &mut Vec<u8>, payload: &[u8]) {
    if payload.len() < COPIED_BY_MASK {
        frames.extend_from_slice(payload);
    } else {
        copy_by_mask(frames, payload);
    }
}

/// Appends a long payload. Not inlined, so that short payloads do not save the registers that the kernel needs.
#[inline(never)]
fn copy_by_mask(frames: &mut Vec<u8>, payload: &[u8]) {
    sansocket_mask::append(frames, payload, [0; 4], 0);
}

#[inline(never)]
fn queue_masked_frame(output: &mut Output, opcode: OpCode, payload: &[u8], fin: bool, key: MaskingKey) {
    let header = FrameHeader { fin, mask: Some(key), ..FrameHeader::new(opcode, payload.len() as u64) };
    output.push(&header, payload.len(), |frames| sansocket_mask::append(frames, payload, key, 0));
}

/// Returns the payload length of all frames but the last one of a message with this payload length.
fn frame_size(payload: usize, config: &Config) -> usize {
    payload.min(config.max_sent_frame_payload.get())
}

/// Returns whether the output has room for a payload. Framing has a separate limit of the same size, so that empty
/// messages are bounded too; so has what compressed fragments are longer than their application bytes.
#[inline]
fn has_room(output: &Output, payload: usize, config: &Config) -> bool {
    let limit = buffer_limit(config);
    let fits = |amount: usize| amount + payload <= limit;
    // usually payload and framing together are below the limit, and then each is
    let occupied = output.undelivered();
    // a compressed payload is longer than its frames
    #[cfg(feature = "deflate")]
    let occupied = occupied.max(output.buffered_amount());
    fits(occupied) || (output.framing_len() <= limit && fits(output.buffered_amount()))
}

/// Returns the limit on buffered payload. It is capped so that no sum in [`has_room`] overflows: pending payload is at
/// most the limit, pending framing at most the limit and the framing of one message, and the next payload is in memory.
#[inline]
fn buffer_limit(config: &Config) -> usize {
    config.max_buffered_amount.min(usize::MAX / 4)
}

/// Returns the error for a payload that does not fit now, or never fits.
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

/// Decodes frames that are back to back in `bytes`: heads and payloads.
pub(super) fn decode_frames(mut bytes: &[u8]) -> impl Iterator<Item = (FrameHeader, &[u8])> {
    core::iter::from_fn(move || {
        let Ok(Some((header, size))) = FrameHeader::decode(bytes) else { return None };
        let (frame, rest) = bytes.split_at_checked(size + header.payload_length as usize)?;
        bytes = rest;
        Some((header, frame.get(size..)?))
    })
}
