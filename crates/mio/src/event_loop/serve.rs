//! Serves the connections of a loop (readiness events, turns that left work, deadlines, timers), and finishes their
//! turns: writes their output, and registers their next interest and deadline.

use std::mem;

use mio::event::{self, Source};
use mio::{Events, Token};
use sansocket_drive::sansocket::ReadyState;

use super::dispatch::Dispatch;
use super::{EventLoop, MAILBOX};
use crate::Error;
use crate::connection_id::ConnectionId;
use crate::handler::{Connection, Handler};
use crate::send_scratch;
use crate::socket::NextStep;
use crate::socket::turn::{self, Driven};

/// Unfinished connections that get another turn in one turn of the loop.
const TURN_UNFINISHED: usize = 256;
/// Deadlines examined in one turn.
const TURN_DEADLINES: usize = 1024;
/// Timers of the handler reported in one turn.
const TURN_TIMERS: usize = 1024;
/// Connections to which published messages are delivered in one turn.
const TURN_DELIVERIES: usize = 1024;
/// Connections whose turns are finished at the end of a turn of the loop; also, reports of failed sends.
const TURN_FINISHED: usize = 1024;

impl<H: Handler> EventLoop<H> {
    #[inline]
    pub(super) fn serve_events(&mut self, events: &Events) {
        for event in events {
            self.is_clock_stale = true;
            let token = event.token();
            // A stale event for a connection that has ended may serve a new one in the same slot, which is harmless.
            if !self.serve(token.0, Some(event)) {
                self.note_wakeup(token);
            }
        }
    }

    /// Notes an event of the mailbox or of a listener, for [`serve_others`](Self::serve_others).
    fn note_wakeup(&mut self, token: Token) {
        if token == MAILBOX {
            (self.has_commands, self.has_other_work) = (true, true);
            // another loop may have closed a connection of a shared listener that had reached its `max_connections`
            self.resume_listeners();
        } else if let Some(listener) = self.listeners.get_mut(MAILBOX.0 - 1 - token.0) {
            listener.note();
            (self.may_accept, self.has_other_work) = (true, true);
        }
    }

    /// Gives a connection a turn, for an event or for work that its last turn left. Returns whether it exists.
    #[inline(always)]
    fn serve(&mut self, index: usize, event: Option<&event::Event>) -> bool {
        let Some(entry) = self.connections.table.entries.get_mut(index) else { return false };
        match event {
            Some(event) => entry.socket.note(event),
            None => entry.is_unfinished = false,
        }
        // Set while the connection is served: this turn writes what its own events make it send.
        let was_dirty = mem::replace(&mut entry.is_dirty, true);
        entry.socket.websocket().attach_scratch(&mut self.scratch);
        let now = self.connections.table.now;
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        if event.is_none() {
            turn::dispatch_pending(&mut dispatch, now);
        }
        turn::read(&mut dispatch, &mut self.buffer, now);
        // If connections send to each other, the end of the loop's turn writes all messages of each together.
        let table = &mut self.connections.table;
        if !was_dirty && table.dirty.is_empty() && table.publications.is_empty() {
            self.finish_turn(index);
            return true;
        }
        if !was_dirty {
            table.dirty.push(index as u32);
        }
        if let Some(entry) = table.entries.get_mut(index) {
            send_scratch::release(entry.socket.websocket(), &mut self.scratch);
        }
        true
    }

    /// Gives another turn to connections whose last turn left work, in the order of their last turns.
    #[inline(never)]
    pub(super) fn serve_unfinished(&mut self) {
        self.is_clock_stale = true;
        for _ in 0..self.connections.table.unfinished.len().min(TURN_UNFINISHED) {
            if let Some(index) = self.connections.table.unfinished.pop_front() {
                self.serve(index as usize, None);
            }
        }
    }

    /// Serves the listeners and the mailbox.
    #[inline(never)]
    pub(super) fn serve_others(&mut self) {
        self.is_clock_stale = true;
        if self.may_accept {
            self.accept();
        }
        if self.has_commands {
            self.execute_commands();
        }
        self.has_other_work = self.may_accept || self.has_commands;
    }

    /// Handles what is due: deadlines of connections, that of a stop, and the handler's timers.
    #[inline(never)]
    pub(super) fn expire_deadlines(&mut self) {
        self.is_clock_stale = true;
        let now = self.connections.table.now;
        for _ in 0..TURN_DEADLINES {
            let Some(due) = self.connections.table.pop_due() else { break };
            let Some(index) = due else { continue };
            if self.connections.table.entries[index].socket.is_due(now) {
                let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
                turn::handle_timeout(&mut dispatch, Some(&mut self.buffer), now);
                self.connections.table.mark_dirty(index);
            } else {
                self.connections.table.arm(index);
            }
        }
        self.connections.table.expire_stop_timeout();
        self.fire_timers();
    }

    /// Calls the handler for timers that are due, a bounded number.
    fn fire_timers(&mut self) {
        let now = self.connections.table.now;
        for _ in 0..TURN_TIMERS {
            let Some((owner, key)) = self.connections.table.timers.pop_due(now) else { return };
            let Some(index) = owner else {
                self.handler.on_loop_timer(&mut self.connections, key);
                continue;
            };
            let index = index as usize;
            if self.connections.table.entries[index].socket.driver.websocket().has_pending_event() {
                // an adopted connection reports its Open event first
                let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
                turn::dispatch_pending(&mut dispatch, now);
                self.connections.table.mark_dirty(index);
            }
            let connection = &mut Connection::new(&mut self.connections, index);
            // no call follows `on_close`
            if connection.ready_state() != ReadyState::Closed {
                self.handler.on_timer(connection, key);
            }
        }
    }

