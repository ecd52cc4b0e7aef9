//! Keepalive (RFC 6455 section 5.5.2), and the backlog above which a server does not read.

use super::Connection;
use crate::closing::Timer;
use crate::data::Role;
use crate::frame::OpCode;
use crate::send::ControlOrigin;

impl Connection {
    /// Restarts the keepalive timer of an open connection, after bytes of the peer have arrived.
    #[inline]
    pub(super) fn note_activity(&mut self) {
        if !self.timers.restart(Timer::Ping)
            && let Some(interval) = self.config.keepalive.interval()
        {
            self.timers.set(Timer::Ping, interval);
        }
    }

    /// Queues a keepalive Ping, unless one is pending.
    pub(super) fn send_keepalive(&mut self) {
        let is_busy = !self.output.is_delivered();
        let _ = self.sender.queue_control(&mut self.output, OpCode::Ping, &[], ControlOrigin::Keepalive, &self.config);
        self.await_pong(is_busy || self.has_backlog());
    }

    /// Starts the Pong deadline. If `is_excused`, deliveries restart it: the Ping has not left, or the Pong is not
    /// read.
    pub(super) fn await_pong(&mut self, is_excused: bool) {
        self.output.set_pong_excused(is_excused);
        self.output.take_progress();
        self.timers.set(Timer::Pong, self.config.pong_timeout);
    }

    /// Returns whether the backlog of a server is above the high-water mark, so that it does not read. A client always
    /// reads: two endpoints that stop reading would wait for each other for ever.
    #[inline]
    pub(super) fn has_backlog(&self) -> bool {
        self.output.undelivered() > self.config.high_water_mark && self.role() == Role::Server
    }

    /// Excuses a missing Pong if the backlog keeps the driver from reading it. Call it after queueing.
    #[inline]
    pub(super) fn note_backlog(&mut self) {
        if self.has_backlog() {
            self.output.set_pong_excused(true);
        }
    }
}
