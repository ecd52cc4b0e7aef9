//! One connection for two threads: one reads, the other sends, neither makes the other wait.
//!
//! Two locks. `engine` is the core's, held for as long as the core computes and never while a stream is waited for.
//! `writing` is the stream's sending direction. Bytes leave the core only by a thread that holds `writing`, and stay with
//! it (`staged`) until they are written, so that they leave in the order in which they were queued. Who needs both takes
//! `writing` first. The reader never waits for a writer that waits for the peer, before the peer has ended: it writes Pongs
//! and the like only if `writing` is free and the stream takes them at once. Otherwise whoever holds `writing` looks again
//! before it goes, or the reader tries again soon.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sansocket::{CloseCode, Event, Extension, Message, MessageKind, Open, ReadyState, SendError, Transport};

use crate::buffers::{Buffers, Link};
use crate::direct::{Direct, LAST_WRITE};
use crate::engine::Engine;
use crate::stream::{Timeout, TryClone, is_end, is_timeout};
use crate::{Error, Stream, clock};

/// The most that is taken from the core for one write, in bytes.
const STAGE: usize = 64 * 1024;
/// How long the reader waits for a stream that takes nothing, when it writes.
const READER_WRITE: Duration = Duration::from_millis(1);
/// After how long the reader tries again.
const READER_RETRY: Duration = Duration::from_millis(20);
/// The least time after which a waiting thread looks whether the other has begun to close.
const MIN_GLANCE: Duration = Duration::from_millis(100);

/// The reading half of a connection; see [`WebSocket::split`](crate::WebSocket::split).
///
/// It drives the connection as [`WebSocket::read`](crate::WebSocket::read) does: keep it reading. To drop it ends TCP, for
/// without it neither a Ping nor a Close frame would be answered.
pub struct Reader<S: TryClone> {
    link: ReaderLink<S>,
    buffers: Buffers,
    open: Arc<Open>,
}

/// The sending half of a connection; see [`WebSocket::split`](crate::WebSocket::split).
///
/// Clones send over the same connection. Each message leaves whole, in the order in which the calls were made; fragments
/// of one message ([`send_fragment`](Self::send_fragment)) are one thread's to send. To drop it does not close.
pub struct Writer<S: TryClone> {
    shared: Arc<Shared<S>>,
    open: Arc<Open>,
}

impl<S: TryClone> Reader<S> {
    pub(crate) fn split(
        link: Direct<S>,
        buffers: Buffers,
        open: Open,
        closing_timeout: Duration,
    ) -> io::Result<(Self, Writer<S>)> {
        let stream = link.stream.try_clone()?;
        let open = Arc::new(open);
        let writing = Writing {
            stream: link.stream,
            staged: BytesMut::new(),
            timeout: Timeout::default(),
            is_unflushed: link.is_unflushed,
            is_ended: link.is_write_ended,
        };
        let shared = Arc::new(Shared {
            engine: Mutex::new(link.engine),
            writing: Mutex::new(writing),
            glance: closing_timeout.max(MIN_GLANCE),
        });
        let writer = Writer { shared: Arc::clone(&shared), open: Arc::clone(&open) };
        let link = ReaderLink { shared, stream, timeout: Timeout::default(), is_closed: false };
        Ok((Self { link, buffers, open }, writer))
    }

    /// Waits for the next event; see [`WebSocket::read`](crate::WebSocket::read).
    ///
    /// # Errors
    ///
    /// The connection failed; see there.
    pub fn read(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.buffers.next_event(&mut self.link)
    }

    /// The events that [`read`](Self::read) returns, each owning its memory, until there are no more.
    pub fn events(&mut self) -> impl Iterator<Item = Result<Event<'static>, Error>> {
        std::iter::from_fn(|| self.read().map(|event| event.map(Event::into_owned)).transpose())
    }

    /// Where in its life the connection is.
    pub fn ready_state(&self) -> ReadyState {
        self.link.shared.engine().ready_state()
    }

    /// The subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// The extensions in use.
    pub fn extensions(&self) -> &[Extension] {
        self.open.extensions()
    }

    /// The stream: its addresses and options.
    pub fn stream(&self) -> &S {
        &self.link.stream
    }
}

impl<S: TryClone> Drop for Reader<S> {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl<S: TryClone> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<S: TryClone> Writer<S> {
    /// Sends a message; see [`WebSocket::send`](crate::WebSocket::send). While other threads' messages fill the buffer
    /// ([`Config::max_buffered_amount`](sansocket::Config::max_buffered_amount)) it waits until they have left.
    ///
    /// # Errors
    ///
    /// See there.
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let mut message = Some(message.into());
        let result = self.send_when_there_is_room(|core| match message.take().map(|message| core.send(message)) {
            Some(Err(SendError::BufferFull(returned))) => {
                message = returned;
                Err(SendError::BufferFull(None))
            }
            result => result.unwrap_or(Ok(())),
        });
        match result {
            Err(Error::Send(SendError::BufferFull(None))) => {
                Err(SendError::BufferFull(message.map(Message::into_owned)).into())
            }
            result => result,
        }
    }

    /// Sends a message that others share; see [`WebSocket::send_shared`](crate::WebSocket::send_shared).
    ///
    /// # Errors
    ///
    /// See there.
    pub fn send_shared(&self, kind: MessageKind, payload: Bytes) -> Result<(), Error> {
        self.send_when_there_is_room(|core| core.send_shared(kind, payload.clone()))
    }

    /// Sends a fragment of a message; see [`WebSocket::send_fragment`](crate::WebSocket::send_fragment).
    ///
    /// # Errors
    ///
    /// See there.
    pub fn send_fragment(&self, kind: MessageKind, payload: &[u8], last: bool) -> Result<(), Error> {
        self.send_when_there_is_room(|core| core.send_fragment(kind, payload, last))
    }

