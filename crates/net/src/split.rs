//! One connection for two threads: one reads, the other sends, neither makes the other wait.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sansocket::{CloseCode, Event, Extension, Message, MessageKind, Open, ReadyState, SendError, TransportAction};

use crate::buffers::{Buffers, Link};
use crate::direct::Direct;
use crate::engine::Engine;
use crate::stream::{Timeout, TryClone, is_end, is_timeout};
use crate::writing::{Flushed, Shared, Until};
use crate::{Error, clock};

/// After how long the reader tries again to write to a stream that takes nothing.
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
        let shared = Arc::new(Shared::new(link, closing_timeout.max(MIN_GLANCE)));
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

    /// The same, and tells what has not left.
    fn finish(&mut self) {
        self.close();
        self.shared.cut_off();
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
            let is_over = engine.has_ended() || engine.transport() == TransportAction::Close;
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
            self.shared.flush_last();
            self.finish();
        }
        0
    }
}
