//! WebSocket: one life from CONNECTING to CLOSED, the opening handshake and then a Connection.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use rand_core::CryptoRng;

use crate::closing::CloseCode;
use crate::config::Config;
use crate::connection::Connection;
use crate::encoded::EncodedMessage;
use crate::error::Error;
use crate::event::{Event, ReadyState, Role, TransportAction};
use crate::fragment_payload::FragmentPayload;
use crate::handshake::{Accept, AnswerError, ClientRequest, Extension, HttpResponse, RequestError};
use crate::input::Input;
use crate::memory::Scratch;
use crate::message::{Message, MessageKind};
use crate::opening::{Handshaking, Step};
use crate::output::Output;
use crate::pending_open::PendingOpen;
use crate::send_error::{NotOpen, SendError};
use crate::time::Instant;

/// A WebSocket: one life from CONNECTING to CLOSED (RFC 6455).
///
/// It does no IO. Its driver, which has the socket and the clock, hands it what came from the network
/// ([`receive`](Self::receive), [`receive_eof`](Self::receive_eof)) and the time
/// ([`handle_timeout`](Self::handle_timeout)); all three answer with an event. The application answers the request
/// ([`accept`](Self::accept), [`respond`](Self::respond)), sends ([`send`](Self::send) and its kin) and closes
/// ([`close`](Self::close)). After any of these the driver asks anew what to do: write [`output`](Self::output), obey
/// [`transport`](Self::transport), read if [`wants_read`](Self::wants_read), and wait no longer than
/// [`poll_timeout`](Self::poll_timeout).
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
    Opened(Connection),
    Unopened(Handshaking),
}

impl WebSocket {
    /// Creates the client's end. Its request is in the output.
    ///
    /// `rng` gives the nonce and the masking keys: it must be unpredictable (RFC 6455 section 10.3).
    ///
    /// # Errors
    ///
    /// The request cannot be sent: what the application added to it is not valid.
    pub fn client(
        request: ClientRequest,
        config: impl Into<Arc<Config>>,
        rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        let client = Handshaking::client(&request, config.into(), rng, now)?;
        Ok(Self { state: State::Unopened(client) })
    }

    /// Creates the server's end, of a TCP connection just accepted.
    pub fn server(config: impl Into<Arc<Config>>, now: Instant) -> Self {
        Self { state: State::Unopened(Handshaking::server(config.into(), now)) }
    }

    /// Takes over a connection whose opening handshake was performed elsewhere, such as by an HTTP server: see
    /// [`Request::check`] and [`Connection::with_agreement`]. The first event is [`Event::Open`], as always. `leftover`
    /// is the bytes that were received behind the handshake; it may be empty.
    ///
    /// [`Request::check`]: crate::Request::check
    pub fn opened(mut connection: Connection, leftover: impl Into<Vec<u8>>) -> Self {
        let agreement = connection.opening.take().map(|opening| opening.agreement).unwrap_or_default();
        connection.opening = Some(PendingOpen::with_open_event(agreement, leftover.into()));
        Self { state: State::Opened(connection) }
    }

