//! The core, and what it said that the application has not heard yet.
//!
//! Whatever thread hands the core bytes or the time may be the one that learns of a failure or of the end. What it learns
//! waits here until the application reads: first the failure, once TCP has ended in good order, then the Close event.

use std::io;
use std::time::{Duration, Instant};

use sansocket::bytes::Buf;
use sansocket::{Close, Config, Event, Input, ReadyState, SendError, TransportAction, WebSocket};

use crate::Error;
use crate::clock;
use crate::stream::is_end;

/// How many reads may follow a deadline before it takes effect.
const LATE_READS: u32 = 64;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) core: WebSocket,
    failure: Option<Failure>,
    is_failure_reported: bool,
    close: Option<Close>,
    /// When TCP had ended, or been ended, and the core knew.
    end: Option<Instant>,
    /// How long the stream may take nothing.
    stall: Duration,
    /// Reads since a deadline has passed.
    late_reads: u32,
}

#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Peer(sansocket::Error),
}

impl Engine {
    pub(crate) fn new(core: WebSocket, config: &Config) -> Self {
        Self {
            core,
            failure: None,
            is_failure_reported: false,
            close: None,
            end: None,
            stall: config.pong_timeout,
            late_reads: 0,
        }
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

    /// A read found nothing: lets deadlines that have come take effect.
    pub(crate) fn tick(&mut self) {
        if self.is_overdue() {
            let result = self.core.handle_timeout(clock::now());
            self.note(result);
        }
    }

    /// A write has waited in vain, and the stream has taken nothing for this long: lets deadlines that have come take
    /// effect. While the connection is open, whoever writes gives up only a peer that takes nothing for as long as it may
    /// be silent: what it said may have arrived, unread.
    pub(crate) fn tick_stalled(&mut self, stalled: Duration) {
        if self.ready_state() != ReadyState::Open || stalled >= self.stall {
            self.tick();
        }
    }

    /// Whether to read before deadlines take effect. What has arrived counts, though a deadline has passed since the
    /// application last read; but a peer that never stops talking cannot put it off for ever.
    pub(crate) fn may_read(&mut self) -> bool {
        self.late_reads = if self.is_overdue() { self.late_reads + 1 } else { 0 };
        self.late_reads <= LATE_READS
    }

    fn is_overdue(&self) -> bool {
        self.core.poll_timeout().is_some_and(|deadline| deadline <= clock::now())
    }

    /// TCP has ended.
    pub(crate) fn end(&mut self) {
        self.end.get_or_insert_with(Instant::now);
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

    /// What the core gave to be sent last was not: our Close frame, if it had one to send.
    pub(crate) fn cut_off(&mut self) {
        if let Some(close) = &mut self.close {
            close.was_clean = false;
        }
    }

    /// Calls a sending method of the core's.
    pub(crate) fn queue(&mut self, send: impl FnOnce(&mut WebSocket) -> Result<(), SendError>) -> Result<(), Error> {
        send(&mut self.core).map_err(Error::Send)
    }

    /// What the application is to hear, once TCP has ended: the failure, then the Close event, then `None` for ever.
    pub(crate) fn report(&mut self) -> Option<Result<Option<Event<'static>>, Error>> {
        if !self.has_ended() {
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
            // the stream takes nothing more, which the core does not know yet
            None if self.ready_state() == ReadyState::Open => io::Error::from(io::ErrorKind::BrokenPipe).into(),
            None => Error::Send(SendError::NotOpen(self.core.ready_state())),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether TCP has ended longer ago than this.
    pub(crate) fn is_over_for(&self, time: Duration) -> bool {
        self.end.is_some_and(|end| end.elapsed() > time)
    }

    pub(crate) fn has_output(&mut self) -> bool {
        self.core.output().has_remaining()
    }

    pub(crate) fn transport(&self) -> TransportAction {
        self.core.transport()
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        self.core.ready_state()
    }

    /// How long to wait for the transport before the next deadline.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.core.poll_timeout().map(clock::until)
    }

    /// How long to wait for the stream to take output, which it has not for this long.
    pub(crate) fn write_patience(&self, stalled: Duration) -> Option<Duration> {
        let patience = self.patience()?;
        Some(match self.ready_state() {
            ReadyState::Open => patience.max(self.stall.saturating_sub(stalled)),
            _ => patience,
        })
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
