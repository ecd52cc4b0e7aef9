//! Connections: all of an event loop's, as its handler sees them.

mod broadcast;
mod entry;

use std::collections::VecDeque;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use sansocket_drive::sansocket::{ClientRequest, CloseCode, Instant, ReadyState, Role, SendError, WebSocket};
use sansocket_drive::{Armed, Deadline, Deadlines, parse_uri};
use slab::Slab;

use crate::Error;
use crate::connection::{Connection, ConnectionId};
use crate::error::{ConnectError, Stopped};
use crate::handle::Handle;
use crate::handler::{Answer, Handler};
use crate::listen_options::ListenerShared;
use crate::options::Options;
use crate::socket::Socket;
use crate::timers::{TimerKey, Timers};

pub(crate) use entry::{Entry, NO_LISTENER};

/// The connections of an event loop.
pub struct Connections<H: Handler> {
    slab: Slab<Entry<H::Data>>,
    /// No connection has had this index, nor a higher one.
    slots: usize,
    /// Those that the loop has or had, by number.
    pub(crate) listeners: Vec<Arc<ListenerShared>>,
    pub(crate) deadlines: Deadlines,
    /// Connections whose turn has to be finished: their output written, their next interest and deadline registered.
    pub(crate) dirty: Vec<u32>,
    /// Connections whose last turn left work.
    pub(crate) again: VecDeque<u32>,
    /// What could not be sent, and to which connection: reported at the end of the turn.
    pub(crate) unsent: Vec<(ConnectionId, SendError)>,
    pub(crate) timers: Timers,
    /// When the connections that are left are aborted, once the loop is stopping.
    stop_at: Option<Instant>,
    stop_timeout: Duration,
    pub(crate) now: Instant,
    handle: Handle<H>,
    /// Above how many bytes of `buffered_amount` a connection is congested, and to how many they must fall.
    water_marks: (usize, usize),
    next_generation: u32,
    thread: u16,
    pub(crate) is_stopping: bool,
    /// A handler has paused reading of some connection in this turn.
    pub(crate) has_paused: bool,
}

impl<H: Handler> Connections<H> {
    pub(crate) fn new(handle: Handle<H>, thread: u16, options: &Options) -> Self {
        Self {
            slab: Slab::new(),
            slots: 0,
            listeners: Vec::new(),
            deadlines: Deadlines::default(),
            dirty: Vec::new(),
            again: VecDeque::new(),
            unsent: Vec::new(),
            timers: Timers::default(),
            stop_at: None,
            stop_timeout: options.stop_timeout,
            now: crate::now(),
            handle,
            water_marks: options.water_marks(),
            next_generation: 0,
            thread,
            is_stopping: false,
            has_paused: false,
        }
    }

