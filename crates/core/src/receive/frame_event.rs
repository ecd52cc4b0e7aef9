//! The results of receiving: events and errors. Parses control frames (RFC 6455 section 5.5).

use alloc::borrow::Cow;

use thiserror::Error;

use crate::data::{Chunk, CloseCode, CloseFrame, InvalidUtf8, LimitExceeded, Message, ProtocolError};
#[cfg(feature = "deflate")]
use crate::deflate::InflateError;
use crate::frame::OpCode;

/// A message, a chunk of one, or a control frame.
#[derive(Debug)]
pub(crate) enum FrameEvent<'b> {
    Message(Message<'b>),
    Chunk(Chunk<'b>),
    Ping(Cow<'b, [u8]>),
    Pong(Cow<'b, [u8]>),
    Close(CloseFrame),
}

/// Why received bytes fail the connection (RFC 6455 section 7.1.7).
#[derive(Debug, Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<InvalidUtf8> for ReceiveError {
    fn from(_: InvalidUtf8) -> Self {
        Self::Protocol(ProtocolError::Utf8Invalid)
    }
}

#[cfg(feature = "deflate")]
impl From<InflateError> for ReceiveError {
    fn from(error: InflateError) -> Self {
        Self::Protocol(match error {
            InflateError::Invalid => ProtocolError::DeflateInvalid,
            InflateError::Unfinished => ProtocolError::DeflateUnfinished,
        })
    }
}

/// Parses the payload of a control frame.
pub(crate) fn parse_control(opcode: OpCode, payload: Cow<'_, [u8]>) -> Result<FrameEvent<'_>, ProtocolError> {
    match opcode {
        OpCode::Ping => Ok(FrameEvent::Ping(payload)),
        OpCode::Pong => Ok(FrameEvent::Pong(payload)),
        _ => parse_close(&payload).map(FrameEvent::Close),
    }
}

/// Parses the body of a Close frame (section 5.5.1).
fn parse_close(body: &[u8]) -> Result<CloseFrame, ProtocolError> {
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
