//! Executes the commands of handles: in order, a bounded number in each turn.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sansocket_connect::ResolvedLookup;

use super::EventLoop;
use crate::Error;
use crate::connection_id::ConnectionId;
use crate::handler::{Connection, Handler};
use crate::mailbox::{Command, Connect, TURN_COMMANDS};

/// While the log of publications has this many messages, or payload bytes, the mailbox keeps further ones, and the
/// commands behind them, except one in each turn.
const LOG_MESSAGES: usize = 1024;
const LOG_BYTES: usize = 1024 * 1024;

impl<H: Handler> EventLoop<H> {
    /// Stops the loop, as [`Handle::stop`](crate::Handle::stop) asked. First executes one turn's budget of commands,
    /// whose messages precede the Close frames.
    #[cold]
    pub(super) fn execute_stop(&mut self) {
        self.stop_requested.store(false, Relaxed);
        if !self.connections.table.is_stopping {
            self.execute_commands();
            self.has_other_work |= self.has_commands;
            self.connections.stop();
        }
    }

    /// Executes up to one turn's budget of commands, in order.
    #[inline(never)]
    pub(super) fn execute_commands(&mut self) {
        self.is_clock_stale = true;
        let mailboxes = Arc::clone(&self.connections.mailboxes);
        let Some(mailbox) = mailboxes.get(self.thread) else { return };
        let has_more = mailbox.take(&mut self.commands, TURN_COMMANDS);
        let (mut done, mut bytes) = (0, 0);
        while let Some(command) = self.commands.pop_front() {
            let publications = &self.connections.table.publications;
            let is_log_full = publications.len() >= LOG_MESSAGES || publications.payload_len() >= LOG_BYTES;
            // one command is executed in any case: handlers may fill the log in each turn
            if is_log_full && done > 0 && matches!(command, Command::Publish(..)) {
                self.commands.push_front(command);
                break;
            }
            done += 1;
            bytes += command.payload_len();
            self.execute(command);
        }
        mailbox.finish(done, bytes);
        self.has_commands = has_more || !self.commands.is_empty();
    }

    /// Executes a command. A command to a connection that has ended does nothing.
    fn execute(&mut self, command: Command<H::Data, H::Event>) {
        let (id, result) = match command {
            Command::Publish(group, message) => return self.connections.table.publish(group.as_ref(), message),
            Command::Send(id, message) => {
                (id, self.with_connection(id, |connection| connection.send(message).map_err(Error::from)))
            }
            #[cfg(feature = "deflate")]
            Command::SendWith(id, message, compress) => {
                let send = |connection: &mut Connection<'_, H>| connection.send_with(message, compress);
                (id, self.with_connection(id, |connection| send(connection).map_err(Error::from)))
            }
            Command::SendEncoded(id, message) => {
                (id, self.with_connection(id, |connection| connection.send_encoded(&message).map_err(Error::from)))
            }
            Command::Close(id, code, reason) => {
                (id, self.with_connection(id, |connection| connection.close(code, &reason).map_err(Error::from)))
            }
            Command::Event(event) => return self.handler.on_event(&mut self.connections, event),
            Command::Connect(connect) => return self.execute_connect(*connect),
            Command::Resolved(id, resolved) => return self.execute_resolved(id, resolved),
            Command::Adopt(adopted) => {
                let (socket, data) = *adopted;
                // A loop that is stopping drops the socket, which aborts the connection.
                let _ = self.connections.adopt(socket, data);
                return;
            }
            Command::Serve(client) => return self.take_over(client),
            Command::Abort(id) => {
                let abort = |connection: &mut Connection<'_, H>| {
                    connection.abort();
                    Ok(())
                };
                (id, self.with_connection(id, abort))
            }
            Command::Answer(id, answer) => {
                (id, self.with_connection(id, |connection| connection.answer_in_time(*answer)))
            }
        };
        if let Err(error) = result {
            self.report_unsent(id, error);
        }
    }

    fn execute_connect(&mut self, Connect { connector, target, data }: Connect<H::Data>) {
        match self.connections.table.begin_connecting(&connector, target) {
            Ok(socket) => _ = self.connections.table.insert_client(socket, data),
            Err(error) => self.handler.on_connect_error(&mut self.connections, data, error),
        }
    }

    /// Reports the result of a lookup, unless the connection has ended.
    fn execute_resolved(&mut self, id: ConnectionId, resolved: ResolvedLookup) {
        let table = &mut self.connections.table;
        if let Some(index) = table.index(id) {
            table.entries[index].socket.resolved(resolved);
            table.mark_unfinished(index);
        }
    }

    /// Calls `change` with a connection, unless it has ended.
    fn with_connection(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection<'_, H>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.connections.get(id).map_or(Ok(()), |mut connection| change(&mut connection))
    }

    /// Refuses all further commands with `Stopped`, and drops those that are pending.
    pub(super) fn close_mailbox(&mut self) {
        let mut dropped = mem::take(&mut self.commands);
        if let Some(mailbox) = self.connections.mailboxes.get(self.thread) {
            dropped.append(&mut mailbox.close());
        }
        for command in dropped {
            if let Command::Serve(client) = command {
                self.refuse(client);
            }
        }
    }
}
