//! The methods of [`Connections`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sansocket_dial::{DialError, Target};
use sansocket_drive::Group;
use sansocket_drive::sansocket::{EncodedMessage, Instant, Message};

use super::{Connection, Connections, Handler};
use crate::clock;
use crate::connection_id::ConnectionId;
use crate::connector::Connector;
use crate::error::{PostError, Stopped};
use crate::handle::Handle;
use crate::mailbox::Mailboxes;
use crate::options::Options;
use crate::socket::Socket;
use crate::table::Table;
use crate::timers::TimerKey;

impl<H: Handler> Connections<H> {
    pub(crate) fn new(mailboxes: Arc<Mailboxes<H::Data, H::Event>>, thread: u16, options: &Options) -> Self {
        let occupancy = Arc::clone(mailboxes.occupancy());
        Self { table: Table::new(thread, occupancy, options), mailboxes, thread: thread.into() }
    }

    /// Begins to connect to a `ws`, `wss` or `ws+unix` URL with the settings of [`Connector::new`] and the default data:
    /// see [`connect_with`](Self::connect_with).
    ///
    /// # Errors
    ///
    /// Those of [`connect_with`](Self::connect_with), and the URL is not valid.
    pub fn connect(&mut self, url: &str) -> Result<ConnectionId, DialError> {
        let target = url.parse()?;
        self.connect_with(&Connector::new(), target, H::Data::default())
    }

    /// Begins to connect. [`Handler::on_open`] or [`Handler::on_connect_error`] reports the result. `data` is the
    /// connection's [`data`](Connection::data) from the beginning. Host names are looked up in other threads.
    ///
    /// # Errors
    ///
    /// The caller is at fault: the request, a proxy's URL or the configuration of TLS is not valid. Or the loop is
    /// stopping ([`DialError::Canceled`]), or the system has no random numbers.
    pub fn connect_with(
        &mut self,
        connector: &Connector,
        target: Target,
        data: H::Data,
    ) -> Result<ConnectionId, DialError> {
        let socket = self.table.begin_connecting(connector, target)?;
        Ok(self.table.insert_client(socket, data))
    }

    /// Begins the lookups for which a client waits.
    pub(crate) fn look_up(&mut self, index: usize) {
        let id = self.table.id(index);
        while let Some(lookup) = self.table.entries[index].socket.take_lookup() {
            self.mailboxes.resolve(id, lookup);
        }
    }

    /// Adds a connection that was made elsewhere: see [`Socket::from_upgraded`]. `data` is the connection's
    /// [`data`](Connection::data) from the beginning.
    ///
    /// The connection is open at once: it can be sent messages, and broadcasts reach it. The loop calls
    /// [`on_open`](crate::Handler::on_open) before it reports what the peer sent, a timer or the end of the connection,
    /// even if the stream is broken already. (Exception: `on_open` is not called for a socket whose owner has received
    /// [`Event::Open`](crate::Event::Open).)
    ///
    /// If the socket is registered with a [`Poll`](mio::Poll) of yours, deregister it before.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use sansocket_mio::sansocket::{Agreement, Role};
    /// use sansocket_mio::{Config, Connection, EventLoop, Handler, Open, Socket, mio};
    ///
    /// struct Greeter;
    ///
    /// impl Handler for Greeter {
    ///     type Data = &'static str;
    ///     type Event = ();
    ///
    ///     fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
    ///         let greeting = *connection.data();
    ///         connection.send(greeting).unwrap();
    ///         connection.connections().stop();
    ///     }
    /// }
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let server = listener.accept()?.0; // here an HTTP server does the handshake
    /// server.set_nonblocking(true)?;
    ///
    /// let server = mio::net::TcpStream::from_std(server);
    /// let socket = Socket::from_upgraded(server, [], Role::Server, Agreement::new(), Config::default())?;
    /// let mut event_loop = EventLoop::new(Greeter)?;
    /// event_loop.connections().adopt(socket, "Hello")?;
    /// # drop(client);
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The loop is stopping. The socket is dropped, which aborts the connection.
    pub fn adopt(&mut self, mut socket: Socket, data: H::Data) -> Result<ConnectionId, Stopped> {
        if self.table.is_stopping {
            return Err(Stopped);
        }
        socket.forget_registration();
        let id = self.table.insert_client(socket, data);
        self.table.entries[id.index()].socket.log_peer();
        Ok(id)
    }

    /// Sets a timer of the loop: the loop calls [`Handler::on_loop_timer`] with its key once, after at least this time.
    /// If the loop has a timer with this key, it is replaced.
    ///
    /// A loop has any number of timers; a timer costs O(log n) to set, to cancel and to fire. [`Connection::set_timer`]
    /// sets a timer of a connection.
    pub fn set_timer(&mut self, key: TimerKey, after: Duration) {
        self.table.timers.set(None, key, clock::now() + after);
    }

    /// Cancels a timer of the loop. Returns false if it was not set or has fired.
    pub fn cancel_timer(&mut self, key: TimerKey) -> bool {
        self.table.timers.cancel(None, key)
    }

