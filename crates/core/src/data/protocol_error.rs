//! The rules of RFC 6455 that a peer can break.

use thiserror::Error;

/// The rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RFC 6455 section 7.4: a Close frame carried a status code that must not be sent, such as 1005.
    #[error("a Close frame carried a status code that must not be sent")]
    CloseCodeInvalid,
    /// RFC 6455 section 5.5.1: the body of a Close frame is empty or begins with two bytes of status code.
    #[error("a Close frame had a body of one byte")]
    CloseBodyTooShort,
    /// RFC 6455 section 5.4: a continuation frame without a message to continue.
    #[error("a continuation frame came without a message to continue")]
    ContinuationUnexpected,
    /// RFC 6455 section 5.5: control frames must not be fragmented.
    #[error("a control frame was fragmented")]
    ControlFrameFragmented,
    /// RFC 6455 section 5.5: the payload of a control frame is at most 125 bytes.
    #[error("a control frame had more than 125 bytes of payload")]
    ControlFrameTooLong,
    /// RFC 6455 section 5.4: a new message began before the last fragment of another.
    #[error("a message began before the last fragment of the previous one")]
    ContinuationMissing,
    /// RFC 7692 section 7.2.2: a compressed message was not valid DEFLATE data, or referred back beyond the messages
    /// before it.
    #[cfg(feature = "deflate")]
    #[error("a compressed message was not valid DEFLATE data")]
    DeflateInvalid,
    /// RFC 7692 section 7.2.1: a compressed message ends with an empty block, of which the last 4 bytes are not sent.
    #[cfg(feature = "deflate")]
    #[error("a compressed message ended within a DEFLATE block")]
    DeflateUnfinished,
    /// RFC 6455 section 5.1: a client must mask every frame.
    #[error("a client sent a frame without masking it")]
    FrameNotMasked,
    /// RFC 6455 section 5.1: a server must not mask any frame.
    #[error("a server sent a masked frame")]
    FrameMasked,
    /// RFC 6455 section 5.2: the most significant bit of a 64-bit payload length must be 0.
    #[error("a 64-bit payload length had its top bit set")]
    LengthTopBitSet,
    /// RFC 6455 section 5.2: the payload length must be encoded in the fewest bytes.
    #[error("a payload length was not encoded in the fewest bytes")]
    LengthNotMinimal,
    /// RFC 6455 section 5.2: an opcode that no specification has defined.
    #[error("a frame had a reserved opcode")]
    OpCodeReserved,
    /// RFC 6455 section 5.2: a reserved bit that no negotiated extension uses. RFC 7692 section 6.1 uses the first bit of
    /// the first frame of a message.
    #[error("a frame had a reserved bit set")]
    ReservedBitSet,
    /// RFC 6455 section 8.1: text must be UTF-8; so must the reason of a Close frame (section 5.5.1).
    #[error("text was not valid UTF-8")]
    Utf8Invalid,
}
