//! Connection: what follows the opening handshake. Joins receiver, sender, closing handshake and timers.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;

use bytes::Bytes;
use rand_core::CryptoRng;

use crate::assembler::{Delivered, message};
use crate::closing::{Close, CloseCode, CloseFrame, Closing, Initiator};
use crate::config::Config;
use crate::controls::ControlKind;
use crate::encoded::EncodedMessage;
use crate::error::{Error, ProtocolError, TimeoutKind};
use crate::event::{Event, ReadyState, Role, TransportAction};
use crate::fragment_payload::FragmentPayload;
use crate::frame::OpCode;
use crate::handshake::{Agreement, Extension};
use crate::input::Input;
use crate::left::Progress;
use crate::memory::Scratch;
use crate::message::{Message, MessageKind};
use crate::output::Output;
use crate::pending_open::PendingOpen;
use crate::receiver::{Received, Receiver};
use crate::send_error::{NotOpen, SendError};
use crate::sender::{Masking, Sender};
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A WebSocket connection after its opening handshake: RFC 6455 sections 5 to 7 alone.
///
/// For applications that performed the opening handshake elsewhere: an HTTP server that upgraded the request
/// ([`Request`](crate::Request) has an example), a test, a proxy. [`WebSocket`](crate::WebSocket) includes the opening
/// handshake; its methods of the same names do the same. Bytes that arrived with the handshake are the first to
/// [`receive`](Self::receive).
///
/// ```
/// use std::sync::Arc;
/// use sansocket::{Config, Connection, Event, Input, Instant, Message};
///
/// let now = Instant::EPOCH;
/// let mut server = Connection::server(Arc::new(Config::default()), now);
///
/// // the masked "Hello" of RFC 6455 section 5.7
/// let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let mut input = Input::new(&mut bytes);
/// while let Some(event) = server.receive(&mut input, now)? {
///     assert_eq!(event, Event::Message(Message::from("Hello")));
/// }
/// # Ok::<(), sansocket::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    receiver: Receiver,
    sender: Sender,
    output: Output,
    /// `None` while the connection is open.
    closing: Option<Box<Closing>>,
    timers: Timers,
    /// What the opening handshake agreed, and what it left to [`WebSocket`](crate::WebSocket).
    pub(crate) opening: Option<Box<PendingOpen>>,
}

impl Connection {
    /// Creates the client's end. `rng` gives the masking keys: it must be unpredictable (RFC 6455 section 10.3).
    pub fn client(config: impl Into<Arc<Config>>, rng: impl CryptoRng + Send + Sync + 'static, now: Instant) -> Self {
        Self::new(Masking::Client(Box::new(rng)), config.into(), Output::default(), now)
    }

    /// Creates the server's end.
    pub fn server(config: impl Into<Arc<Config>>, now: Instant) -> Self {
        Self::new(Masking::Server, config.into(), Output::default(), now)
    }

    /// Keeps what the opening handshake agreed: [`protocol`](Self::protocol) and [`extensions`](Self::extensions)
    /// return it.
    #[must_use]
    pub fn with_agreement(mut self, agreement: Agreement) -> Self {
        self.opening = PendingOpen::from_agreement(agreement);
        self
    }

    /// An end whose `output` may still hold the head of a handshake message.
    pub(crate) fn new(masking: Masking, config: Arc<Config>, output: Output, now: Instant) -> Self {
        let sender = Sender::new(masking);
        let receiver = Receiver::new(sender.role());
        let mut timers = Timers::new(now);
        if let Some(interval) = config.keepalive.interval() {
            timers.set(Timer::Ping, interval);
        }
        Self { config, receiver, sender, output, closing: None, timers, opening: None }
    }

