//! A WebSocket from CONNECTING to CLOSED: joins the opening handshake and the connection after it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use rand_core::CryptoRng;

use crate::connection::Connection;
use crate::data::{
    CloseCode, Config, FragmentPayload, Input, Instant, Message, MessageKind, NotOpen, ReadyState, Role, SendError,
    TransportAction,
};
#[cfg(feature = "deflate")]
use crate::data::{Compress, PermessageDeflate};
use crate::error::Error;
use crate::event::Event;
use crate::handshake::{Accept, AnswerError, ClientRequest, EarlyFrames, HttpResponse, RequestError};
use crate::opening::{Handshaking, Step};
use crate::send::{EncodedBatch, EncodedMessage, Output, Scratch};

/// A WebSocket, from CONNECTING to CLOSED (RFC 6455).
///
/// It does no IO. Its methods are of four kinds:
///
/// * **The driver reports** what happened: received bytes ([`receive`](Self::receive)), the end of the stream
///   ([`receive_eof`](Self::receive_eof)), a deadline ([`handle_timeout`](Self::handle_timeout)). Each returns an
///   event. [`write_lost`](Self::write_lost), [`progress`](Self::progress) and [`abort`](Self::abort) return none.
/// * **The application acts**: it answers the request ([`accept`](Self::accept), [`respond`](Self::respond)), sends
///   ([`send`](Self::send) and the like) and closes ([`close`](Self::close)).
/// * **The driver asks** what to do, after each of these: write [`output`](Self::output), obey
///   [`transport`](Self::transport), read if [`wants_read`](Self::wants_read), wait at most
///   until [`poll_timeout`](Self::poll_timeout).
/// * **Getters**: [`ready_state`](Self::ready_state), [`buffered_amount`](Self::buffered_amount),
///   [`protocol`](Self::protocol) and others.
///
/// Methods that forward to [`Connection`] are documented there. Methods that send return [`SendError::NotOpen`] until
/// the connection is open.
///
/// ```
/// use bytes::Buf;
/// use sansocket::{Accept, Config, Event, Input, Instant, Message, WebSocket};
///
/// # fn rng() -> impl sansocket::rand_core::CryptoRng + Send { use rand_chacha::rand_core::SeedableRng; rand_chacha::ChaCha12Rng::from_seed([0; 32]) }
/// # fn carry(from: &mut WebSocket) -> Vec<u8> { let output = from.output(); output.copy_to_bytes(output.remaining()).to_vec() }
/// let now = Instant::EPOCH;
/// let mut client = WebSocket::client("ws://example.com/chat".parse()?, Config::default(), rng(), now)?;
/// let mut server = WebSocket::server(Config::default(), now);
///
/// let mut request = carry(&mut client);
/// let mut input = Input::new(&mut request);
/// while let Some(event) = server.receive(&mut input, now)? {
///     if let Event::Request(request) = event {
///         assert_eq!(request.path(), "/chat");
///         server.accept(Accept::new(), now)?;
///         server.send("Hello")?;
///     }
/// }
///
/// let mut bytes = carry(&mut server);
/// let mut input = Input::new(&mut bytes);
/// while let Some(event) = client.receive(&mut input, now)? {
///     match event {
///         Event::Open(open) => println!("subprotocol: {:?}", open.protocol()),
///         event => assert_eq!(event, Event::Message(Message::from("Hello"))),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebSocket {
    state: State,
}

enum State {
    Open(Connection),
    Handshaking(Handshaking),
}

impl WebSocket {
    /// Creates the client's end. Its request is in the output.
    ///
    /// `rng` generates the nonce and the masking keys: it must be unpredictable (RFC 6455 section 10.3).
    ///
    /// # Errors
    ///
    /// The application added something to the request that is not valid.
    pub fn client(
        request: ClientRequest,
        config: impl Into<Arc<Config>>,
        rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        let client = Handshaking::client(request, config.into(), rng, now)?;
        Ok(Self { state: State::Handshaking(client) })
    }

    /// Creates the server's end of a TCP connection that was just accepted.
    pub fn server(config: impl Into<Arc<Config>>, now: Instant) -> Self {
        Self { state: State::Handshaking(Handshaking::server(config.into(), now)) }
    }

