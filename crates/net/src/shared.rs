//! A connection that several threads share: one reads, the others write.
//!
//! One lock guards the engine and the sending direction of the stream. No thread holds it while it blocks: a thread
//! that writes takes the [`Sender`] out, releases the lock, writes, and puts it back. Bytes are written in order
//! because they stay in the sender until they are written. Another thread that has to write meanwhile waits for the
//! sender, or, if it must not wait, relies on the thread that is writing to write its output too.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::{Engine, MIN_BLOCK};
use crate::gate::Permit;
use crate::send_side::SendSide;
use crate::stream::{Ending, Stream, Timeout, end};
use crate::turn::{Link, WriteLink, Written};

pub(crate) struct Shared<H> {
    state: Mutex<State<H>>,
    /// Notified when the sender comes back or the connection ends.
    changed: Condvar,
    max_block: Duration,
    /// Returned after the stream has ended.
    _permit: Option<Permit>,
}

struct State<H> {
    engine: Engine,
    /// `None` while a thread writes.
    sender: Option<Sender<H>>,
    /// The number of threads that wait for `changed`.
    waiting: usize,
}

struct Sender<H> {
    stream: H,
    send_side: SendSide,
}

impl<H: Stream> Shared<H> {
    pub(crate) fn new(engine: Engine, stream: H, send_side: SendSide, permit: Option<Permit>) -> Self {
        let max_block = engine.max_block;
        let sender = Some(Sender { stream, send_side });
        let state = Mutex::new(State { engine, sender, waiting: 0 });
        Self { state, changed: Condvar::new(), max_block, _permit: permit }
    }

    pub(crate) fn with_engine<R>(&self, work: impl FnOnce(&mut Engine) -> R) -> R {
        work(&mut self.lock().engine)
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the sender out and calls `work`, which may block, without the lock; calls `prepare` and `finish` under the
    /// lock. `None` if another thread has the sender, after waiting for it for up to `wait`.
    fn with_sender<R>(
        &self,
        wait: Duration,
        prepare: impl FnOnce(&mut Engine, &mut Sender<H>),
        work: impl FnOnce(&mut Sender<H>) -> R,
        finish: impl FnOnce(&mut Engine, &R),
    ) -> Option<R> {
        let mut state = self.lock();
        if state.sender.is_none() {
            drop(self.wait(state, wait));
            return None;
        }
        let mut sender = state.sender.take()?;
        prepare(&mut state.engine, &mut sender);
        drop(state);
        let mut guard = SenderGuard { shared: self, sender: Some(sender) };
        let result = work(guard.sender.as_mut()?);
        let mut state = self.lock();
        state.sender = guard.sender.take();
        finish(&mut state.engine, &result);
        self.notify(state);
        Some(result)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State<H>>, wait: Duration) -> MutexGuard<'a, State<H>> {
        state.waiting += 1;
        let waited =
            self.changed.wait_timeout_while(state, wait, |state| state.sender.is_none() && !state.engine.is_over());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting -= 1;
        state
    }

    fn notify(&self, state: MutexGuard<'_, State<H>>) {
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
    }
}

/// Puts the sender back even if the stream panics: other threads wait for it.
struct SenderGuard<'a, H: Stream> {
    shared: &'a Shared<H>,
    sender: Option<Sender<H>>,
}

impl<H: Stream> Drop for SenderGuard<'_, H> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let mut state = self.shared.lock();
            state.sender = Some(sender);
            state.engine.write_lost(io::Error::other("the stream panicked"));
            self.shared.notify(state);
        }
    }
}

impl<H: Stream> WriteLink for &Shared<H> {
    fn with_engine<R>(&mut self, work: impl FnOnce(&mut Engine) -> R) -> R {
        Shared::with_engine(self, work)
    }

    fn write_some(&mut self, wait: Duration) -> io::Result<Written> {
        let written = self.with_sender(
            wait,
            |engine, sender| sender.send_side.stage(engine),
            |sender| {
                sender
                    .send_side
                    .write_some(&mut sender.stream, wait)
                    .map_err(|error| (error, sender.stream.outstanding()))
            },
            |engine, result| match result {
                Ok(count) => engine.written(*count),
                // Reported now, since another thread may have the sender when the deadline comes.
                Err((_, outstanding)) => engine.acknowledged(*outstanding),
            },
        );
        match written {
            None => Ok(Written::Busy),
            Some(result) => result.map(|_| Written::Some).map_err(|(error, _)| error),
        }
    }

    fn shutdown_write(&mut self) -> bool {
        let shut_down = |sender: &mut Sender<H>| sender.stream.shutdown_write();
        self.with_sender(MIN_BLOCK, |_, _| {}, shut_down, Engine::write_shut_down).is_some()
    }

    /// If another thread is writing, that thread or the reader ends the stream within `max_block`.
    fn end(&mut self, ending: Ending) {
        let end = |sender: &mut Sender<H>| end(&mut sender.stream, ending);
        self.with_sender(Duration::ZERO, |_, _| {}, end, |engine, ()| engine.end());
    }

    fn outstanding(&mut self) -> Option<usize> {
        self.lock().sender.as_ref().and_then(|sender| sender.stream.outstanding())
    }

    fn max_block(&self) -> Duration {
        self.max_block
    }
}

/// The reader's handle.
pub(crate) struct ReadLink<H: Stream> {
    /// Dropped first: the permit of `shared` is returned when the stream has ended.
    pub(crate) stream: H,
    pub(crate) shared: Arc<Shared<H>>,
    timeout: Timeout,
}

impl<H: Stream> ReadLink<H> {
    pub(crate) fn new(shared: Arc<Shared<H>>, stream: H) -> Self {
        Self { shared, stream, timeout: Timeout::default() }
    }
}

impl<H: Stream> WriteLink for ReadLink<H> {
    fn with_engine<R>(&mut self, work: impl FnOnce(&mut Engine) -> R) -> R {
        self.shared.with_engine(work)
    }

    fn write_some(&mut self, wait: Duration) -> io::Result<Written> {
        (&*self.shared).write_some(wait)
    }

    fn shutdown_write(&mut self) -> bool {
        (&*self.shared).shutdown_write()
    }

    /// Wakes a thread that writes.
    fn end(&mut self, ending: Ending) {
        end(&mut self.stream, ending);
        let mut state = self.shared.lock();
        state.engine.end();
        self.shared.notify(state);
    }

    fn outstanding(&mut self) -> Option<usize> {
        self.stream.outstanding()
    }

    fn max_block(&self) -> Duration {
        self.shared.max_block
    }
}

impl<H: Stream> Link for ReadLink<H> {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.timeout.set(wait, |timeout| self.stream.set_read_timeout(timeout))?;
        self.stream.read(buffer)
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timeout.forget();
        self.stream.try_read(buffer)
    }
}

/// Aborts the connection unless it has ended: without a reader, Pings and Close frames would stay unanswered.
impl<H: Stream> Drop for ReadLink<H> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.engine.is_over() {
            state.engine.abort();
            state.engine.end();
            self.shared.notify(state);
            let _ = self.stream.abort();
        }
    }
}
