//! Table: the connections of an event loop, their deadlines and timers, and lists of those that need work.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use sansocket_dial::{DialError, Target};
use sansocket_drive::sansocket::{CloseCode, Config, EncodedMessage, Instant, ReadyState, Role, SendError, WebSocket};
use sansocket_drive::{Armed, Deadline, Deadlines, Driver, Group, Publications};
use slab::Slab;

use crate::Error;
use crate::answer::Answer;
use crate::clock;
use crate::connection_id::ConnectionId;
use crate::connector::Connector;
use crate::listen_options::ListenerShared;
use crate::listener::Client;
use crate::occupancy::Occupancy;
use crate::options::Options;
use crate::send_scratch::SendScratch;
use crate::socket::{Reconnection, Socket};
use crate::timers::Timers;
use sansocket_connect::{PLAIN, Security};

/// The listener number of connections that no listener has accepted.
pub(crate) const NO_LISTENER: u16 = u16::MAX;

/// One connection. An idle connection owns no other memory.
pub(crate) struct Entry<D> {
    pub(crate) socket: Socket,
    pub(crate) armed: Armed,
    generation: u32,
    /// The number of the listener that accepted it, or [`NO_LISTENER`].
    listener: u16,
    pub(crate) is_dirty: bool,
    pub(crate) is_unfinished: bool,
    /// The application's.
    pub(crate) data: D,
}

// Without the driver, to which a log adds a pointer: the feature `tracing` may be enabled for `sansocket-drive` alone.
const _: () = assert!(size_of::<Entry<()>>() - size_of::<Driver<Security>>() <= 48);

impl<D> Entry<D> {
    /// Returns whether the connection needs no work and no new deadline.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket.is_quiet() && !self.needs_arming()
    }

    #[inline(always)]
    fn needs_arming(&self) -> bool {
        self.socket.poll_timeout().is_some_and(|deadline| self.armed.is_later_than(deadline))
    }
}

/// The connections of an event loop, with the application's data of type `D` for each.
pub(crate) struct Table<D> {
    pub(crate) entries: Slab<Entry<D>>,
    /// The number of slots that have ever been used: all indices are below it.
    slots: usize,
    /// The numbers of connections of this loop and of those that run with it.
    pub(crate) occupancy: Arc<Occupancy>,
    /// The listeners of the loop, by number. Those that were closed remain.
    pub(crate) listeners: Vec<Arc<ListenerShared>>,
    deadlines: Deadlines,
    /// Connections whose turn has to be finished: their output written, their next interest and deadline registered.
    pub(crate) dirty: Vec<u32>,
    /// Connections whose last turn left work.
    pub(crate) unfinished: VecDeque<u32>,
    /// Failed sends to report to the handler at the end of the turn.
    pub(crate) unsent: Vec<(ConnectionId, SendError)>,
    pub(crate) timers: Timers,
    /// The groups, and the messages that were published to them in this turn.
    pub(crate) publications: Publications,
    /// When the remaining connections are aborted, if the loop is stopping.
    stop_at: Option<Instant>,
    stop_timeout: Duration,
    pub(crate) now: Instant,
    config: Arc<Config>,
    send_scratch: SendScratch,
    /// Congestion begins when `buffered_amount` is above the high mark, and ends at the low mark.
    high_water_mark: usize,
    low_water_mark: usize,
    next_generation: u32,
    thread: u16,
    pub(crate) is_stopping: bool,
    /// A handler has paused reading of some connection in this turn, or there are publications.
    pub(crate) is_interrupted: bool,
}

impl<D> Table<D> {
    pub(crate) fn new(thread: u16, occupancy: Arc<Occupancy>, options: &Options) -> Self {
        let (high_water_mark, low_water_mark) = options.water_marks();
        Self {
            entries: Slab::new(),
            slots: 0,
            occupancy,
            listeners: Vec::new(),
            deadlines: Deadlines::default(),
            dirty: Vec::new(),
            unfinished: VecDeque::new(),
            unsent: Vec::new(),
            timers: Timers::default(),
            publications: Publications::new(thread),
            stop_at: None,
            stop_timeout: options.stop_timeout,
            now: clock::now(),
            config: Arc::clone(&options.config),
            send_scratch: SendScratch::default(),
            high_water_mark,
            low_water_mark,
            next_generation: 0,
            thread,
            is_stopping: false,
            is_interrupted: false,
        }
    }

