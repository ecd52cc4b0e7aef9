//! The receiver: the order of frames, limits, and unmasking (RFC 6455 sections 5.1 to 5.4).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::fmt;

use super::assembly::{Assembly, Batch, check_message_length};
use super::frame_event::{FrameEvent, ReceiveError, parse_control};
#[cfg(feature = "deflate")]
use super::inflation::Inflation;
use super::payload::{PayloadCursor, Piece};
use crate::buffers::BufferPool;
use crate::data::{Chunk, Config, Delivery, Input, LimitExceeded, Message, MessageKind, ProtocolError, Role, Subject};
#[cfg(feature = "deflate")]
use crate::deflate::Direction;
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode};

/// Reads frames, which may arrive in pieces of any size.
#[derive(Default)]
pub(crate) struct Receiver {
    stage: Stage,
    /// The message that is being received, unless all of it is in the input.
    assembly: Option<Box<Assembly>>,
}

/// What a received frame must comply with.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'c> {
    /// The role of this endpoint. A server expects masked frames, a client unmasked ones.
    pub(crate) role: Role,
    /// Whether messages may be compressed.
    #[cfg(feature = "deflate")]
    pub(crate) permits_compression: bool,
    /// Has the limits.
    pub(crate) config: &'c Config,
}

/// The part of a frame that the next byte belongs to.
#[derive(Default)]
enum Stage {
    /// Between frames.
    #[default]
    Start,
    /// In a head. The first `filled` bytes of it have arrived.
    Head { bytes: [u8; FrameHeader::MAX_SIZE], filled: u8 },
    /// In the payload of a data frame.
    Data(PayloadCursor),
    /// In the payload of a frame of a compressed message. `whole` is the kind of a message of one frame that is complete
    /// in the input: it needs no assembly.
    #[cfg(feature = "deflate")]
    Compressed { whole: Option<MessageKind>, cursor: PayloadCursor },
    /// In the payload of a control frame. Boxed, because few of them arrive in pieces: every connection is smaller.
    Control(Box<PartialControl>),
}

/// A control frame of which a part has arrived.
struct PartialControl {
    opcode: OpCode,
    payload: [u8; MAX_CONTROL_PAYLOAD],
    /// The number of payload bytes that have arrived.
    filled: usize,
    cursor: PayloadCursor,
}

impl Receiver {
    /// Drops an unfinished message: nothing more will be received.
    pub(crate) fn discard(&mut self) {
        *self = Self::default();
    }

    /// Returns whether a message is being assembled.
    #[inline]
    pub(crate) fn has_assembly(&self) -> bool {
        self.assembly.is_some()
    }

    /// Returns pooled buffers at the end of the connection's turn.
    #[cold]
    pub(crate) fn detach_scratch(&mut self, pool: &mut BufferPool) {
        if let Some(assembly) = &mut self.assembly {
            let remaining = if let Stage::Data(cursor) = &self.stage { cursor.remaining } else { 0 };
            assembly.detach_scratch(remaining, pool);
        }
    }

