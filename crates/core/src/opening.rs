//! What an opening handshake leaves to the connection that it has opened.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::connection::Connection;
use crate::error::Error;
use crate::event::Event;
use crate::handshake::{Agreement, Open};
use crate::input::Input;
use crate::time::Instant;

/// An agreement, and events that precede what is received next. Absent in most connections.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) agreement: Agreement,
    /// Whether [`Event::Open`] is due.
    is_due: bool,
    /// Frames that came before the request was answered, and how many of their bytes have been used.
    early: Vec<u8>,
    used: usize,
}

impl Opening {
    /// What is left once nothing is due any more; an agreement on nothing is not kept.
    pub(crate) fn new(agreement: Agreement) -> Option<Box<Self>> {
        (!agreement.is_empty()).then(|| Box::new(Self { agreement, is_due: false, early: Vec::new(), used: 0 }))
    }

    /// A handshake has just been completed; the application is still to get [`Event::Open`] and the events of frames
    /// that came with it.
    pub(crate) fn accepted(agreement: Agreement, early: Vec<u8>) -> Option<Box<Self>> {
        Some(Box::new(Self { agreement, is_due: true, early, used: 0 }))
    }

    /// Whether an event, or a frame that came early, has not been returned. A connection without an agreement answers
    /// from its own memory.
    #[inline(always)]
    pub(crate) fn is_pending(connection: &Connection) -> bool {
        connection.opening.as_ref().is_some_and(|opening| opening.is_due || opening.used < opening.early.len())
    }

    /// The next event that is due before anything else is received.
    pub(crate) fn next(connection: &mut Connection, now: Instant) -> Result<Option<Event<'static>>, Error> {
        let Some(mut left) = connection.opening.take() else { return Ok(None) };
        let event = if core::mem::take(&mut left.is_due) {
            Ok(Some(Event::Open(Open::new(left.agreement.clone(), None))))
        } else if let Some(early) = left.early.get_mut(left.used..).filter(|early| !early.is_empty()) {
            let mut input = Input::new(early);
            let event = connection.receive(&mut input, now).map(|event| event.map(Event::into_owned));
            let unused = input.remaining().len();
            input.discard(); // until the next call
            left.used = left.early.len() - unused;
            event
        } else {
            connection.opening = Some(left);
            return Ok(None);
        };
        connection.opening =
            if left.used == left.early.len() { Self::new(core::mem::take(&mut left.agreement)) } else { Some(left) };
        event
    }
}