    /// Sends a Ping; see [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    ///
    /// See there.
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_when_there_is_room(|core| core.ping(payload))
    }

    /// Sends a Pong that answers nothing; see [`WebSocket::pong`](crate::WebSocket::pong).
    ///
    /// # Errors
    ///
    /// See there.
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_when_there_is_room(|core| core.pong(payload))
    }

    /// Begins to close; see [`WebSocket::close`](crate::WebSocket::close). The reader sees it through, within
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout).
    ///
    /// # Errors
    ///
    /// See there.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.shared.engine().queue(|core| core.close(code, reason, clock::now()))?;
        // whether it left, and how the connection ended, is told by the reader
        let _ = self.shared.flush(Until::Empty);
        Ok(())
    }

    /// Where in its life the connection is.
    pub fn ready_state(&self) -> ReadyState {
        self.shared.engine().ready_state()
    }

    /// Payload bytes of messages that were sent, by any thread, and that have not begun to leave.
    pub fn buffered_amount(&self) -> usize {
        self.shared.engine().core.buffered_amount()
    }

    /// The subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// The extensions in use.
    pub fn extensions(&self) -> &[Extension] {
        self.open.extensions()
    }

    /// Queues something, if need be after what other threads have queued has left, and lets it leave.
    fn send_when_there_is_room(
        &self,
        mut send: impl FnMut(&mut sansocket::WebSocket) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        loop {
            let (was_empty, result) = {
                let mut engine = self.shared.engine();
                (!engine.has_output(), engine.queue(&mut send))
            };
            match result {
                Err(Error::Send(SendError::BufferFull(_))) if !was_empty => {}
                Ok(()) => return self.shared.flush(Until::Empty).map(drop),
                Err(error) => return Err(error),
            }
            self.shared.flush(Until::Empty)?;
        }
    }
}

impl<S: TryClone> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), open: Arc::clone(&self.open) }
    }
}

impl<S: TryClone> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

struct Shared<S> {
    engine: Mutex<Engine>,
    writing: Mutex<Writing<S>>,
    /// No thread waits longer than this without a look at the deadlines. It is the closing timeout, so that who began to
    /// wait before the other called `close` wakes before that deadline comes.
    glance: Duration,
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
enum Until {
    /// A writer: until nothing is left.
    Empty,
    /// The reader, when the peer takes too little for it to read on: until there is room.
    Room,
    /// The reader otherwise: until the stream takes no more.
    StreamIsFull,
}

/// How it ended, if not with an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flushed {
    Enough,
    /// The stream takes no more for now.
    Some,
}

impl<S: Stream> Shared<S> {
    fn engine(&self) -> MutexGuard<'_, Engine> {
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

    fn flush(&self, until: Until) -> Result<Flushed, Error> {
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
            if !engine.has_output() && engine.transport() != Transport::ShutdownWrite {
                return Ok(flushed);
            }
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
            Transport::Close if !(engine.has_ended() && self.holds_bytes()) => {
                self.is_ended = true;
                let _ = self.stream.shutdown_both();
                engine.end();
                self.ended(engine)
            }
            Transport::ShutdownWrite if !self.holds_bytes() => {
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

struct ReaderLink<S: TryClone> {
    shared: Arc<Shared<S>>,
    stream: S,
    timeout: Timeout,
    is_closed: bool,
}

impl<S: TryClone> ReaderLink<S> {
    /// A writer that waits for the stream wakes.
    fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            let _ = self.stream.shutdown_both();
            self.shared.engine().end();
        }
    }

    /// The same, and what a writer then still holds has not left.
    fn finish(&mut self) {
        self.close();
        let writing = self.shared.writing_in_time(self.shared.glance.saturating_add(LAST_WRITE));
        if writing.is_none_or(|writing| writing.holds_bytes()) {
            self.shared.engine().cut_off();
        }
    }

    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.timeout.set(Some(wait), |timeout| self.stream.set_read_timeout(timeout))?;
        self.stream.read(buffer)
    }
}

impl<S: TryClone> Link for ReaderLink<S> {
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R {
        ask(&mut self.shared.engine())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        // a stream that takes nothing more may still hold what the peer said last: reading tells
        let flushed = match self.shared.flush(Until::StreamIsFull) {
            Ok(flushed) => flushed,
            Err(error) => {
                if let Error::Io(error) = error
                    && !is_end(&error)
                {
                    self.shared.engine().lose(error);
                }
                Flushed::Enough
            }
        };
        let (may_read, is_over, wants_read, deadline) = {
            let mut engine = self.shared.engine();
            let is_over = engine.has_ended() || engine.transport() == Transport::Close;
            (engine.may_read(), is_over, engine.core.wants_read(), engine.patience())
        };
        if is_over {
            self.finish();
            return 0;
        }
        if !may_read {
            self.shared.engine().tick();
            return 0;
        }
        if !wants_read && self.shared.flush(Until::Room).is_ok() {
            return 0;
        }
        let most = if flushed == Flushed::Some { READER_RETRY } else { self.shared.glance };
        match self.read(buffer, deadline.map_or(most, |wait| wait.min(most))) {
            Ok(0) => self.shared.engine().end(),
            Ok(count) => return count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => self.shared.engine().tick(),
            Err(error) => self.shared.engine().lose(error),
        }
        if self.shared.engine().has_ended() {
            if let Some(mut writing) = self.shared.writing_in_time(self.shared.glance) {
                let _ = writing.write_output(&self.shared, Until::Empty);
            }
            self.finish();
        }
        0
    }
}
