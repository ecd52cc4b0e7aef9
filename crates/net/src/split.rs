//! The two halves of a split connection: one thread reads, others send.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sansocket::{Close, CloseCode, Event, FragmentPayload, Message, MessageKind, Open, ReadyState, SendError};
#[cfg(feature = "deflate")]
use sansocket::{Compress, PermessageDeflate};
use sansocket_drive::Error;

use crate::engine::Goal;
use crate::read_buffers::{ReadBuffers, ReadOutcome};
use crate::shared::{ReadLink, Shared};
use crate::stream::SplitStream;
use crate::turn::{self, ReadLimit, write_output};
use crate::unsplit::Unsplit;

/// The reading half of a connection; see [`WebSocket::split`](crate::WebSocket::split).
///
/// It drives the connection as [`WebSocket::read`](crate::WebSocket::read) does: read until `None`. It writes Pongs,
/// the reply to a Close frame and output that a writer could not write, but never waits for the peer to take them.
/// Dropping it aborts the connection, unless it has ended: without a reader, Pings and Close frames would stay
/// unanswered.
pub struct Reader<S: SplitStream> {
    link: ReadLink<S::Half>,
    buffers: ReadBuffers,
    open: Arc<Open>,
}

/// The sending half of a connection; see [`WebSocket::split`](crate::WebSocket::split).
///
/// Clones send over the same connection. Each message is sent whole, in the order of the calls; the fragments of one
/// message ([`send_fragment`](Self::send_fragment)) must come from one thread. Dropping a writer does not close the
/// connection.
pub struct Writer<S: SplitStream> {
    shared: Arc<Shared<S::Half>>,
    open: Arc<Open>,
}

/// Splits a connection whose opening handshake is complete.
pub(crate) fn split<S: SplitStream>(
    link: Unsplit<S>,
    buffers: ReadBuffers,
    open: Open,
) -> io::Result<(Reader<S>, Writer<S>)> {
    let Unsplit { engine, stream, mut send_side, permit, .. } = link;
    send_side.forget_timeout();
    let (reading, writing) = stream.into_inner().split()?;
    let shared = Arc::new(Shared::new(engine, writing, send_side, permit));
    let open = Arc::new(open);
    let writer = Writer { shared: Arc::clone(&shared), open: Arc::clone(&open) };
    Ok((Reader { link: ReadLink::new(shared, reading), buffers, open }, writer))
}

impl<S: SplitStream> Reader<S> {
    /// Waits for the next event; see [`WebSocket::read`](crate::WebSocket::read).
    ///
    /// # Errors
    ///
    /// The connection failed, as for [`WebSocket::read`](crate::WebSocket::read).
    pub fn read(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.buffers.next_event(&mut self.link)
    }

    /// Waits for the next event, but not longer than `timeout`; see
    /// [`WebSocket::read_timeout`](crate::WebSocket::read_timeout).
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn read_timeout(&mut self, timeout: Duration) -> Result<ReadOutcome<'_>, Error> {
        self.buffers.next_event_within(&mut self.link, ReadLimit::after(timeout))
    }

    /// Returns the next event if it has arrived; see [`WebSocket::try_read`](crate::WebSocket::try_read).
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn try_read(&mut self) -> Result<ReadOutcome<'_>, Error> {
        self.read_timeout(Duration::ZERO)
    }

    /// Returns an iterator over the events that [`read`](Self::read) returns, each owning its memory.
    pub fn events(&mut self) -> impl Iterator<Item = Result<Event<'static>, Error>> {
        std::iter::from_fn(|| self.read().map(|event| event.map(Event::into_owned)).transpose())
    }

    /// Drives the connection to its end, and returns how it ended; see [`WebSocket::finish`](crate::WebSocket::finish).
    /// Delivers the output that writers have queued before.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn finish(mut self) -> Result<Close, Error> {
        self.buffers.finish(&mut self.link)
    }

    /// Ends the connection without a closing handshake, as dropping the reader does: TCP is reset once all [`Writer`]s
    /// are dropped too, and bytes that the peer has not acknowledged are lost.
    pub fn abort(self) {
        drop(self);
    }

    /// Returns the state of the connection.
    pub fn ready_state(&self) -> ReadyState {
        self.link.shared.with_engine(|engine| engine.driver.websocket().ready_state())
    }

    /// Returns the subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// Returns what both ends agreed about permessage-deflate ([`Config::compression`](sansocket::Config)); `None` if messages are not
    /// compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.open.compression()
    }

    /// Returns the stream, for its addresses and options.
    pub fn stream(&self) -> &S::Half {
        &self.link.stream
    }
}

