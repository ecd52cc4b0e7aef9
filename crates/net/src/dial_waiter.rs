//! Waits for what a client that dials needs next: the result of a lookup, or readiness of a stream.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use mio::{Events, Poll, Token};
use sansocket_connect::{Dialing, ResolvedLookup};
use sansocket_drive::Clock;

/// The most events that are taken at a time; the rest follows.
const EVENTS: usize = 16;

/// Waits for a [`Dialing`].
#[derive(Default)]
pub(crate) struct DialWaiter {
    /// The lookup that goes on in another thread.
    lookup: Option<Receiver<ResolvedLookup>>,
    /// Made for the first stream.
    poll: Option<(Poll, Events)>,
}

impl DialWaiter {
    /// Waits until the dial may be able to go on.
    pub(crate) fn wait(&mut self, dialing: &mut Dialing, clock: Clock) -> io::Result<()> {
        if let Some(lookup) = dialing.take_lookup() {
            let (sender, receiver) = mpsc::channel();
            // A lookup cannot be canceled: a thread lets the opening timeout end the wait.
            thread::Builder::new().name("sansocket lookup".into()).spawn(move || sender.send(lookup.resolve()))?;
            self.lookup = Some(receiver);
        }
        let wait = clock.until(dialing.poll_timeout());
        // while a name is looked up, there are no streams
        if let Some(lookup) = &self.lookup {
            match lookup.recv_timeout(wait) {
                Ok(resolved) => {
                    self.lookup = None;
                    dialing.resolved(resolved);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.lookup = None,
            }
            return Ok(());
        }
        let (poll, events) = match &mut self.poll {
            Some(poll) => poll,
            None => self.poll.insert((Poll::new()?, Events::with_capacity(EVENTS))),
        };
        dialing.register(poll.registry(), Token(0))?;
        match poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}
