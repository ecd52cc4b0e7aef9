//! The sending direction of a split connection, which its threads share.
//!
//! Two locks. `engine` is the core's, held for as long as the core computes and never while a stream is waited for.
//! `writing` is the stream's sending direction. Bytes leave the core only by a thread that holds `writing`, and stay with
//! it (`staged`) until they are written, so that they leave in the order in which they were queued. Who needs both takes
//! `writing` first. The reader never waits for a writer that waits for the peer, before the peer has ended: it writes Pongs
//! and the like only if `writing` is free and the stream takes them at once. Otherwise whoever holds `writing` looks again
//! before it goes, or the reader tries again soon.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use sansocket::TransportAction;

use crate::direct::{Direct, LAST_WRITE};
use crate::engine::Engine;
use crate::stream::{Timeout, is_timeout};
use crate::{Error, Stream};

/// The most that is taken from the core for one write, in bytes.
const STAGE: usize = 64 * 1024;
/// How long the reader waits for a stream that takes nothing, when it writes.
const READER_WRITE: Duration = Duration::from_millis(1);

/// What the reader and the writers have in common.
pub(crate) struct Shared<S> {
    engine: Mutex<Engine>,
    writing: Mutex<Writing<S>>,
    /// No thread waits longer than this without a look at the deadlines. It is the closing timeout, so that who began to
    /// wait before the other called `close` wakes before that deadline comes.
    pub(crate) glance: Duration,
}

struct Writing<S> {
    stream: S,
    /// Taken from the core, not yet written.
    staged: BytesMut,
    timeout: Timeout,
    /// The stream has taken bytes that it may not have passed on.
    is_unflushed: bool,
    /// The sending direction is gone, or was ended.
    is_ended: bool,
}

/// How long a thread stays to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// A writer: until nothing is left.
    Empty,
    /// The reader, when the peer takes too little for it to read on: until there is room.
    Room,
    /// The reader otherwise: until the stream takes no more.
    StreamIsFull,
}

/// How it ended, if not with an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    Enough,
    /// The stream takes no more for now.
    Some,
}

impl<S: Stream> Shared<S> {
    /// Of a connection that one thread had.
    pub(crate) fn new(link: Direct<S>, glance: Duration) -> Self {
        let writing = Writing {
            stream: link.stream,
            staged: BytesMut::new(),
            timeout: Timeout::default(),
            is_unflushed: link.is_unflushed,
            is_ended: link.is_write_ended,
        };
        Self { engine: Mutex::new(link.engine), writing: Mutex::new(writing), glance }
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Writing<S>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same once TCP has ended, if whoever holds it lets go in time: what a thread waits for may be a stream that the end
    /// of TCP does not wake.
    fn writing_in_time(&self, time: Duration) -> Option<MutexGuard<'_, Writing<S>>> {
        loop {
            match self.writing.try_lock() {
                Ok(writing) => return Some(writing),
                Err(TryLockError::Poisoned(writing)) => return Some(writing.into_inner()),
                Err(TryLockError::WouldBlock) if self.engine().is_over_for(time) => return None,
                Err(TryLockError::WouldBlock) => thread::sleep(READER_WRITE),
            }
        }
    }

    /// Lets output go, as far as `until` says.
    pub(crate) fn flush(&self, until: Until) -> Result<Flushed, Error> {
        loop {
            let mut writing = match self.writing.try_lock() {
                Ok(writing) => writing,
                Err(TryLockError::Poisoned(writing)) => writing.into_inner(),
                Err(TryLockError::WouldBlock) if until == Until::StreamIsFull => return Ok(Flushed::Enough),
                Err(TryLockError::WouldBlock) => self.writing(),
            };
            let flushed = writing.write_output(self, until)?;
            let is_ended = writing.is_ended;
            drop(writing);
            if flushed == Flushed::Some || until == Until::Room || is_ended {
                return Ok(flushed);
            }
            // the reader may have left output, or to end this direction, to this thread after its last look
            let mut engine = self.engine();
            if !engine.has_output() && engine.transport() != TransportAction::ShutdownWrite {
                return Ok(flushed);
            }
        }
    }

