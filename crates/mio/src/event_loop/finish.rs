//! The end of a turn: output is written, and each connection is prepared for what it needs next.

use std::mem;

use mio::Token;
use mio::event::Source;
use sansocket_drive::sansocket::ReadyState;

use super::EventLoop;
use crate::Error;
use crate::connection::{Connection, ConnectionId};
use crate::dispatch::Dispatch;
use crate::handler::Handler;
use crate::socket::NextStep;
use crate::socket::turn::{self, Driven};

/// Connections whose turn is finished at the end of a turn of the loop, and reports of what was not sent: as many of each.
const TURN_FINISHED: usize = 1024;

impl<H: Handler> EventLoop<H> {
    /// Finishes the turn of a dirty connection: writes its output and, unless it is then idle, prepares what it needs next.
    #[inline(always)]
    pub(super) fn finish_turn(&mut self, index: usize) {
        let now = self.connections.now;
        let entry = self.connections.entry_mut(index);
        entry.socket.flush(now);
        entry.socket.websocket().detach_scratch(&mut self.scratch);
        if entry.is_quiet() {
            entry.is_dirty = false;
        } else {
            self.finish_busy(index);
        }
    }

    /// Finishes the turn of a connection that is not idle: obeys its driver, and removes it if it has ended.
    #[inline(never)]
    fn finish_busy(&mut self, index: usize) {
        let now = self.connections.now;
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
            // A duplicate of the descriptor would keep it registered, under a token that another connection gets.
            let _ = dispatch.socket().deregister(self.poll.registry());
            if self.connections.remove(index) {
                self.resume_listeners();
            }
            return;
        }
        let congestion_ends = dispatch.connections.ends_congestion(index);
        if congestion_ends && dispatch.socket().driver.websocket().ready_state() == ReadyState::Open {
            dispatch.handler.on_writable(&mut Connection::new(dispatch.connections, index));
        }
        let connections = dispatch.connections;
        connections.arm(index);
        if congestion_ends || next == NextStep::Again {
            connections.schedule_again(index);
        }
        connections.entry_mut(index).is_dirty = false;
    }

    /// Finishes the turn of the dirty connections, and reports what was not sent.
    #[inline]
    pub(super) fn finish_dirty(&mut self) {
        if !(self.connections.dirty.is_empty() && self.connections.unsent.is_empty()) {
            self.finish_all_dirty();
        }
    }

    #[inline(never)]
    fn finish_all_dirty(&mut self) {
        self.is_clock_stale = true;
        // Connections that become dirty meanwhile (a handler sends from `on_writable`) have their turn next time, as have
        // those beyond the limit.
        mem::swap(&mut self.finishing, &mut self.connections.dirty);
        let count = self.finishing.len().min(TURN_FINISHED);
        for number in 0..count {
            let index = self.finishing[number] as usize;
            if self.connections.contains(index) {
                self.finish_turn(index);
            }
        }
        self.finishing.drain(..count);
        if !self.finishing.is_empty() {
            self.finishing.append(&mut self.connections.dirty);
            mem::swap(&mut self.finishing, &mut self.connections.dirty);
        }
        // What the handler sends in response waits for the next turn.
        let count = self.connections.unsent.len().min(TURN_FINISHED);
        let rest = self.connections.unsent.split_off(count);
        for (id, error) in mem::replace(&mut self.connections.unsent, rest) {
            if let Some(index) = self.connections.index(id) {
                self.connections.entry_mut(index).socket.clear_unsent();
                self.report_unsent(id, error.into());
            }
        }
    }

    /// Reports that something was not sent, unless the connection's `on_close` was called before.
    pub(super) fn report_unsent(&mut self, id: ConnectionId, error: Error) {
        if let Some(mut connection) = self.connections.get(id)
            && connection.ready_state() != ReadyState::Closed
        {
            self.handler.on_error(&mut connection, error);
        }
    }
}
