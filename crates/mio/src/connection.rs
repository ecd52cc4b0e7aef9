//! Connection: one of an event loop's, as its handler sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use sansocket_drive::sansocket::{
    Accept, CloseCode, EncodedMessage, FragmentPayload, Message, MessageKind, ReadyState, Request, SendError, WebSocket,
};

use crate::Error;
use crate::connections::Connections;
use crate::handler::{Answer, Handler};
use crate::timers::TimerKey;

/// Names a connection of an event loop, or of several that run together: [`Threads`](crate::Threads). When the connection
/// is gone its name leads nowhere, though another has its index.
///
/// A name means something only to the loop that it comes from, to those that run with it, and to their
/// [`Handle`](crate::Handle). Loops that do not run together give the same names to different connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) thread: u16,
}

impl ConnectionId {
    /// A number that no other connection has as long as this one lives, among those of its loop. Numbers are small, so
    /// that they can index an array.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Which of several loops it belongs to.
    pub const fn thread(self) -> usize {
        self.thread as usize
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({}.{}.{})", self.thread, self.index, self.generation)
    }
}

/// A connection of an event loop, lent to its handler.
///
/// What is sent leaves when the loop has gone through what woke it, all of it in one system call. How much waits is
/// [`buffered_amount`](Self::buffered_amount).
pub struct Connection<'a, H: Handler> {
    connections: &'a mut Connections<H>,
    index: usize,
}

impl<'a, H: Handler> Connection<'a, H> {
    /// The connection with this index, which exists.
    #[inline]
    pub(crate) fn new(connections: &'a mut Connections<H>, index: usize) -> Self {
        Self { connections, index }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The connection is not open, the message does not fit
    /// [`Config::max_buffered_amount`](crate::sansocket::Config::max_buffered_amount) (now or ever; it is returned), or
    /// a fragmented message is unfinished. The connection is unharmed.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        self.connections.send(self.index, |ws| ws.send(message))
    }