    /// TCP has ended: what waits may still leave, within the time of the closing handshake.
    pub(crate) fn flush_last(&self) {
        if let Some(mut writing) = self.writing_in_time(self.glance) {
            let _ = writing.write_output(self, Until::Empty);
        }
    }

    /// TCP is closed: what a writer still holds has not left.
    pub(crate) fn cut_off(&self) {
        let writing = self.writing_in_time(self.glance.saturating_add(LAST_WRITE));
        if writing.is_none_or(|writing| writing.holds_bytes()) {
            self.engine().cut_off();
        }
    }
}

impl<S: Stream> Writing<S> {
    fn write_output(&mut self, shared: &Shared<S>, until: Until) -> Result<Flushed, Error> {
        let mut progress = Instant::now();
        loop {
            // a peer that takes a little at a time has no more of it than the closing handshake
            let (has_ended, is_late) = {
                let engine = shared.engine();
                (engine.has_ended(), engine.is_over_for(shared.glance))
            };
            let Some(patience) = self.stage(&mut shared.engine(), until, progress.elapsed())? else {
                return Ok(Flushed::Enough);
            };
            let wait = match until {
                Until::StreamIsFull => READER_WRITE,
                Until::Empty | Until::Room if has_ended => LAST_WRITE,
                Until::Empty | Until::Room => patience.min(shared.glance),
            };
            let written = if is_late { Err(ErrorKind::TimedOut.into()) } else { self.write_some(wait) };
            match written {
                Ok(()) => progress = Instant::now(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && until == Until::StreamIsFull => return Ok(Flushed::Some),
                Err(error) if is_timeout(&error) && !has_ended => {
                    shared.engine().tick_stalled(progress.elapsed());
                }
                Err(error) => {
                    self.is_ended = true;
                    return Err(error.into());
                }
            }
        }
    }

    /// Takes output from the core, and does to TCP what it asks for. Returns how long it may take to write what is
    /// staged; `None` if there is nothing to write, or no need.
    fn stage(&mut self, engine: &mut Engine, until: Until, stalled: Duration) -> Result<Option<Duration>, Error> {
        if self.is_ended {
            return self.ended(engine);
        }
        if self.staged.is_empty() {
            if until == Until::Room && engine.core.wants_read() {
                return Ok(None);
            }
            self.staged.put(engine.core.output().take(STAGE));
        }
        match engine.transport() {
            // if it was the peer that ended TCP, what is staged may still reach it
            TransportAction::Close if !(engine.has_ended() && self.holds_bytes()) => {
                self.is_ended = true;
                let _ = self.stream.shutdown_both();
                engine.end();
                self.ended(engine)
            }
            TransportAction::ShutdownWrite if !self.holds_bytes() => {
                self.is_ended = true;
                let _ = self.stream.shutdown_write();
                Ok(None)
            }
            _ if !self.holds_bytes() => Ok(None),
            _ => Ok(Some(engine.write_patience(stalled).unwrap_or(Duration::MAX))),
        }
    }

    fn holds_bytes(&self) -> bool {
        self.is_unflushed || !self.staged.is_empty()
    }

    /// Nothing more can be written. An error if something was to be; what the core has abandoned stays counted as buffered.
    fn ended(&self, engine: &mut Engine) -> Result<Option<Duration>, Error> {
        let is_cut_off = self.holds_bytes() || engine.has_output() || engine.core.buffered_amount() > 0;
        if is_cut_off { Err(engine.reason_not_sent()) } else { Ok(None) }
    }

    fn write_some(&mut self, wait: Duration) -> io::Result<()> {
        self.timeout.set(Some(wait), |timeout| self.stream.set_write_timeout(timeout))?;
        if !self.staged.is_empty() {
            let count = self.stream.write(&self.staged)?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.is_unflushed = true;
            self.staged.advance(count);
        }
        if self.staged.is_empty() {
            self.stream.flush()?;
            self.is_unflushed = false;
        }
        Ok(())
    }
}
