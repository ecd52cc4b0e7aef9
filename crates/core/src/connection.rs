//! A connection after its opening handshake: joins receiver, sender, closing handshake and timers.

mod keepalive;
mod open_events;
mod receive;
mod send;
#[cfg(feature = "deflate")]
mod send_compressed;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;

use rand_core::CryptoRng;

use crate::closing::{Closing, Timer, Timers, Transition};
#[cfg(feature = "deflate")]
use crate::data::PermessageDeflate;
use crate::data::{
    Close, Config, Input, Instant, Message, MessageKind, ProtocolError, ReadyState, Role, TransportAction,
};
#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::error::{Error, TimeoutKind};
use crate::event::Event;
use crate::handshake::{Agreement, OpenStage, PendingOpen};
use crate::receive::{Receiver, Rules};
use crate::send::{Masking, Output, Scratch, Sender};

/// A WebSocket connection after its opening handshake: RFC 6455 sections 5 to 7 alone.
///
/// For applications that performed the opening handshake elsewhere: an HTTP server that upgraded the request
/// ([`Request`](crate::Request) has an example), a test, a proxy. Pass the bytes that arrived with the handshake to
/// [`receive`](Self::receive) first. [`WebSocket`](crate::WebSocket) includes the opening handshake.
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
    /// permessage-deflate, if the opening handshake agreed it.
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
    /// The subprotocol, and frames that arrived before it was complete. Most connections have neither.
    pending_open: Option<Box<PendingOpen>>,
    open_stage: OpenStage,
}

impl Connection {
    /// Creates the client's end. `rng` generates the masking keys: it must be unpredictable (RFC 6455 section 10.3).
    pub fn client(config: impl Into<Arc<Config>>, rng: impl CryptoRng + Send + Sync + 'static, now: Instant) -> Self {
        Self::new(Masking::Client(Box::new(rng)), config.into(), Output::default(), now)
    }

    /// Creates the server's end.
    pub fn server(config: impl Into<Arc<Config>>, now: Instant) -> Self {
        Self::new(Masking::Server, config.into(), Output::default(), now)
    }

    /// Sets what the opening handshake agreed: [`protocol`](Self::protocol) returns the subprotocol, and messages are
    /// compressed if both ends agreed to.
    #[must_use]
    pub fn with_agreement(mut self, agreement: Agreement) -> Self {
        self.set_agreement(agreement, None);
        self
    }

    /// Creates an end whose `output` may still have the head of a handshake message.
    pub(crate) fn new(masking: Masking, config: Arc<Config>, output: Output, now: Instant) -> Self {
        let sender = Sender::new(masking);
        let mut timers = Timers::new(now);
        if let Some(interval) = config.keepalive.interval() {
            timers.set(Timer::Ping, interval);
        }
        Self {
            config,
            receiver: Receiver::default(),
            sender,
            output,
            closing: None,
            timers,
            #[cfg(feature = "deflate")]
            deflate: None,
            pending_open: None,
            open_stage: OpenStage::Done,
        }
    }

