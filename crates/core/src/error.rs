//! What went wrong, by whose fault.

use core::fmt;

use thiserror::Error;

use crate::closing::CloseCode;
use crate::event::ReadyState;
use crate::handshake::HandshakeError;
use crate::message::Message;

/// Why a connection failed. It stays failed: every later `receive` returns the same error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The opening handshake failed.
    #[error("opening handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer broke a rule of the protocol, or exceeded a limit of ours ([`Config`](crate::Config)).
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// A deadline passed.
    #[error("timed out: {0}")]
    Timeout(#[from] TimeoutKind),
}

/// The rule that the peer broke, or the limit of ours ([`Config`](crate::Config)) that it exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RFC 6455 section 7.4: the status code of a Close frame is not one that may travel.
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
    /// More empty fragments in a row than [`Config::max_empty_fragments`](crate::Config::max_empty_fragments).
    #[error("more empty fragments in a row than allowed")]
    EmptyFragmentsTooMany,
    /// RFC 6455 section 5.1: a client must mask every frame.
    #[error("a client sent a frame without masking it")]
    FrameNotMasked,
    /// RFC 6455 section 5.1: a server must not mask any frame.
    #[error("a server sent a masked frame")]
    FrameMasked,
    /// A frame longer than [`Config::max_frame_payload`](crate::Config::max_frame_payload).
    #[error("a frame exceeded the payload limit")]
    FrameTooLong,
    /// RFC 6455 section 5.2: the most significant bit of a 64-bit payload length must be 0.
    #[error("a 64-bit payload length had its top bit set")]
    LengthTopBitSet,
    /// RFC 6455 section 5.2: the payload length must be encoded in the fewest bytes.
    #[error("a payload length was not encoded in the fewest bytes")]
    LengthNotMinimal,
    /// A message longer than [`Config::max_message_size`](crate::Config::max_message_size).
    #[error("a message exceeded the size limit")]
    MessageTooLong,
    /// RFC 6455 section 5.2: an opcode that no specification has defined.
    #[error("a frame had a reserved opcode")]
    OpCodeReserved,
    /// RFC 6455 section 5.2: a reserved bit that no negotiated extension uses.
    #[error("a frame had a reserved bit set")]
    ReservedBitSet,
    /// RFC 6455 section 8.1: text must be UTF-8; so must the reason of a Close frame (section 5.5.1).
    #[error("text was not valid UTF-8")]
    Utf8Invalid,
}

impl ProtocolError {
    /// The status code of the Close frame that answers it (RFC 6455 section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Utf8Invalid => CloseCode::INVALID_PAYLOAD,
            Self::EmptyFragmentsTooMany => CloseCode::POLICY_VIOLATION,
            Self::FrameTooLong | Self::MessageTooLong => CloseCode::MESSAGE_TOO_BIG,
            Self::CloseCodeInvalid
            | Self::CloseBodyTooShort
            | Self::ContinuationUnexpected
            | Self::ControlFrameFragmented
            | Self::ControlFrameTooLong
            | Self::ContinuationMissing
            | Self::FrameNotMasked
            | Self::FrameMasked
            | Self::LengthTopBitSet
            | Self::LengthNotMinimal
            | Self::OpCodeReserved
            | Self::ReservedBitSet => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// The deadline that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The opening handshake took longer than [`Config::opening_timeout`](crate::Config::opening_timeout).
    #[error("the opening handshake took too long")]
    Opening,
    /// Nothing came from the peer within [`Config::pong_timeout`](crate::Config::pong_timeout) of a keepalive Ping.
    #[error("the peer did not answer a keepalive Ping")]
    Pong,
}

/// Why something was not sent. The connection is unharmed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// It would exceed [`Config::max_buffered_amount`](crate::Config::max_buffered_amount) or
    /// [`Config::max_pending_controls`](crate::Config::max_pending_controls): take output first. A payload longer than
    /// the former never fits. `send` hands the message back, its kin do not.
    #[error("too much is waiting to be sent: let the transport take some of the output first")]
    BufferFull(Option<Message<'static>>),
    /// The status code must not travel (RFC 6455 section 7.4).
    #[error("close code {} must not be sent", .0.as_u16())]
    CloseCodeNotSendable(CloseCode),
    /// The payload of a Ping or Pong exceeds 125 bytes (RFC 6455 section 5.5).
    #[error("a Ping or Pong of {0} bytes: at most 125 are allowed")]
    ControlPayloadTooLong(usize),
    /// The kind of this fragment is not that of the message it continues.
    #[error("the fragment's kind is not that of the message it continues")]
    FragmentKindMismatch,
    /// A message begun with `send_fragment` must be finished first (RFC 6455 section 5.4).
    #[error("a fragmented message is unfinished: send its last fragment first")]
    MessageUnfinished,
    /// Messages can be sent in the state [`ReadyState::Open`] only.
    #[error("{}", NotOpen(.0))]
    NotOpen(ReadyState),
    /// The reason of a Close frame exceeds 123 bytes of UTF-8 (RFC 6455 section 5.5), or comes without a status code.
    #[error("the reason does not fit a Close frame: at most 123 bytes, and none without a status code")]
    ReasonTooLong,
    /// Text must be UTF-8 (RFC 6455 section 5.6), and a text message must not end within a character.
    #[error("the text is not valid UTF-8")]
    Utf8Invalid,
}

struct NotOpen<'a>(&'a ReadyState);

impl fmt::Display for NotOpen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ReadyState::Connecting => "the connection is not open yet: wait for Event::Open",
            ReadyState::Open => "the connection is open",
            ReadyState::Closing => "the connection is closing",
            ReadyState::Closed => "the connection is closed",
        })
    }
}
