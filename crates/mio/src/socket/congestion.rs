//! Congestion: the state that an event loop keeps for a socket whose peer reads more slowly than the loop sends.

use super::Socket;
use crate::flags::Flags;

impl Socket {
    /// Notes that the socket is congested if more payload bytes than this are pending.
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

    /// Holds back reading until the congestion ends.
    pub(crate) fn hold_back(&mut self) {
        self.flags.insert(Flags::HELD);
    }

    pub(crate) fn end_congestion(&mut self) {
        self.flags.remove(Flags::CONGESTED | Flags::HELD);
    }

    /// Notes that something was not sent. Returns whether no report of it is pending yet.
    pub(crate) fn begins_unsent(&mut self) -> bool {
        self.flags.insert(Flags::UNSENT)
    }

    pub(crate) fn end_unsent(&mut self) {
        self.flags.remove(Flags::UNSENT);
    }
}
