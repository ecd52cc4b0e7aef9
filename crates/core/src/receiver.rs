//! Frames in: sequencing, limits, unmasking in place, control frames (RFC 6455 sections 5.1 to 5.5, 6.2).
//! What a frame means for the connection is not decided here.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::assembler::{Assembly, Delivered, Gathered, Piece, check_message_length, whole};
use crate::closing::{CloseCode, CloseFrame};
use crate::config::{Config, Delivery};
use crate::error::{Error, ProtocolError};
use crate::event::Role;
use crate::frame::{FrameHeader, MaskingKey, OpCode};
use crate::input::Input;
use crate::left::{Left, Progress};
use crate::limit::{LimitExceeded, Subject};
use crate::memory::Spares;
use crate::message::{Chunk, Message, MessageKind};

/// A message of one frame that is left in the input, and has fewer bytes of payload than this, is not looked at before
/// it is whole: they are near whenever they are unmasked, and in parts that costs more.
const AWAITED: u64 = 4 * 1024;

/// What the peer said.
#[derive(Debug)]
pub(crate) enum Received<'b> {
    Data(Delivered<'b>),
    Ping(Cow<'b, [u8]>),
    Pong(Cow<'b, [u8]>),
    Close(CloseFrame),
}

/// Reads frames, in whatever pieces they come.
pub(crate) struct Receiver {
    /// The endpoint's own role: its peer masks, or does not.
    role: Role,
    stage: Stage,
    /// The message of which a frame has begun, unless it lies whole in the input.
    assembly: Option<Box<Assembly>>,
}

/// Where in a frame the next byte belongs.
enum Stage {
    /// Between frames.
    Start,
    /// In a message of which what has arrived is left in the input.
    Left(Left),
    /// In the head, of which these bytes have arrived.
    Head { bytes: [u8; FrameHeader::MAX_SIZE], filled: u8 },
    /// In the payload of a data frame.
    Data(Rest),
    /// In the payload of a control frame, of which a part has arrived.
    Control { opcode: OpCode, payload: Vec<u8>, rest: Rest },
}

/// What is to come of a frame's payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    pub(crate) length: u64,
    /// Turned so that it begins with the byte for the next byte of payload.
    pub(crate) key: MaskingKey,
    pub(crate) fin: bool,
}

impl Rest {
    fn new(header: &FrameHeader) -> Self {
        Self { length: header.payload_length, key: header.mask.unwrap_or_default(), fin: header.fin }
    }

    /// Takes from the input what there is of the payload.
    fn take<'b>(&mut self, input: &mut Input<'b>) -> Piece<'b> {
        let bytes = input.take(usize::try_from(self.length).unwrap_or(usize::MAX));
        let key = self.key;
        self.advance(bytes.len());
        Piece { bytes, key, to_come: self.length, fin: self.fin }
    }

    /// So many bytes of it have come.
    pub(crate) fn advance(&mut self, count: usize) {
        // as a number, in a register: to rotate so short an array takes three calls
        self.key = u32::from_le_bytes(self.key).rotate_right(8 * (count % 4) as u32).to_le_bytes();
        self.length -= count as u64;
    }
}