impl<S: SplitStream> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<S: SplitStream> Writer<S> {
    /// Sends a message; see [`WebSocket::send`](crate::WebSocket::send). While messages of other threads fill the
    /// buffer ([`Config::max_buffered_amount`](sansocket::Config::max_buffered_amount)), waits until they are written.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send`](crate::WebSocket::send).
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.send_message(message.into(), |ws, message| ws.send(message))
    }

    /// Sends a shared payload; see [`WebSocket::send_shared`](crate::WebSocket::send_shared).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_shared(&self, kind: MessageKind, payload: Bytes) -> Result<(), Error> {
        self.send_when_there_is_room(|ws| Ok(ws.send_shared(kind, payload.clone())?))
    }

    /// Sends a fragment of a message; see [`WebSocket::send_fragment`](crate::WebSocket::send_fragment).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_fragment<'p>(
        &self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), Error> {
        let payload = payload.into();
        self.send_when_there_is_room(|ws| ws.send_fragment(kind, payload.clone(), last))
    }

    /// Sends a message, compressed or not; see [`WebSocket::send_with`](crate::WebSocket::send_with).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(&self, message: impl Into<Message<'m>>, compress: Compress) -> Result<(), Error> {
        self.send_message(message.into(), |ws, message| ws.send_with(message, compress))
    }

    /// Sends a shared payload, compressed or not; see
    /// [`WebSocket::send_shared_with`](crate::WebSocket::send_shared_with).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_shared_with(&self, kind: MessageKind, payload: Bytes, compress: Compress) -> Result<(), Error> {
        self.send_when_there_is_room(|ws| Ok(ws.send_shared_with(kind, payload.clone(), compress)?))
    }

    /// Sends a fragment of a message, compressed or not; see
    /// [`WebSocket::send_fragment_with`](crate::WebSocket::send_fragment_with).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_fragment_with<'p>(
        &self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
        compress: Compress,
    ) -> Result<(), Error> {
        let payload = payload.into();
        self.send_when_there_is_room(|ws| ws.send_fragment_with(kind, payload.clone(), last, compress))
    }

    /// Sends a Ping; see [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_when_there_is_room(|ws| ws.ping(payload))
    }

    /// Sends a Pong that answers no Ping; see [`WebSocket::pong`](crate::WebSocket::pong).
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.send_when_there_is_room(|ws| ws.pong(payload))
    }

    /// Begins the closing handshake: queues a Close frame after the messages sent before, writes as much as the stream
    /// takes at once, and returns without waiting for the peer: one thread can close many connections. The [`Reader`]
    /// performs the rest. A reader that waits for bytes notices within a quarter of the smaller of
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout) and `closing_limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Send`]; see [`WebSocket::close`](crate::WebSocket::close).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        turn::close(&mut &*self.shared, code, reason)
    }

    /// Ends the connection without a closing handshake, and does not wait for the peer. A [`Reader`] that waits returns
    /// a Close event with [`CloseCode::ABNORMAL`]. TCP is reset once all handles are dropped; bytes that the peer has
    /// not acknowledged may be lost.
    ///
    /// While another thread is sending, this takes effect after up to a quarter of
    /// [`Config::closing_timeout`](sansocket::Config::closing_timeout).
    pub fn abort(&self) {
        turn::abort(&mut &*self.shared);
    }

    /// Returns the state of the connection.
    pub fn ready_state(&self) -> ReadyState {
        self.shared.with_engine(|engine| engine.driver.websocket().ready_state())
    }

    /// Returns the payload bytes of all threads' messages that the stream has not taken yet.
    pub fn buffered_amount(&self) -> usize {
        self.shared.with_engine(|engine| engine.driver.websocket().buffered_amount())
    }

    /// Returns the subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.open.protocol()
    }

    /// Returns what both ends agreed about permessage-deflate ([`Config::compression`](sansocket::Config)); `None` if messages are not
    /// compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.open.compression()
    }

    /// Sends a message with `send`, which returns it if there is no room.
    fn send_message<'m>(
        &self,
        message: Message<'m>,
        send: impl Fn(&mut sansocket::WebSocket, Message<'m>) -> Result<(), SendError<Message<'m>>>,
    ) -> Result<(), Error> {
        let mut message = Some(message);
        self.send_when_there_is_room(|ws| match message.take() {
            Some(unsent) => send(ws, unsent).map_err(|error| error.map(|unsent| message = Some(unsent))),
            None => Ok(()),
        })
    }

    /// Queues a message and writes it. Waits until messages of other threads are written if they fill the buffer.
    fn send_when_there_is_room(
        &self,
        mut send: impl FnMut(&mut sansocket::WebSocket) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let mut link = &*self.shared;
        loop {
            let (was_empty, result) = link.with_engine(|engine| (!engine.has_output(), engine.queue(|ws, _| send(ws))));
            match result {
                Err(Error::Send(SendError::BufferFull { .. })) if !was_empty => {}
                Ok(()) => return write_output(&mut link, Goal::AllWritten).map(drop),
                Err(error) => return Err(error),
            }
            write_output(&mut link, Goal::AllWritten)?;
        }
    }
}

impl<S: SplitStream> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), open: Arc::clone(&self.open) }
    }
}

impl<S: SplitStream> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