    /// Receives a message of one frame that is complete in the input, as most messages are. The caller validates text.
    /// Returns `None` in all other cases, which [`receive`](Self::receive) handles. If a message of one frame is not
    /// complete, takes its head, so that [`receive`](Self::receive) need not decode it again (170 instructions).
    #[inline(always)]
    pub(crate) fn receive_whole<'b>(
        &mut self,
        input: &mut Input<'b>,
        rules: Rules<'_>,
    ) -> Option<(MessageKind, &'b [u8])> {
        if !matches!(self.stage, Stage::Start) || self.assembly.is_some() || rules.config.delivery != Delivery::Messages
        {
            return None;
        }
        let kind = whole_message_kind(input.remaining())?;
        // 5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is
        let is_masked = rules.role == Role::Server;
        let (size, length, key) = FrameHeader::decode_length_and_key(input.remaining(), is_masked)?;
        if !rules.config.permits_frame_payload(length) {
            return None;
        }
        let end = size.checked_add(length as usize)?;
        if end > input.remaining().len() {
            input.take(size);
            self.begin_message(kind, PayloadCursor::for_message(length, key));
            return None;
        }
        let payload = input.take(end).get_mut(size..)?;
        if is_masked {
            sansocket_mask::apply(payload, key, 0);
        }
        Some((kind, payload))
    }

    /// Begins a message of one frame that is not complete in the input.
    #[cold]
    fn begin_message(&mut self, kind: MessageKind, cursor: PayloadCursor) {
        self.assembly = Some(Box::new(Assembly::new(kind)));
        self.stage = Stage::Data(cursor);
    }

    /// Takes bytes from the input up to the next event. Returns `None` if the input ends before it, or at the payload of
    /// a compressed message ([`is_inflating`](Self::is_inflating)).
    pub(crate) fn receive<'b>(
        &mut self,
        input: &mut Input<'b>,
        rules: Rules<'_>,
        mut pool: Option<&mut BufferPool>,
    ) -> Result<Option<FrameEvent<'b>>, ReceiveError> {
        // an empty frame is complete with its head, even if the input ends there
        while !input.is_empty() || matches!(self.stage, Stage::Data(PayloadCursor { remaining: 0, .. })) {
            let event = match self.stage {
                Stage::Data(_) if self.is_assembling(rules.config) => {
                    self.assemble(input, pool.as_deref_mut())?.map(FrameEvent::Message)
                }
                Stage::Data(_) => self.receive_chunk(input)?.map(FrameEvent::Chunk),
                #[cfg(feature = "deflate")]
                Stage::Compressed { .. } => return Ok(None),
                Stage::Control(_) => self.receive_control(input)?,
                Stage::Start | Stage::Head { .. } => {
                    self.middle_fragments(input, rules, pool.as_deref_mut())?;
                    let Some(header) = self.read_head(input)? else { return Ok(None) };
                    self.begin_frame(&header, input, rules)?
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Takes the fragments that neither begin nor end a message, and are complete in the input: 150 instructions
    /// instead of 365 for a fragment of 1 byte, 298 instead of 445 for one of 100 bytes.
    fn middle_fragments(
        &mut self,
        input: &mut Input<'_>,
        rules: Rules<'_>,
        pool: Option<&mut BufferPool>,
    ) -> Result<(), ReceiveError> {
        let is_batched = self.assembly.as_ref().is_some_and(|assembly| !assembly.is_compressed());
        if !is_batched || !matches!(self.stage, Stage::Start) || rules.config.delivery != Delivery::Messages {
            return Ok(());
        }
        let mut batch = Batch::default();
        let ended = self.batch_fragments(input, rules, &mut batch, pool);
        // an error in the batch comes before the error that ended the loop
        match &mut self.assembly {
            Some(assembly) => assembly.append_batch(&mut batch).and(ended),
            None => ended,
        }
    }

    /// Adds middle fragments to the batch. Appends a fragment directly if it is too long for the batch.
    fn batch_fragments(
        &mut self,
        input: &mut Input<'_>,
        rules: Rules<'_>,
        batch: &mut Batch,
        mut pool: Option<&mut BufferPool>,
    ) -> Result<(), ReceiveError> {
        while let Some((header, size)) = FrameHeader::decode(input.remaining())? {
            let is_complete = header.payload_length <= (input.remaining().len() - size) as u64;
            if header.opcode != OpCode::Continuation || header.fin || !is_complete {
                break;
            }
            self.check_head(&header, rules)?;
            let Some(assembly) = &mut self.assembly else { break };
            assembly.begin_frame(header.payload_length, header.fin, rules.config)?;
            input.take(size);
            let bytes = input.take(header.payload_length as usize);
            let piece = Piece { bytes, key: header.mask.unwrap_or_default(), remaining: 0, fin: false };
            assembly.append_batched(piece, batch, pool.as_deref_mut())?;
        }
        Ok(())
    }

    /// Reads a head, which may have arrived in part before.
    fn read_head(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let (mut bytes, filled) = match self.stage {
            Stage::Head { bytes, filled } => (bytes, usize::from(filled)),
            _ => {
                if let Some((header, size)) = FrameHeader::decode(input.remaining())? {
                    input.take(size);
                    return Ok(Some(header));
                }
                ([0; FrameHeader::MAX_SIZE], 0)
            }
        };
        let free = bytes.iter_mut().skip(filled);
        let added = free.zip(input.remaining()).map(|(to, from)| *to = *from).count();
        let (head, _) = bytes.split_at(filled + added);
        match FrameHeader::decode(head)? {
            Some((header, size)) => {
                input.take(size - filled);
                Ok(Some(header))
            }
            None => {
                input.take(added);
                if !head.is_empty() {
                    self.stage = Stage::Head { filled: head.len() as u8, bytes };
                }
                Ok(None)
            }
        }
    }

    /// Begins a frame. Returns its event if it is a message or a control frame, and complete in the input.
    fn begin_frame<'b>(
        &mut self,
        header: &FrameHeader,
        input: &mut Input<'b>,
        rules: Rules<'_>,
    ) -> Result<Option<FrameEvent<'b>>, ReceiveError> {
        self.check_head(header, rules)?;
        let mut cursor = PayloadCursor::new(header);
        let is_complete = header.payload_length <= input.remaining().len() as u64;
        self.stage = Stage::Start;
        let kind = match header.opcode {
            OpCode::Text => Some(MessageKind::Text),
            OpCode::Binary => Some(MessageKind::Binary),
            OpCode::Continuation => None,
            OpCode::Close | OpCode::Ping | OpCode::Pong => {
                if is_complete {
                    return Ok(Some(parse_control(header.opcode, Cow::Borrowed(cursor.take(input).unmask()))?));
                }
                let (opcode, payload) = (header.opcode, [0; MAX_CONTROL_PAYLOAD]);
                self.stage = Stage::Control(Box::new(PartialControl { opcode, payload, filled: 0, cursor }));
                return Ok(None);
            }
        };
        #[cfg(feature = "deflate")]
        if header.rsv1 || self.assembly.as_ref().is_some_and(|assembly| assembly.is_compressed()) {
            return self.begin_compressed_frame(kind, header, is_complete, rules.config).map(|()| None);
        }
        if let Some(kind) = kind {
            if header.fin && is_complete {
                check_message_length(header.payload_length, rules.config)?;
                return whole_message_event(kind, cursor.take(input).unmask(), rules.config.delivery).map(Some);
            }
            self.assembly = Some(Box::new(Assembly::new(kind)));
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.begin_frame(header.payload_length, header.fin, rules.config)?;
        }
        self.stage = Stage::Data(cursor);
        Ok(None)
    }

    /// Begins a frame of a compressed message: of a new one, if `kind` says so.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn begin_compressed_frame(
        &mut self,
        kind: Option<MessageKind>,
        header: &FrameHeader,
        is_complete: bool,
        config: &Config,
    ) -> Result<(), ReceiveError> {
        let whole = kind.filter(|_| header.fin && is_complete && config.delivery == Delivery::Messages);
        if let Some(kind) = kind
            && whole.is_none()
        {
            self.assembly = Some(Box::new(Assembly::compressed(kind, config.delivery)));
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.begin_frame(header.payload_length, header.fin, config)?;
        }
        self.stage = Stage::Compressed { whole, cursor: PayloadCursor::new(header) };
        Ok(())
    }

    /// Checks the rules that depend on the role, on earlier frames, or on limits.
    #[inline]
    fn check_head(&self, header: &FrameHeader, rules: Rules<'_>) -> Result<(), ReceiveError> {
        // 5.2: RSV MUST be 0 unless an extension is negotiated that defines meanings for non-zero values
        if (header.rsv1 && !permits_rsv1(header.opcode, rules)) || header.rsv2 || header.rsv3 {
            return Err(ProtocolError::ReservedBitSet.into());
        }
        // 5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is
        match (rules.role, header.mask) {
            (Role::Server, None) => return Err(ProtocolError::FrameNotMasked.into()),
            (Role::Client, Some(_)) => return Err(ProtocolError::FrameMasked.into()),
            _ => {}
        }
        // 5.4: the fragments of one message MUST NOT be interleaved between the fragments of another
        match (header.opcode, &self.assembly) {
            (OpCode::Continuation, None) => return Err(ProtocolError::ContinuationUnexpected.into()),
            (OpCode::Text | OpCode::Binary, Some(_)) => return Err(ProtocolError::ContinuationMissing.into()),
            _ => {}
        }
        // otherwise the limit of the message applies
        match rules.config.max_frame_payload {
            Some(limit) if header.payload_length > limit && !header.opcode.is_control() => {
                Err(LimitExceeded::new(Subject::Frame, limit, header.payload_length).into())
            }
            _ => Ok(()),
        }
    }

    /// Takes the payload that the input has of a data frame, and returns it as a chunk.
    fn receive_chunk<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Chunk<'b>>, ReceiveError> {
        let (Stage::Data(cursor), Some(assembly)) = (&mut self.stage, &mut self.assembly) else { return Ok(None) };
        let piece = cursor.take(input);
        let (ends_frame, ends_message) = (piece.remaining == 0, piece.is_last());
        let chunk = assembly.chunk(piece)?;
        self.end_parts(ends_frame, ends_message);
        Ok(chunk)
    }

    /// Returns whether the next byte is payload of a message that is assembled. If so, [`assemble`](Self::assemble)
    /// takes 11 instructions a piece less than [`receive`](Self::receive).
    #[inline]
    pub(crate) fn is_assembling(&self, config: &Config) -> bool {
        matches!(self.stage, Stage::Data(_)) && config.delivery == Delivery::Messages
    }

    /// Takes the payload that the input has of a data frame. Returns the message if it ends there.
    #[inline]
    pub(crate) fn assemble(
        &mut self,
        input: &mut Input<'_>,
        mut pool: Option<&mut BufferPool>,
    ) -> Result<Option<Message<'static>>, ReceiveError> {
        let (Stage::Data(cursor), Some(assembly)) = (&mut self.stage, &mut self.assembly) else { return Ok(None) };
        let piece = cursor.take(input);
        let (ends_frame, ends_message) = (piece.remaining == 0, piece.is_last());
        assembly.append(piece, pool.as_deref_mut())?;
        let message = if ends_message { Some(assembly.finish(pool)?) } else { None };
        self.end_parts(ends_frame, ends_message);
        Ok(message)
    }

    /// Returns whether [`inflate`](Self::inflate) must be called next.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(crate) fn is_inflating(&self, input: &Input<'_>) -> bool {
        matches!(&self.stage, Stage::Compressed { cursor, .. } if cursor.remaining == 0 || !input.is_empty())
    }

    /// Takes the payload that the input has of a frame of a compressed message, up to the next event.
    #[cfg(feature = "deflate")]
    pub(crate) fn inflate(
        &mut self,
        input: &mut Input<'_>,
        direction: &mut Direction<'_>,
        config: &Config,
    ) -> Result<Option<FrameEvent<'static>>, ReceiveError> {
        let Stage::Compressed { whole, cursor } = &mut self.stage else { return Ok(None) };
        if let Some(kind) = *whole {
            let piece = cursor.take(input);
            self.stage = Stage::Start;
            let message = Inflation::new(kind, config.delivery).append(piece, direction, config)?;
            return Ok(message.map(FrameEvent::Message));
        }
        let Some(inflation) = self.assembly.as_mut().and_then(|assembly| assembly.inflation()) else {
            return Ok(None);
        };
        let event = match config.delivery {
            Delivery::Messages => inflation.append(cursor.take(input), direction, config)?.map(FrameEvent::Message),
            Delivery::Chunks => inflation.chunk(cursor, input, direction, config)?.map(FrameEvent::Chunk),
        };
        let (ends_frame, ends_message) = (cursor.remaining == 0, cursor.is_last());
        self.end_parts(ends_frame, ends_message);
        Ok(event)
    }

    #[inline]
    fn end_parts(&mut self, ends_frame: bool, ends_message: bool) {
        if ends_frame {
            self.stage = Stage::Start;
        }
        if ends_message {
            self.assembly = None;
        }
    }

    /// Takes the payload that the input has of a control frame. Returns the event if the frame ends there.
    fn receive_control<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<FrameEvent<'b>>, ProtocolError> {
        let Stage::Control(frame) = &mut self.stage else { return Ok(None) };
        let piece = frame.cursor.take(input).unmask();
        let free = frame.payload.iter_mut().skip(frame.filled);
        frame.filled += free.zip(piece).map(|(to, from)| *to = *from).count();
        if frame.cursor.remaining > 0 {
            return Ok(None);
        }
        let (payload, _) = frame.payload.split_at(frame.filled);
        let event = parse_control(frame.opcode, Cow::Owned(payload.to_vec()));
        self.stage = Stage::Start;
        event.map(Some)
    }
}