    /// Sends a message that others share. A server never copies it, but for frames below 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and text must be UTF-8.
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.connections.send(self.index, |ws| ws.send_shared(kind, payload))
    }

    /// Sends a message that was encoded once for many.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but nothing is returned.
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        self.connections.send(self.index, |ws| ws.send_encoded(message))
    }

    /// Sends a fragment of a message, for messages whose length is not known when they begin. Until the last fragment no
    /// other message can be sent. Text may be cut anywhere.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send_fragment`].
    pub fn send_fragment<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
    ) -> Result<(), SendError> {
        self.connections.send(self.index, |ws| ws.send_fragment(kind, payload, last))
    }

    /// Sends a Ping of up to 125 bytes. The answer is told to [`Handler::on_pong`].
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|ws| ws.ping(payload))
    }

    /// Sends a Pong of up to 125 bytes that answers nothing, as a heartbeat. Pings are answered without it.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|ws| ws.pong(payload))
    }

    /// Leaves the memory of a message that is not needed any more, nor sent, to messages that arrive: see
    /// [`WebSocket::recycle`].
    #[inline]
    pub fn recycle(&mut self, message: Message<'_>) {
        self.connections.entry_mut(self.index).socket.websocket().recycle(message);
    }

    /// Begins to close; to close again does nothing. Messages of the peer's still arrive until
    /// [`Handler::on_close`].
    ///
    /// A connection that is not open yet is given up, and nothing more is told of it; a client whose request waits for an
    /// answer gets 503.
    ///
    /// # Errors
    ///
    /// The code must not be sent, or the reason is too long or comes without a code.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        // the closing handshake has its whole time, however long the handler has worked
        let now = crate::now();
        self.with(|ws| ws.close(code, reason, now))
    }

    /// Answers a request that [`Handler::on_request`] or [`Handler::on_http_request`] left for later. The handler hears of
    /// the rest.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`]: it could not be so answered, and the client has been told; or there is no request to answer.
    pub fn answer(&mut self, answer: impl Into<Answer>) -> Result<(), Error> {
        let now = crate::now();
        self.connections.mark_dirty(self.index);
        self.connections.answer(self.index, answer.into(), now)
    }

    /// Returns the answer of the default [`Handler::on_request`]: it accepts with the first subprotocol that the client
    /// offers and the listener supports ([`ListenOptions::protocol`](crate::ListenOptions::protocol)). For handlers
    /// that check or add something.
    ///
    /// ```
    /// use sansocket_mio::{Answer, Connection, Handler, HttpResponse, Request};
    ///
    /// struct News;
    ///
    /// impl Handler for News {
    ///     type Data = ();
    ///     type Event = ();
    ///
    ///     fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
    ///         match request.path() {
    ///             "/news" => connection.default_accept(request).header("Set-Cookie", "seen=1").into(),
    ///             _ => HttpResponse::new(404).into(),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn default_accept(&self, request: &Request) -> Accept {
        self.connections.listener(self.index).map_or_else(Accept::new, |listener| listener.accept(request))
    }

    /// Ends the connection without a closing handshake: TCP is reset, and what is pending is dropped.
    /// [`Handler::on_close`] follows if the connection was open.
    pub fn abort(&mut self) {
        let now = crate::now();
        self.with(|ws| ws.abort(now));
    }

    /// What the application keeps for this connection: [`Handler::Data`].
    #[inline]
    pub fn data(&self) -> &H::Data {
        &self.connections.entry(self.index).data
    }

    /// The same, to change it.
    #[inline]
    pub fn data_mut(&mut self) -> &mut H::Data {
        &mut self.connections.entry_mut(self.index).data
    }

    /// Sets a timer of this connection: [`Handler::on_timer`] is called with its key once, not before this time has
    /// passed. If the connection has a timer with this key, it is replaced.
    ///
    /// A connection has any number of timers. They end with it, and none fires after [`Handler::on_close`].
    pub fn set_timer(&mut self, key: TimerKey, after: Duration) {
        self.connections.timers.set(Some(self.index as u32), key, crate::now() + after);
    }

    /// Cancels a timer of this connection. Returns whether it was set: not if it has fired.
    pub fn cancel_timer(&mut self, key: TimerKey) -> bool {
        self.connections.timers.cancel(Some(self.index as u32), key)
    }

    /// Pauses reading, until [`resume_reading`](Self::resume_reading) or until the connection ends. Bytes stay in the
    /// kernel, so that TCP slows down the peer. If reading is paused while a message is handled, none follows: what the
    /// loop has read already, at most [`Options::buffer_size`](crate::Options::buffer_size), is kept.
    ///
    /// While reading is paused, the handler hears of nothing that the peer sends: Pings are not answered, and the end
    /// of the stream is not seen. Writing, closing, timers and deadlines go on, but keepalive does not end the
    /// connection: a peer that vanishes is noticed only when TCP gives up. Before the connection is open,
    /// [`Config::opening_timeout`](crate::Config::opening_timeout) applies nevertheless.
    ///
    /// The pause ends when the connection is closing or broken: then the closing handshake needs what the peer sends,
    /// and messages that came before its Close frame are delivered. To pause a connection in these states does nothing.
    ///
    /// (Exception: messages that came before a request was answered ([`Answer::Later`]) follow
    /// [`on_open`](crate::Handler::on_open) even if it pauses reading.)
    ///
    /// ```
    /// use sansocket_mio::{Connection, Connections, ConnectionId, Handler, Message};
    ///
    /// /// Stores messages, in a thread of its own, one at a time for each client.
    /// struct Archive;
    ///
    /// /// The archive has stored the message of this client.
    /// struct Stored(ConnectionId);
    ///
    /// impl Handler for Archive {
    ///     type Data = ();
    ///     type Event = Stored;
    ///
    ///     fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
    ///         // hand the message to the thread
    ///         connection.pause_reading();
    ///     }
    ///
    ///     fn on_event(&mut self, connections: &mut Connections<Self>, Stored(id): Stored) {
    ///         if let Some(mut connection) = connections.get(id) {
    ///             connection.resume_reading();
    ///         }
    ///     }
    /// }
    /// ```
    pub fn pause_reading(&mut self) {
        self.connections.has_paused = true;
        self.connections.entry_mut(self.index).socket.pause_reading();
    }

    /// Resumes reading: what has arrived is read. The peer has the whole
    /// [`Config::pong_timeout`](crate::Config::pong_timeout), from now, to answer a keepalive Ping.
    pub fn resume_reading(&mut self) {
        self.connections.entry_mut(self.index).socket.resume_reading(crate::now());
        self.connections.mark_dirty(self.index);
    }

    /// Whether reading is paused.
    pub fn is_reading_paused(&self) -> bool {
        self.connections.entry(self.index).socket.is_reading_paused()
    }

    /// Answers a request, unless it is too late.
    pub(crate) fn answer_in_time(&mut self, answer: Answer) -> Result<(), Error> {
        if is_given_up(self.websocket()) { Ok(()) } else { self.answer(answer) }
    }

    /// Which connection this is.
    pub fn id(&self) -> ConnectionId {
        self.connections.id(self.index)
    }

    /// Payload bytes of messages that were sent and that the operating system has not yet taken.
    pub fn buffered_amount(&self) -> usize {
        self.websocket().buffered_amount()
    }

    /// Where in its life the connection is.
    pub fn ready_state(&self) -> ReadyState {
        self.websocket().ready_state()
    }

    /// The subprotocol selected in the opening handshake.
    pub fn protocol(&self) -> Option<&str> {
        self.websocket().protocol()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// The system's: the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    /// The core's view of the connection.
    pub fn websocket(&self) -> &WebSocket {
        self.connections.entry(self.index).socket.driver.websocket()
    }

    /// The stream: its addresses and options.
    pub fn stream(&self) -> &TcpStream {
        self.connections.entry(self.index).socket.stream()
    }

    /// All connections of the loop, this one among them.
    pub fn connections(&mut self) -> &mut Connections<H> {
        self.connections
    }

    #[inline]
    fn with<R>(&mut self, change: impl FnOnce(&mut WebSocket) -> R) -> R {
        self.connections.change(self.index, change)
    }
}

/// Whether nobody waits for an answer any more: the loop has stopped meanwhile, say, which has answered with 503. Whoever
/// answers cannot know, so that is no error of theirs.
pub(crate) fn is_given_up(ws: &WebSocket) -> bool {
    matches!(ws.ready_state(), ReadyState::Closing | ReadyState::Closed)
}

impl<H: Handler> fmt::Debug for Connection<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).field("ready_state", &self.ready_state()).finish()
    }
}
