//! Who is connected to the blocking server, so that each can be told when it goes.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sansocket_net::{CloseCode, Writer};

/// What a thread needs that does no more than close.
const STACK: usize = 64 * 1024;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Guests {
    present: Mutex<Present>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Present {
    writers: HashMap<u64, Writer<TcpStream>>,
    entered: u64,
    is_closing: bool,
}

impl Guests {
    /// A connection has opened; it counts until what this returns is dropped.
    pub(super) fn enter(&self, writer: Writer<TcpStream>) -> Guest<'_> {
        let mut present = self.present();
        present.entered += 1;
        let number = present.entered;
        if present.is_closing {
            say_goodbye(writer.clone());
        }
        present.writers.insert(number, writer);
        Guest { guests: self, number }
    }

    /// Closes every connection with 1001, and waits until all have closed, but no longer than this.
    pub(super) fn close_all(&self, patience: Duration) {
        let mut present = self.present();
        present.is_closing = true;
        present.writers.values().cloned().for_each(say_goodbye);
        drop(self.left.wait_timeout_while(present, patience, |present| !present.writers.is_empty()));
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a thread of its own, for it takes as long as the client takes to read, and no client is to wait for another.
fn say_goodbye(writer: Writer<TcpStream>) {
    let goodbye = move || drop(writer.close(CloseCode::GOING_AWAY, ""));
    // Without a thread there is no goodbye, but the end of the process ends TCP.
    let _ = thread::Builder::new().stack_size(STACK).spawn(goodbye);
}

/// One connection's presence.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    guests: &'a Guests,
    number: u64,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.guests.present().writers.remove(&self.number);
        self.guests.left.notify_all();
    }
}
