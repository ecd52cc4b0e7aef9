//! Congestion: what an event loop notes of a socket whose peer does not take what is sent.

use super::Socket;
use crate::flags::Flags;

impl Socket {
    /// Notes that the socket is congested if more than this waits.
    #[inline]
    pub(crate) fn note_congestion(&mut self, water_mark: usize) {
        if self.driver.websocket().buffered_amount() > water_mark {
            self.flags.insert(Flags::CONGESTED);
        }
    }

    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.flags.any(Flags::CONGESTED)
    }

    /// Reads nothing until the congestion ends.
    pub(crate) fn hold_back(&mut self) {
        self.flags.insert(Flags::HELD);
    }

    pub(crate) fn end_congestion(&mut self) {
        self.flags.remove(Flags::CONGESTED | Flags::HELD);
    }

    /// Notes that something was not sent. Returns whether the handler has yet to be told.
    pub(crate) fn begins_unsent(&mut self) -> bool {
        self.flags.insert(Flags::UNSENT)
    }

    pub(crate) fn end_unsent(&mut self) {
        self.flags.remove(Flags::UNSENT);
    }
}
