//! Waiting for events of many sockets.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sansocket_mio::mio::event::Source;
use sansocket_mio::mio::{Events, Interest, Poll, Token};

use crate::echo::SILENCE_MAX;

/// The maximum number of events of a poll.
const EVENTS_MAX: usize = 1024;
/// How long a poller polls without sleeping. While it sleeps, each write of the server has to wake it, which takes
/// processor time of the server that a client on another machine would not cost.
const SPIN: Duration = Duration::from_millis(1);

/// Interest in both directions: mio reports when a direction becomes ready, and not again while it stays ready.
pub(crate) const EDGES: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A poll of sockets that are known by index.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(EVENTS_MAX) })
    }

    /// Adds the socket with an index.
    pub(crate) fn add(&self, source: &mut impl Source, index: usize, interest: Interest) -> Result<()> {
        Ok(self.poll.registry().register(source, Token(index), interest)?)
    }

    /// Waits for events, and returns the index of each socket, with whether it can be written.
    ///
    /// # Errors
    ///
    /// If none has arrived for [`SILENCE_MAX`].
    pub(crate) fn poll(&mut self) -> Result<impl Iterator<Item = (usize, bool)>> {
        let start = Instant::now();
        let mut timeout = Duration::ZERO;
        loop {
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ if !self.events.is_empty() => break,
                _ => {}
            }
            let elapsed = start.elapsed();
            ensure!(elapsed < SILENCE_MAX, "no message has arrived for {} s", SILENCE_MAX.as_secs());
            if elapsed > SPIN {
                timeout = SILENCE_MAX - elapsed;
            }
        }
        Ok(self.events.iter().map(|event| (event.token().0, event.is_writable())))
    }
}