    /// Delivers published messages to a bounded number of members, and writes them.
    #[inline(never)]
    pub(super) fn deliver_publications(&mut self) {
        self.is_clock_stale = true;
        self.connections.table.publications.seal();
        for _ in 0..TURN_DELIVERIES {
            let Some(index) = self.connections.table.publications.next_receiver() else { return };
            self.deliver_to(index as usize);
        }
    }

    /// Delivers published messages to a connection, if it exists. The end of the turn writes the output of one that is
    /// dirty already, and reports a failure.
    fn deliver_to(&mut self, index: usize) {
        let table = &mut self.connections.table;
        let Some(entry) = table.entries.get_mut(index) else { return };
        if mem::replace(&mut entry.is_dirty, true) {
            table.take_publications(index);
            return;
        }
        entry.socket.websocket().attach_scratch(&mut self.scratch);
        if table.take_publications(index) {
            self.finish_turn(index);
        } else {
            self.connections.table.dirty.push(index as u32);
            let entry = &mut self.connections.table.entries[index];
            send_scratch::release(entry.socket.websocket(), &mut self.scratch);
        }
    }

    /// Finishes the turn of a dirty connection: writes its output and, unless it is then idle, registers what it needs
    /// next.
    #[inline(always)]
    pub(super) fn finish_turn(&mut self, index: usize) {
        let now = self.connections.table.now;
        let entry = &mut self.connections.table.entries[index];
        entry.socket.flush(now);
        entry.socket.websocket().detach_scratch(&mut self.scratch);
        if entry.is_quiet() {
            entry.is_dirty = false;
        } else {
            self.finish_busy(index);
        }
    }

    /// Finishes the turn of a connection that is not idle: does what its driver demands, and removes it if it has
    /// ended.
    #[inline(never)]
    fn finish_busy(&mut self, index: usize) {
        let now = self.connections.table.now;
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        let mut next = turn::finish_written(&mut dispatch, now);
        if next != NextStep::End
            && let Err(error) = dispatch.socket().update(self.poll.registry(), Token(index))
        {
            dispatch.socket().driver.read_lost(error, now);
            turn::dispatch_pending(&mut dispatch, now);
            next = NextStep::End;
        }
        if next == NextStep::End {
            return self.end(index);
        }
        if dispatch.socket().is_connecting() {
            self.connections.look_up(index);
        }
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        let congestion_ends = dispatch.connections.table.ends_congestion(index);
        if congestion_ends && dispatch.socket().driver.websocket().ready_state() == ReadyState::Open {
            dispatch.handler.on_writable(&mut Connection::new(dispatch.connections, index));
        }
        let table = &mut dispatch.connections.table;
        table.arm(index);
        if congestion_ends || next == NextStep::Again {
            table.mark_unfinished(index);
        }
        table.entries[index].is_dirty = false;
    }

    /// Removes a connection whose transport has ended, unless it is a client that connects again.
    fn end(&mut self, index: usize) {
        let table = &mut self.connections.table;
        // A duplicate of the descriptor would keep it registered, under a token that another connection gets.
        let _ = table.entries[index].socket.deregister(self.poll.registry());
        if let Some(reconnection) = table.reconnect(index) {
            return self.handler.on_reconnect(&mut Connection::new(&mut self.connections, index), reconnection);
        }
        let failure = table.entries[index].socket.take_dial_error();
        let (data, was_full) = table.remove(index);
        if was_full {
            self.connections.wake_other_loops();
            self.resume_listeners();
        }
        if let Some(error) = failure {
            self.handler.on_connect_error(&mut self.connections, data, error);
        }
    }

    /// Finishes the turns of the dirty connections, and reports failed sends.
    #[inline]
    pub(super) fn finish_dirty(&mut self) {
        let table = &self.connections.table;
        if !(table.dirty.is_empty() && table.unsent.is_empty()) {
            self.finish_all_dirty();
        }
    }

    #[inline(never)]
    fn finish_all_dirty(&mut self) {
        self.is_clock_stale = true;
        self.report_all_unsent();
        // The next turn finishes those that become dirty meanwhile (a handler sends from `on_writable`), and those
        // beyond the limit.
        mem::swap(&mut self.finishing, &mut self.connections.table.dirty);
        let count = self.finishing.len().min(TURN_FINISHED);
        for number in 0..count {
            let index = self.finishing[number] as usize;
            if self.connections.table.entries.contains(index) {
                self.finish_turn(index);
            }
        }
        self.finishing.drain(..count);
        let table = &mut self.connections.table;
        if !self.finishing.is_empty() {
            self.finishing.append(&mut table.dirty);
            mem::swap(&mut self.finishing, &mut table.dirty);
        }
    }

    /// Reports a bounded number of failed sends, before the connections end that were aborted because of one.
    fn report_all_unsent(&mut self) {
        let table = &mut self.connections.table;
        let count = table.unsent.len().min(TURN_FINISHED);
        let rest = table.unsent.split_off(count);
        for (id, error) in mem::replace(&mut table.unsent, rest) {
            let table = &mut self.connections.table;
            if let Some(index) = table.index(id) {
                table.entries[index].socket.clear_unsent();
                self.report_unsent(id, error.into());
            }
        }
    }

    /// Reports a failed send, unless the connection's `on_close` was called before.
    pub(super) fn report_unsent(&mut self, id: ConnectionId, error: Error) {
        if let Some(mut connection) = self.connections.get(id)
            && connection.ready_state() != ReadyState::Closed
        {
            self.handler.on_error(&mut connection, error);
        }
    }
}
