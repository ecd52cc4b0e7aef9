//! The open connections of the blocking server, which the server closes when it ends.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sansocket_net::{CloseCode, Writer};

use crate::exit::Failure;
use crate::threads;

/// The open connections, and the thread that closes them.
#[derive(Debug)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Signals that a connection has ended.
    removed: Condvar,
    /// The closing thread receives the connections to close here.
    closing: Sender<Writer<TcpStream>>,
}

#[derive(Debug, Default)]
struct State {
    writers: HashMap<u64, Writer<TcpStream>>,
    next_number: u64,
    is_closing: bool,
}

impl Sessions {
    /// Starts the closing thread, which has nothing to do until [`close_all`](Self::close_all). At that time, the system may
    /// have no room for another thread.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(super) fn start() -> Result<Self, Failure> {
        let (closing, pending) = mpsc::channel::<Writer<TcpStream>>();
        threads::start("closing", move || {
            // `close` fails if the connection has ended already.
            pending.into_iter().for_each(|writer| drop(writer.close(CloseCode::GOING_AWAY, "")));
        })?;
        Ok(Self { state: Mutex::default(), removed: Condvar::new(), closing })
    }

    /// Adds a connection, which stays until the returned guard is dropped. Closes it if the server is ending.
    pub(super) fn add(&self, writer: Writer<TcpStream>) -> Session<'_> {
        let mut state = self.state();
        let number = state.next_number;
        state.next_number += 1;
        if state.is_closing {
            self.close(writer.clone());
        }
        state.writers.insert(number, writer);
        Session { sessions: self, number }
    }

    /// Closes every connection with code 1001. Waits until all have ended, but not longer than `timeout`.
    pub(super) fn close_all(&self, timeout: Duration) {
        let mut state = self.state();
        state.is_closing = true;
        state.writers.values().cloned().for_each(|writer| self.close(writer));
        drop(self.removed.wait_timeout_while(state, timeout, |state| !state.writers.is_empty()));
    }

    /// Hands a connection to the closing thread: `Writer::close` may wait for a client that does not read.
    fn close(&self, writer: Writer<TcpStream>) {
        // The closing thread receives for as long as `self` exists.
        let _ = self.closing.send(writer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one connection in the list of open connections.
#[derive(Debug)]
pub(super) struct Session<'a> {
    sessions: &'a Sessions,
    number: u64,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.sessions.state().writers.remove(&self.number);
        self.sessions.removed.notify_all();
    }
}
