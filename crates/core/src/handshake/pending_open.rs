//! The result of an opening handshake that the connection keeps.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::data::Input;
use crate::handshake::{Agreement, Open};

/// The agreement, and pending events that precede those of further bytes. Most connections have neither.
#[derive(Debug)]
pub(crate) struct PendingOpen {
    pub(crate) agreement: Agreement,
    /// Whether the `Open` event is pending.
    is_open_pending: bool,
    /// Frames that arrived before the request was accepted. `used` counts the bytes that were received from them.
    early: Vec<u8>,
    used: usize,
}

impl PendingOpen {
    /// Keeps an agreement without pending events; `None` if it is empty.
    pub(crate) fn from_agreement(agreement: Agreement) -> Option<Box<Self>> {
        let is_empty = agreement.is_empty();
        (!is_empty).then(|| Box::new(Self { agreement, is_open_pending: false, early: Vec::new(), used: 0 }))
    }

    /// Keeps the pending [`Event::Open`](crate::Event::Open) of a handshake, and the frames that have arrived.
    pub(crate) fn with_open_event(agreement: Agreement, early: Vec<u8>) -> Box<Self> {
        Box::new(Self { agreement, is_open_pending: true, early, used: 0 })
    }

    /// Returns whether the `Open` event, or bytes of early frames, are pending.
    #[inline(always)]
    pub(crate) fn is_pending(&self) -> bool {
        self.is_open_pending || self.used < self.early.len()
    }

    /// Returns the content of the `Open` event, once.
    pub(crate) fn take_open(&mut self) -> Option<Open> {
        core::mem::take(&mut self.is_open_pending).then(|| Open::new(self.agreement.clone(), None))
    }

    /// Passes the unused early bytes to `receive`, and records how many it took.
    pub(crate) fn receive_early<R>(&mut self, receive: impl FnOnce(&mut Input<'_>) -> R) -> R {
        let mut input = Input::new(self.early.get_mut(self.used..).unwrap_or_default());
        let received = receive(&mut input);
        let unused = input.remaining().len();
        input.discard(); // the next call passes them again
        self.used = self.early.len() - unused;
        received
    }

    /// Returns the part that the connection still needs: all of it while an event is pending, then only the agreement.
    pub(crate) fn into_needed(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.is_pending() {
            return Some(self);
        }
        (self.early, self.used) = (Vec::new(), 0);
        (!self.agreement.is_empty()).then_some(self)
    }
}
