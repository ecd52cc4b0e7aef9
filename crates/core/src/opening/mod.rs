//! A WebSocket that is not open: its opening handshake as client or server, and the end of a failed handshake. The
//! [handshake](crate::handshake) folder provides the bytes and the header fields; this folder has the output, the
//! timers and all transitions.
//!
//! Only [`WebSocket`](crate::WebSocket) uses [`Handshaking`], and replaces it with the connection that it returns.
//! Depends on `connection` and the layers below.

mod client;
mod failed;
mod handshaking;

pub(crate) use handshaking::{Handshaking, Step};
