//! EventLoop: listeners and connections on one thread, driven by what mio tells of.

mod commands;
mod finish;
mod listening;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use mio::event;
use mio::{Events, Poll, Token, Waker};
use sansocket_drive::sansocket::{ClientRequest, ReadyState, Scratch};

use crate::connection::{Connection, ConnectionId};
use crate::connections::Connections;
use crate::dispatch::Dispatch;
use crate::error::ConnectError;
use crate::handle::Handle;
use crate::handler::Handler;
use crate::listener::Listener;
use crate::mailbox::{Command, Mailbox};
use crate::options::Options;
use crate::socket::turn;

/// Events taken from mio at a time.
const EVENTS: usize = 1024;
/// Connections that ask for another turn and get it at a time.
const TURN_AGAIN: usize = 256;
/// Deadlines looked at in one turn.
const TURN_DEADLINES: usize = 1024;
/// Timers of the handler reported in one turn.
const TURN_TIMERS: usize = 1024;
/// A wait that is shorter is computed from the clock as it is after the handlers, whose reading costs a tenth of an echo.
const NEAR: Duration = Duration::from_secs(1);
/// How long the loop waits instead of longer, after handlers have run: then it knows the time, and waits for the rest. So a
/// deadline is late only behind handlers that take more than `NEAR - MAX_BLOCK`, and at most by this.
const MAX_BLOCK: Duration = Duration::from_millis(100);
/// Tokens count connections from zero, and from here down the mailbox and the listeners.
const MAILBOX: Token = Token(usize::MAX);

