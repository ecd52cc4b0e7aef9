//! Receiving: bytes become frames, and frames become messages, chunks, Pings, Pongs and Close frames of the peer (RFC
//! 6455 sections 5.1 to 5.5 and 6.2).
//!
//! `connection` uses [`Receiver`] and its events, and decides what they mean for the connection; `error` converts
//! [`ReceiveError`]. Depends on `data`, `frame` and `scratch`.

mod assembly;
mod frame_event;
mod growth;
mod payload;
mod receiver;

pub(crate) use frame_event::{FrameEvent, ReceiveError};
pub(crate) use receiver::{Receiver, Rules};