    /// Begins to connect; [`insert_client`](Self::insert_client) follows.
    pub(crate) fn begin_connecting(&self, connector: &Connector, target: Target) -> Result<Socket, DialError> {
        if self.is_stopping {
            return Err(DialError::Canceled);
        }
        Socket::connect_or_default(connector, target, Some(&self.config), clock::now())
    }

    /// Adds a connection that no listener has accepted.
    pub(crate) fn insert_client(&mut self, socket: Socket, data: D) -> ConnectionId {
        let is_connecting = socket.is_connecting();
        let index = self.insert(socket, NO_LISTENER, data);
        if is_connecting {
            // the next turn begins
            self.mark_unfinished(index);
        }
        self.id(index)
    }

    /// Lets a client that has lost its connection, or could not make it, connect again if it should. It is then a
    /// connection that has just begun, with the same data and timers.
    pub(crate) fn reconnect(&mut self, index: usize) -> Option<Reconnection> {
        let reconnection = self.entries[index].socket.reconnect(clock::now())?;
        self.take_unsent(index);
        self.publications.remove(index as u32);
        self.publications.insert(index as u32);
        self.entries[index].is_dirty = false;
        // its deadline has to be noted
        self.mark_dirty(index);
        Some(reconnection)
    }

    /// Adds a connection that a listener has accepted.
    pub(crate) fn insert_accepted(&mut self, client: Client, data: D) -> usize {
        let Client { stream, peer, listener } = client;
        let security = self.listeners.get(usize::from(listener)).map_or(PLAIN, |listener| listener.security());
        let socket = Socket::server(stream, security, Arc::clone(&self.config), self.now);
        let index = self.insert(socket, listener, data);
        self.entries[index].socket.driver.set_log_peer(peer);
        index
    }

    fn insert(&mut self, socket: Socket, listener: u16, data: D) -> usize {
        self.occupancy.add(self.thread.into());
        self.next_generation = self.next_generation.wrapping_add(1);
        let index = self.entries.insert(Entry {
            socket,
            armed: Armed::default(),
            generation: self.next_generation,
            listener,
            is_dirty: false,
            is_unfinished: false,
            data,
        });
        self.slots = self.slots.max(index + 1);
        self.publications.insert(index as u32);
        let ConnectionId { thread, index: slot, generation } = self.id(index);
        self.entries[index].socket.driver.set_log_id(format_args!("{thread}.{slot}.{generation}"));
        // to be registered, and its deadline noted
        self.mark_dirty(index);
        index
    }

    /// Removes a connection. Returns its data, and whether its listener had reached its `max_connections`.
    pub(crate) fn remove(&mut self, index: usize) -> (D, bool) {
        self.occupancy.remove(self.thread.into());
        let Entry { listener, data, .. } = self.entries.remove(index);
        self.timers.cancel_all(Some(index as u32));
        self.publications.remove(index as u32);
        let Self { deadlines, entries, .. } = self;
        deadlines.tidy(entries.len(), |deadline| is_current(entries, deadline));
        (data, self.release(listener))
    }

    /// Counts one connection of a listener less. Returns whether the listener had reached its `max_connections`.
    pub(crate) fn release(&self, listener: u16) -> bool {
        self.listeners.get(usize::from(listener)).is_some_and(|listener| listener.release())
    }

    /// Returns the listener that accepted a connection.
    pub(crate) fn listener(&self, index: usize) -> Option<&ListenerShared> {
        self.listeners.get(usize::from(self.entries[index].listener)).map(|listener| &**listener)
    }

    pub(crate) fn id(&self, index: usize) -> ConnectionId {
        ConnectionId { index: index as u32, generation: self.entries[index].generation, thread: self.thread }
    }

    /// Returns the index of a connection; `None` if it has ended or belongs to another loop.
    pub(crate) fn index(&self, id: ConnectionId) -> Option<usize> {
        let entry = self.entries.get(id.index())?;
        (entry.generation == id.generation && self.thread == id.thread).then(|| id.index())
    }

    /// Iterates over the open connections.
    pub(crate) fn open(&self) -> impl Iterator<Item = ConnectionId> {
        self.entries.iter().filter(|(_, entry)| is_open(&entry.socket)).map(|(index, _)| self.id(index))
    }

    #[inline]
    pub(crate) fn mark_dirty(&mut self, index: usize) {
        if !mem::replace(&mut self.entries[index].is_dirty, true) {
            self.dirty.push(index as u32);
        }
    }