/// Any number of listeners and connections on one thread.
///
/// All connections share one read buffer. An idle connection owns no memory beyond its entry in a table.
///
/// # The work of one turn
///
/// A turn polls once and does a bounded amount of work. The next turn does the rest: it polls without waiting and continues
/// where this one stopped, so nothing starves. The work, in order:
///
/// | work | at most |
/// |---|---|
/// | a stop ([`Handle::stop`]) | ahead of everything, after at most the commands of one turn |
/// | connections that had more to read or write than their last turn allowed | 256 |
/// | readiness events | 1,024 |
/// | deadlines of connections (Pings, Pongs, closing) | 1,024 |
/// | calls of [`Handler::on_timer`] and [`Handler::on_loop_timer`] | 1,024 |
/// | clients accepted, from each listener | 64 |
/// | commands of [`Handle`]s, events among them | 1,024 |
/// | slots of the connection table that broadcasts of [`Handle`]s and of other loops visit | 4,096 |
/// | connections whose output is written at the end, and reports of what was not sent | 1,024 each |
///
/// Each time that a connection is served in a turn (because of an event, because it had more to do, because of a deadline):
///
/// | work | at most |
/// |---|---|
/// | reads that yield no event | 18 buffers (64 KiB each: [`Options::buffer_size`]); reading ends once a read yields an event |
/// | events of a peer that has behaved | those of two buffers; the first that yields more than 256 ends it |
/// | events of bytes that a pause kept | those of one buffer, and nothing is read in this turn |
/// | events of a peer whose last read yielded more than 256 | those of 4 KiB (682 empty Pings), until a read yields 64 or fewer |
/// | writes | 16 |
///
/// What a handler does within one call is not bounded: a broadcast from a handler serves all connections of this loop at
/// once.
///
/// # Memory
///
/// Pending commands take at most what [`Options::max_pending_commands`] and [`Options::max_pending_bytes`] permit. Pending
/// output of a connection takes at most [`Config::max_buffered_amount`](crate::sansocket::Config::max_buffered_amount), and as much
/// again for the overhead of frames. No thread can make the loop hold more than these. A connection that was paused
/// ([`Connection::pause_reading`]) while a message was handled keeps at most one read buffer; an adopted connection keeps
/// the bytes that came with it until it has received them.
///
/// # Slow readers
///
/// A server stops reading from a client while the client's pending output is above
/// [`Config::high_water_mark`](crate::sansocket::Config::high_water_mark); it then sees neither messages nor the end of the stream.
/// A peer that reads slowly keeps its connection, and with it the pending output and what the kernel holds (its send buffer,
/// often some MiB):
///
/// | connection | a slow reader keeps it | a peer that neither sends nor acknowledges anything keeps it |
/// |---|---|---|
/// | open | as long as it acknowledges some bytes in each [`Config::pong_timeout`](crate::sansocket::Config::pong_timeout) | `keepalive` and `pong_timeout` (30 s each by default); without keepalive, until TCP gives up |
/// | closing | [`Config::closing_limit`](crate::sansocket::Config::closing_limit) (5 min) | [`Config::closing_timeout`](crate::sansocket::Config::closing_timeout) (5 s) |
/// | the loop is stopping | [`Options::stop_timeout`] (5 s) | the same |
///
/// The loop knows what a peer has acknowledged on Linux and Android. Elsewhere, it knows what the kernel has accepted: a peer
/// that takes longer than such a timeout for what the kernel holds is then cut off.
///
/// # The end of a loop
///
/// [`Connections::stop`] and [`Handle::stop`] end it in an orderly way. Dropping a loop aborts its connections: TCP is reset,
/// what the peers have not read is lost, and no method of the handler is called.
///
/// ```no_run
/// use sansocket_mio::{Connection, EventLoop, Handler, Message};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///     type Event = ();
///
///     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
///         let _ = connection.send(message);
///     }
/// }
///
/// let mut event_loop = EventLoop::new(Echo)?;
/// event_loop.listen("127.0.0.1:9001")?;
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop<H: Handler> {
    poll: Poll,
    /// Absent while the loop iterates over them.
    events: Option<Events>,
    handler: H,
    connections: Connections<H>,
    listeners: Vec<Listener>,
    /// The read buffer that all connections share.
    buffer: Vec<u8>,
    /// The working memory of the connection that has its turn.
    scratch: Scratch,
    /// Commands taken from the mailbox. Between turns: those beyond the budget of the last turn.
    commands: VecDeque<Command<H>>,
    /// Where the first command goes on, if it is a broadcast that was interrupted: a slot of the table of connections.
    next_slot: usize,
    /// Connections whose turn is being finished; empty between turns of the loop.
    finishing: Vec<u32>,
    /// A [`Handle`] has asked the loop to stop.
    stop_requested: Arc<AtomicBool>,
    thread: usize,
    /// Whether `has_commands` or `may_accept` is set.
    has_other_work: bool,
    /// The mailbox, or `commands`, may hold commands.
    has_commands: bool,
    /// A listener may have clients to accept, now or after a pause.
    may_accept: bool,
    /// Handlers may have run since the clock was read.
    is_clock_stale: bool,
    has_started: bool,
}

impl<H: Handler> EventLoop<H> {
    /// A loop with the settings of [`Options::new`].
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new(handler: H) -> io::Result<Self> {
        Self::with_options(handler, &Options::new())
    }