impl Receiver {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, stage: Stage::Start, assembly: None }
    }

    /// Gives back what has arrived of an unfinished message: nothing more will be received.
    pub(crate) fn discard(&mut self) {
        *self = Self::new(self.role);
    }

    /// Whether a message has begun and not ended.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.assembly.is_some()
    }

    /// The connection's turn is over: gives back the memory that was lent for it.
    #[cold]
    pub(crate) fn detach_scratch(&mut self, spares: &mut Spares) {
        if let Some(assembly) = &mut self.assembly {
            let to_come = if let Stage::Data(rest) = &self.stage { rest.length } else { 0 };
            assembly.detach_scratch(to_come, spares);
        }
    }

    /// Whether a message may begin that is to be delivered whole.
    #[inline(always)]
    fn is_between_messages(&self, config: &Config) -> bool {
        matches!(self.stage, Stage::Start) && self.assembly.is_none() && config.delivery == Delivery::Messages
    }

    /// The commonest case by itself: a message of one frame that lies whole in the input. Text is yet to be validated.
    #[inline(always)]
    pub(crate) fn whole_message<'b>(
        &mut self,
        input: &mut Input<'b>,
        config: &Config,
    ) -> Option<(MessageKind, &'b [u8])> {
        if !self.is_between_messages(config) {
            return None;
        }
        let kind = message_kind(input.remaining())?;
        // 5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is
        let is_masked = self.role == Role::Server;
        let (size, length, key) = FrameHeader::decode_rest(input.remaining(), is_masked)?;
        if !config.permits_frame(length) {
            return None;
        }
        if length > (input.remaining().len() - size) as u64 {
            self.begin_message(input, kind, size, Rest { length, key, fin: true });
            return None;
        }
        input.take(size);
        let payload = input.take(length as usize);
        if is_masked {
            sansocket_mask::apply(payload, key, 0);
        }
        Some((kind, payload))
    }

    /// A message that the caller's buffer has room for: begins it, or goes on with it, where it lies.
    pub(crate) fn left_message<'b>(&mut self, input: &mut Input<'b>, config: &Config) -> Progress<'b> {
        if self.is_between_messages(config) && input.is_refillable() {
            self.stage = Stage::Left(Left::default());
        }
        let Stage::Left(left) = &mut self.stage else { return Progress::Other };
        let progress = left.receive(input, self.role, config);
        if left.kind.is_none() || matches!(progress, Progress::Whole(..)) {
            self.stage = Stage::Start;
        }
        progress
    }

    /// What was left is to be taken after all.
    #[cold]
    fn take_what_was_left(
        &mut self,
        left: Left,
        input: &mut Input<'_>,
        config: &Config,
        spares: Option<&mut Spares>,
    ) -> Result<(), Error> {
        let (Some((kind, bytes)), rest) = (left.take(input), left.rest) else { return Ok(()) };
        self.stage = Stage::Data(rest);
        let assembly = self.assembly.insert(Box::new(Assembly::new(kind)));
        assembly.begin_frame(bytes.len() as u64 + rest.length, rest.fin, config)?;
        assembly.add(Piece { bytes, key: [0; 4], to_come: rest.length, fin: rest.fin }, spares)
    }

    /// A message of one frame begins that does not lie whole in the input. If the caller's buffer has no room for it,
    /// it is taken; if it is short, all of it is left as it came; otherwise [`left_message`](Self::left_message) begins
    /// it.
    #[cold]
    fn begin_message(&mut self, input: &mut Input<'_>, kind: MessageKind, head_size: usize, rest: Rest) {
        let size = head_size as u64 + rest.length;
        if !input.takes(size) {
            input.take(head_size);
            self.assembly = Some(Box::new(Assembly::new(kind)));
            self.stage = Stage::Data(rest);
        } else if rest.length < AWAITED {
            input.leave(size);
        }
    }

    /// Whether the next byte is payload of a message that is assembled: [`more`](Self::more) takes it.
    #[inline]
    pub(crate) fn is_assembling(&self, config: &Config) -> bool {
        matches!(self.stage, Stage::Data(_)) && config.delivery == Delivery::Messages
    }

    /// Takes bytes from the input up to the next thing said; `None` if the input ends before.
    pub(crate) fn receive<'b>(
        &mut self,
        input: &mut Input<'b>,
        config: &Config,
        mut spares: Option<&mut Spares>,
    ) -> Result<Option<Received<'b>>, Error> {
        if let Stage::Left(left) = self.stage
            && !input.is_empty()
        {
            self.take_what_was_left(left, input, config, spares.as_deref_mut())?;
        }
        // a frame without payload is over with its head, though nothing is left of the input
        while !input.is_empty() || matches!(self.stage, Stage::Data(Rest { length: 0, .. })) {
            if matches!(self.stage, Stage::Start) && self.assembly.is_some() && config.delivery == Delivery::Messages {
                self.middle_fragments(input, config, spares.as_deref_mut())?;
            }
            let received = match self.stage {
                Stage::Start | Stage::Left(_) | Stage::Head { .. } => {
                    let Some(header) = self.head(input)? else { return Ok(None) };
                    self.begin_frame(&header, input, config)?
                }
                Stage::Data(_) if self.is_assembling(config) => {
                    self.more(input, spares.as_deref_mut())?.map(|message| Received::Data(Delivered::Message(message)))
                }
                Stage::Data(_) => self.chunk(input)?.map(|chunk| Received::Data(Delivered::Chunk(chunk))),
                Stage::Control { .. } => self.control(input)?,
            };
            if received.is_some() {
                return Ok(received);
            }
        }
        Ok(None)
    }

    /// Takes the fragments that neither begin nor end a message, and lie whole in the input: of them nothing is said,
    /// so that many, and short ones, are no more than a loop.
    fn middle_fragments(
        &mut self,
        input: &mut Input<'_>,
        config: &Config,
        spares: Option<&mut Spares>,
    ) -> Result<(), Error> {
        let mut gathered = Gathered::default();
        let ended = self.gather(input, config, &mut gathered, spares);
        // what came before the end of the loop is judged before what ended it
        match &mut self.assembly {
            Some(assembly) => assembly.settle(&mut gathered).and(ended),
            None => ended,
        }
    }

    fn gather(
        &mut self,
        input: &mut Input<'_>,
        config: &Config,
        gathered: &mut Gathered,
        mut spares: Option<&mut Spares>,
    ) -> Result<(), Error> {
        while let Some((header, size)) = FrameHeader::decode(input.remaining())? {
            let lies_whole = header.payload_length <= (input.remaining().len() - size) as u64;
            if header.opcode != OpCode::Continuation || header.fin || !lies_whole {
                break;
            }
            self.check(&header, config)?;
            let Some(assembly) = &mut self.assembly else { break };
            assembly.begin_frame(header.payload_length, header.fin, config)?;
            input.take(size);
            let bytes = input.take(header.payload_length as usize);
            let piece = Piece { bytes, key: header.mask.unwrap_or_default(), to_come: 0, fin: false };
            assembly.gather(piece, gathered, spares.as_deref_mut())?;
        }
        Ok(())
    }

    /// Reads a head, from the input alone if it lies there whole.
    fn head(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, Error> {
        let (mut together, before) = match self.stage {
            Stage::Head { bytes, filled } => (bytes, usize::from(filled)),
            _ => {
                if let Some((header, size)) = FrameHeader::decode(input.remaining())? {
                    input.take(size);
                    return Ok(Some(header));
                }
                ([0; FrameHeader::MAX_SIZE], 0)
            }
        };
        let free = together.iter_mut().skip(before);
        let added = free.zip(input.remaining()).map(|(to, from)| *to = *from).count();
        let (head, _) = together.split_at(before + added);
        match FrameHeader::decode(head)? {
            Some((header, size)) => {
                input.take(size - before);
                Ok(Some(header))
            }
            None => {
                input.take(added);
                if !head.is_empty() {
                    self.stage = Stage::Head { filled: head.len() as u8, bytes: together };
                }
                Ok(None)
            }
        }
    }

    fn begin_frame<'b>(
        &mut self,
        header: &FrameHeader,
        input: &mut Input<'b>,
        config: &Config,
    ) -> Result<Option<Received<'b>>, Error> {
        self.check(header, config)?;
        let mut rest = Rest::new(header);
        let lies_whole = header.payload_length <= input.remaining().len() as u64;
        self.stage = Stage::Start;
        let kind = match header.opcode {
            OpCode::Text => Some(MessageKind::Text),
            OpCode::Binary => Some(MessageKind::Binary),
            OpCode::Continuation => None,
            OpCode::Close | OpCode::Ping | OpCode::Pong => {
                if lies_whole {
                    return Ok(Some(said(header.opcode, Cow::Borrowed(rest.take(input).unmasked()))?));
                }
                self.stage = Stage::Control { opcode: header.opcode, payload: Vec::new(), rest };
                return Ok(None);
            }
        };
        if let Some(kind) = kind {
            if header.fin && lies_whole {
                check_message_length(header.payload_length, config)?;
                return whole(kind, rest.take(input).unmasked(), config.delivery)
                    .map(|whole| Some(Received::Data(whole)));
            }
            self.assembly = Some(Box::new(Assembly::new(kind)));
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.begin_frame(header.payload_length, header.fin, config)?;
        }
        self.stage = Stage::Data(rest);
        Ok(None)
    }

    /// What depends on the role, on earlier frames, and on limits.
    #[inline]
    fn check(&self, header: &FrameHeader, config: &Config) -> Result<(), Error> {
        // 5.2: RSV MUST be 0 unless an extension is negotiated that defines meanings for non-zero values
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(ProtocolError::ReservedBitSet.into());
        }
        // 5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is
        match (self.role, header.mask) {
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
        // without a limit of its own, a frame is limited with its message
        match config.max_frame_payload {
            Some(limit) if header.payload_length > limit && !header.opcode.is_control() => {
                Err(LimitExceeded::new(Subject::Frame, limit, header.payload_length).into())
            }
            _ => Ok(()),
        }
    }

    /// Hands on what there is of a frame's payload.
    fn chunk<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Chunk<'b>>, Error> {
        let (Stage::Data(rest), Some(assembly)) = (&mut self.stage, &mut self.assembly) else { return Ok(None) };
        let piece = rest.take(input);
        let (ends_frame, ends_message) = (piece.to_come == 0, piece.is_last());
        let chunk = assembly.pass(piece)?;
        self.end(ends_frame, ends_message);
        Ok(chunk)
    }

    /// Takes what there is of a frame's payload, and returns the message if it ends there.
    #[inline]
    pub(crate) fn more(
        &mut self,
        input: &mut Input<'_>,
        mut spares: Option<&mut Spares>,
    ) -> Result<Option<Message<'static>>, Error> {
        let (Stage::Data(rest), Some(assembly)) = (&mut self.stage, &mut self.assembly) else { return Ok(None) };
        let piece = rest.take(input);
        let (ends_frame, ends_message) = (piece.to_come == 0, piece.is_last());
        assembly.add(piece, spares.as_deref_mut())?;
        let message = if ends_message { Some(assembly.finish(spares)?) } else { None };
        self.end(ends_frame, ends_message);
        Ok(message)
    }

    #[inline]
    fn end(&mut self, frame: bool, message: bool) {
        if frame {
            self.stage = Stage::Start;
        }
        if message {
            self.assembly = None;
        }
    }

    fn control<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Received<'b>>, Error> {
        let Stage::Control { opcode, payload, rest } = &mut self.stage else { return Ok(None) };
        payload.extend_from_slice(rest.take(input).unmasked());
        if rest.length > 0 {
            return Ok(None);
        }
        let said = said(*opcode, Cow::Owned(core::mem::take(payload)));
        self.stage = Stage::Start;
        Ok(Some(said?))
    }
}

