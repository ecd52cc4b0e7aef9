//! Connections: all of an event loop's, as its handler sees them.

use std::collections::VecDeque;
use std::fmt;
use std::net::ToSocketAddrs;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sansocket_drive::sansocket::{
    ClientRequest, CloseCode, EncodedMessage, Instant, Message, ReadyState, Role, SendError, WebSocket,
};
use sansocket_drive::{Armed, Deadline, Deadlines, parse_uri};
use slab::Slab;

use crate::connection::{Connection, ConnectionId};
use crate::error::{ConnectError, PostError, Stopped};
use crate::handle::Handle;
use crate::options::Options;
use crate::socket::Socket;

/// The connections of an event loop.
pub struct Connections {
    slab: Slab<Entry>,
    /// No connection has had this index, nor a higher one.
    slots: usize,
    pub(crate) deadlines: Deadlines,
    /// Connections whose turn has to be finished: their output written, their next interest and deadline registered.
    pub(crate) dirty: Vec<u32>,
    /// Connections whose last turn left work.
    pub(crate) again: VecDeque<u32>,
    /// What could not be sent, and whom the handler is to hear it of.
    pub(crate) unsent: Vec<(ConnectionId, SendError)>,
    pub(crate) timer: Option<Instant>,
    /// When the connections that are left are aborted, once the loop is stopping.
    stop_at: Option<Instant>,
    stop_timeout: Duration,
    pub(crate) now: Instant,
    handle: Handle,
    /// Above how many bytes of `buffered_amount` a connection is congested, and to how many they must fall.
    water_marks: (usize, usize),
    next_generation: u32,
    thread: u16,
    pub(crate) is_stopping: bool,
}

/// All that an idle connection costs.
pub(crate) struct Entry {
    pub(crate) socket: Socket,
    pub(crate) armed: Armed,
    generation: u32,
    pub(crate) is_dirty: bool,
    pub(crate) is_again: bool,
    /// More was sent than the high-water mark allows, and has not fallen below the low-water mark.
    pub(crate) is_congested: bool,
    /// The handler is to hear that something was not sent to it.
    pub(crate) has_unsent: bool,
}

impl Entry {
    /// Whether nothing is to be done for it, nor noted.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket.is_quiet() && !self.is_congested && !self.needs_arming()
    }

    #[inline(always)]
    fn needs_arming(&self) -> bool {
        self.socket.poll_timeout().is_some_and(|deadline| self.armed.is_later_than(deadline))
    }
}

impl Connections {
    pub(crate) fn new(handle: Handle, thread: u16, options: &Options) -> Self {
        Self {
            slab: Slab::new(),
            slots: 0,
            deadlines: Deadlines::default(),
            dirty: Vec::new(),
            again: VecDeque::new(),
            unsent: Vec::new(),
            timer: None,
            stop_at: None,
            stop_timeout: options.stop_timeout,
            now: crate::now(),
            handle,
            water_marks: options.water_marks(),
            next_generation: 0,
            thread,
            is_stopping: false,
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
        self.connect_to(request, (host.as_str(), port))
    }

    /// The same, with a request of the caller's making, to the first of these addresses that can be reached.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_to(
        &mut self,
        request: ClientRequest,
        addresses: impl ToSocketAddrs,
    ) -> Result<ConnectionId, ConnectError> {
        if self.is_stopping {
            return Err(Stopped.into());
        }
        let resolve = |error| ConnectError::Resolve { host: request.uri().host().into(), error };
        let addresses: Vec<_> = addresses.to_socket_addrs().map_err(resolve)?.collect();
        let config = Arc::clone(self.handle.config());
        let index = self.insert(Socket::connect(request, &addresses, config, crate::now())?);
        Ok(self.id(index))
    }