    /// A loop with settings of the caller's.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn with_options(handler: H, options: &Options) -> io::Result<Self> {
        let (poll, mailbox) = poll(options)?;
        Ok(Self::build(handler, options, poll, Handle::new(vec![mailbox], options.config.clone()), 0))
    }

    /// One of the loops that the handle reaches.
    pub(crate) fn build(handler: H, options: &Options, poll: Poll, handle: Handle<H>, thread: u16) -> Self {
        let stop_requested = handle.mailbox(thread.into()).map(Mailbox::stop_requested).unwrap_or_default();
        Self {
            stop_requested,
            poll,
            events: Some(Events::with_capacity(EVENTS)),
            handler,
            connections: Connections::new(handle, thread, options),
            listeners: Vec::new(),
            buffer: vec![0; options.buffer_size],
            scratch: Scratch::new(),
            commands: VecDeque::new(),
            next_slot: 0,
            finishing: Vec::new(),
            thread: thread.into(),
            has_other_work: false,
            has_commands: false,
            may_accept: false,
            is_clock_stale: true,
            has_started: false,
        }
    }

    /// Begins to connect to a `ws://` URL: see [`Connections::connect`].
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect(&mut self, url: &str) -> Result<ConnectionId, ConnectError> {
        self.connections().connect(url)
    }

    /// Begins to connect with a request of the caller's making: see [`Connections::connect_to`].
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
        self.connections().connect_to(request, addresses, data)
    }

    /// Runs until it is stopped ([`Connections::stop`], [`Handle::stop`]) and all connections are closed.
    ///
    /// # Errors
    ///
    /// The system's: mio's `poll` failed. What goes wrong with a connection or a listener is told to the handler.
    ///
    /// # Panics
    ///
    /// A method of the handler does. The loop is then to be dropped: what it was about to do is forgotten.
    pub fn run(&mut self) -> io::Result<()> {
        self.connections.now = crate::now();
        while self.take_turn(None)? {}
        Ok(())
    }

    /// One turn: waits until something happens, no longer than `max_wait`, and goes through it. Returns whether the loop
    /// goes on.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As for [`run`](Self::run).
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<bool> {
        // its owner may have been elsewhere
        self.connections.now = crate::now();
        self.is_clock_stale = false;
        self.take_turn(max_wait)
    }

    #[inline(always)]
    fn take_turn(&mut self, max_wait: Option<Duration>) -> io::Result<bool> {
        if !mem::replace(&mut self.has_started, true) {
            self.handler.on_start(&mut self.connections);
            self.is_clock_stale = true;
            self.finish_dirty();
        }
        if !self.is_running() {
            return Ok(false);
        }
        let wait = self.wait(max_wait);
        let events = self.events.get_or_insert_with(|| Events::with_capacity(EVENTS));
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.connections.now = crate::now(),
        }
        self.is_clock_stale = false;
        self.connections.has_paused = false;
        if self.stop_requested.load(Acquire) {
            self.execute_stop();
        }
        if !self.connections.again.is_empty() {
            self.serve_again();
        }
        self.take_events();
        if self.connections.is_due() {
            self.expire_deadlines();
        }
        if self.has_other_work {
            self.serve_others();
        }
        self.finish_dirty();
        Ok(self.is_running())
    }

    /// A way to reach this loop from any thread.
    pub fn handle(&self) -> Handle<H> {
        self.connections.handle()
    }

    /// The handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The connections.
    pub fn connections(&mut self) -> &mut Connections<H> {
        self.connections.now = crate::now();
        &mut self.connections
    }

    /// Whether the loop has not been told to stop, or has connections to close.
    #[inline]
    fn is_running(&mut self) -> bool {
        !self.connections.is_stopping || self.is_closing()
    }

    /// Returns how long the poll may wait.
    #[inline]
    fn wait(&self, max_wait: Option<Duration>) -> Option<Duration> {
        let connections = &self.connections;
        let is_idle = connections.again.is_empty() && connections.dirty.is_empty() && connections.unsent.is_empty();
        if !is_idle {
            return Some(Duration::ZERO);
        }
        let mut next = connections.next_deadline();
        if self.has_other_work {
            if self.has_commands {
                return Some(Duration::ZERO);
            }
            let listeners = self.listeners.iter().filter_map(Listener::poll_timeout);
            next = listeners.chain(next).min();
        }
        let wait = next.map(|next| {
            if !self.is_clock_stale {
                next - connections.now
            } else if next >= connections.now + NEAR {
                MAX_BLOCK
            } else {
                next - crate::now()
            }
        });
        wait.into_iter().chain(max_wait).min()
    }

    #[inline]
    fn take_events(&mut self) {
        let Some(events) = self.events.take() else { return };
        for event in &events {
            self.is_clock_stale = true;
            let token = event.token();
            // an event for a connection that is gone, and whose place another has taken, is as good as none
            if !self.serve(token.0, Some(event)) {
                self.note_wakeup(token);
            }
        }
        self.events = Some(events);
    }

    /// Notes an event of the mailbox or of a listener.
    fn note_wakeup(&mut self, token: Token) {
        if token == MAILBOX {
            (self.has_commands, self.has_other_work) = (true, true);
            // another loop may have closed a connection of a shared listener that had reached its `max_connections`
            self.resume_listeners();
        } else if let Some(listener) = self.listeners.get_mut(MAILBOX.0 - 1 - token.0) {
            listener.note();
            (self.may_accept, self.has_other_work) = (true, true);
        }
    }

    /// Gives a connection a turn, for an event or because its last turn left work. Returns whether the connection exists.
    #[inline(always)]
    fn serve(&mut self, index: usize, event: Option<&event::Event>) -> bool {
        let Some(entry) = self.connections.find(index) else { return false };
        match event {
            Some(event) => entry.socket.note(event),
            None => entry.is_again = false,
        }
        // This turn writes what the connection's own events make it send.
        let was_dirty = mem::replace(&mut entry.is_dirty, true);
        entry.socket.websocket().attach_scratch(&mut self.scratch);
        let now = self.connections.now;
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        if event.is_none() {
            turn::dispatch_pending(&mut dispatch, now);
        }
        turn::read(&mut dispatch, &mut self.buffer, now);
        if !was_dirty {
            // If connections send to each other, all that one of them is sent in this turn leaves together.
            if self.connections.dirty.is_empty() {
                self.finish_turn(index);
            } else {
                self.connections.dirty.push(index as u32);
            }
        }
        true
    }

    /// Gives another turn to connections whose last turn left work, the longest waiting first.
    #[inline(never)]
    fn serve_again(&mut self) {
        self.is_clock_stale = true;
        for _ in 0..self.connections.again.len().min(TURN_AGAIN) {
            if let Some(index) = self.connections.again.pop_front() {
                self.serve(index as usize, None);
            }
        }
    }

    /// Serves the listeners and the mailbox.
    #[inline(never)]
    fn serve_others(&mut self) {
        self.is_clock_stale = true;
        if self.may_accept {
            self.accept();
        }
        if self.has_commands {
            self.execute_commands();
        }
        self.has_other_work = self.may_accept || self.has_commands;
    }

    /// Handles deadlines that have come: of connections, of a stop, and the handler's timers.
    #[inline(never)]
    fn expire_deadlines(&mut self) {
        self.is_clock_stale = true;
        let now = self.connections.now;
        for _ in 0..TURN_DEADLINES {
            let Some(due) = self.connections.pop_due() else { break };
            let Some(index) = due else { continue };
            if self.connections.entry(index).socket.is_due(now) {
                let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
                turn::handle_timeout(&mut dispatch, Some(&mut self.buffer), now);
                self.connections.mark_dirty(index);
            } else {
                self.connections.arm(index);
            }
        }
        self.connections.expire_stop_timeout();
        self.fire_timers();
    }

    /// Reports the handler's timers that are due, a bounded number.
    fn fire_timers(&mut self) {
        let now = self.connections.now;
        for _ in 0..TURN_TIMERS {
            let Some((owner, key)) = self.connections.timers.pop_due(now) else { return };
            let Some(index) = owner else {
                self.handler.on_loop_timer(&mut self.connections, key);
                continue;
            };
            let index = index as usize;
            if self.connections.entry(index).socket.driver.websocket().has_pending_event() {
                // an adopted connection has to open before
                let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
                turn::dispatch_pending(&mut dispatch, now);
                self.connections.mark_dirty(index);
            }
            let connection = &mut Connection::new(&mut self.connections, index);
            // `on_close` is the last call
            if connection.ready_state() != ReadyState::Closed {
                self.handler.on_timer(connection, key);
            }
        }
    }
}

impl<H: Handler> Drop for EventLoop<H> {
    fn drop(&mut self) {
        self.close_mailbox();
    }
}

impl<H: Handler> fmt::Debug for EventLoop<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A poll and the mailbox that wakes it.
pub(crate) fn poll<H: Handler>(options: &Options) -> io::Result<(Poll, Mailbox<H>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), MAILBOX)?;
    Ok((poll, Mailbox::new(waker, options.mailbox)))
}