/// The kind of the message that begins and ends with the next frame, if it is one.
#[inline(always)]
const fn message_kind(bytes: &[u8]) -> Option<MessageKind> {
    match bytes {
        [FrameHeader::WHOLE_TEXT, ..] => Some(MessageKind::Text),
        [FrameHeader::WHOLE_BINARY, ..] => Some(MessageKind::Binary),
        _ => None,
    }
}

/// What a control frame says.
fn said(opcode: OpCode, payload: Cow<'_, [u8]>) -> Result<Received<'_>, ProtocolError> {
    match opcode {
        OpCode::Ping => Ok(Received::Ping(payload)),
        OpCode::Pong => Ok(Received::Pong(payload)),
        _ => close_frame(&payload).map(Received::Close),
    }
}

/// Reads the body of a Close frame (RFC 6455 section 5.5.1).
fn close_frame(body: &[u8]) -> Result<CloseFrame, ProtocolError> {
    let Some((code, reason)) = body.split_first_chunk() else {
        return match body {
            [] => Ok(CloseFrame::new(CloseCode::NO_STATUS, "")),
            _ => Err(ProtocolError::CloseBodyTooShort),
        };
    };
    let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(ProtocolError::CloseCodeInvalid)?;
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::Utf8Invalid)?;
    Ok(CloseFrame::new(code, reason))
}

/// Payloads are nobody's business.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("role", &self.role).finish_non_exhaustive()
    }
}