    /// Stops the loop in an orderly way. It listens and connects no more, closes every connection with
    /// [`CloseCode::GOING_AWAY`](crate::CloseCode::GOING_AWAY) after its pending messages, and ends when all are
    /// closed. After [`Options::stop_timeout`](crate::Options::stop_timeout) it aborts the remaining connections, and
    /// [`Handler::on_close`] reports them as it reports the others. Loops that run with this one go on:
    /// [`Handle::stop`] stops them all.
    pub fn stop(&mut self) {
        if self.table.is_stopping {
            return;
        }
        if let Some(mailbox) = self.mailboxes.get(self.thread) {
            mailbox.refuse();
        }
        self.table.stop();
    }

    /// Publishes a message to all open connections of this loop and of those that run with it: see
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// As for `publish`.
    pub fn broadcast<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        self.encode_and_publish(None, message.into())
    }

    /// Publishes an encoded message to all open connections of this loop and of those that run with it.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn broadcast_encoded(&mut self, message: &EncodedMessage) -> Result<(), PostError> {
        self.publish_if_accepted(None, message)
    }

    /// Publishes a message to the members of a group, on this loop and on those that run with it. It is encoded once.
    ///
    /// The members on this loop get it at the end of the turn, together with everything else that is published in the
    /// turn, but before anything else happens to them: messages reach a member in the order in which they were
    /// published and sent. A loop with more than 1,024 members delivers in several turns. The other loops find the
    /// message in their mailboxes, if they have members.
    ///
    /// [`Handler::on_error`] reports each member to which it could not be sent, at most once a turn. The group's
    /// [policy](crate::SlowMembers) applies to slow members: those whose pending output exceeded
    /// [`Config::high_water_mark`](crate::Config::high_water_mark), until [`Handler::on_writable`]. Output that the
    /// operating system takes at once does not count. [`Connection::buffered_amount`] does not include published
    /// messages that the connection has not got yet.
    ///
    /// [`Connection::join`] has an example.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the other loops is full ([`PostError::Full`]). The message is handed back, and was
    /// published on no loop. If a loop runs alone, or the others have stopped, this does not fail.
    pub fn publish<'m>(
        &mut self,
        group: &Group,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PostError<Message<'m>>> {
        self.encode_and_publish(Some(group), message.into())
    }

    /// Publishes an encoded message to the members of a group.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn publish_encoded(&mut self, group: &Group, message: &EncodedMessage) -> Result<(), PostError> {
        self.publish_if_accepted(Some(group), message)
    }

    /// Iterates over the members of a group on this loop, in no particular order.
    pub fn members(&self, group: &Group) -> impl ExactSizeIterator<Item = ConnectionId> {
        self.table.publications.members(group).iter().map(|&index| self.table.id(index as usize))
    }

    pub(super) fn encode_and_publish<'m>(
        &mut self,
        group: Option<&Group>,
        message: Message<'m>,
    ) -> Result<(), PostError<Message<'m>>> {
        let message = self.mailboxes.encode_and_publish(Some(self.thread), group, message)?;
        self.table.publish(group, message);
        Ok(())
    }

    fn publish_if_accepted(&mut self, group: Option<&Group>, message: &EncodedMessage) -> Result<(), PostError> {
        self.mailboxes.publish(Some(self.thread), group, message)?;
        self.table.publish(group, message.clone());
        Ok(())
    }

    /// Sends a message to those of these connections that are open. It is encoded once. [`Handler::on_error`] reports
    /// each connection to which it could not be sent.
    ///
    /// # Errors
    ///
    /// Some of the connections belong to other loops, whose mailboxes are full ([`PostError::Full`]). Hands back those
    /// to which the message was not sent; it was sent to the others.
    pub fn broadcast_to<'m>(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PostError<Vec<ConnectionId>>> {
        let message = EncodedMessage::new(message, self.mailboxes.config());
        let (mut missed, mut exceeded) = (Vec::new(), None);
        for id in ids {
            if id.thread() != self.thread {
                if let Err(PostError::Full(_, limit)) = self.mailboxes.send_encoded(id, &message) {
                    missed.push(id);
                    exceeded = Some(limit);
                }
            } else if let Some(index) = self.table.index(id) {
                self.table.send_or_report(index, &message);
            }
        }
        exceeded.map_or(Ok(()), |limit| Err(PostError::Full(missed, limit)))
    }

    /// Returns a connection of this loop; `None` if it has ended or belongs to another loop.
    pub fn get(&mut self, id: ConnectionId) -> Option<Connection<'_, H>> {
        let index = self.table.index(id)?;
        Some(Connection::new(self, index))
    }

    /// Iterates over the open connections.
    pub fn open(&self) -> impl Iterator<Item = ConnectionId> {
        self.table.open()
    }

    /// Returns the number of connections, in any state.
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Returns whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Returns a handle that reaches this loop, and those that run with it, from any thread.
    pub fn handle(&self) -> Handle<H> {
        Handle::new(Arc::clone(&self.mailboxes))
    }

    /// Returns the time of this turn: when the loop was last woken, or its owner asked for its connections.
    pub fn now(&self) -> Instant {
        self.table.now
    }

    /// Wakes the other loops: a listener that they share may accept again.
    pub(crate) fn wake_other_loops(&self) {
        self.mailboxes.wake_others(self.thread);
    }
}

impl<H: Handler> fmt::Debug for Connections<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.len()).finish_non_exhaustive()
    }
}
