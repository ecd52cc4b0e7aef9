//! A WebSocket that is not open: its opening handshake as client or server, and the end of a handshake that failed. The
//! [handshake](crate::handshake) folder provides the bytes and the header fields; this folder holds the output, the
//! timers and all transitions.
//!
//! [`WebSocket`](crate::WebSocket) alone uses [`Handshaking`], and replaces it with the connection that it returns.
//! Depends on `connection` and everything below.

mod client;
mod failed;
mod handshaking;

pub(crate) use handshaking::{Handshaking, Step};
