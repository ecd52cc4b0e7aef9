//! A connection that several threads share: one reads, the others write.
//!
//! One lock guards the engine and the sending direction of the stream. No thread holds it while it blocks: a thread that
//! writes takes the sending direction out, releases the lock, writes, and puts it back. Bytes leave in order because they
//! stay with the sending direction until they are written. Another thread that has to write meanwhile waits for the
//! sending direction to come back, or, if it must not wait, leaves its output to the thread that is writing.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::{Ending, Engine, MIN_BLOCK};
use crate::gate::Permit;
use crate::send_side::SendSide;
use crate::stream::{Stream, Timeout, end};
use crate::turn::{Link, WriteLink, Written};

pub(crate) struct Shared<H> {
    state: Mutex<State<H>>,
    /// The sending direction came back, or the connection ended.
    changed: Condvar,
    max_block: Duration,
    /// Returned after the stream has ended.
    _permit: Option<Permit>,
}

struct State<H> {
    engine: Engine,
    /// `None` while a thread writes.
    sender: Option<Sender<H>>,
    /// Threads that wait for a change.
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

    pub(crate) fn with_engine<R>(&self, ask: impl FnOnce(&mut Engine) -> R) -> R {
        ask(&mut self.lock().engine)
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the sending direction out for a call that may block, after `prepare` under the lock. `None` if another thread
    /// has it and does not bring it back within `wait`.
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
        let mut taken = Taken { shared: self, sender: Some(sender) };
        let result = work(taken.sender.as_mut()?);
        let mut state = self.lock();
        state.sender = taken.sender.take();
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

/// The sending direction, taken out. It comes back even if the stream panics: other threads wait for it.
struct Taken<'a, H: Stream> {
    shared: &'a Shared<H>,
    sender: Option<Sender<H>>,
}

impl<H: Stream> Drop for Taken<'_, H> {
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
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R {
        Shared::with_engine(self, ask)
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
                // Now, since another thread may be writing when the deadline takes effect.
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

    /// If another thread is writing, the reader or that thread ends the stream within `max_block`.
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
    fn with_engine<R>(&mut self, ask: impl FnOnce(&mut Engine) -> R) -> R {
        self.shared.with_engine(ask)
    }

    fn write_some(&mut self, wait: Duration) -> io::Result<Written> {
        (&*self.shared).write_some(wait)
    }

    fn shutdown_write(&mut self) -> bool {
        (&*self.shared).shutdown_write()
    }

    /// A thread that writes wakes.
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

/// Without a reader, nobody answers Pings and Close frames: the connection is aborted, unless it is over.
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