    /// Takes over a connection whose opening handshake was performed elsewhere, such as by an HTTP server: see
    /// [`Request::check`] and [`Connection::with_agreement`]. The first event is [`Event::Open`]. `leftover` has the
    /// bytes that were received behind the handshake; it may be empty.
    ///
    /// [`Request::check`]: crate::Request::check
    pub fn opened(mut connection: Connection, leftover: impl Into<Vec<u8>>) -> Self {
        let agreement = connection.agreement();
        connection.open(agreement, EarlyFrames::new(leftover.into()));
        Self { state: State::Open(connection) }
    }

    /// Takes received bytes up to the next event; returns `None` when the input is empty. Pass an empty input to get
    /// pending events ([`has_pending_event`](Self::has_pending_event)).
    ///
    /// # Errors
    ///
    /// The opening handshake failed, the peer broke the protocol or exceeded a limit, or a timeout was reported before.
    /// The response or the Close frame that says so is in the output. Every later call returns the same error and
    /// discards its input, except that one call returns [`Event::Close`] when a connection that was open has ended.
    #[inline]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        match &mut self.state {
            State::Open(connection) if !connection.has_open_event() => connection.receive(input, now),
            _ => self.receive_at_first(input, now),
        }
    }

    /// Reports the end of the stream: the peer sent its FIN. If the connection was lost, call
    /// [`write_lost`](Self::write_lost) first. Call this until it returns `Ok(None)`: events that precede the end are
    /// returned first. Keep writing pending output: the connection ends when it was delivered.
    ///
    /// # Errors
    ///
    /// The stream ended within the opening handshake (a request that does not ask for a WebSocket can still be
    /// answered), or frames that came before the request was accepted broke the protocol. [`Event::Close`] says how an
    /// open connection ended.
    pub fn receive_eof(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        match &mut self.state {
            State::Open(connection) => match connection.next_open_event(now) {
                Ok(None) => connection.receive_eof(now),
                Ok(event) => Ok(event),
                Err(error) => {
                    // no event precedes the end any more, and the driver may not call again after an error
                    connection.note_eof(now);
                    Err(error)
                }
            },
            State::Handshaking(handshaking) => handshaking.receive_eof(now).map(|()| None),
        }
    }

    /// Reports that nothing more can be written, and drops the output: forwards to [`Connection::write_lost`].
    pub fn write_lost(&mut self, now: Instant) {
        match &mut self.state {
            State::Open(connection) => connection.write_lost(now),
            State::Handshaking(handshaking) => handshaking.write_lost(now),
        }
    }

    /// Reports that the peer has acknowledged bytes: forwards to [`Connection::progress`].
    pub fn progress(&mut self, now: Instant) {
        match &mut self.state {
            State::Open(connection) => connection.progress(now),
            State::Handshaking(handshaking) => handshaking.progress(now),
        }
    }

    /// Ends the connection without a closing handshake. Drops the output; [`transport`](Self::transport) is then
    /// [`TransportAction::Abort`], unless the connection had ended. [`Event::Close`] follows if it was open.
    pub fn abort(&mut self, now: Instant) {
        match &mut self.state {
            State::Open(connection) => connection.abort(now),
            State::Handshaking(handshaking) => handshaking.abort(now),
        }
    }

    /// Handles a deadline. Call it at [`poll_timeout`](Self::poll_timeout), after one more attempt to read and write.
    /// Calls at other times are harmless.
    ///
    /// # Errors
    ///
    /// The opening handshake took too long ([`TimeoutKind::Opening`](crate::TimeoutKind::Opening)), or the peer did not
    /// answer a keepalive Ping ([`TimeoutKind::Pong`](crate::TimeoutKind::Pong)). A client that was refused, and waited
    /// for the rest of the response's body, gets the refusal ([`Error::Handshake`]).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        match &mut self.state {
            State::Open(connection) => {
                let event = connection.handle_timeout(now);
                if event.is_err() || connection.ready_state() == ReadyState::Closed {
                    // no event follows a failure, or Close
                    connection.discard_open_events();
                }
                event
            }
            State::Handshaking(handshaking) => handshaking.handle_timeout(now).map(|()| None),
        }
    }

    /// Server: accepts the request of [`Event::Request`]. Messages can then be sent. The next
    /// [`receive`](Self::receive) returns [`Event::Open`].
    ///
    /// # Errors
    ///
    /// * [`AnswerError::OriginForbidden`]: the request's origin is not permitted, and the request was refused.
    /// * [`AnswerError::NotWebSocket`]: the request does not ask for a WebSocket.
    /// * [`AnswerError::NoRequest`]: no request is pending.
    /// * Others: the subprotocol was not offered, or a header field is not valid.
    ///
    /// After all but the first, a pending request is still unanswered.
    pub fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), AnswerError> {
        let State::Handshaking(handshaking) = &mut self.state else { return Err(AnswerError::NoRequest) };
        let (mut connection, agreement, early) = handshaking.accept(&accept, now)?;
        connection.open(agreement, early);
        self.state = State::Open(connection);
        Ok(())
    }

    /// Server: refuses the request of [`Event::Request`], or answers that of [`Event::HttpRequest`], with a response.
    /// TCP closes after it. No event follows.
    ///
    /// # Errors
    ///
    /// The response is not valid, and the request is still unanswered; or no request is pending.
    pub fn respond(&mut self, response: HttpResponse, now: Instant) -> Result<(), AnswerError> {
        match &mut self.state {
            State::Open(_) => Err(AnswerError::NoRequest),
            State::Handshaking(handshaking) => handshaking.respond(&response, now),
        }
    }

    /// Queues a message: forwards to [`Connection::send`].
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        self.connection()?.send(message)
    }

    /// Queues a message with a shared payload: forwards to [`Connection::send_shared`].
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.connection()?.send_shared(kind, payload)
    }

    /// Queues a message, compressed or not: forwards to [`Connection::send_with`].
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: Compress,
    ) -> Result<(), SendError<Message<'m>>> {
        self.connection()?.send_with(message, compress)
    }

    /// Queues a message with a shared payload, compressed or not: forwards to [`Connection::send_shared_with`].
    #[cfg(feature = "deflate")]
    pub fn send_shared_with(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        compress: Compress,
    ) -> Result<(), SendError<Bytes>> {
        self.connection()?.send_shared_with(kind, payload, compress)
    }

    /// Queues a message that was encoded once for many peers: forwards to [`Connection::send_encoded`].
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        self.connection()?.send_encoded(message)
    }

    /// Queues several messages that were encoded once for many peers: forwards to [`Connection::send_batch`].
    pub fn send_batch(&mut self, batch: &EncodedBatch) -> Result<(), SendError> {
        self.connection()?.send_batch(batch)
    }

    /// Queues a fragment of a message: forwards to [`Connection::send_fragment`].
    pub fn send_fragment<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), SendError> {
        self.connection()?.send_fragment(kind, payload, last)
    }

    /// Queues a fragment of a message, compressed or not: forwards to [`Connection::send_fragment_with`].
    #[cfg(feature = "deflate")]
    pub fn send_fragment_with<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
        compress: Compress,
    ) -> Result<(), SendError> {
        self.connection()?.send_fragment_with(kind, payload, last, compress)
    }

    /// Queues a Ping: forwards to [`Connection::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection()?.ping(payload)
    }

    /// Queues an unsolicited Pong: forwards to [`Connection::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection()?.pong(payload)
    }

    /// Begins the closing handshake: forwards to [`Connection::close`]. A connection that is not open yet ends without
    /// a Close frame; the server answers a pending request with 503.
    ///
    /// # Errors
    ///
    /// As for [`Connection::close`].
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        match &mut self.state {
            State::Open(connection) => connection.close(code, reason, now),
            State::Handshaking(handshaking) => handshaking.close(code, reason, now),
        }
    }

    /// Returns the bytes to be written to the transport.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        match &mut self.state {
            State::Open(connection) => connection.output(),
            State::Handshaking(handshaking) => handshaking.output(),
        }
    }

    /// Attaches the driver's scratch memory for the connection's turn: forwards to [`Connection::attach_scratch`].
    #[inline]
    pub fn attach_scratch(&mut self, scratch: &mut Scratch) {
        self.output().attach_scratch(scratch);
    }

    /// Detaches the scratch memory: forwards to [`Connection::detach_scratch`].
    #[inline(always)]
    pub fn detach_scratch(&mut self, scratch: &mut Scratch) {
        match &mut self.state {
            State::Open(connection) => connection.detach_scratch(scratch),
            State::Handshaking(handshaking) => handshaking.output().detach_scratch(scratch),
        }
    }

    /// Returns whether scratch memory is attached: forwards to [`Connection::has_scratch`].
    #[cfg(feature = "deflate")]
    pub fn has_scratch(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.has_scratch(),
            State::Handshaking(_) => false,
        }
    }

    /// Returns the buffer of a message to the attached scratch: forwards to [`Connection::recycle`].
    #[inline]
    pub fn recycle(&mut self, message: Message<'_>) {
        if let State::Open(connection) = &mut self.state {
            connection.recycle(message);
        }
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout): forwards to [`Connection::poll_timeout`].
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Open(connection) => connection.poll_timeout(),
            State::Handshaking(handshaking) => handshaking.poll_timeout(),
        }
    }

    /// Returns what the driver should do with the transport now: forwards to [`Connection::transport`].
    #[inline]
    pub fn transport(&self) -> TransportAction {
        match &self.state {
            State::Open(connection) => connection.transport(),
            State::Handshaking(handshaking) => handshaking.transport(),
        }
    }

    /// Returns whether bytes should be read from the transport now: forwards to [`Connection::wants_read`], and returns
    /// `false` while a request is unanswered.
    #[inline]
    pub fn wants_read(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.wants_read(),
            State::Handshaking(handshaking) => handshaking.wants_read(),
        }
    }

    /// Returns whether an event or an error is pending that needs no further byte: [`Event::Open`] and the events that
    /// follow it after a late [`accept`](Self::accept), [`Event::Close`] once the last output was delivered, or the
    /// error of a server that can no longer answer. If so, call [`receive`](Self::receive) with an empty input until it
    /// returns `Ok(None)` or an error.
    #[inline]
    pub fn has_pending_event(&self) -> bool {
        match &self.state {
            State::Open(connection) => connection.has_open_event() || connection.has_pending_event(),
            State::Handshaking(handshaking) => handshaking.has_pending_event(),
        }
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn ready_state(&self) -> ReadyState {
        match &self.state {
            State::Open(connection) => connection.ready_state(),
            State::Handshaking(handshaking) => handshaking.ready_state(),
        }
    }

    /// Returns the payload bytes of messages that were sent and not yet delivered: forwards to
    /// [`Connection::buffered_amount`].
    #[inline]
    pub fn buffered_amount(&self) -> usize {
        match &self.state {
            State::Open(connection) => connection.buffered_amount(),
            State::Handshaking(_) => 0,
        }
    }

    /// Returns which end this is: forwards to [`Connection::role`].
    pub fn role(&self) -> Role {
        match &self.state {
            State::Open(connection) => connection.role(),
            State::Handshaking(handshaking) => handshaking.role(),
        }
    }

    /// Returns the subprotocol selected in the opening handshake: forwards to [`Connection::protocol`].
    pub fn protocol(&self) -> Option<&str> {
        match &self.state {
            State::Open(connection) => connection.protocol(),
            State::Handshaking(_) => None,
        }
    }

    /// Returns what both ends agreed about permessage-deflate: forwards to [`Connection::compression`].
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        match &self.state {
            State::Open(connection) => connection.compression(),
            State::Handshaking(_) => None,
        }
    }

    #[inline(never)]
    fn receive_at_first<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        match &mut self.state {
            State::Open(connection) => match connection.next_open_event(now) {
                Ok(None) => connection.receive(input, now),
                Ok(event) => Ok(event),
                Err(error) => {
                    input.discard();
                    Err(error)
                }
            },
            State::Handshaking(handshaking) => match handshaking.receive(input, now)? {
                Step::Event(event) => Ok(event),
                Step::Opened(connection, open) => {
                    let connection = connection.with_agreement(open.agreement().cloned().unwrap_or_default());
                    self.state = State::Open(connection);
                    Ok(Some(Event::Open(open)))
                }
            },
        }
    }

    #[inline]
    fn connection(&mut self) -> Result<&mut Connection, NotOpen> {
        match &mut self.state {
            State::Open(connection) => Ok(connection),
            State::Handshaking(handshaking) => Err(NotOpen(handshaking.ready_state())),
        }
    }
}

/// Shows role and state only: handshakes have credentials, and payloads are omitted.
impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WebSocket");
        shown.field("role", &self.role()).field("ready_state", &self.ready_state()).finish_non_exhaustive()
    }
}
