//! The chunks of one message become a message: limits added up over its fragments, text validated as it arrives.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::config::{Config, Delivery};
use crate::error::{Error, ProtocolError};
use crate::frame::{FrameHeader, MaskingKey};
use crate::limit::{LimitExceeded, Subject};
use crate::memory::Spares;
use crate::message::{Chunk, Message, MessageKind};
use crate::utf8::{InvalidUtf8, Utf8};

impl From<InvalidUtf8> for Error {
    fn from(_: InvalidUtf8) -> Self {
        ProtocolError::Utf8Invalid.into()
    }
}

/// Bytes of text that are unmasked, validated and copied before the next ones are: so many that they stay in the cache
/// nearest to the processor in between.
const TEXT_BLOCK: usize = 2 * 1024;

/// A part of a frame's payload, as it arrived.
#[derive(Debug)]
pub(crate) struct Piece<'b> {
    pub(crate) bytes: &'b mut [u8],
    /// Turned so that it begins with the byte for the first of `bytes`.
    pub(crate) key: MaskingKey,
    /// How much of the frame's payload is yet to come, as the peer claims.
    pub(crate) to_come: u64,
    /// Whether the message ends with the frame.
    pub(crate) fin: bool,
}

impl<'b> Piece<'b> {
    /// Whether the message ends here.
    #[inline]
    pub(crate) const fn is_last(&self) -> bool {
        self.fin && self.to_come == 0
    }

    /// The bytes, unmasked where they lie.
    #[inline]
    pub(crate) fn unmasked(self) -> &'b [u8] {
        unmask(self.bytes, self.key);
        self.bytes
    }
}

/// Short pieces that are validated and appended as one: to do either takes time that a few bytes are not worth.
#[derive(Debug)]
pub(crate) struct Gathered {
    bytes: [u8; 512],
    filled: usize,
}

impl Default for Gathered {
    #[inline]
    fn default() -> Self {
        Self { bytes: [0; 512], filled: 0 }
    }
}

impl Gathered {
    /// Adds the piece, unmasked, if there is room for it.
    #[inline]
    fn add(&mut self, piece: &Piece<'_>) -> bool {
        let end = self.filled + piece.bytes.len();
        let Some(place) = self.bytes.get_mut(self.filled..end) else { return false };
        sansocket_mask::copy(place, piece.bytes, piece.key, 0);
        self.filled = end;
        true
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
enum Payload {
    Text { text: String, utf8: Utf8 },
    Binary(Vec<u8>),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
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
    pub(crate) fn begin_frame(&mut self, payload_length: u64, fin: bool, config: &Config) -> Result<(), Error> {
        self.announced = self.announced.saturating_add(payload_length);
        check_message_length(self.announced, config)?;
        self.empty_fragments = if payload_length == 0 && !fin { self.empty_fragments.saturating_add(1) } else { 0 };
        if self.empty_fragments > config.max_empty_fragments {
            let (limit, count) = (config.max_empty_fragments.into(), self.empty_fragments.into());
            return Err(LimitExceeded::new(Subject::EmptyFragments, limit, count).into());
        }
        Ok(())
    }

    /// Takes the next piece, of which nothing is kept, and hands it on.
    pub(crate) fn pass<'b>(&mut self, piece: Piece<'b>) -> Result<Option<Chunk<'b>>, Error> {
        let last = piece.is_last();
        let bytes = piece.unmasked();
        if let Payload::Text { utf8, .. } = &mut self.payload {
            utf8.push(bytes, |_| ())?;
            if last {
                utf8.finish()?;
            }
        }
        Ok((last || !bytes.is_empty()).then_some(Chunk::new(self.kind(), bytes, last)))
    }

    /// Takes the next piece, but perhaps no farther than into `gathered`: [`settle`](Self::settle) must follow.
    #[inline]
    pub(crate) fn gather(
        &mut self,
        piece: Piece<'_>,
        gathered: &mut Gathered,
        spares: Option<&mut Spares>,
    ) -> Result<(), Error> {
        if gathered.add(&piece) {
            return Ok(());
        }
        self.settle(gathered)?;
        if gathered.add(&piece) { Ok(()) } else { self.add(piece, spares) }
    }

