//! Driver: one connection, and the reports about its transport.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use sansocket::{Accept, AnswerError, Event, HttpResponse, Input, Instant, ReadyState, TransportAction, WebSocket};

use crate::error::{Error, is_disconnect};
use crate::layer::{Layer, LayerScratch, Plain};
use crate::log::Log;
use crate::outgoing::Outgoing;
use crate::state::{Failure, Flags, Rare, Sample};

/// The next action on the transport. Call [`Driver::next_action`] again after every call that changes the driver or its
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a loop must obey each of these")]
pub enum Action {
    /// Wait for the transport or the clock.
    Wait {
        /// Read when bytes or the end of the stream have arrived. If false, leave them in the kernel.
        read: bool,
        /// Write when the transport takes bytes. If false, there is nothing to write.
        write: bool,
        /// Call [`Driver::timeout`] at this time.
        until: Option<Instant>,
    },
    /// Call [`Driver::open`] now, with no bytes, then [`Driver::next_event`], and write what there is: a layer may have its
    /// close message.
    Again,
    /// Close the sending direction, then call [`Driver::write_shut_down`].
    ShutdownWrite,
    /// The connection is over: close the transport.
    Close,
    /// The connection is over: drop the transport without waiting for the peer. On TCP, set `SO_LINGER` to zero first.
    Abort,
}

/// Drives one [`WebSocket`]. It does no IO: its owner reports what the transport did, fetches events until there are
/// none, writes the output, and obeys [`next_action`](Self::next_action). An owner that does so loses no output, leaks
/// no descriptor and never busy-loops, however the connection ends.
///
/// Events borrow the read buffer or the scratch memory, never the driver: a handler may use this and every other driver
/// while it has an event.
pub struct Driver<L: Layer = Plain> {
    ws: WebSocket,
    layer: L,
    flags: Flags,
    /// Absent in most connections.
    rare: Option<Box<Rare>>,
    log: Log,
}

#[cfg(not(feature = "tracing"))]
const _: () = assert!(size_of::<Driver>() <= 192);

impl Driver {
    /// Drives a connection directly over a transport.
    #[inline]
    pub fn new(ws: WebSocket) -> Self {
        Self::with_layer(ws, Plain)
    }
}

impl<L: Layer> Driver<L> {
    /// Drives a connection through a layer, such as TLS.
    pub fn with_layer(ws: WebSocket, layer: L) -> Self {
        Self { ws, layer, flags: Flags::default(), rare: None, log: Log::default() }
    }

    /// Replaces the connection and the layer, in order to connect again over another transport. Everything reported
    /// about the former transport is forgotten. The log continues under the same name.
    pub fn restart(&mut self, ws: WebSocket, layer: L) {
        let log = std::mem::take(&mut self.log);
        *self = Self { log, ..Self::with_layer(ws, layer) };
    }

    /// Returns the connection, to inspect it.
    #[inline]
    pub fn websocket(&self) -> &WebSocket {
        &self.ws
    }

    /// Returns the connection, to send and to close. Only the driver calls its network side (`receive`, `output` and
    /// the like).
    #[inline]
    pub fn websocket_mut(&mut self) -> &mut WebSocket {
        &mut self.ws
    }

    /// Names the connection in the log of the feature `tracing`: all of its events are in a span `connection` with this
    /// id and the role. A driver without a name gets a number. Without the feature, this does nothing.
    #[inline]
    pub fn set_log_id(&mut self, id: impl fmt::Display) {
        self.log.set_id(&self.ws, &id);
    }

    /// Adds the peer's address to the span. Without the feature `tracing`, this does nothing.
    #[inline]
    pub fn set_log_peer(&mut self, peer: SocketAddr) {
        self.log.set_peer(&self.ws, peer);
    }

    /// Logs that the connection could not be made, before the driver took part. Without the feature `tracing`, this does
    /// nothing.
    pub fn log_failure(&mut self, error: impl fmt::Display) {
        self.log.failed_to_connect(&self.ws, &error);
    }

