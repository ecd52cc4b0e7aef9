//! The result of an opening handshake that the connection keeps.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::data::Input;

/// The events that [`WebSocket`](crate::WebSocket) returns before those of further bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenStage {
    /// `Open`, then those of early frames.
    Open,
    EarlyFrames,
    Done,
}

/// The subprotocol, and frames that arrived before the server accepted. Most connections have neither.
#[derive(Debug)]
pub(crate) struct PendingOpen {
    pub(crate) protocol: Option<String>,
    pub(crate) early: Option<Box<EarlyFrames>>,
}

impl PendingOpen {
    /// Returns `None` if there is nothing to keep.
    pub(crate) fn new(protocol: Option<String>, early: Option<Box<EarlyFrames>>) -> Option<Box<Self>> {
        let is_needed = protocol.is_some() || early.is_some();
        is_needed.then(|| Box::new(Self { protocol, early }))
    }
}

/// Frames that arrived before the server accepted.
#[derive(Debug)]
pub(crate) struct EarlyFrames {
    bytes: Vec<u8>,
    /// The number of bytes that the connection has received.
    used: usize,
}

impl EarlyFrames {
    /// Returns `None` if there are no bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, used: 0 }))
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Passes the unused bytes to `receive`, and records how many it took.
    pub(crate) fn receive<R>(&mut self, receive: impl FnOnce(&mut Input<'_>) -> R) -> R {
        let mut input = Input::new(self.bytes.get_mut(self.used..).unwrap_or_default());
        let received = receive(&mut input);
        let unused = input.remaining().len();
        input.discard(); // the next call passes them again
        self.used = self.bytes.len() - unused;
        received
    }

    /// Returns whether the connection has received all bytes.
    pub(crate) fn is_used_up(&self) -> bool {
        self.used == self.bytes.len()
    }
}
