//! The events that come before those of further bytes: `Open`, and those of frames that arrived before the server
//! accepted.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;

use super::Connection;
use crate::data::Instant;
#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::error::Error;
use crate::event::Event;
use crate::handshake::{Agreement, EarlyFrames, Open, OpenStage, PendingOpen};

impl Connection {
    /// Begins with the `Open` event, and the events of frames that have arrived.
    pub(crate) fn open(&mut self, agreement: Agreement, early: Option<Box<EarlyFrames>>) {
        self.set_agreement(agreement, early);
        self.open_stage = OpenStage::Open;
    }

    /// Sets what the opening handshake agreed, and frames that arrived before.
    pub(super) fn set_agreement(&mut self, agreement: Agreement, early: Option<Box<EarlyFrames>>) {
        #[cfg(feature = "deflate")]
        {
            self.deflate = agreement.compression.map(|compression| Deflate::new(compression, self.role()));
        }
        self.pending_open = PendingOpen::new(agreement.protocol, early);
    }

    /// Returns what the opening handshake agreed.
    pub(crate) fn agreement(&self) -> Agreement {
        Agreement {
            protocol: self.protocol().map(ToOwned::to_owned),
            #[cfg(feature = "deflate")]
            compression: self.compression(),
        }
    }

    /// Takes the subprotocol out.
    fn take_protocol(&mut self) -> Option<String> {
        self.pending_open.take().and_then(|opening| opening.protocol)
    }

    /// Returns whether an event precedes the bytes received next: `Open`, or the event of a frame that came early.
    #[inline(always)]
    pub(crate) fn has_open_event(&self) -> bool {
        self.open_stage != OpenStage::Done
    }

    /// Drops the events that [`next_open_event`](Self::next_open_event) has not returned.
    pub(crate) fn discard_open_events(&mut self) {
        self.open_stage = OpenStage::Done;
        self.pending_open = PendingOpen::new(self.take_protocol(), None);
    }

    /// Returns the next such event; `None` if there is none, or it needs further bytes.
    pub(crate) fn next_open_event(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        let mut early = self.pending_open.as_mut().and_then(|opening| opening.early.take());
        let event = match &mut early {
            _ if self.open_stage == OpenStage::Open => Ok(Some(Event::Open(Open::new(self.agreement(), None)))),
            Some(early) => early.receive(|input| self.receive(input, now).map(|event| event.map(Event::into_owned))),
            None => Ok(None),
        };
        let early = early.filter(|early| !early.is_used_up());
        self.open_stage = if early.is_some() { OpenStage::EarlyFrames } else { OpenStage::Done };
        self.pending_open = PendingOpen::new(self.take_protocol(), early);
        event
    }
}
