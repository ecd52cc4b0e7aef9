//! Receiving: bytes become frames, and frames become messages, chunks, Pings, Pongs and the peer's Close frame (RFC 6455
//! sections 5.1 to 5.5 and 6.2).
//!
//! `connection` uses [`Receiver`] and what it returns. What a frame means for the connection is decided there.

mod assembly;
mod control;
mod growth;
mod payload;
mod receive_error;
mod receiver;

pub(crate) use control::FrameEvent;
pub(crate) use receive_error::ReceiveError;
pub(crate) use receiver::Receiver;