    /// Appends what was gathered.
    pub(crate) fn settle(&mut self, gathered: &mut Gathered) -> Result<(), Error> {
        let (bytes, _) = gathered.bytes.split_at(gathered.filled);
        match &mut self.payload {
            Payload::Text { text, utf8 } => utf8.push(bytes, |valid| text.push_str(valid))?,
            Payload::Binary(payload) => payload.extend_from_slice(bytes),
        }
        gathered.filled = 0;
        Ok(())
    }

    /// Appends the next piece to what has arrived: what is binary is unmasked on its way there.
    #[inline]
    pub(crate) fn add(&mut self, piece: Piece<'_>, spares: Option<&mut Spares>) -> Result<(), Error> {
        match &mut self.payload {
            Payload::Text { text, utf8 } => {
                if text.capacity() - text.len() < utf8.carried() + piece.bytes.len() {
                    enlarge_text(text, utf8.carried(), &piece, spares);
                }
                // a multiple of the key's length, so that every block begins with the same byte of it
                for block in piece.bytes.chunks_mut(TEXT_BLOCK) {
                    unmask(block, piece.key);
                    utf8.push(block, |valid| text.push_str(valid))?;
                }
            }
            Payload::Binary(bytes) => {
                if bytes.capacity() - bytes.len() < piece.bytes.len() {
                    enlarge(bytes, &piece, spares);
                }
                append(bytes, piece.bytes, piece.key);
            }
        }
        Ok(())
    }

    /// The connection's turn is over: gives back lent memory that the peer has not sent enough for. So many bytes of
    /// the frame that arrives are to come.
    pub(crate) fn detach_scratch(&mut self, to_come: u64, spares: &mut Spares) {
        match &mut self.payload {
            Payload::Text { text, utf8 } => {
                let room = Room::new(text.len() + utf8.carried(), 0, to_come);
                if text.capacity() > room.most {
                    move_text_to(text, room.due(spares), spares);
                }
            }
            Payload::Binary(bytes) => {
                let room = Room::new(bytes.len(), 0, to_come);
                if bytes.capacity() > room.most {
                    move_to(bytes, room.due(spares), spares);
                }
            }
        }
    }

    /// The message has ended. Of lent memory it keeps no more than befits its length.
    pub(crate) fn finish(&mut self, spares: Option<&mut Spares>) -> Result<Message<'static>, Error> {
        if let Some(spares) = spares {
            self.detach_scratch(0, spares);
        }
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

/// Makes room for a piece that does not fit behind the bytes that arrived before it.
#[cold]
fn enlarge(bytes: &mut Vec<u8>, piece: &Piece<'_>, spares: Option<&mut Spares>) {
    let room = Room::new(bytes.len(), piece.bytes.len(), piece.to_come);
    if let Some(spares) = spares
        && let Some(spare) = room.find(bytes.is_empty(), piece.fin, spares)
    {
        return move_to(bytes, spare, spares);
    }
    bytes.reserve(room.additional);
}

/// The same for text, beside which some bytes are carried.
#[cold]
fn enlarge_text(text: &mut String, carried: usize, piece: &Piece<'_>, spares: Option<&mut Spares>) {
    let room = Room::new(text.len() + carried, piece.bytes.len(), piece.to_come);
    if let Some(spares) = spares
        && let Some(spare) = room.find(text.is_empty(), piece.fin, spares)
    {
        return move_text_to(text, spare, spares);
    }
    text.reserve(carried + room.additional);
}

/// Moves what has arrived to other memory, which is empty.
fn move_to(bytes: &mut Vec<u8>, mut other: Vec<u8>, spares: &mut Spares) {
    // a copy by masking with zeros: see `sender::copy`
    append(&mut other, bytes, [0; 4]);
    spares.keep(core::mem::replace(bytes, other));
}

fn move_text_to(text: &mut String, other: Vec<u8>, spares: &mut Spares) {
    let mut other = String::from_utf8(other).unwrap_or_default();
    other.push_str(text);
    spares.keep(core::mem::replace(text, other).into_bytes());
}

/// How much memory a message may have, in bytes.
///
/// A claimed length is no reason to reserve memory; but where so much has arrived, more of what is claimed is likely to
/// come. From there on a long message is moved less often than it would be by doubling.
struct Room {
    /// As much as it needs now.
    arrived: usize,
    /// As much as it will need for the frame that arrives.
    claimed: usize,
    /// The largest capacity that a spare buffer may have: in proportion to the bytes that have arrived, and at most
    /// twice what the message claims.
    most: usize,
    /// How many bytes to request from the allocator, beyond those that the message has.
    additional: usize,
}

impl Room {
    /// For a piece of so many bytes behind those that arrived `before`, with so many `to_come`.
    fn new(before: usize, piece: usize, to_come: u64) -> Self {
        let arrived = before + piece;
        let ample = arrived.saturating_add(FrameHeader::MAX_SIZE);
        let as_much_again = ample.saturating_mul(if ample < 64 * 1024 { 1 } else { 3 });
        let to_come = usize::try_from(to_come).unwrap_or(usize::MAX);
        let claimed = arrived.saturating_add(to_come);
        let most = ample.saturating_add(as_much_again).min(claimed.saturating_mul(2));
        Self { arrived, claimed, most, additional: piece.saturating_add(to_come.min(as_much_again)) }
    }