    /// Takes received bytes up to the next event; returns `None` when the input is empty. Pass an empty input to get
    /// pending events ([`has_pending_event`](Self::has_pending_event)).
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or exceeded a limit, and the Close frame that says so is in the output, unless one
    /// was queued before; or a timeout was reported before. Every later call returns the same error and discards its
    /// input, except that one call returns [`Event::Close`] when the connection has ended.
    #[inline(always)]
    pub fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Result<Option<Event<'b>>, Error> {
        self.timers.advance(now);
        if self.closing.is_none() {
            if input.is_empty() {
                return Ok(None);
            }
            self.note_activity();
            let rules = Rules {
                role: self.role(),
                #[cfg(feature = "deflate")]
                permits_compression: self.deflate.is_some(),
                config: &self.config,
            };
            match self.receiver.receive_whole(input, rules) {
                None => {}
                Some((MessageKind::Binary, payload)) => {
                    return Ok(Some(Event::Message(Message::Binary(Cow::Borrowed(payload)))));
                }
                Some((MessageKind::Text, payload)) => match simdutf8::basic::from_utf8(payload) {
                    Ok(text) => return Ok(Some(Event::Message(Message::Text(Cow::Borrowed(text))))),
                    Err(_) => return self.fail(ProtocolError::Utf8Invalid.into(), input),
                },
            }
        }
        self.receive_frames(input)
    }

    /// Reports the end of the stream: the peer sent its FIN. If the connection was lost, call
    /// [`write_lost`](Self::write_lost) first. Keep writing pending output: the connection ends when it was delivered.
    ///
    /// # Errors
    ///
    /// None: [`Event::Close`] says how the connection ended.
    pub fn receive_eof(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        self.note_eof(now);
        Ok(self.take_close().map(Event::Close))
    }

    /// Records the end of the stream, and leaves the following events to another call.
    pub(crate) fn note_eof(&mut self, now: Instant) {
        self.timers.advance(now);
        self.transition().receive_eof();
        self.receiver.discard();
    }

    /// Reports that nothing more can be written, such as after a write failed with EPIPE. Drops the output;
    /// [`buffered_amount`](Self::buffered_amount) keeps its value. Keep reading: the peer's last bytes may still be in
    /// the receive buffer.
    pub fn write_lost(&mut self, now: Instant) {
        self.timers.advance(now);
        self.transition().lose_write();
    }

    /// Reports that the peer has acknowledged bytes since the last call. Restarts the deadline of a closing connection,
    /// and the Pong deadline of an open one: a slow reader cannot answer a Ping that is queued behind its backlog.
    ///
    /// While a connection is closing, [`poll_timeout`](Self::poll_timeout) comes four times per
    /// [`Config::closing_timeout`]. A driver that knows how many bytes were acknowledged checks then.
    pub fn progress(&mut self, now: Instant) {
        self.timers.advance(now);
        match &mut self.closing {
            Some(closing) => closing.note_progress(self.timers.now()),
            None => _ = self.timers.restart(Timer::Pong),
        }
    }

    /// Ends the connection without a closing handshake. Drops the output; [`transport`](Self::transport) is then
    /// [`TransportAction::Abort`], unless the connection had ended. [`Event::Close`] follows.
    pub fn abort(&mut self, now: Instant) {
        self.timers.advance(now);
        self.transition().abort();
        self.receiver.discard();
    }

    /// Handles a deadline. Call it at [`poll_timeout`](Self::poll_timeout), after one more attempt to read and write.
    /// Calls at other times are harmless.
    ///
    /// # Errors
    ///
    /// [`TimeoutKind::Pong`]: the peer did not answer a keepalive Ping. [`Event::Close`] follows.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Event<'static>>, Error> {
        self.timers.advance(now);
        while let Some(timer) = self.timers.pop_expired() {
            match timer {
                Timer::Ping => self.send_keepalive(),
                Timer::Pong if self.output.pong_excused() && self.output.take_progress() => {
                    self.await_pong(self.output.has_keepalive() || !self.wants_read());
                }
                Timer::Pong => {
                    let error = Error::from(TimeoutKind::Pong);
                    self.transition().fail_and_abort(error.clone());
                    self.receiver.discard();
                    return Err(error);
                }
                Timer::Closing => {
                    if self.transition().handle_timer() {
                        self.receiver.discard();
                    }
                }
                Timer::Opening => {}
            }
        }
        Ok(self.take_close().map(Event::Close))
    }

    /// Returns the bytes to be written to the transport.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Attaches the driver's scratch memory for the connection's turn. Detach it
    /// ([`detach_scratch`](Self::detach_scratch)) when the turn ends, after writing.
    ///
    /// It is for drivers of many connections, of which few are busy at a time, and for drivers that allocate rarely.
    /// The connection encodes frames in it, and assembles messages that arrive in pieces in buffers of messages that
    /// were sent or [recycled](Self::recycle). So a busy connection rarely allocates, and an idle one owns no heap
    /// memory.
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
    pub fn attach_scratch(&mut self, scratch: &mut Scratch) {
        self.output.attach_scratch(scratch);
    }

    /// Detaches the scratch memory. Pending output, and the part of a message that has arrived, move from it to memory
    /// that the connection owns.
    #[inline(always)]
    pub fn detach_scratch(&mut self, scratch: &mut Scratch) {
        if self.receiver.has_assembly()
            && let Some(pool) = self.output.pool()
        {
            self.receiver.detach_scratch(pool);
        }
        self.output.detach_scratch(scratch);
    }

    /// Returns whether scratch memory is attached. A connection that compresses should have one whenever it sends: it
    /// has the compressor, of 137 to 380 KB, which the connection creates for itself otherwise.
    #[cfg(feature = "deflate")]
    pub fn has_scratch(&self) -> bool {
        self.output.has_scratch()
    }

    /// Returns the buffer of a message to the attached scratch, where another message that arrives in pieces may be
    /// assembled. Drops the message if no scratch is attached, or the message is borrowed or has a buffer below 4 KiB.
    /// An owned message that is sent need not be recycled.
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
        if let Some(pool) = self.output.pool() {
            match message {
                Message::Text(Cow::Owned(text)) => pool.recycle(text.into_bytes()),
                Message::Binary(Cow::Owned(bytes)) => pool.recycle(bytes),
                _ => {}
            }
        }
    }

    /// Returns the next deadline, at which [`handle_timeout`](Self::handle_timeout) must be called. It may change with
    /// every call that changes the connection.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Returns what the driver should do with the transport now. The result may change with every call that changes the
    /// connection or its output.
    #[inline]
    pub fn transport(&self) -> TransportAction {
        match &self.closing {
            None => TransportAction::Open,
            Some(closing) => closing.transport(self.role(), self.output.is_delivered()),
        }
    }

    /// Returns whether bytes should be read from the transport now: not while a server has more than
    /// [`Config::high_water_mark`] bytes of output that are not delivered. If not, leave them in the kernel, so that
    /// TCP slows down the peer, and ask again when output was delivered. A closing connection is always read, until
    /// the end of the stream.
    #[inline]
    pub fn wants_read(&self) -> bool {
        match &self.closing {
            None => !self.has_backlog(),
            Some(closing) => closing.wants_read(self.output.is_delivered()),
        }
    }

    /// Returns whether an event is pending that needs no further byte, such as [`Event::Close`] once the last output
    /// was delivered: call [`receive`](Self::receive) with an empty input until it returns `Ok(None)` or an error.
    #[inline]
    pub fn has_pending_event(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.has_pending_close(self.output.is_delivered()))
    }

    /// Returns the state of the connection.
    #[inline]
    pub fn ready_state(&self) -> ReadyState {
        self.closing.as_ref().map_or(ReadyState::Open, |closing| closing.ready_state())
    }

    /// Returns the payload bytes of messages that were sent and not yet delivered, without framing.
    #[inline]
    pub fn buffered_amount(&self) -> usize {
        self.output.buffered_amount()
    }

    /// Returns the subprotocol selected in the opening handshake (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.pending_open.as_ref().and_then(|opening| opening.protocol.as_deref())
    }

    /// Returns what both ends agreed about permessage-deflate; `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.deflate.as_ref().map(Deflate::agreement)
    }

    /// Returns which end this is.
    #[inline]
    pub fn role(&self) -> Role {
        self.sender.role()
    }

    fn take_close(&mut self) -> Option<Close> {
        self.transition().take_close()
    }

    fn transition(&mut self) -> Transition<'_> {
        let Self { closing, config, sender, output, timers, .. } = self;
        Transition { closing, config, sender, output, timers }
    }
}