    /// Begins to connect to a `ws://` URL. The handler hears of it by [`on_open`](crate::Handler::on_open), or
    /// [`on_error`](crate::Handler::on_error). A name is looked up before this returns, which takes as long as the system
    /// takes.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect(&mut self, url: &str) -> Result<ConnectionId, ConnectError> {
        let request = ClientRequest::new(parse_uri(url)?);
        let (host, port) = (request.uri().host().to_owned(), request.uri().port());
        self.connect_to(request, (host.as_str(), port), H::Data::default())
    }

    /// The same, with a request of the caller's making, to the first of these addresses that can be reached. `data` is
    /// the connection's [`data`](Connection::data) from the beginning.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_to(
        &mut self,
        request: ClientRequest,
        addresses: impl ToSocketAddrs,
        data: H::Data,
    ) -> Result<ConnectionId, ConnectError> {
        if self.is_stopping {
            return Err(Stopped.into());
        }
        let resolve = |error| ConnectError::Resolve { host: request.uri().host().into(), error };
        let addresses: Vec<_> = addresses.to_socket_addrs().map_err(resolve)?.collect();
        let socket = self.begin_connecting(request, &addresses)?;
        Ok(self.insert_client(socket, data))
    }

    /// Begins to connect; [`insert_client`](Self::insert_client) follows.
    pub(crate) fn begin_connecting(
        &self,
        request: ClientRequest,
        addresses: &[SocketAddr],
    ) -> Result<Socket, ConnectError> {
        if self.is_stopping {
            return Err(Stopped.into());
        }
        Socket::connect(request, addresses, Arc::clone(self.handle.config()), crate::now())
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
        if self.is_stopping {
            return Err(Stopped);
        }
        socket.forget_registration();
        let id = self.insert_client(socket, data);
        self.slab[id.index()].socket.log_peer();
        Ok(id)
    }

    /// Adds a connection that no listener has accepted.
    pub(crate) fn insert_client(&mut self, socket: Socket, data: H::Data) -> ConnectionId {
        let index = self.insert(socket, NO_LISTENER, data);
        self.id(index)
    }

    /// Sets a timer of the loop: [`Handler::on_loop_timer`] is called with its key once, not before this time has
    /// passed. If the loop has a timer with this key, it is replaced.
    ///
    /// A loop has any number of timers; a timer costs O(log n) to set, to cancel and to fire.
    /// [`Connection::set_timer`] sets a timer of a connection.
    pub fn set_timer(&mut self, key: TimerKey, after: Duration) {
        self.timers.set(None, key, crate::now() + after);
    }

    /// Cancels a timer of the loop. Returns whether it was set: not if it has fired.
    pub fn cancel_timer(&mut self, key: TimerKey) -> bool {
        self.timers.cancel(None, key)
    }

    /// Stops the loop in an orderly way. It listens and connects no more, closes every connection with
    /// [`CloseCode::GOING_AWAY`] after the messages that are pending, and ends when all are closed. After
    /// [`Options::stop_timeout`](crate::Options::stop_timeout) it aborts the connections that are left, and
    /// [`Handler::on_close`] reports them as it reports the others. Loops that run with this one go
    /// on: [`Handle::stop`] stops them all.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.is_stopping, true) {
            return;
        }
        if let Some(mailbox) = self.handle.mailbox(self.thread.into()) {
            mailbox.refuse();
        }
        let now = crate::now();
        self.stop_at = Some(now + self.stop_timeout);
        for index in 0..self.slots {
            if self.slab.contains(index) {
                // 1001 may be sent, and there is no reason to be too long
                let _ = self.change(index, |ws| ws.close(CloseCode::GOING_AWAY, "", now));
            }
        }
    }

    /// Aborts the connections that are left when the loop has been stopping for `stop_timeout`.
    pub(crate) fn expire_stop_timeout(&mut self) {
        if self.stop_at.is_some_and(|at| at <= self.now) {
            self.stop_at = None;
            let now = self.now;
            for index in 0..self.slots {
                if self.slab.contains(index) {
                    self.change(index, |ws| ws.abort(now));
                }
            }
        }
    }

    /// The next time at which the loop has something to do.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next = earlier(self.deadlines.next(), self.timers.next());
        if self.is_stopping { earlier(next, self.stop_at) } else { next }
    }

    /// A connection of this loop; `None` if it is gone, or another loop's.
    pub fn get(&mut self, id: ConnectionId) -> Option<Connection<'_, H>> {
        let index = self.index(id)?;
        Some(Connection::new(self, index))
    }

    /// The open connections.
    pub fn open(&self) -> impl Iterator<Item = ConnectionId> {
        let is_open =
            |(_, entry): &(usize, &Entry<H::Data>)| entry.socket.driver.websocket().ready_state() == ReadyState::Open;
        self.slab.iter().filter(is_open).map(|(index, _)| self.id(index))
    }

    /// How many there are, in whatever state.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// A way to reach this loop, and those that run with it, from any thread.
    pub fn handle(&self) -> Handle<H> {
        self.handle.clone()
    }

    /// The moment that counts as now: when the loop was last woken, or its owner asked for its connections.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn accepted(&mut self, stream: mio::net::TcpStream, peer: SocketAddr, listener: u16) -> usize {
        let config = Arc::clone(self.handle.config());
        let index = self.insert(Socket::server(stream, config, self.now), listener, H::Data::default());
        self.slab[index].socket.driver.set_log_peer(peer);
        index
    }

    /// The listener that accepted a connection.
    pub(crate) fn listener(&self, index: usize) -> Option<&ListenerShared> {
        self.listeners.get(usize::from(self.slab[index].listener)).map(|listener| &**listener)
    }

    /// Counts one connection of a listener less. Returns whether it had reached its `max_connections`; then this wakes the
    /// other loops that share the listener, since they may accept again.
    pub(crate) fn release(&self, listener: u16) -> bool {
        let was_full = self.listeners.get(usize::from(listener)).is_some_and(|listener| listener.release());
        if was_full {
            self.handle.wake_others(self.thread.into());
        }
        was_full
    }

    /// Answers a request. An acceptance without an origin policy gets the listener's.
    pub(crate) fn answer(&mut self, index: usize, answer: Answer, now: Instant) -> Result<(), Error> {
        let listener = self.listener(index);
        let answer = match answer {
            Answer::Accept(accept) => Answer::Accept(match listener {
                Some(listener) => accept.default_origin(listener.origin()),
                None => accept,
            }),
            answer => answer,
        };
        let driver = &mut self.slab[index].socket.driver;
        match answer {
            Answer::Accept(accept) => driver.accept(accept, now),
            Answer::Respond(response) => driver.respond(response, now),
            Answer::Later => Ok(()),
        }
    }

    pub(crate) fn id(&self, index: usize) -> ConnectionId {
        ConnectionId { index: index as u32, generation: self.slab[index].generation, thread: self.thread }
    }

    /// The index of a connection that is still there.
    pub(crate) fn index(&self, id: ConnectionId) -> Option<usize> {
        let entry = self.slab.get(id.index())?;
        (entry.generation == id.generation && self.thread == id.thread).then(|| id.index())
    }

    #[inline]
    pub(crate) fn find(&mut self, index: usize) -> Option<&mut Entry<H::Data>> {
        self.slab.get_mut(index)
    }

    #[inline]
    pub(crate) fn entry(&self, index: usize) -> &Entry<H::Data> {
        &self.slab[index]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, index: usize) -> &mut Entry<H::Data> {
        &mut self.slab[index]
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.slab.contains(index)
    }

    /// Removes a connection. Returns whether its listener had reached its `max_connections`.
    pub(crate) fn remove(&mut self, index: usize) -> bool {
        let listener = self.slab.remove(index).listener;
        self.timers.cancel_all(Some(index as u32));
        let Self { deadlines, slab, .. } = self;
        deadlines.tidy(slab.len(), |deadline| is_current(slab, deadline));
        self.release(listener)
    }

    /// Whether a deadline or the timer has come up.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.next_deadline().is_some_and(|at| at <= self.now)
    }

    /// The connection whose deadline has come up, if this is the entry that counts.
    pub(crate) fn pop_due(&mut self) -> Option<Option<usize>> {
        let deadline = self.deadlines.pop_due(self.now)?;
        let index = deadline.index as usize;
        if !is_current(&self.slab, &deadline) {
            return Some(None);
        }
        self.slab[index].armed = Armed::default();
        Some(Some(index))
    }

    /// Sees to it that the loop wakes up for the connection in time.
    #[inline]
    pub(crate) fn arm(&mut self, index: usize) {
        let entry = &mut self.slab[index];
        if let Some(at) = entry.socket.poll_timeout()
            && entry.needs_arming()
        {
            entry.armed = at.into();
            self.deadlines.push(Deadline { at, index: index as u32, generation: entry.generation });
        }
    }

    /// Changes a connection, with whatever that leads to when the loop has gone through what woke it.
    #[inline]
    pub(crate) fn change<R>(&mut self, index: usize, change: impl FnOnce(&mut WebSocket) -> R) -> R {
        let entry = &mut self.slab[index];
        let result = change(entry.socket.websocket());
        entry.socket.note_congestion(self.water_marks.0);
        if !std::mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(index as u32);
        }
        result
    }

    /// Sends something. A refusal for lack of room makes the connection congested, so that `on_writable` follows.
    #[inline]
    pub(crate) fn send<M>(
        &mut self,
        index: usize,
        send: impl FnOnce(&mut WebSocket) -> Result<(), SendError<M>>,
    ) -> Result<(), SendError<M>> {
        let sent = self.change(index, send);
        if let Err(SendError::BufferFull { .. }) = sent {
            let entry = &mut self.slab[index];
            entry.socket.note_congestion(self.water_marks.1);
        }
        sent
    }

    #[inline]
    pub(crate) fn mark_dirty(&mut self, index: usize) {
        if !std::mem::replace(&mut self.slab[index].is_dirty, true) {
            self.dirty.push(index as u32);
        }
    }

    pub(crate) fn schedule_again(&mut self, index: usize) {
        if !std::mem::replace(&mut self.slab[index].is_again, true) {
            self.again.push_back(index as u32);
        }
    }

    /// Holds back reading from a congested connection. Returns true once the congestion ends, and reading goes on: at the
    /// low-water mark, or when the connection is closing.
    #[inline]
    pub(crate) fn ends_congestion(&mut self, index: usize) -> bool {
        let entry = &mut self.slab[index];
        if !entry.socket.is_congested() {
            return false;
        }
        let ws = entry.socket.driver.websocket();
        // A closing connection is read whatever is pending: its peer may send before it reads.
        if ws.buffered_amount() <= self.water_marks.1 || ws.ready_state() != ReadyState::Open {
            entry.socket.end_congestion();
            return true;
        }
        // The core does not know a mark that is lower than its own.
        let is_above = ws.role() == Role::Server && ws.buffered_amount() > self.water_marks.0;
        if is_above || !ws.wants_read() {
            entry.socket.hold_back();
        }
        false
    }

    fn insert(&mut self, socket: Socket, listener: u16, data: H::Data) -> usize {
        self.next_generation = self.next_generation.wrapping_add(1);
        let entry = Entry::new(socket, self.next_generation, listener, data);
        let index = self.slab.insert(entry);
        self.slots = self.slots.max(index + 1);
        let ConnectionId { thread, index: slot, generation } = self.id(index);
        self.slab[index].socket.driver.set_log_id(format_args!("{thread}.{slot}.{generation}"));
        // to be registered, and its deadline noted
        self.mark_dirty(index);
        index
    }
}

impl<H: Handler> fmt::Debug for Connections<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The earlier of two times, of which either may be missing.
#[inline]
fn earlier(first: Option<Instant>, second: Option<Instant>) -> Option<Instant> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

/// Whether the entry is the one of the connection's that counts.
fn is_current<D>(slab: &Slab<Entry<D>>, deadline: &Deadline) -> bool {
    let entry = slab.get(deadline.index as usize);
    entry.is_some_and(|entry| entry.generation == deadline.generation && entry.armed.is_at(deadline.at))
}
