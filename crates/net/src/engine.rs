//! The core, and what it said that the application has not heard yet.
//!
//! Whatever thread hands the core bytes or the time may be the one that learns of a failure or of the end. What it learns
//! waits here until the application reads: first the failure, once TCP has ended in good order, then the Close event.

use std::io;
use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{Close, Event, Input, ReadyState, SendError, Transport, WebSocket};

use crate::Error;
use crate::clock;
use crate::stream::is_end;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) core: WebSocket,
    failure: Option<Failure>,
    is_failure_reported: bool,
    close: Option<Close>,
    /// TCP has ended, or been ended, and the core knows.
    has_ended: bool,
}

#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Peer(sansocket::Error),
}

impl Engine {
    pub(crate) fn new(core: WebSocket) -> Self {
        Self { core, failure: None, is_failure_reported: false, close: None, has_ended: false }
    }

    /// Takes bytes up to the next event. A failure is kept for `report`.
    pub(crate) fn receive<'b>(&mut self, input: &mut Input<'b>) -> Option<Event<'b>> {
        match self.core.receive(input, clock::now()) {
            Ok(Some(Event::Close(close))) => {
                self.close = Some(close);
                None
            }
            Ok(event) => event,
            Err(error) => {
                self.fail(Failure::Peer(error));
                None
            }
        }
    }

    /// Lets deadlines that have come take effect; returns whether there was one.
    pub(crate) fn tick(&mut self) -> bool {
        let now = clock::now();
        let is_due = self.core.poll_timeout().is_some_and(|deadline| deadline <= now);
        if is_due {
            let result = self.core.handle_timeout(now);
            self.note(result);
        }
        is_due
    }

    /// TCP has ended.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
        loop {
            match self.core.receive_eof(clock::now()) {
                // what came before is read before TCP is, unless a deadline has cut it off
                Ok(Some(event)) => self.note(Ok(Some(event))),
                result => return self.note(result),
            }
        }
    }

    /// TCP was lost. That the peer ended it rudely is told by the Close event; anything else is an error first.
    pub(crate) fn lose(&mut self, error: io::Error) {
        if !is_end(&error) {
            self.fail(Failure::Io(error));
        }
        self.end();
    }

    /// Calls a sending method of the core's.
    pub(crate) fn queue(&mut self, send: impl FnOnce(&mut WebSocket) -> Result<(), SendError>) -> Result<(), Error> {
        if self.tick()
            && let Some(failure) = &self.failure
        {
            return Err(failure.into());
        }
        send(&mut self.core).map_err(Error::Send)
    }

    /// What the application is to hear, once TCP has ended: the failure, then the Close event, then `None` for ever.
    pub(crate) fn report(&mut self) -> Option<Result<Option<Event<'static>>, Error>> {
        if !self.has_ended {
            return None;
        }
        if !std::mem::replace(&mut self.is_failure_reported, true)
            && let Some(failure) = &self.failure
        {
            return Some(Err(failure.into()));
        }
        Some(Ok(self.close.take().map(Event::Close)))
    }

    /// Why what was queued did not leave, if that is known.
    pub(crate) fn reason_not_sent(&self) -> Error {
        match &self.failure {
            Some(failure) => failure.into(),
            None => Error::Send(SendError::NotOpen(self.core.ready_state())),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(crate) fn has_output(&mut self) -> bool {
        self.core.output().has_remaining()
    }

    pub(crate) fn transport(&self) -> Transport {
        self.core.transport()
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        self.core.ready_state()
    }

    /// How long to wait for the transport before the next deadline.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.core.poll_timeout().map(clock::until)
    }

    fn note(&mut self, result: Result<Option<Event<'static>>, sansocket::Error>) {
        match result {
            Ok(Some(Event::Close(close))) => self.close = Some(close),
            Ok(_) => {}
            Err(error) => self.fail(Failure::Peer(error)),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }
}

impl From<&Failure> for Error {
    fn from(failure: &Failure) -> Self {
        match failure {
            // an io::Error cannot be cloned, and two threads may ask
            Failure::Io(error) => Self::Io(io::Error::new(error.kind(), error.to_string())),
            Failure::Peer(error) => Self::Peer(error.clone()),
        }
    }
}