    /// Sends a message to all open connections of this loop and of those that run with it. It is encoded once. To whom it
    /// cannot be sent is told to [`Handler::on_error`](crate::Handler::on_error): once a turn, however much it is.
    ///
    /// This loop's connections get it at once, which is work of the handler's own. The other loops find it in their
    /// mailboxes.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the other loops is full ([`PostError::Full`]). The message is handed back, and was sent to no
    /// connection of any loop. A loop that runs alone never fails, nor does this fail because other loops have stopped.
    pub fn broadcast<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        let message = self.handle.encode_and_post(Some(self.thread.into()), message.into())?;
        self.broadcast_here(&message);
        Ok(())
    }

    /// Sends an encoded message to all open connections of this loop and of those that run with it.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    pub fn broadcast_encoded(&mut self, message: &EncodedMessage) -> Result<(), PostError> {
        self.handle.post_broadcast(Some(self.thread.into()), message)?;
        self.broadcast_here(message);
        Ok(())
    }

    /// Sends a message to these connections, as far as they are open. It is encoded once. To whom it cannot be sent is told
    /// to [`Handler::on_error`](crate::Handler::on_error).
    ///
    /// # Errors
    ///
    /// Some of the connections belong to other loops, whose mailboxes are full ([`PostError::Full`]). Hands back those to
    /// which the message was not sent; it was sent to the others.
    pub fn broadcast_to<'m>(
        &mut self,
        ids: impl IntoIterator<Item = ConnectionId>,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PostError<Vec<ConnectionId>>> {
        let message = EncodedMessage::new(message, self.handle.config());
        let (mut missed, mut exceeded) = (Vec::new(), None);
        for id in ids {
            if id.thread != self.thread {
                if let Err(PostError::Full((), limit)) = self.handle.send_encoded(id, &message) {
                    missed.push(id);
                    exceeded = Some(limit);
                }
            } else if let Some(index) = self.index(id) {
                self.send_or_report(index, &message);
            }
        }
        exceeded.map_or(Ok(()), |limit| Err(PostError::Full(missed, limit)))
    }

    /// Has [`Handler::on_timer`](crate::Handler::on_timer) called once, this long from now; not at all if another time is
    /// set before.
    pub fn set_timer(&mut self, after: Duration) {
        self.timer = Some(crate::now() + after);
    }

    /// Stops the loop in an orderly way. It listens and connects no more, closes every connection with
    /// [`CloseCode::GOING_AWAY`] after the messages that are pending, and ends when all are closed. After
    /// [`Options::stop_timeout`](crate::Options::stop_timeout) it aborts the connections that are left, and
    /// [`Handler::on_close`](crate::Handler::on_close) reports them as it reports the others. Loops that run with this one go
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
        let next = earlier(self.deadlines.next(), self.timer);
        if self.is_stopping { earlier(next, self.stop_at) } else { next }
    }

    /// A connection of this loop; `None` if it is gone, or another loop's.
    pub fn get(&mut self, id: ConnectionId) -> Option<Connection<'_>> {
        let index = self.index(id)?;
        Some(Connection::new(self, index))
    }

    /// The open connections.
    pub fn open(&self) -> impl Iterator<Item = ConnectionId> {
        let is_open = |(_, entry): &(usize, &Entry)| entry.socket.driver.websocket().ready_state() == ReadyState::Open;
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
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The moment that counts as now: when the loop was last woken, or its owner asked for its connections.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn accepted(&mut self, stream: mio::net::TcpStream) -> usize {
        let config = Arc::clone(self.handle.config());
        self.insert(Socket::accepted(stream, config, self.now))
    }

    fn broadcast_here(&mut self, message: &EncodedMessage) {
        self.broadcast_slots(0..self.slots, message);
    }

    /// Sends a message to the open connections from a slot on, until all have it or the budget, which counts slots, is
    /// spent. Returns the slot to go on with.
    pub(crate) fn broadcast_from(
        &mut self,
        first: usize,
        budget: &mut usize,
        message: &EncodedMessage,
    ) -> Option<usize> {
        let count = self.slots.saturating_sub(first).min(*budget);
        *budget -= count;
        let end = first + count;
        self.broadcast_slots(first..end, message);
        (end < self.slots).then_some(end)
    }

    fn broadcast_slots(&mut self, slots: Range<usize>, message: &EncodedMessage) {
        for index in slots {
            if self.slab.contains(index) {
                self.send_or_report(index, message);
            }
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
    pub(crate) fn find(&mut self, index: usize) -> Option<&mut Entry> {
        self.slab.get_mut(index)
    }

    #[inline]
    pub(crate) fn entry(&self, index: usize) -> &Entry {
        &self.slab[index]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, index: usize) -> &mut Entry {
        &mut self.slab[index]
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.slab.contains(index)
    }

    pub(crate) fn remove(&mut self, index: usize) {
        self.slab.remove(index);
        let Self { deadlines, slab, .. } = self;
        deadlines.tidy(slab.len(), |deadline| is_current(slab, deadline));
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
        entry.is_congested |= entry.socket.driver.websocket().buffered_amount() > self.water_marks.0;
        if !std::mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(index as u32);
        }
        result
    }

    /// Sends something. Whoever hears that there is no room also hears when there is.
    #[inline]
    pub(crate) fn send(
        &mut self,
        index: usize,
        send: impl FnOnce(&mut WebSocket) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let sent = self.change(index, send);
        if let Err(SendError::BufferFull(_)) = sent {
            let entry = &mut self.slab[index];
            entry.is_congested |= entry.socket.driver.websocket().buffered_amount() > self.water_marks.1;
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
        if !entry.is_congested {
            return false;
        }
        let ws = entry.socket.driver.websocket();
        // A closing connection is read whatever is pending: its peer may send before it reads.
        if ws.buffered_amount() <= self.water_marks.1 || ws.ready_state() != ReadyState::Open {
            entry.is_congested = false;
            entry.socket.hold(false);
            return true;
        }
        // The core does not know a mark that is lower than its own.
        let is_above = ws.role() == Role::Server && ws.buffered_amount() > self.water_marks.0;
        if is_above || !ws.wants_read() {
            entry.socket.hold(true);
        }
        false
    }

    fn insert(&mut self, socket: Socket) -> usize {
        self.next_generation = self.next_generation.wrapping_add(1);
        let entry = Entry {
            socket,
            armed: Armed::default(),
            generation: self.next_generation,
            is_dirty: false,
            is_again: false,
            is_congested: false,
            has_unsent: false,
        };
        let index = self.slab.insert(entry);
        self.slots = self.slots.max(index + 1);
        // to be registered, and its deadline noted
        self.mark_dirty(index);
        index
    }

    fn send_or_report(&mut self, index: usize, message: &EncodedMessage) {
        if self.slab[index].socket.driver.websocket().ready_state() == ReadyState::Open
            && let Err(error) = self.send(index, |ws| ws.send_encoded(message))
            && !std::mem::replace(&mut self.slab[index].has_unsent, true)
        {
            self.unsent.push((self.id(index), error));
        }
    }
}

impl fmt::Debug for Connections {
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
fn is_current(slab: &Slab<Entry>, deadline: &Deadline) -> bool {
    let entry = slab.get(deadline.index as usize);
    entry.is_some_and(|entry| entry.generation == deadline.generation && entry.armed.is_at(deadline.at))
}

const _: () = assert!(size_of::<Entry>() <= 296);