    /// Consumes received bytes up to the next event; `None` when the input is empty, or what remains of it is
    /// [left](Input::refillable) to the caller.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol, and the Close frame that says so is in the output, unless one was before; or a
    /// timeout was reported before. Every later call returns the same error and discards its input, except that one
    /// call returns [`Event::Close`] when the connection has ended.
    #[inline(always)]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        self.timers.advance(now);
        if self.closing.is_none() {
            if input.is_empty() {
                return Ok(None);
            }
            self.heard();
            match self.receiver.whole_message(input, &self.config) {
                // the beginning of a short one, left where it lies
                None if input.missing() > 0 => return Ok(None),
                None => {}
                Some((MessageKind::Binary, payload)) => {
                    return Ok(Some(Event::Message(Message::Binary(Cow::Borrowed(payload)))));
                }
                Some((MessageKind::Text, payload)) => match simdutf8::basic::from_utf8(payload) {
                    Ok(text) => return Ok(Some(Event::Message(Message::Text(Cow::Borrowed(text))))),
                    Err(_) => {
                        self.fail(ProtocolError::Utf8Invalid.into());
                        return self.discard(input);
                    }
                },
            }
        }
        self.receive_anything(input)
    }

    /// Reports the end of the stream: the peer sent its FIN. If the connection was lost, call
    /// [`write_lost`](Self::write_lost) as well. Output that is pending is still to be written: the connection ends
    /// when it was delivered.
    ///
    /// # Errors
    ///
    /// None: [`Event::Close`] says how the connection ended.
    pub fn receive_eof(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        self.note_eof(now);
        Ok(self.take_close().map(Event::Close))
    }

    /// Records the end of the stream, and leaves the events that follow to another call.
    pub(crate) fn note_eof(&mut self, now: Instant) {
        self.timers.advance(now);
        self.closing(Initiator::Peer).receive_eof();
        self.receiver.discard();
    }

    /// Reports that nothing more can be written, such as after a write failed with EPIPE. Drops the output;
    /// [`buffered_amount`](Self::buffered_amount) keeps its value. Keep reading: the peer's last bytes may still be in
    /// the receive buffer.
    pub fn write_lost(&mut self, now: Instant) {
        self.timers.advance(now);
        let (close_delivered, has_moved) = (self.output.is_close_delivered(), self.output.take_moved());
        let now = self.timers.now();
        let closing = self.closing(Initiator::Peer);
        if has_moved {
            closing.progress(now);
        }
        closing.lose_write(close_delivered);
        self.output.abandon();
    }

    /// Reports that the peer has acknowledged bytes since the last call. Restarts the deadline of a closing connection,
    /// and the deadline for the Pong of an open one.
    pub fn progress(&mut self, now: Instant) {
        self.timers.advance(now);
        match &mut self.closing {
            Some(closing) => closing.progress(self.timers.now()),
            None => _ = self.timers.restart(Timer::Pong),
        }
    }

    /// Ends the connection without a closing handshake. Drops the output. [`Event::Close`] follows.
    pub fn abort(&mut self, now: Instant) {
        self.timers.advance(now);
        self.end(Initiator::Local, TransportAction::Abort);
    }

    /// Handles a deadline that has come. Call it at [`poll_timeout`](Self::poll_timeout), after reading and writing
    /// what the transport has and takes. Calls at other times are harmless.
    ///
    /// # Errors
    ///
    /// [`TimeoutKind::Pong`]: the peer did not answer a keepalive Ping. [`Event::Close`] follows.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        self.timers.advance(now);
        while let Some(timer) = self.timers.pop_expired() {
            match timer {
                Timer::Ping => self.keep_alive(),
                Timer::Pong if self.output.excuses_silence() && self.output.take_moved() => {
                    self.await_pong(self.output.has_keepalive() || !self.wants_read());
                }
                Timer::Pong => {
                    let error = Error::from(TimeoutKind::Pong);
                    self.closing(Initiator::Local).fail(Some(error.clone()));
                    self.end(Initiator::Local, TransportAction::Abort);
                    return Err(error);
                }
                Timer::Closing => self.check_deadline(),
                Timer::Opening => {}
            }
        }
        Ok(self.take_close().map(Event::Close))
    }

    /// Queues a message. An owned payload of some size is queued as it is, a borrowed one copied.
    ///
    /// # Errors
    ///
    /// The connection is not open, the message does not fit the buffer (now or ever; it is returned), or a fragmented
    /// message is unfinished. The connection is unharmed.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        self.send_message(message.into())
    }

    /// Queues a message that others share. A server never copies it, unless the frames that it leaves in are so short
    /// (below 256 bytes) that a copy takes less memory than a reference. Text is validated.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`SendError::Utf8Invalid`].
    #[inline]
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        let size = payload.len();
        if !self.takes_message(size) {
            return Err(self.refuse_message(payload, size));
        }
        self.sender.shared(&mut self.output, kind, payload, &self.config)?;
        self.held_back();
        Ok(())
    }

    /// Queues a message that was encoded once for many. A server never copies it, unless it is so short (256 bytes)
    /// that a copy takes less memory than a reference.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but nothing is returned.
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        if !self.takes_message(message.len()) {
            return Err(self.refuse_message((), message.len()));
        }
        self.sender.encoded(&mut self.output, message);
        self.held_back();
        Ok(())
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
        self.check_open()?;
        self.sender.fragment(&mut self.output, kind, payload.into(), last, &self.config)?;
        self.held_back();
        Ok(())
    }

    /// Queues a Ping of up to 125 bytes. It leaves before messages that have not begun to leave.
    ///
    /// # Errors
    ///
    /// The connection is not open, the payload too long, or [`Config::max_pending_controls`] wait already.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Ping, payload)
    }

    /// Queues a Pong of up to 125 bytes that answers nothing: a one-way heartbeat (RFC 6455 section 5.5.3). Pings are
    /// answered without it.
    ///
    /// # Errors
    ///
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_control(OpCode::Pong, payload)
    }

    /// Begins the closing handshake: queues a Close frame behind what was sent before. All of it is delivered to a peer
    /// that keeps reading, within [`Config::closing_limit`]. Messages of the peer still arrive until its Close frame
    /// does. To close again does nothing.
    ///
    /// # Errors
    ///
    /// The code must not travel (but [`CloseCode::NO_STATUS`] sends none), or the reason exceeds 123 bytes, or comes
    /// without a code.
    pub fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        self.timers.advance(now);
        if self.closing.is_none() {
            self.sender.close(&mut self.output, code, reason)?;
            self.closing(Initiator::Local);
        }
        Ok(())
    }

    /// Returns the bytes to be written to the transport.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Attaches the driver's scratch memory for one turn: see
    /// [`WebSocket::attach_scratch`](crate::WebSocket::attach_scratch).
    #[inline]
    pub fn attach_scratch(&mut self, memory: &mut Scratch) {
        self.output.attach_scratch(memory);
    }

    /// Detaches the scratch memory: see [`WebSocket::detach_scratch`](crate::WebSocket::detach_scratch).
    #[inline(always)]
    pub fn detach_scratch(&mut self, memory: &mut Scratch) {
        if self.receiver.has_begun()
            && let Some(spares) = self.output.spares()
        {
            self.receiver.detach_scratch(spares);
        }
        self.output.detach_scratch(memory);
    }

    /// Takes the memory of a message that is not needed any more: see
    /// [`WebSocket::recycle`](crate::WebSocket::recycle).
    #[inline]
    pub fn recycle(&mut self, message: Message<'_>) {
        if let Some(spares) = self.output.spares() {
            match message {
                Message::Text(Cow::Owned(text)) => spares.recycle(text.into_bytes()),
                Message::Binary(Cow::Owned(bytes)) => spares.recycle(bytes),
                _ => {}
            }
        }
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout), unless something else happens before. Ask again
    /// after every call that changes the connection.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Returns what the driver should do with the transport now. Ask again after every call that changes the connection
    /// or its output.
    #[inline]
    pub fn transport(&self) -> TransportAction {
        match &self.closing {
            None => TransportAction::Open,
            Some(closing) => closing.transport(self.role(), self.output.is_delivered()),
        }
    }

    /// Returns whether bytes should be read from the transport now. If not, leave them in the kernel, so that TCP slows
    /// down the peer; ask again when output was delivered. A closing connection is always read, until the end of the
    /// stream.
    #[inline]
    pub fn wants_read(&self) -> bool {
        match &self.closing {
            None => !self.holds_back(),
            Some(closing) => closing.wants_read(self.output.is_delivered()),
        }
    }

    /// Returns whether an event is pending that no received byte causes, such as [`Event::Close`] once the last output
    /// was delivered: call [`receive`](Self::receive) with an empty input.
    #[inline]
    pub fn has_pending_event(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.has_pending_close(self.output.is_delivered()))
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn ready_state(&self) -> ReadyState {
        self.closing.as_ref().map_or(ReadyState::Open, |closing| closing.ready_state())
    }

    /// Returns the payload bytes of messages that were sent and not yet delivered. Framing is not counted.
    #[inline]
    pub fn buffered_amount(&self) -> usize {
        self.output.buffered_amount()
    }

    /// Returns the subprotocol selected in the opening handshake (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.opening.as_ref().and_then(|opening| opening.agreement.protocol())
    }

    /// Returns the extensions in use (RFC 6455 section 9).
    pub fn extensions(&self) -> &[Extension] {
        self.opening.as_ref().map_or(&[], |opening| opening.agreement.extensions())
    }

    /// Returns which end this is.
    #[inline]
    pub fn role(&self) -> Role {
        self.sender.role()
    }

    /// Whether an event is due that precedes what is received next: `Open`, or that of a frame that came early. A
    /// connection without an agreement answers from its own memory.
    #[inline(always)]
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.is_pending())
    }

    /// Returns the next of these events.
    pub(crate) fn next_of_opening(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        let Some(mut opening) = self.opening.take() else { return Ok(None) };
        let event = match opening.take_open() {
            Some(open) => Ok(Some(Event::Open(open))),
            None if opening.is_pending() => {
                opening.receive_early(|input| self.receive(input, now).map(|event| event.map(Event::into_owned)))
            }
            None => Ok(None),
        };
        self.opening = opening.into_needed();
        event
    }

    #[inline]
    fn send_message<'m>(&mut self, message: Message<'m>) -> Result<(), SendError<Message<'m>>> {
        let size = message.len();
        if !self.takes_message(size) {
            return Err(self.refuse_message(message, size));
        }
        self.sender.message(&mut self.output, message, &self.config);
        self.held_back();
        Ok(())
    }

    /// A Ping or Pong of the application's.
    fn send_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.control(&mut self.output, opcode, payload, ControlKind::Asked, &self.config)?;
        self.held_back();
        Ok(())
    }

    #[inline(never)]
    fn receive_anything<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        input.look_again();
        if let Some(closing) = &mut self.closing {
            if !input.is_empty() {
                closing.note_received(self.output.is_delivered(), self.timers.now());
            }
            if !closing.is_listening() {
                return self.discard_closing(input);
            }
        }
        if self.receiver.is_assembling(&self.config) {
            match self.receiver.more(input, self.output.spares()) {
                Ok(Some(message)) => return Ok(Some(Event::Message(message))),
                Ok(None) if input.is_empty() => return Ok(None),
                Ok(None) => {}
                Err(error) => {
                    self.fail(error);
                    return self.discard(input);
                }
            }
        }
        if self.closing.is_none() {
            match self.receiver.left_message(input, &self.config) {
                Progress::Other => {}
                Progress::Left => return Ok(None),
                Progress::Whole(kind, payload) => match message(kind, payload) {
                    Ok(message) => return Ok(Some(Event::Message(message))),
                    Err(error) => {
                        self.fail(error);
                        return self.discard(input);
                    }
                },
            }
        }
        self.receive_frames(input)
    }

    fn receive_frames<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        Ok(match self.receiver.receive(input, &self.config, self.output.spares()) {
            Ok(None) => None,
            Ok(Some(Received::Data(Delivered::Message(message)))) => Some(Event::Message(message)),
            Ok(Some(Received::Data(Delivered::Chunk(chunk)))) => Some(Event::Chunk(chunk)),
            Ok(Some(Received::Ping(payload))) => {
                self.answer(&payload);
                Some(Event::Ping(payload))
            }
            Ok(Some(Received::Pong(payload))) => Some(Event::Pong(payload)),
            Ok(Some(Received::Close(frame))) => {
                self.receive_close(frame.clone());
                Some(Event::CloseReceived(frame))
            }
            Err(error) => {
                self.fail(error);
                return self.discard(input);
            }
        })
    }

    /// A connection that listens no more: reports its end when that has come.
    fn discard_closing<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        match self.take_close() {
            Some(close) => {
                input.discard();
                Ok(Some(Event::Close(close)))
            }
            None => self.discard(input),
        }
    }

    /// 1.4, 7.1.7: what follows a Close frame, or a failure, is discarded, as is what was unfinished then.
    fn discard<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, Error> {
        input.discard();
        self.receiver.discard();
        match self.closing.as_ref().and_then(|closing| closing.error()) {
            Some(error) => Err(error.clone()),
            None => Ok(None),
        }
    }

    /// Whether a message with a payload of this size can be queued; otherwise [`refuse_message`](Self::refuse_message)
    /// says why.
    #[inline]
    fn takes_message(&self, size: usize) -> bool {
        self.closing.is_none() && self.sender.takes_message(&self.output, size, &self.config)
    }

    #[cold]
    #[inline(never)]
    fn refuse_message<M>(&self, message: M, size: usize) -> SendError<M> {
        match self.check_open() {
            Ok(()) => self.sender.refuse_message(message, size, &self.config),
            Err(error) => error.into(),
        }
    }

    #[inline]
    fn check_open(&self) -> Result<(), NotOpen> {
        if self.closing.is_none() { Ok(()) } else { Err(NotOpen(self.ready_state())) }
    }

    /// Something came from the peer of an open connection: it is alive.
    #[inline]
    fn heard(&mut self) {
        if !self.timers.restart(Timer::Ping)
            && let Some(interval) = self.config.keepalive.interval()
        {
            self.timers.set(Timer::Ping, interval);
        }
    }

    /// Nothing came for a while: asks the peer whether it is alive, unless such a question waits already.
    fn keep_alive(&mut self) {
        let is_busy = !self.output.is_delivered();
        let _ = self.sender.control(&mut self.output, OpCode::Ping, &[], ControlKind::Keepalive, &self.config);
        self.await_pong(is_busy || self.holds_back());
    }

    /// Whether a peer that does not take its answers is given no more to answer. A client never holds back: two
    /// endpoints that did would wait for each other for ever.
    #[inline]
    fn holds_back(&self) -> bool {
        self.output.undelivered() > self.config.high_water_mark && self.role() == Role::Server
    }

    /// Something of the application's was queued. If that keeps the driver from reading, a Pong may lie unread.
    #[inline]
    fn held_back(&mut self) {
        if self.holds_back() {
            self.output.excuse_silence(true);
        }
    }

    /// The peer has the whole time to answer once the Ping has left, and its Pong is read. Until then it is alive as
    /// long as it takes what is sent.
    fn await_pong(&mut self, excuses_silence: bool) {
        self.output.excuse_silence(excuses_silence);
        self.output.take_moved();
        self.timers.set(Timer::Pong, self.config.pong_timeout);
    }

    /// 5.5.2: upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response
    fn answer(&mut self, payload: &[u8]) {
        if self.output.takes_controls() && self.can_write() {
            let _ = self.sender.control(&mut self.output, OpCode::Pong, payload, ControlKind::Answer, &self.config);
        }
    }

    fn can_write(&self) -> bool {
        self.closing.as_ref().is_none_or(|closing| closing.can_write())
    }

    /// 5.5.1: if an endpoint receives a Close frame and did not previously send one, it MUST send one in response,
    /// and typically echoes the status code
    fn receive_close(&mut self, frame: CloseFrame) {
        self.queue_close(frame.code, "");
        self.closing(Initiator::Peer).receive_close(frame);
        self.receiver.discard();
    }

    /// 7.1.7: an endpoint that fails the connection SHOULD send a Close frame with an appropriate status code.
    /// Its reason names the rule that was broken, or the limit that was exceeded.
    #[cold]
    fn fail(&mut self, error: Error) {
        if let Some(code) = error.close_code() {
            let reason = match &error {
                Error::Protocol(rule) => rule.to_string(),
                error => error.to_string(),
            };
            self.queue_close(code, &reason);
        }
        self.closing(Initiator::Local).fail(Some(error));
    }

    /// Queues our Close frame, unless it was queued before or cannot be written.
    fn queue_close(&mut self, code: CloseCode, reason: &str) {
        if !self.output.is_close_queued() && self.can_write() {
            let _ = self.sender.close(&mut self.output, code, reason);
        }
    }

    /// The state of the end, which begins here unless it has begun. From here on the closing timer alone runs.
    fn closing(&mut self, initiator: Initiator) -> &mut Closing {
        let Self { closing, timers, config, output, .. } = self;
        closing.get_or_insert_with(|| {
            let closing = Closing::new(initiator, config, timers.now());
            timers.set(Timer::Closing, closing.next_look(timers.now()));
            output.take_moved();
            Box::new(closing)
        })
    }

    /// The closing timer has fired.
    fn check_deadline(&mut self) {
        let Self { closing: Some(closing), timers, output, .. } = self else { return };
        if closing.check_deadline(output, timers) {
            self.receiver.discard();
        }
    }

    fn end(&mut self, initiator: Initiator, action: TransportAction) {
        self.closing(initiator);
        if let Self { closing: Some(closing), timers, output, .. } = self {
            closing.end_now(action, output, timers);
        }
        self.receiver.discard();
    }

    /// The report of the end, once.
    fn take_close(&mut self) -> Option<Close> {
        let close = self.closing.as_mut()?.take_close(self.output.is_delivered())?;
        self.timers.stop();
        Some(close)
    }
}
