//! What an opening handshake leaves to the connection that it has opened.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::handshake::{Agreement, Open};
use crate::input::Input;

/// An agreement, and events that precede what is received next. Absent in most connections.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) agreement: Agreement,
    /// Whether the `Open` event is due.
    is_due: bool,
    /// Frames that came before the request was answered, and how many of their bytes have been used.
    early: Vec<u8>,
    used: usize,
}

impl Opening {
    /// Keeps an agreement; `None` if nothing was agreed on.
    pub(crate) fn agreed(agreement: Agreement) -> Option<Box<Self>> {
        (!agreement.is_empty()).then(|| Box::new(Self { agreement, is_due: false, early: Vec::new(), used: 0 }))
    }

    /// A handshake has just been completed; the application is still to get [`Event::Open`](crate::Event::Open) and the
    /// events of frames that came with it.
    pub(crate) fn due(agreement: Agreement, early: Vec<u8>) -> Box<Self> {
        Box::new(Self { agreement, is_due: true, early, used: 0 })
    }

    /// Whether `Open`, or the event of a frame that came early, has not been returned.
    #[inline(always)]
    pub(crate) fn is_pending(&self) -> bool {
        self.is_due || self.used < self.early.len()
    }

    /// Returns what the `Open` event reports, once.
    pub(crate) fn take_open(&mut self) -> Option<Open> {
        core::mem::take(&mut self.is_due).then(|| Open::new(self.agreement.clone(), None))
    }

    /// Passes the early bytes that are not used yet to `receive`, and notes how many it has taken.
    pub(crate) fn receive_early<R>(&mut self, receive: impl FnOnce(&mut Input<'_>) -> R) -> R {
        let mut input = Input::new(self.early.get_mut(self.used..).unwrap_or_default());
        let received = receive(&mut input);
        let unused = input.remaining().len();
        input.discard(); // until the next call
        self.used = self.early.len() - unused;
        received
    }

    /// Returns what the connection keeps: everything while an event is pending, then the agreement alone.
    pub(crate) fn settle(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.is_pending() {
            return Some(self);
        }
        (self.early, self.used) = (Vec::new(), 0);
        (!self.agreement.is_empty()).then_some(self)
    }
}
