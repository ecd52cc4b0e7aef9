//! The methods of [`Connection`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use sansocket_drive::Group;
use sansocket_drive::sansocket::{
    Accept, CloseCode, EncodedMessage, FragmentPayload, Message, MessageKind, ReadyState, Request, SendError, WebSocket,
};
#[cfg(feature = "deflate")]
use sansocket_drive::sansocket::{Compress, PermessageDeflate};

use super::{Connection, Connections, Handler};
use crate::Error;
use crate::answer::Answer;
use crate::clock;
use crate::connection_id::ConnectionId;
use crate::error::PostError;
use crate::table::Entry;
use crate::timers::TimerKey;

impl<H: Handler> Connection<'_, H> {
    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The connection is not open, the message does not fit
    /// [`Config::max_buffered_amount`](crate::sansocket::Config::max_buffered_amount), now or ever (it is then
    /// returned), or a fragmented message is unfinished. The connection is not affected.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError<Message<'m>>> {
        self.connections.table.send(self.index, |ws| ws.send(message))
    }

    /// Sends a message whose payload is shared. A server copies it only if the frame is shorter than 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and text must be UTF-8.
    pub fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.connections.table.send(self.index, |ws| ws.send_shared(kind, payload))
    }

    /// Sends a message that was encoded once for many.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), but the message is not returned.
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        self.connections.table.send(self.index, |ws| ws.send_encoded(message))
    }

    /// Sends a fragment of a message whose length is not known yet. Until the last fragment, no other message can be
    /// sent. A fragment of text may end within a character.
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
        self.connections.table.send(self.index, |ws| ws.send_fragment(kind, payload, last))
    }

    /// Sends a message, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
        compress: Compress,
    ) -> Result<(), SendError<Message<'m>>> {
        self.connections.table.send(self.index, |ws| ws.send_with(message, compress))
    }

    /// Sends a message whose payload is shared, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send_shared`](Self::send_shared).
    #[cfg(feature = "deflate")]
    pub fn send_shared_with(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        compress: Compress,
    ) -> Result<(), SendError<Bytes>> {
        self.connections.table.send(self.index, |ws| ws.send_shared_with(kind, payload, compress))
    }

    /// Sends a fragment as [`send_fragment`](Self::send_fragment) does. The first fragment of a message decides whether
    /// the message is compressed.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send_fragment`].
    #[cfg(feature = "deflate")]
    pub fn send_fragment_with<'p>(
        &mut self,
        kind: MessageKind,
        payload: impl Into<FragmentPayload<'p>>,
        last: bool,
        compress: Compress,
    ) -> Result<(), SendError> {
        self.connections.table.send(self.index, |ws| ws.send_fragment_with(kind, payload, last, compress))
    }

    /// Makes the connection a member of a group. While it is open, it gets the messages that are published to the group
    /// from now on. Returns false if it is a member already. The membership ends with the connection.
    ///
    /// ```
    /// use sansocket_mio::{Connection, Group, Handler, Message, Open};
    ///
    /// /// A chat room: each message goes to all members.
    /// struct Room(Group);
    ///
    /// impl Handler for Room {
    ///     type Data = ();
    ///     type Event = ();
    ///
    ///     fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
    ///         connection.join(&self.0);
    ///     }
    ///
    ///     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
    ///         let _ = connection.connections().publish(&self.0, message);
    ///     }
    /// }
    /// ```
    pub fn join(&mut self, group: &Group) -> bool {
        let table = &mut self.connections.table;
        table.catch_up(self.index);
        table.publications.join(self.index as u32, group)
    }

    /// Ends the connection's membership of a group. It still gets what was published before. Returns false if it is not
    /// a member.
    pub fn leave(&mut self, group: &Group) -> bool {
        let table = &mut self.connections.table;
        table.catch_up(self.index);
        table.publications.leave(self.index as u32, group)
    }

    /// Returns whether the connection is a member of a group.
    pub fn is_member(&self, group: &Group) -> bool {
        self.connections.table.publications.is_member(self.index as u32, group)
    }

    /// Publishes a message to all members of a group but this connection: see [`Connections::publish`].
    ///
    /// # Errors
    ///
    /// As for [`Connections::publish`].
    pub fn publish_to_others<'m>(
        &mut self,
        group: &Group,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PostError<Message<'m>>> {
        self.connections.table.catch_up(self.index);
        self.connections.encode_and_publish(Some(group), message.into())?;
        self.connections.table.publications.skip(self.index as u32);
        Ok(())
    }

    /// Sends a Ping of up to 125 bytes. [`Handler::on_pong`] reports the answer.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|ws| ws.ping(payload))
    }

    /// Sends an unsolicited Pong of up to 125 bytes, as a heartbeat. The connection answers Pings itself.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::pong`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|ws| ws.pong(payload))
    }

    /// Reuses the memory of a message that the handler does not need any more for messages that arrive: see
    /// [`WebSocket::recycle`].
    #[inline]
    pub fn recycle(&mut self, message: Message<'_>) {
        self.entry_mut().socket.websocket().recycle(message);
    }

    /// Begins to close; another call does nothing. Messages of the peer still arrive until [`Handler::on_close`].
    ///
    /// A connection that is not open yet ends without a further call of the handler; a client whose request is pending
    /// gets 503.
    ///
    /// # Errors
    ///
    /// The code must not be sent, or the reason is too long or has no code.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        // read the clock: the closing timeout must not include the time that the handler has taken
        let now = clock::now();
        self.with(|ws| ws.close(code, reason, now))?;
        self.stop_reconnecting();
        Ok(())
    }

    /// Lets the connection end when it is lost or closed: it does not connect again. Does nothing without a
    /// [`ReconnectPolicy`](crate::dial::ReconnectPolicy). A client that waits for its next attempt makes that one.
    pub fn stop_reconnecting(&mut self) {
        self.entry_mut().socket.cancel_reconnection();
    }

    /// Returns the number of the current attempt to connect since the beginning or the last stable connection, 1 for
    /// the first. It is 1 without a [`ReconnectPolicy`](crate::dial::ReconnectPolicy).
    pub fn attempt(&self) -> u32 {
        self.entry().socket.attempt()
    }

    /// Answers a request for which [`Handler::on_request`] or [`Handler::on_http_request`] returned [`Answer::Later`].
    /// If it accepts, [`Handler::on_open`] follows.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`]: the answer is not valid, and the client got an error response; or no request is pending.
    pub fn answer(&mut self, answer: impl Into<Answer>) -> Result<(), Error> {
        let now = clock::now();
        self.connections.table.mark_dirty(self.index);
        self.connections.table.answer(self.index, answer.into(), now)
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
        self.connections.table.listener(self.index).map_or_else(Accept::new, |listener| listener.accept(request))
    }

    /// Ends the connection without a closing handshake: TCP is reset, and pending output is dropped.
    /// [`Handler::on_close`] follows if the connection was open.
    pub fn abort(&mut self) {
        let now = clock::now();
        self.with(|ws| ws.abort(now));
        self.stop_reconnecting();
    }

    /// Returns the application's data of this connection: [`Handler::Data`].
    #[inline]
    pub fn data(&self) -> &H::Data {
        &self.entry().data
    }

    /// Returns the application's data of this connection, mutably.
    #[inline]
    pub fn data_mut(&mut self) -> &mut H::Data {
        &mut self.entry_mut().data
    }

    /// Sets a timer of this connection: the loop calls [`Handler::on_timer`] with its key once, after at least this
    /// time. If the connection has a timer with this key, it is replaced.
    ///
    /// A connection has any number of timers. They end with it, and none fires after [`Handler::on_close`].
    pub fn set_timer(&mut self, key: TimerKey, after: Duration) {
        self.connections.table.timers.set(Some(self.index as u32), key, clock::now() + after);
    }

    /// Cancels a timer of this connection. Returns false if it was not set or has fired.
    pub fn cancel_timer(&mut self, key: TimerKey) -> bool {
        self.connections.table.timers.cancel(Some(self.index as u32), key)
    }

    /// Pauses reading, as [`Socket::pause_reading`](crate::Socket::pause_reading) does. If the handler pauses it in
    /// [`Handler::on_message`], no further message follows: the loop keeps the bytes that it has already read, at most
    /// [`Options::buffer_size`](crate::Options::buffer_size). Timers go on.
    ///
    /// (Exception: messages that came before a request was answered ([`Answer::Later`]) follow [`Handler::on_open`]
    /// even if it pauses reading.)
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
        self.connections.table.is_interrupted = true;
        self.entry_mut().socket.pause_reading();
    }

    /// Resumes reading: what has arrived is read. The peer has the whole
    /// [`Config::pong_timeout`](crate::Config::pong_timeout), from now, to answer a keepalive Ping.
    pub fn resume_reading(&mut self) {
        self.entry_mut().socket.resume_reading(clock::now());
        self.connections.table.mark_dirty(self.index);
    }

    /// Returns whether reading is paused.
    pub fn is_reading_paused(&self) -> bool {
        self.entry().socket.is_reading_paused()
    }

    /// Answers a request, unless the connection is already ending.
    pub(crate) fn answer_in_time(&mut self, answer: Answer) -> Result<(), Error> {
        if self.connections.table.is_ending(self.index) { Ok(()) } else { self.answer(answer) }
    }

    /// Returns the name of this connection.
    pub fn id(&self) -> ConnectionId {
        self.connections.table.id(self.index)
    }

    /// Returns the payload bytes of sent messages that the operating system has not yet accepted.
    pub fn buffered_amount(&self) -> usize {
        self.websocket().buffered_amount()
    }

    /// Returns the state of the connection.
    pub fn ready_state(&self) -> ReadyState {
        self.websocket().ready_state()
    }

    /// Returns the subprotocol selected in the opening handshake.
    pub fn protocol(&self) -> Option<&str> {
        self.websocket().protocol()
    }

    /// Returns what both ends agreed about permessage-deflate ([`Config::compression`](crate::Config)); `None` if
    /// messages are not compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.websocket().compression()
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Returns the error of the system: the connection is gone, or not made yet.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().map_or(Err(io::ErrorKind::NotConnected.into()), TcpStream::peer_addr)
    }

    /// Returns the protocol state of the connection.
    pub fn websocket(&self) -> &WebSocket {
        self.entry().socket.driver.websocket()
    }

    /// Returns the TLS connection, for its version, certificates and the like; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<&sansocket_tls::Tls> {
        self.entry().socket.tls()
    }

    /// Returns the stream, for its addresses and options; `None` as long as a client is not connected. The stream of a
    /// `ws+unix` URL has no IP addresses.
    pub fn stream(&self) -> Option<&TcpStream> {
        self.entry().socket.stream()
    }

    /// Returns all connections of the loop, including this one.
    pub fn connections(&mut self) -> &mut Connections<H> {
        self.connections
    }

    #[inline]
    fn entry(&self) -> &Entry<H::Data> {
        &self.connections.table.entries[self.index]
    }

    #[inline]
    fn entry_mut(&mut self) -> &mut Entry<H::Data> {
        &mut self.connections.table.entries[self.index]
    }

    #[inline]
    fn with<R>(&mut self, change: impl FnOnce(&mut WebSocket) -> R) -> R {
        self.connections.table.change(self.index, change)
    }
}

impl<H: Handler> fmt::Debug for Connection<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).field("ready_state", &self.ready_state()).finish()
    }
}
