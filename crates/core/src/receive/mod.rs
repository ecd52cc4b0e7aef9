//! Receiving: bytes become frames, and frames become messages, chunks, Pings, Pongs and Close frames of the peer (RFC
//! 6455 sections 5.1 to 5.5 and 6.2).
//!
//! `connection` uses [`Receiver`] and its events, and decides what they mean for the connection; `error` converts
//! [`ReceiveError`]. Depends on `buffers`, `data`, `deflate` and `frame`.

mod assembly;
mod frame_event;
mod growth;
#[cfg(feature = "deflate")]
mod inflated;
#[cfg(feature = "deflate")]
mod inflation;
mod payload;
mod receiver;
#[cfg(feature = "deflate")]
mod segments;

pub(crate) use frame_event::{FrameEvent, ReceiveError};
pub(crate) use receiver::{Receiver, Rules};