    /// Consumes received bytes up to the next event; `None` when the input is empty, or what remains of it is
    /// [left](Input::refillable) to the caller. It may be empty from the start, to ask for pending events
    /// ([`has_pending_event`](Self::has_pending_event)).
    ///
    /// # Errors
    ///
    /// The opening handshake failed, the peer broke the protocol, or a timeout was reported before. What tells the peer
    /// is in the output. Every later call returns the same error and discards its input, except that one call returns
    /// [`Event::Close`] when a connection that was open has ended.
    #[inline]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        match &mut self.state {
            State::Opened(connection) if !connection.is_opening() => connection.receive(input, now),
            _ => self.receive_at_first(input, now),
        }
    }

    /// Reports the end of the stream: the peer sent its FIN. If the connection was lost, call
    /// [`write_lost`](Self::write_lost) first. Call it until it returns `Ok(None)`: events that came before the end are
    /// returned first. Output that is pending is still to be written: the connection ends when it was delivered.
    ///
    /// # Errors
    ///
    /// The stream ended within the opening handshake (a request that asks for no WebSocket can still be answered), or
    /// frames that came before the request was accepted broke the protocol. [`Event::Close`] says how an open
    /// connection ended.
    pub fn receive_eof(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        match &mut self.state {
            State::Opened(connection) => match connection.next_of_opening(now) {
                Ok(None) => connection.receive_eof(now),
                Ok(event) => Ok(event),
                Err(error) => {
                    // no event can precede the end any more, and a driver may not call again after an error
                    connection.note_eof(now);
                    Err(error)
                }
            },
            State::Unopened(unopened) => unopened.receive_eof(now).map(|()| None),
        }
    }

    /// Reports that nothing more can be written, such as after a write failed with EPIPE. Drops the output;
    /// [`buffered_amount`](Self::buffered_amount) keeps its value. Keep reading: the peer's last bytes may still be in
    /// the receive buffer.
    pub fn write_lost(&mut self, now: Instant) {
        match &mut self.state {
            State::Opened(connection) => connection.write_lost(now),
            State::Unopened(unopened) => unopened.write_lost(now),
        }
    }

    /// Reports that the peer has acknowledged bytes since the last call. Restarts the deadline of a closing connection,
    /// and the deadline for the Pong of an open one: a slow reader cannot answer a Ping that is queued behind its
    /// backlog.
    ///
    /// While a connection is closing, [`poll_timeout`](Self::poll_timeout) comes four times per
    /// [`Config::closing_timeout`]: a driver that knows what was acknowledged looks then.
    pub fn progress(&mut self, now: Instant) {
        match &mut self.state {
            State::Opened(connection) => connection.progress(now),
            State::Unopened(unopened) => unopened.progress(now),
        }
    }

    /// Ends the connection without a closing handshake, and drops the output. [`Event::Close`] follows if the
    /// connection was open; [`transport`](Self::transport) is [`TransportAction::Abort`].
    pub fn abort(&mut self, now: Instant) {
        match &mut self.state {
            State::Opened(connection) => connection.abort(now),
            State::Unopened(unopened) => unopened.abort(now),
        }
    }

    /// Handles a deadline that has come. Call it at [`poll_timeout`](Self::poll_timeout), after reading and writing
    /// what the transport has and takes. Calls at other times are harmless.
    ///
    /// # Errors
    ///
    /// The opening handshake took too long ([`TimeoutKind::Opening`](crate::TimeoutKind::Opening)), or the peer did not
    /// answer a keepalive Ping ([`TimeoutKind::Pong`](crate::TimeoutKind::Pong)). A client that was refused, and waited
    /// for the rest of the response's body, gets the refusal ([`Error::Handshake`]).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        match &mut self.state {
            State::Opened(connection) => {
                let event = connection.handle_timeout(now);
                if event.is_err() || connection.ready_state() == ReadyState::Closed {
                    // nothing follows a failure, or Close
                    connection.opening =
                        connection.opening.take().and_then(|opening| PendingOpen::from_agreement(opening.agreement));
                }
                event
            }
            State::Unopened(unopened) => unopened.handle_timeout(now).map(|()| None),
        }
    }

    /// Server: accepts the request of [`Event::Request`]. From now on messages can be sent; [`Event::Open`] is what the
    /// next [`receive`](Self::receive) returns.
    ///
    /// # Errors
    ///
    /// The request is still unanswered: it cannot be accepted like this. Or its origin may not open a connection, and
    /// it has been refused: [`AnswerError::OriginForbidden`]. Or it asks for no WebSocket:
    /// [`AnswerError::NotWebSocket`]. Or no request is pending: [`AnswerError::NoRequest`].
    pub fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), AnswerError> {
        let State::Unopened(unopened) = &mut self.state else { return Err(AnswerError::NoRequest) };
        let (mut connection, agreement, early) = unopened.accept(&accept, now)?;
        connection.opening = Some(PendingOpen::with_open_event(agreement, early));
        self.state = State::Opened(connection);
        Ok(())
    }

    /// Server: refuses the request of [`Event::Request`], or answers that of [`Event::HttpRequest`], with a response
    /// after which TCP closes. No event follows.
    ///
    /// # Errors
    ///
    /// The request is still unanswered: the response is not valid. Or there is no request to answer.
    pub fn respond(&mut self, response: HttpResponse, now: Instant) -> Result<(), AnswerError> {
        match &mut self.state {
            State::Opened(_) => Err(AnswerError::NoRequest),
            State::Unopened(unopened) => unopened.respond(&response, now),
        }
    }

    /// Queues a message. An owned payload of some size is queued as it is, a borrowed one copied.
    ///
    /// # Errors
    ///
    /// The connection is not open, the message does not fit the buffer (now or ever; it is returned), or a fragmented
    /// message is unfinished. The connection is unharmed.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        self.connection()?.send(message)
    }

    /// Queues a message that others share. A server never copies it, unless the frames that it leaves in are so short
    /// (below 256 bytes) that a copy takes less memory than a reference. Text is validated.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`SendError::Utf8Invalid`].
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.connection()?.send_shared(kind, payload)
    }

    /// Queues a message that was encoded once for many. A server never copies it, unless it is so short (256 bytes)
    /// that a copy takes less memory than a reference.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but nothing is returned.
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        self.connection()?.send_encoded(message)
    }

    /// Queues a fragment of a message (RFC 6455 section 5.4). Until its last fragment no other message can be sent;
    /// Pings and Pongs can, and so can Close, which leaves the message unfinished. Text may be cut anywhere. A borrowed
    /// payload is copied; an owned or shared one of some size is not, by a server.
    ///
    /// # Errors
    ///
    /// The connection is not open, the payload does not fit the buffer (now or ever; it is not returned),
    /// [`SendError::FragmentKindMismatch`] or [`SendError::Utf8Invalid`]. The connection is unharmed.
    pub fn send_fragment<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), SendError> {
        self.connection()?.send_fragment(kind, payload, last)
    }

    /// Queues a Ping of up to 125 bytes. It leaves before messages that have not begun to leave.
    ///
    /// # Errors
    ///
    /// The connection is not open, the payload too long, or [`Config::max_pending_controls`] wait already.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection()?.ping(payload)
    }

    /// Queues a Pong of up to 125 bytes that answers nothing: a one-way heartbeat (RFC 6455 section 5.5.3). Pings are
    /// answered without it.
    ///
    /// # Errors
    ///
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.connection()?.pong(payload)
    }

    /// Begins the closing handshake: queues a Close frame behind what was sent before. All of it is delivered to a peer
    /// that keeps reading, within [`Config::closing_limit`]. Messages of the peer still arrive until its Close frame
    /// does. To close again does nothing.
    ///
    /// A connection that is not open yet ends without a Close frame: a request that is not answered yet gets 503.
    ///
    /// # Errors
    ///
    /// The code must not travel (but [`CloseCode::NO_STATUS`] sends none), or the reason exceeds 123 bytes, or comes
    /// without a code. The connection is unharmed.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        match &mut self.state {
            State::Opened(connection) => connection.close(code, reason, now),
            State::Unopened(unopened) => unopened.close(code, reason, now),
        }
    }

    /// Returns the bytes to be written to the transport.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        match &mut self.state {
            State::Opened(connection) => connection.output(),
            State::Unopened(unopened) => unopened.output(),
        }
    }

    /// Takes the driver's memory for the connection's turn: for a driver that owns many connections, of which few are
    /// busy at a time, and for one that wants to spare the allocator. Frames are encoded there, and messages that
    /// arrive in pieces are assembled in the memory of payloads that were sent or [recycled](Self::recycle), so that a
    /// busy connection need not ask the allocator for memory, and an idle one owns none. It is to be given back
    /// ([`detach_scratch`](Self::detach_scratch)) when the turn ends, after writing.
    ///
    /// ```
    /// use sansocket::bytes::Buf;
    /// use sansocket::{Config, Connection, Instant, Scratch};
    ///
    /// let mut scratch = Scratch::new();
    /// let mut connection = Connection::server(Config::default(), Instant::EPOCH); // or a WebSocket
    ///
    /// connection.attach_scratch(&mut scratch);
    /// connection.send("Hello")?;
    /// let written = connection.output().chunk().len(); // as much as the transport takes
    /// connection.output().advance(written);
    /// connection.detach_scratch(&mut scratch);
    /// # Ok::<(), sansocket::SendError>(())
    /// ```
    #[inline]
    pub fn attach_scratch(&mut self, memory: &mut Scratch) {
        self.output().attach_scratch(memory);
    }

    /// Detaches the scratch memory. Pending output in it, and the part of a message that has arrived, move to memory
    /// that the connection owns.
    #[inline]
    pub fn detach_scratch(&mut self, memory: &mut Scratch) {
        match &mut self.state {
            State::Opened(connection) => connection.detach_scratch(memory),
            State::Unopened(unopened) => unopened.output().detach_scratch(memory),
        }
    }

    /// Takes the memory of a message that is not needed any more, so that another one that arrives in pieces may be
    /// assembled there. It goes to the attached [scratch](Self::attach_scratch); if there is none, or the message was
    /// borrowed or is short (below 4 KiB), this does nothing but drop it. What is sent, by move, need not be recycled.
    ///
    /// ```
    /// use sansocket::{Config, Connection, Event, Input, Instant, Scratch};
    ///
    /// # fn rng() -> impl sansocket::rand_core::CryptoRng + Send { use rand_chacha::rand_core::SeedableRng; rand_chacha::ChaCha12Rng::from_seed([0; 32]) }
    /// # let mut reads = [vec![0x82, 126, 0x20, 0x00], vec![7; 8192]];
    /// let (mut scratch, now) = (Scratch::new(), Instant::EPOCH);
    /// let mut client = Connection::client(Config::default(), rng(), now);
    /// client.attach_scratch(&mut scratch);
    /// for bytes in &mut reads {
    ///     let mut input = Input::new(bytes);
    ///     while let Some(event) = client.receive(&mut input, now)? {
    ///         if let Event::Message(message) = event {
    ///             println!("{} bytes", message.len());
    ///             client.recycle(message);
    ///         }
    ///     }
    /// }
    /// client.detach_scratch(&mut scratch);
    /// # Ok::<(), sansocket::Error>(())
    /// ```
    #[inline]
    pub fn recycle(&mut self, message: Message<'_>) {
        if let State::Opened(connection) = &mut self.state {
            connection.recycle(message);
        }
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), unless something else happens before. Ask again
    /// after every call that changes the connection.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Opened(connection) => connection.poll_timeout(),
            State::Unopened(unopened) => unopened.poll_timeout(),
        }
    }

    /// Returns what the driver should do with the transport now. Ask again after every call that changes the connection
    /// or its output.
    #[inline]
    pub fn transport(&self) -> TransportAction {
        match &self.state {
            State::Opened(connection) => connection.transport(),
            State::Unopened(unopened) => unopened.transport(),
        }
    }

    /// Returns whether bytes should be read from the transport now: not while a request is unanswered, nor while a
    /// server has more than [`Config::high_water_mark`] bytes of output that are not delivered. If not, leave them in
    /// the kernel, so that TCP slows down the peer; ask again after the answer, and when output was delivered. A
    /// closing connection is always read.
    #[inline]
    pub fn wants_read(&self) -> bool {
        match &self.state {
            State::Opened(connection) => connection.wants_read(),
            State::Unopened(unopened) => unopened.wants_read(),
        }
    }

    /// Returns whether an event is pending that no received byte causes: [`Event::Open`] and what follows it after a
    /// late [`accept`](Self::accept), or [`Event::Close`] once the last output was delivered. If so, call
    /// [`receive`](Self::receive) with an empty input until it returns `Ok(None)`.
    #[inline]
    pub fn has_pending_event(&self) -> bool {
        match &self.state {
            State::Opened(connection) => connection.is_opening() || connection.has_pending_event(),
            State::Unopened(unopened) => unopened.has_pending_event(),
        }
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn ready_state(&self) -> ReadyState {
        match &self.state {
            State::Opened(connection) => connection.ready_state(),
            State::Unopened(unopened) => unopened.ready_state(),
        }
    }

    /// Returns the payload bytes of messages that were sent and not yet delivered. Framing is not counted, nor is the
    /// opening handshake.
    #[inline]
    pub fn buffered_amount(&self) -> usize {
        match &self.state {
            State::Opened(connection) => connection.buffered_amount(),
            State::Unopened(_) => 0,
        }
    }

    /// Returns which end this is.
    pub fn role(&self) -> Role {
        match &self.state {
            State::Opened(connection) => connection.role(),
            State::Unopened(unopened) => unopened.role(),
        }
    }

    /// Returns the subprotocol selected in the opening handshake (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        match &self.state {
            State::Opened(connection) => connection.protocol(),
            State::Unopened(_) => None,
        }
    }

    /// Returns the extensions in use (RFC 6455 section 9).
    pub fn extensions(&self) -> &[Extension] {
        match &self.state {
            State::Opened(connection) => connection.extensions(),
            State::Unopened(_) => &[],
        }
    }

    #[inline(never)]
    fn receive_at_first<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        match &mut self.state {
            State::Opened(connection) => match connection.next_of_opening(now) {
                Ok(None) => connection.receive(input, now),
                Ok(event) => Ok(event),
                Err(error) => {
                    input.discard();
                    Err(error)
                }
            },
            State::Unopened(unopened) => match unopened.receive(input, now)? {
                Step::Event(event) => Ok(event),
                Step::Opened(connection, open) => {
                    let connection = connection.with_agreement(open.agreement().cloned().unwrap_or_default());
                    self.state = State::Opened(connection);
                    Ok(Some(Event::Open(open)))
                }
            },
        }
    }

    #[inline]
    fn connection(&mut self) -> Result<&mut Connection, NotOpen> {
        match &mut self.state {
            State::Opened(connection) => Ok(connection),
            State::Unopened(unopened) => Err(NotOpen(unopened.ready_state())),
        }
    }
}

/// Shows role and state alone: a handshake holds credentials, and messages are not for logs.
impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WebSocket");
        shown.field("role", &self.role()).field("ready_state", &self.ready_state()).finish_non_exhaustive()
    }
}
