//! The head of a frame, and its encoding.

use alloc::vec::Vec;
use core::ops::Deref;

use sansocket_mask::MaskingKey;

use super::opcode::{MAX_CONTROL_PAYLOAD, OpCode};
use crate::data::ProtocolError;

const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const OPCODE: u8 = 0x0F;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7F;
/// The 7-bit length that announces a 16-bit one.
const LENGTH_16: u8 = 126;
/// The 7-bit length that announces a 64-bit one.
const LENGTH_64: u8 = 127;

/// The head of a frame: everything before its payload (RFC 6455 section 5.2).
///
/// ```
/// use sansocket::frame::{FrameHeader, OpCode};
///
/// let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
/// let (header, size) = FrameHeader::decode(&hello)?.expect("the head is whole");
/// assert_eq!(header, FrameHeader::new(OpCode::Text, 5));
/// assert_eq!(&hello[size..], b"Hello");
/// assert_eq!(&*header.encode(), &hello[..size]);
/// # Ok::<(), sansocket::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "RFC 6455 section 5.2 fixes the head")]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message. Always true for control frames.
    pub fin: bool,
    /// Reserved for extensions; permessage-deflate marks compressed messages with it.
    pub rsv1: bool,
    /// Reserved for extensions.
    pub rsv2: bool,
    /// Reserved for extensions.
    pub rsv3: bool,
    /// The interpretation of the payload.
    pub opcode: OpCode,
    /// The masking key, if the payload is masked.
    pub mask: Option<MaskingKey>,
    /// The payload's length in bytes, below 2^63.
    pub payload_length: u64,
}

impl FrameHeader {
    /// The bit of the first byte that marks the last frame of a message.
    pub(crate) const FIN: u8 = 0x80;
    /// The first byte of a text message in one frame, with no reserved bit set.
    pub(crate) const WHOLE_TEXT: u8 = Self::FIN | OpCode::Text.as_u8();
    /// The first byte of such a binary message.
    pub(crate) const WHOLE_BINARY: u8 = Self::FIN | OpCode::Binary.as_u8();

    /// The largest size of a head, in bytes.
    pub const MAX_SIZE: usize = 14;

    /// Creates the head of an unmasked control frame, or of an unmasked message in one frame.
    pub const fn new(opcode: OpCode, payload_length: u64) -> Self {
        Self { fin: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask: None, payload_length }
    }

    /// Decodes the head at the front of `bytes`. Returns it and its size in bytes; `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// Reserved opcodes, fragmented or long control frames, lengths that are not minimal or have their top bit set.
    /// Reserved bits are no error here, since extensions may define them.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };

        let (payload_length, rest) = match second & LENGTH {
            LENGTH_16 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            LENGTH_64 => {
                let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let (mask, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        };

        let header = Self {
            fin: first & Self::FIN != 0,
            rsv1: first & RSV1 != 0,
            rsv2: first & RSV2 != 0,
            rsv3: first & RSV3 != 0,
            opcode: OpCode::from_u8(first & OPCODE).ok_or(ProtocolError::OpCodeReserved)?,
            mask,
            payload_length,
        };
        header.check(second & LENGTH)?;
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Decodes the length and the key behind the first byte of a head. Returns the size of the head, the length of the
    /// payload, and the key, which is zero if frames are not masked. `None` if the head is incomplete, breaks a rule,
    /// or is not masked as it should be: then [`decode`](Self::decode) returns the reason.
    #[inline(always)]
    pub(crate) fn decode_length_and_key(bytes: &[u8], is_masked: bool) -> Option<(usize, u64, MaskingKey)> {
        let length_field = bytes.get(1)? ^ if is_masked { MASK } else { 0 };
        let (size, length) = match length_field {
            0..LENGTH_16 => (2, length_field.into()),
            LENGTH_16 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
            LENGTH_64 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            _ => return None,
        };
        check_length(length_field, length).ok()?;
        if !is_masked {
            return Some((size, length, [0; 4]));
        }
        Some((size + 4, length, bytes.get(size..size + 4)?.try_into().ok()?))
    }

    /// Encodes the head. Drops the top bit of a payload length of 2^63 or more, which no frame can have.
    #[inline]
    pub fn encode(&self) -> EncodedHeader {
        let mut encoded = EncodedHeader { bytes: [0; Self::MAX_SIZE], size: 0 };
        self.write_to(&mut encoded);
        encoded
    }

    /// Appends the encoded head.
    #[inline(always)]
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        self.write_to(bytes);
    }

    #[inline(always)]
    fn write_to(&self, to: &mut impl HeadSink) {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let first = flag(self.fin, Self::FIN) | flag(self.rsv1, RSV1) | flag(self.rsv2, RSV2) | flag(self.rsv3, RSV3);
        let first = first | self.opcode.as_u8();
        let mask = flag(self.mask.is_some(), MASK);
        // 5.2: the minimal number of bytes MUST be used to encode the length
        match self.payload_length {
            length @ 0..126 => to.put([first, mask | length as u8]),
            length @ 126..=0xFFFF => {
                let [a, b] = (length as u16).to_be_bytes();
                to.put([first, mask | LENGTH_16, a, b]);
            }
            length => {
                let [a, b, c, d, e, f, g, h] = (length & (u64::MAX >> 1)).to_be_bytes();
                to.put([first, mask | LENGTH_64, a, b, c, d, e, f, g, h]);
            }
        }
        if let Some(key) = self.mask {
            to.put(key);
        }
    }

    /// Checks the rules that concern this head alone.
    #[inline]
    fn check(&self, length_field: u8) -> Result<(), ProtocolError> {
        if self.opcode.is_control() {
            // 5.5: control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented
            if length_field > MAX_CONTROL_PAYLOAD as u8 {
                return Err(ProtocolError::ControlFrameTooLong);
            }
            if !self.fin {
                return Err(ProtocolError::ControlFrameFragmented);
            }
        }
        check_length(length_field, self.payload_length)
    }
}

/// Checks a length. 5.2: the most significant bit MUST be 0, and the minimal number of bytes MUST be used.
#[inline(always)]
const fn check_length(length_field: u8, length: u64) -> Result<(), ProtocolError> {
    match (length_field, length) {
        (LENGTH_64, length) if length >> 63 != 0 => Err(ProtocolError::LengthTopBitSet),
        (LENGTH_64, ..=0xFFFF) | (LENGTH_16, ..=125) => Err(ProtocolError::LengthNotMinimal),
        _ => Ok(()),
    }
}

/// An encoded head of 2 to 14 bytes. It needs no allocation.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; FrameHeader::MAX_SIZE],
    size: u8,
}

/// A destination for the parts of a head. Their lengths are known at compile time.
trait HeadSink {
    fn put<const N: usize>(&mut self, bytes: [u8; N]);
}

impl HeadSink for Vec<u8> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.extend_from_slice(&bytes);
    }
}

impl HeadSink for EncodedHeader {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let free = self.bytes.get_mut(usize::from(self.size)..).unwrap_or_default();
        free.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        self.size += bytes.len() as u8;
    }
}

impl Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.split_at(usize::from(self.size)).0
    }
}
