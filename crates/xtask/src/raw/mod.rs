//! The parts of clients that use no WebSocket library: they know the bytes that they send and receive, so they take a
//! small part of a server's time, and depend on none of the code that they measure.

mod frame;
mod opening;
mod poller;

pub(crate) use frame::{COMPRESSED, FINAL_BINARY, FrameHead, KEY, frame, mask};
pub(crate) use opening::open;
pub(crate) use poller::{EDGES, Poller};