/// Returns whether the first reserved bit may be set. RFC 7692 6.1: in the first frame of a compressed message, and in no
/// other frame.
#[cfg(feature = "deflate")]
const fn permits_rsv1(opcode: OpCode, rules: Rules<'_>) -> bool {
    rules.permits_compression && matches!(opcode, OpCode::Text | OpCode::Binary)
}

#[cfg(not(feature = "deflate"))]
const fn permits_rsv1(_: OpCode, _: Rules<'_>) -> bool {
    false
}

/// Returns the kind of a message that consists of the next frame; `None` for any other frame.
#[inline(always)]
const fn whole_message_kind(bytes: &[u8]) -> Option<MessageKind> {
    match bytes {
        [FrameHeader::WHOLE_TEXT, ..] => Some(MessageKind::Text),
        [FrameHeader::WHOLE_BINARY, ..] => Some(MessageKind::Binary),
        _ => None,
    }
}

/// Returns the event of a message that is complete in the input. Validates text.
fn whole_message_event(kind: MessageKind, payload: &[u8], delivery: Delivery) -> Result<FrameEvent<'_>, ReceiveError> {
    let message = match kind {
        MessageKind::Text => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::Utf8Invalid)?;
            Message::Text(Cow::Borrowed(text))
        }
        MessageKind::Binary => Message::Binary(Cow::Borrowed(payload)),
    };
    Ok(match delivery {
        Delivery::Messages => FrameEvent::Message(message),
        Delivery::Chunks => FrameEvent::Chunk(Chunk::new(kind, payload, true)),
    })
}

/// Omits payloads.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