    /// Returns the layer.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// Opens received bytes. Pass the result to [`next_event`](Self::next_event) until that returns `Ok(None)`. At
    /// [`Action::Again`], pass no bytes.
    #[inline]
    pub fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> Input<'b> {
        if self.layer.is_plain() {
            return Input::new(received);
        }
        let received = if self.flags.has(Flags::READ_ENDED) {
            // the layer may still hold plaintext that arrived before the end of the stream
            if !self.flags.has(Flags::EOF_PENDING) || !self.holds_plaintext() {
                return Input::new(&mut []);
            }
            &mut []
        } else {
            received
        };
        match self.layer.open(received, scratch) {
            Ok(plaintext) => {
                if self.layer.has_received_close() && !self.layer.holds_plaintext() {
                    self.eof();
                }
                Input::new(plaintext)
            }
            Err(error) => {
                self.flags.insert(Flags::LAYER_FAILED);
                self.note_failure(error, false);
                self.eof();
                Input::new(&mut [])
            }
        }
    }

    /// Returns the next event, caused by the input or by another report. `Ok(None)` when the input is empty and nothing
    /// else is pending.
    ///
    /// # Errors
    ///
    /// The connection failed: [`Error::Peer`], [`Error::Limit`] or [`Error::Io`]. Returned once. Keep driving: the
    /// output may hold a Close frame with the reason, and [`Event::Close`] follows if the connection was open.
    #[inline]
    pub fn next_event<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        let received = self.receive(input, now);
        self.resolve(received, now)
    }

    /// Performs the first half of [`next_event`](Self::next_event), for loops with a fast path for the most frequent
    /// event. Pass every result that the fast path does not handle to [`resolve`](Self::resolve).
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::receive`].
    #[inline(always)]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, sansocket::Error> {
        self.ws.receive(input, now)
    }

    /// Performs the second half of [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// Those of [`next_event`](Self::next_event).
    #[inline(always)]
    pub fn resolve<'b>(
        &mut self,
        received: Result<Option<Event<'b>>, sansocket::Error>,
        now: Instant,
    ) -> Result<Option<Event<'b>>, Error> {
        if !self.layer.is_plain() && matches!(received, Ok(Some(Event::CloseReceived(_)))) {
            self.flags.insert(Flags::CLOSE_RECEIVED);
        }
        let resolved = match received {
            Ok(None) if !self.flags.is_pending() => return Ok(None),
            Ok(None) => self.next_other(now),
            Ok(Some(event)) => Ok(Some(event)),
            Err(error) => self.report(error, now),
        };
        self.log.received(&self.ws, &resolved);
        resolved
    }

    /// Reports that the transport has reached the end of the stream.
    pub fn eof(&mut self) {
        if self.flags.insert(Flags::READ_ENDED) {
            self.flags.insert(Flags::EOF_PENDING);
        }
    }

    /// Reports that reading failed: the connection is lost in both directions.
    pub fn read_lost(&mut self, error: io::Error, now: Instant) {
        self.flags.insert(Flags::TRANSPORT_LOST);
        self.write_lost(error, now);
        self.eof();
    }

    /// Reports that writing failed: nothing more can be written. Keep reading: the peer's last bytes may still be in
    /// the receive buffer.
    pub fn write_lost(&mut self, error: io::Error, now: Instant) {
        self.flags.insert(Flags::WRITE_ENDED);
        let is_reported = !is_disconnect(&error) && !self.flags.has(Flags::FAILED);
        if is_reported || self.flags.has(Flags::FAILURE_PENDING) {
            // `write_lost` may end the connection, and Close must not precede the failure
            self.note_failure(error, true);
        } else {
            self.ws.write_lost(now);
        }
    }

    /// Reports that the deadline of [`Action::Wait`] has come. Read and write once more before: bytes that have arrived
    /// count. `outstanding` is the number of bytes that the transport has taken and the peer has not acknowledged, if
    /// known. While it falls, the peer is alive, and no deadline ends the connection.
    pub fn timeout(&mut self, outstanding: Option<usize>, now: Instant) {
        if let Some(outstanding) = outstanding {
            self.acknowledged(outstanding, now);
        }
        // if a record is written in pieces, only the last piece delivers bytes that the connection counts
        if self.flags.remove(Flags::LAYER_WROTE) && self.ws.ready_state() == ReadyState::Closing {
            self.ws.progress(now);
        }
        self.flags.insert(Flags::TIMEOUT_PENDING);
    }

    /// Reports the number of unacknowledged bytes, as [`timeout`](Self::timeout) does, at any time.
    pub fn acknowledged(&mut self, outstanding: usize, now: Instant) {
        let before = self.rare.as_mut().and_then(|rare| rare.sample.take());
        let has_progressed = match before {
            Some(Sample { outstanding: before, written }) => outstanding < before.saturating_add(written),
            // without a sample, the number of bytes written before is unknown, so the peer may have acknowledged some:
            // no deadline ends the connection yet. (Counting them would cost memory in each idle connection.)
            None => outstanding > 0,
        };
        if has_progressed {
            self.ws.progress(now);
        }
        if outstanding > 0 {
            self.rare().sample = Some(Sample { outstanding, written: 0 });
        } else if self.rare.as_ref().is_some_and(|rare| rare.failure.is_none() && rare.in_flight == 0) {
            self.rare = None;
        }
    }

    /// Returns the bytes to write, as a [`Buf`]: `advance` it by the number of bytes that the transport has taken.
    #[inline(always)]
    pub fn to_write(&mut self) -> Outgoing<'_, L> {
        Outgoing::new(self.ws.output(), &mut self.layer, &mut self.flags, &mut self.rare)
    }

    /// Takes up to `max` bytes of output, for transports that take bytes first and deliver them later. Shared and owned
    /// payloads are not copied, but the bytes of a layer are. Empty if there is no output, or if all that a layer has
    /// prepared is in flight. Report the bytes with [`delivered`](Self::delivered).
    pub fn take_bytes(&mut self, max: usize) -> Bytes {
        if self.layer.is_plain() {
            return self.ws.output().take_bytes(max);
        }
        let outgoing = self.to_write();
        let prepared = outgoing.chunk();
        let bytes = Bytes::copy_from_slice(prepared.get(..max).unwrap_or(prepared));
        if !bytes.is_empty() {
            self.rare().in_flight += bytes.len();
        }
        bytes
    }

    /// Reports that the transport has delivered `count` of the bytes that [`take_bytes`](Self::take_bytes) returned.
    pub fn delivered(&mut self, count: usize) {
        if self.layer.is_plain() {
            self.ws.output().delivered(count);
            if let Some(rare) = &mut self.rare {
                rare.note_written(count);
            }
        } else if let Some(rare) = &mut self.rare {
            let count = count.min(rare.in_flight);
            rare.in_flight -= count;
            self.to_write().advance(count);
        }
    }

    /// Reports that the sending direction is closed, as [`Action::ShutdownWrite`] demands.
    pub fn write_shut_down(&mut self) {
        self.flags.insert(Flags::WRITE_ENDED);
    }

    /// Returns whether the sending direction is closed or lost.
    #[inline(always)]
    pub fn has_write_ended(&self) -> bool {
        self.flags.has(Flags::WRITE_ENDED)
    }

    /// Returns whether the end of the stream was reported, or reading failed.
    #[inline(always)]
    pub fn has_read_ended(&self) -> bool {
        self.flags.has(Flags::READ_ENDED)
    }

    /// Returns what to do with the transport. Call it when [`next_event`](Self::next_event) has returned `Ok(None)`.
    pub fn next_action(&mut self) -> Action {
        let can_open = self.holds_plaintext() && self.ws.wants_read();
        if self.flags.is_pending() || can_open || self.ws.has_pending_event() {
            return Action::Again;
        }
        match self.ws.transport() {
            TransportAction::Close => return if self.close_layer() { Action::Again } else { Action::Close },
            TransportAction::Abort => return Action::Abort,
            TransportAction::ShutdownWrite if !self.has_write_ended() => {
                if self.close_layer() {
                    return Action::Again;
                }
                if self.layer.is_plain() || self.layer.pending().is_empty() {
                    return Action::ShutdownWrite;
                }
            }
            _ => {}
        }
        let write = !self.has_write_ended() && self.to_write().has_remaining();
        let read = !self.has_read_ended() && self.ws.wants_read();
        Action::Wait { read, write, until: self.ws.poll_timeout() }
    }

    /// Returns whether the connection waits for received bytes or its deadline, and for nothing else: a cheap
    /// substitute for [`next_action`](Self::next_action) after a loop has written all output.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        self.flags.are_quiet()
            && self.ws.transport() == TransportAction::Open
            && !self.ws.has_pending_event()
            && (self.layer.is_plain() || self.layer.pending().is_empty() && !self.layer.holds_plaintext())
    }

    /// Server: accepts the request of [`Event::Request`].
    ///
    /// # Errors
    ///
    /// [`Error::Answer`]: the request cannot be accepted this way. The client gets 403 if its origin is forbidden, 426
    /// if it did not ask for a WebSocket, and otherwise 500; with [`AnswerError::NoRequest`] nothing changes.
    pub fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), Error> {
        self.ws.accept(accept, now).map_err(|error| self.refuse(error, now))
    }

    /// Server: answers the request of [`Event::Request`] or [`Event::HttpRequest`] with an HTTP response.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`]: the response is not valid, and the client gets 500; with [`AnswerError::NoRequest`] nothing
    /// changes.
    pub fn respond(&mut self, response: HttpResponse, now: Instant) -> Result<(), Error> {
        let status = response.status();
        self.ws.respond(response, now).map_err(|error| self.refuse(error, now))?;
        self.log.responded(&self.ws, status, None);
        Ok(())
    }

    /// Responds to a request whose answer was not valid: no request stays unanswered.
    fn refuse(&mut self, error: AnswerError, now: Instant) -> Error {
        let status = match error {
            AnswerError::NoRequest => return error.into(),
            // the connection has responded
            AnswerError::OriginForbidden => 403,
            _ => {
                let response = match error {
                    AnswerError::NotWebSocket => HttpResponse::upgrade_required(),
                    _ => HttpResponse::new(500),
                };
                let status = response.status();
                let _ = self.ws.respond(response, now);
                status
            }
        };
        self.log.responded(&self.ws, status, Some(&error));
        error.into()
    }

    /// Handles what is pending besides input: a failure of the transport, a deadline, the end of the stream.
    #[inline(never)]
    fn next_other<'b>(&mut self, now: Instant) -> Result<Option<Event<'b>>, Error> {
        if self.flags.remove(Flags::FAILURE_PENDING)
            && let Some(failure) = self.rare.as_mut().and_then(|rare| rare.failure.take())
        {
            let has_closed = self.ws.ready_state() == ReadyState::Closed;
            if failure.is_write_lost {
                self.ws.write_lost(now);
            }
            if !has_closed && self.flags.insert(Flags::FAILED) {
                return Err(failure.error.into());
            }
        }
        if self.flags.remove(Flags::TIMEOUT_PENDING) {
            match self.ws.handle_timeout(now) {
                Ok(None) => {}
                Ok(event) => return Ok(event),
                Err(error) => return self.report(error, now),
            }
        }
        // plaintext that the layer still holds comes before the end of the stream
        while self.flags.has(Flags::EOF_PENDING) && !self.holds_plaintext() {
            if let Some(error) = self.truncation() {
                return Err(error.into());
            }
            match self.ws.receive_eof(now) {
                Ok(None) => _ = self.flags.remove(Flags::EOF_PENDING),
                Ok(event) => return Ok(event),
                Err(error) => return self.report(error, now),
            }
        }
        // events that the above has caused; an error was already reported
        if self.ws.has_pending_event() {
            Ok(self.ws.receive(&mut Input::new(&mut []), now).ok().flatten())
        } else {
            Ok(None)
        }
    }

    /// Returns whether the layer has ended its sending direction: the rest of its bytes, if any, ends with its close
    /// message or an alert, and carries no output that the connection still counts.
    pub fn has_closed_layer(&self) -> bool {
        self.flags.has(Flags::LAYER_CLOSED)
    }

    /// Queues the layer's close message, once, before the sending direction ends; a layer that has failed has an alert
    /// instead. Returns whether the loop has to try to write it.
    fn close_layer(&mut self) -> bool {
        if self.layer.is_plain() || self.has_write_ended() || !self.flags.insert(Flags::LAYER_CLOSED) {
            return false;
        }
        if !self.flags.has(Flags::LAYER_FAILED) {
            self.layer.close();
        }
        !self.layer.pending().is_empty()
    }

    /// Returns the layer's error at the end of the stream, unless the connection has failed or ended, the transport was
    /// lost, or the peer's Close frame has arrived.
    fn truncation(&mut self) -> Option<io::Error> {
        const REPORTED: [Flags; 3] = [Flags::FAILED, Flags::CLOSE_RECEIVED, Flags::TRANSPORT_LOST];
        if self.layer.is_plain()
            || REPORTED.into_iter().any(|flag| self.flags.has(flag))
            || self.ws.ready_state() == ReadyState::Closed
        {
            return None;
        }
        let error = self.layer.check_eof().err()?;
        self.flags.insert(Flags::FAILED);
        Some(error)
    }

    /// Returns whether the layer can return plaintext without another received byte.
    fn holds_plaintext(&self) -> bool {
        !self.layer.is_plain() && !self.flags.has(Flags::LAYER_FAILED) && self.layer.holds_plaintext()
    }

    /// Returns a failure of the connection, unless one was returned before.
    #[cold]
    fn report<'b>(&mut self, error: sansocket::Error, now: Instant) -> Result<Option<Event<'b>>, Error> {
        if self.flags.insert(Flags::FAILED) { Err(error.into()) } else { self.next_other(now) }
    }

    /// Stores a failure until `next_event` returns it. Of several failures, the first is stored.
    #[cold]
    fn note_failure(&mut self, error: io::Error, is_write_lost: bool) {
        self.flags.insert(Flags::FAILURE_PENDING);
        let failure = self.rare().failure.get_or_insert(Failure { error, is_write_lost: false });
        failure.is_write_lost |= is_write_lost;
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

impl<L: Layer> fmt::Debug for Driver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("ready_state", &self.ws.ready_state()).finish_non_exhaustive()
    }
}