    /// Looks for memory that was lent. That is the connection's for its turn alone ([`Assembly::detach_scratch`]), and
    /// thus a message that begins may have as much as is claimed for it; or, if it comes in fragments, as much as there
    /// is ([`Assembly::finish`]).
    fn find(&self, begins: bool, fin: bool, spares: &mut Spares) -> Option<Vec<u8>> {
        if begins && !fin {
            return spares.largest(self.arrived);
        }
        if begins && let Some(whole) = spares.find(self.claimed..=self.claimed.saturating_mul(2)) {
            return Some(whole);
        }
        // what ends with this piece the allocator may enlarge where it lies; so it may what comes in many fragments,
        // each of which may be the last
        if begins || self.claimed > self.arrived { self.find_due(spares) } else { None }
    }

    /// Looks for memory that the connection may keep.
    fn find_due(&self, spares: &mut Spares) -> Option<Vec<u8>> {
        spares.find(self.arrived..=self.most)
    }

    /// Memory that the connection may keep, for what has arrived.
    fn due(&self, spares: &mut Spares) -> Vec<u8> {
        self.find_due(spares).unwrap_or_else(|| Vec::with_capacity(self.arrived + self.additional))
    }
}

/// Not inlined, so that a piece of text does not save the registers that the masking of a binary one needs.
#[inline(never)]
fn append(bytes: &mut Vec<u8>, piece: &[u8], key: MaskingKey) {
    sansocket_mask::append(bytes, piece, key, 0);
}

#[inline]
fn unmask(bytes: &mut [u8], key: MaskingKey) {
    if key != [0; 4] {
        sansocket_mask::apply(bytes, key, 0);
    }
}

/// A message that lies whole in the input is lent as it is.
#[inline]
pub(crate) fn message(kind: MessageKind, payload: &[u8]) -> Result<Message<'_>, Error> {
    Ok(match kind {
        MessageKind::Text => {
            Message::Text(Cow::Borrowed(simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::Utf8Invalid)?))
        }
        MessageKind::Binary => Message::Binary(Cow::Borrowed(payload)),
    })
}

/// The same, as it is to be delivered.
pub(crate) fn whole(kind: MessageKind, payload: &[u8], delivery: Delivery) -> Result<Delivered<'_>, Error> {
    let message = message(kind, payload)?;
    Ok(match delivery {
        Delivery::Messages => Delivered::Message(message),
        Delivery::Chunks => Delivered::Chunk(Chunk::new(kind, payload, true)),
    })
}

/// Checks how long a message is, or will be by what its frames have announced.
pub(crate) fn check_message_length(length: u64, config: &Config) -> Result<(), Error> {
    let limit = config.max_message_size as u64;
    if length > limit { Err(LimitExceeded::new(Subject::Message, limit, length).into()) } else { Ok(()) }
}
