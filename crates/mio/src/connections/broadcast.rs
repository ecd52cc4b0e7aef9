//! Messages to many connections: encoded once.

use std::ops::Range;

use sansocket_drive::sansocket::{EncodedMessage, Message, ReadyState};

use super::Connections;
use crate::connection::ConnectionId;
use crate::error::PostError;
use crate::handler::Handler;

impl<H: Handler> Connections<H> {
    /// Sends a message to all open connections of this loop and of those that run with it. It is encoded once. To whom
    /// it cannot be sent is told to [`Handler::on_error`]: once a turn, however much it is.
    ///
    /// This loop's connections get it at once, which is work of the handler's own. The other loops find it in their
    /// mailboxes.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the other loops is full ([`PostError::Full`]). The message is handed back, and was sent to
    /// no connection of any loop. A loop that runs alone never fails, nor does this fail because other loops have
    /// stopped.
    pub fn broadcast<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        let message = self.handle.encode_and_post(Some(self.thread.into()), message.into())?;
        self.broadcast_here(&message);
        Ok(())
    }

    /// Sends an encoded message to all open connections of this loop and of those that run with it.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_encoded(&mut self, message: &EncodedMessage) -> Result<(), PostError> {
        self.handle.post_broadcast(Some(self.thread.into()), message)?;
        self.broadcast_here(message);
        Ok(())
    }

    /// Sends a message to these connections, as far as they are open. It is encoded once. To whom it cannot be sent is
    /// told to [`Handler::on_error`].
    ///
    /// # Errors
    ///
    /// Some of the connections belong to other loops, whose mailboxes are full ([`PostError::Full`]). Hands back those
    /// to which the message was not sent; it was sent to the others.
    pub fn broadcast_to<'m>(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PostError<Vec<ConnectionId>>> {
        let message = EncodedMessage::new(message, self.handle.config());
        let (mut missed, mut exceeded) = (Vec::new(), None);
        for id in ids {
            if id.thread != self.thread {
                if let Err(PostError::Full((), limit)) = self.handle.send_encoded(id, &message) {
                    missed.push(id);
                    exceeded = Some(limit);
                }
            } else if let Some(index) = self.index(id) {
                self.send_or_report(index, &message);
            }
        }
        exceeded.map_or(Ok(()), |limit| Err(PostError::Full(missed, limit)))
    }

    fn broadcast_here(&mut self, message: &EncodedMessage) {
        self.broadcast_slots(0..self.slots, message);
    }

    /// Sends a message to the open connections from a slot on, until all have it or the budget, which counts slots, is
    /// spent. Returns the slot to go on with.
    pub(crate) fn broadcast_from(
        &mut self,
        first: usize,
        budget: &mut usize,
        message: &EncodedMessage,
    ) -> Option<usize> {
        let count = self.slots.saturating_sub(first).min(*budget);
        *budget -= count;
        let end = first + count;
        self.broadcast_slots(first..end, message);
        (end < self.slots).then_some(end)
    }

    fn broadcast_slots(&mut self, slots: Range<usize>, message: &EncodedMessage) {
        for index in slots {
            if self.slab.contains(index) {
                self.send_or_report(index, message);
            }
        }
    }

    fn send_or_report(&mut self, index: usize, message: &EncodedMessage) {
        if self.slab[index].socket.driver.websocket().ready_state() == ReadyState::Open
            && let Err(error) = self.send(index, |ws| ws.send_encoded(message))
            && self.slab[index].socket.mark_unsent()
        {
            self.unsent.push((self.id(index), error));
        }
    }
}