    pub(crate) fn mark_unfinished(&mut self, index: usize) {
        if !mem::replace(&mut self.entries[index].is_unfinished, true) {
            self.unfinished.push_back(index as u32);
        }
    }

    /// Changes a connection, and marks it dirty.
    #[inline]
    pub(crate) fn change<R>(&mut self, index: usize, change: impl FnOnce(&mut WebSocket) -> R) -> R {
        self.catch_up(index);
        let entry = &mut self.entries[index];
        let result = change(entry.socket.websocket());
        entry.socket.note_congestion(self.high_water_mark);
        if !mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(index as u32);
        }
        result
    }

    /// Sends to a connection. [`SendError::BufferFull`] may make the connection congested, so that `on_writable`
    /// follows.
    #[inline]
    pub(crate) fn send<M>(
        &mut self,
        index: usize,
        send: impl FnOnce(&mut WebSocket) -> Result<(), SendError<M>>,
    ) -> Result<(), SendError<M>> {
        self.catch_up(index);
        let entry = &mut self.entries[index];
        if let Err(error) = self.send_scratch.with(entry.socket.websocket(), send) {
            let is_full = matches!(error, SendError::BufferFull { .. });
            entry.socket.note_congestion(if is_full { self.low_water_mark } else { self.high_water_mark });
            self.mark_dirty(index);
            return Err(error);
        }
        entry.socket.note_congestion(self.high_water_mark);
        if !mem::replace(&mut entry.is_dirty, true) {
            self.dirty.push(index as u32);
        }
        Ok(())
    }

    /// Publishes a message to the members of a group, or to all open connections. Each gets it at the end of the turn,
    /// or before anything else happens to it.
    pub(crate) fn publish(&mut self, group: Option<&Group>, message: EncodedMessage) {
        self.is_interrupted = true;
        match group {
            Some(group) => self.publications.publish(group, message),
            None => self.publications.publish_to_all(message),
        }
    }

    /// Queues what was published before for a connection, ahead of anything else that happens to it.
    #[inline]
    pub(crate) fn catch_up(&mut self, index: usize) {
        if !self.publications.is_empty() {
            self.take_publications(index);
            self.mark_dirty(index);
        }
    }

    /// Queues what was published before for a connection. Returns whether it could be sent. A failure is reported at
    /// the end of the turn, once for all messages.
    #[inline(never)]
    pub(crate) fn take_publications(&mut self, index: usize) -> bool {
        let is_slow = self.is_slow(index);
        let Entry { socket, .. } = &mut self.entries[index];
        let taken = self
            .send_scratch
            .with(socket.websocket(), |ws| self.publications.take(index as u32, ws, is_slow, self.now));
        socket.note_congestion(self.high_water_mark);
        let Err(error) = taken else { return true };
        if let SendError::BufferFull { .. } = error {
            socket.note_congestion(self.low_water_mark);
        }
        self.note_unsent(index, error);
        false
    }

    /// Returns whether the policies for slow members apply to a connection: the peer reads slowly. Writes its output
    /// first if it is congested, since what was queued in this turn may be all that is pending.
    #[inline]
    fn is_slow(&mut self, index: usize) -> bool {
        let Entry { socket, .. } = &mut self.entries[index];
        if !socket.is_congested() {
            return false;
        }
        socket.flush(self.now);
        socket.driver.websocket().buffered_amount() > self.low_water_mark
    }

    /// Sends a message to a connection if it is open. A failure is reported at the end of the turn, once for all
    /// messages.
    pub(crate) fn send_or_report(&mut self, index: usize, message: &EncodedMessage) {
        if is_open(&self.entries[index].socket)
            && let Err(error) = self.send(index, |ws| ws.send_encoded(message))
        {
            self.note_unsent(index, error);
        }
    }

    fn note_unsent(&mut self, index: usize, error: SendError) {
        if self.entries[index].socket.mark_unsent() {
            self.unsent.push((self.id(index), error));
        }
    }

    /// Removes the report of a connection's failed send, if one is pending.
    pub(crate) fn take_unsent(&mut self, index: usize) -> Option<SendError> {
        let id = self.id(index);
        let number = self.unsent.iter().position(|&(unsent, _)| unsent == id)?;
        self.entries[index].socket.clear_unsent();
        Some(self.unsent.remove(number).1)
    }

    /// Answers a request. An acceptance without an origin policy gets the listener's.
    pub(crate) fn answer(&mut self, index: usize, answer: Answer, now: Instant) -> Result<(), Error> {
        // an accepted connection is open, and gets what is published from now on
        self.catch_up(index);
        let answer = match (answer, self.listener(index)) {
            (Answer::Accept(accept), Some(listener)) => Answer::Accept(accept.default_origin(listener.origin())),
            (answer, _) => answer,
        };
        let driver = &mut self.entries[index].socket.driver;
        match answer {
            Answer::Accept(accept) => driver.accept(accept, now),
            Answer::Respond(response) => driver.respond(response, now),
            Answer::Later => Ok(()),
        }
    }

    /// Returns whether the connection is ending, so that an answer comes too late. A loop that stops, for example, has
    /// responded with 503. The application cannot know this, so its answer is no error.
    pub(crate) fn is_ending(&self, index: usize) -> bool {
        let ready_state = self.entries[index].socket.driver.websocket().ready_state();
        matches!(ready_state, ReadyState::Closing | ReadyState::Closed)
    }

    /// Holds back reading from a congested connection. Returns true when the congestion ends, and reading resumes: at
    /// the low-water mark, or when the connection is closing.
    #[inline]
    pub(crate) fn ends_congestion(&mut self, index: usize) -> bool {
        let entry = &mut self.entries[index];
        if !entry.socket.is_congested() {
            return false;
        }
        let ws = entry.socket.driver.websocket();
        // A closing connection is read whatever is pending: its peer may send before it reads.
        if ws.buffered_amount() <= self.low_water_mark || ws.ready_state() != ReadyState::Open {
            entry.socket.end_congestion();
            return true;
        }
        // The core does not know a mark that is lower than its own.
        let is_above = ws.role() == Role::Server && ws.buffered_amount() > self.high_water_mark;
        if is_above || !ws.wants_read() {
            entry.socket.hold_back();
        }
        false
    }

    /// Returns when the loop must act without an event.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next = earlier(self.deadlines.next(), self.timers.next());
        if self.is_stopping { earlier(next, self.stop_at) } else { next }
    }

    /// Returns whether a deadline or a timer is due.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.next_deadline().is_some_and(|at| at <= self.now)
    }

    /// Removes the earliest deadline if it is due. Returns its connection; `Some(None)` if the deadline is out of date.
    pub(crate) fn pop_due(&mut self) -> Option<Option<usize>> {
        let deadline = self.deadlines.pop_due(self.now)?;
        let index = deadline.index as usize;
        if !is_current(&self.entries, &deadline) {
            return Some(None);
        }
        self.entries[index].armed = Armed::default();
        Some(Some(index))
    }

    /// Notes the connection's deadline, so that the loop wakes up for it.
    #[inline]
    pub(crate) fn arm(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        if let Some(at) = entry.socket.poll_timeout()
            && entry.needs_arming()
        {
            entry.armed = at.into();
            self.deadlines.push(Deadline { at, index: index as u32, generation: entry.generation });
        }
    }

    /// Begins to close all connections.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
        self.occupancy.stop(self.thread.into());
        let now = clock::now();
        self.stop_at = Some(now + self.stop_timeout);
        for (_, entry) in &mut self.entries {
            entry.socket.cancel_reconnection();
        }
        // cannot fail: 1001 may be sent, and the reason is empty
        self.change_all(|ws| _ = ws.close(CloseCode::GOING_AWAY, "", now));
    }

    /// Aborts the remaining connections if the loop has been stopping for `stop_timeout`.
    pub(crate) fn expire_stop_timeout(&mut self) {
        if self.stop_at.is_some_and(|at| at <= self.now) {
            self.stop_at = None;
            let now = self.now;
            self.change_all(|ws| ws.abort(now));
        }
    }

    fn change_all(&mut self, change: impl Fn(&mut WebSocket)) {
        for index in 0..self.slots {
            if self.entries.contains(index) {
                self.change(index, &change);
            }
        }
    }
}

#[inline]
fn is_open(socket: &Socket) -> bool {
    socket.driver.websocket().ready_state() == ReadyState::Open
}

/// Returns the earlier of two times, either of which may be missing.
#[inline]
fn earlier(first: Option<Instant>, second: Option<Instant>) -> Option<Instant> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

/// Returns whether this is the deadline that its connection has armed last.
fn is_current<D>(entries: &Slab<Entry<D>>, deadline: &Deadline) -> bool {
    let entry = entries.get(deadline.index as usize);
    entry.is_some_and(|entry| entry.generation == deadline.generation && entry.armed.is_at(deadline.at))
}
