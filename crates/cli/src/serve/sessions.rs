//! The open connections of the blocking server, which the server closes when it ends.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sansocket_net::{CloseCode, Writer};

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Signals that a connection has ended.
    removed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A connection whose opening handshake is being answered has no writer yet.
    writers: HashMap<u64, Option<Writer<TcpStream>>>,
    next_number: u64,
    is_closing: bool,
}

impl Sessions {
    /// Adds a connection, which stays until the returned guard is dropped.
    ///
    /// The server adds it before it answers the opening handshake, so that no client that is open misses its Close.
    pub(super) fn add(&self) -> Session<'_> {
        let mut state = self.state();
        let number = state.next_number;
        state.next_number += 1;
        state.writers.insert(number, None);
        Session { sessions: self, number }
    }

    /// Closes every connection with code 1001. Waits until all have ended, but not longer than `timeout`.
    pub(super) fn close_all(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        state.is_closing = true;
        let writers: Vec<_> = state.writers.values().flatten().cloned().collect();
        // Connections that end meanwhile do not wait for the others to be closed.
        drop(state);
        writers.iter().take_while(|_| Instant::now() < deadline).for_each(close);
        let timeout = deadline.saturating_duration_since(Instant::now());
        drop(self.removed.wait_timeout_while(self.state(), timeout, |state| !state.writers.is_empty()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues the Close frame, and does not wait for the client: the connection's own thread does the rest.
fn close(writer: &Writer<TcpStream>) {
    // This fails if the connection has ended already.
    let _ = writer.close(CloseCode::GOING_AWAY, "");
}

/// Keeps one connection in the list of open connections.
#[derive(Debug)]
pub(super) struct Session<'a> {
    sessions: &'a Sessions,
    number: u64,
}

impl Session<'_> {
    /// Notes that the connection is open. Closes it if the server is ending.
    pub(super) fn open(&self, writer: Writer<TcpStream>) {
        let mut state = self.sessions.state();
        if state.is_closing {
            close(&writer);
        }
        state.writers.insert(self.number, Some(writer));
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.sessions.state().writers.remove(&self.number);
        self.sessions.removed.notify_all();
    }
}
