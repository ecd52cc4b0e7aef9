//! Back-pressure: why the socket does not read, although bytes have arrived. The application has paused reading, or an
//! event loop holds it back while output to a slow reader is pending.

use bytes::BytesMut;
use sansocket_drive::Layer as _;
use sansocket_drive::sansocket::{Instant, ReadyState};

use super::Socket;
use super::flags::Flags;

impl Socket {
    /// Pauses reading, until [`resume_reading`](Self::resume_reading) or until the connection ends. Bytes stay in the
    /// kernel, so that TCP slows down the peer.
    ///
    /// While reading is paused, no event of received bytes occurs: Pings are not answered, and the end of the stream is
    /// not seen. Writing, closing and deadlines go on, but keepalive does not end the connection: a peer that vanishes
    /// is noticed only when TCP gives up. Before the connection is open,
    /// [`Config::opening_timeout`](crate::Config::opening_timeout) applies nevertheless.
    ///
    /// The pause ends when the connection is closing or broken: then the closing handshake needs what the peer sends,
    /// and messages that came before its Close frame are delivered. In these states, this method does nothing.
    pub fn pause_reading(&mut self) {
        if self.may_pause() {
            self.flags.insert(Flags::PAUSED);
        }
    }

    /// Resumes reading: [`drive`](Self::drive) reads what has arrived. The peer has the whole
    /// [`Config::pong_timeout`](crate::Config::pong_timeout), from now, to answer a keepalive Ping.
    pub fn resume_reading(&mut self, now: Instant) {
        if self.is_reading_paused() {
            self.restart_pong_timeout(now);
        }
        self.flags.remove(Flags::PAUSED);
    }

    /// Returns whether reading is paused.
    pub fn is_reading_paused(&self) -> bool {
        self.flags.intersects(Flags::PAUSED) && self.may_pause()
    }

    fn may_pause(&self) -> bool {
        let is_alive = matches!(self.driver.websocket().ready_state(), ReadyState::Connecting | ReadyState::Open);
        is_alive && !self.flags.intersects(Flags::LOST) && !self.driver.has_write_ended()
    }

    /// Restarts the deadline for a Pong, which may be among the bytes that are not read.
    pub(super) fn restart_pong_timeout(&mut self, now: Instant) {
        if self.driver.websocket().ready_state() == ReadyState::Open {
            self.driver.websocket_mut().progress(now);
        }
    }

    /// Keeps bytes that were read and that the core has not received.
    #[cold]
    pub(super) fn keep_unreceived(&mut self, bytes: BytesMut) {
        self.flags.insert(Flags::UNRECEIVED);
        self.rare().unreceived = bytes;
    }

    /// Returns whether there are such bytes, and reading is neither paused nor held back.
    #[inline]
    pub(super) fn can_receive_kept(&self) -> bool {
        self.flags.intersects(Flags::UNRECEIVED) && self.receives_now()
    }

    /// Returns whether there are such bytes, and the stream has ended or failed within TLS behind them.
    pub(super) fn ends_behind_kept(&self) -> bool {
        let has_ended = self.driver.has_read_ended() || self.driver.layer().holds_plaintext();
        self.flags.intersects(Flags::UNRECEIVED) && self.driver.websocket().wants_read() && has_ended
    }

    pub(super) fn end_pause(&mut self) {
        self.flags.remove(Flags::STOPS_READING);
    }

    /// Takes these bytes, unless reading is paused or held back.
    pub(super) fn take_unreceived(&mut self) -> Option<BytesMut> {
        if !self.can_receive_kept() {
            return None;
        }
        self.flags.remove(Flags::UNRECEIVED);
        let bytes = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.unreceived));
        self.release_rare();
        bytes
    }

    /// Returns whether the core may receive bytes, read now or kept from before.
    #[inline]
    pub(super) fn receives_now(&self) -> bool {
        self.driver.websocket().wants_read()
            && (!self.flags.intersects(Flags::STOPS_READING) || self.receives_despite_stop())
    }

    /// Returns whether bytes are received although `HELD_BACK` or `PAUSED` is set: if the pause has no effect any more,
    /// or if writing has failed, since what a broken connection still holds is received in any case.
    fn receives_despite_stop(&self) -> bool {
        self.driver.has_write_ended() || !(self.flags.intersects(Flags::HELD_BACK) || self.is_reading_paused())
    }

    /// Marks the socket as congested if more than `water_mark` payload bytes are pending.
    #[inline]
    pub(crate) fn note_congestion(&mut self, water_mark: usize) {
        if self.driver.websocket().buffered_amount() > water_mark {
            self.flags.insert(Flags::CONGESTED);
        }
    }

    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.flags.intersects(Flags::CONGESTED)
    }

    /// Holds back reading until the congestion ends.
    pub(crate) fn hold_back(&mut self) {
        self.flags.insert(Flags::HELD_BACK);
    }

    pub(crate) fn end_congestion(&mut self) {
        self.flags.remove(Flags::CONGESTED | Flags::HELD_BACK);
    }

    /// Notes that something was not sent. Returns whether no report of it is pending yet.
    pub(crate) fn mark_unsent(&mut self) -> bool {
        self.flags.insert(Flags::UNSENT)
    }

    pub(crate) fn clear_unsent(&mut self) {
        self.flags.remove(Flags::UNSENT);
    }
}
