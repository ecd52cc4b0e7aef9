//! EventLoop: listeners and connections on one thread, driven by the events of mio.

mod commands;
mod dispatch;
mod listening;
mod serve;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use sansocket_dial::{DialError, Target};
use sansocket_drive::sansocket::Scratch;

use crate::clock;
use crate::connection_id::ConnectionId;
use crate::connector::Connector;
use crate::handle::Handle;
use crate::handler::{Connections, Handler};
use crate::listener::Listener;
use crate::mailbox::{Command, Mailbox, Mailboxes};
use crate::options::Options;
use crate::read_buffer::ReadBuffer;

/// Events taken from mio in one turn.
const EVENTS: usize = 1024;
/// After handlers have run, the time is stale, and reading the clock costs a tenth of an echo. The loop reads it only
/// if a deadline is nearer than this.
const NEAR: Duration = Duration::from_secs(1);
/// If the next deadline is not near, the loop waits this long; the poll then updates the time. So a deadline is late
/// only behind handlers that take more than `NEAR - MAX_BLOCK`, and at most by `MAX_BLOCK`.
const MAX_BLOCK: Duration = Duration::from_millis(100);
/// The token of the mailbox. Those of the listeners follow downwards; those of the connections are their indices.
const MAILBOX: Token = Token(usize::MAX);

/// Any number of listeners and connections on one thread. The [front page](crate) has complete programs.
///
/// All connections share one read buffer. An idle connection owns no memory beyond its entry in a table.
///
/// # The work of one turn
///
/// A turn polls once and does a bounded amount of work. If work is left, the next turn polls without waiting and
/// continues where this one stopped, so nothing starves. The work, in order:
///
/// | work | at most |
/// |---|---|
/// | a stop ([`Handle::stop`]) | after the commands of one turn, ahead of everything else |
/// | connections that had more to read or write than their last turn allowed | 256 |
/// | readiness events | 1,024 |
/// | deadlines of connections (Pings, Pongs, closing) | 1,024 |
/// | calls of [`Handler::on_timer`] and [`Handler::on_loop_timer`] | 1,024 |
/// | clients accepted, from each listener | 64 |
/// | commands of [`Handle`]s, events among them, and clients that other loops hand over | 1,024 |
/// | connections to which published messages are delivered and written | 1,024 |
/// | connections whose output is written at the end, and reports of failed sends | 1,024 each |
///
/// Each time that a connection is served in a turn (for an event, for work that was left, or for a deadline):
///
/// | work | at most |
/// |---|---|
/// | reads that yield no event | 18 buffers (64 KiB each: [`Options::buffer_size`]) |
/// | events of a peer that does not flood | those of two buffers; a read that yields more than 256 is the last |
/// | events of bytes that the loop kept during a pause | those of one buffer, and nothing is read in this turn |
/// | events of a peer that floods: after such a read, until one yields 64 or fewer | those of 4 KiB (682 empty Pings) |
/// | writes | 16 |
///
/// The work of a handler within one call is not bounded. Publishing does not depend on the number of members: they get
/// the messages at the end of the turn, or of the turns that follow.
///
/// # Memory
///
/// Pending commands take at most what [`Options::max_pending_commands`] and [`Options::max_pending_bytes`] permit.
/// Pending output of a connection takes at most
/// [`Config::max_buffered_amount`](crate::sansocket::Config::max_buffered_amount), and as much again for the overhead
/// of frames. Published messages stay in memory until they are queued for all members; if the loop has more than 1,024
/// receivers, this takes several turns. While 1,024 of them or 1 MiB of payloads wait for this, the mailbox keeps its
/// next command that publishes and those behind it, except one command in each turn. What handlers publish has no
/// limit. A connection that was paused
/// ([`Connection::pause_reading`](crate::Connection::pause_reading)) while a message was handled keeps at most one read
/// buffer; an adopted connection keeps the bytes that came with it until it has received them.
///
/// # Slow readers
///
/// A server stops reading from a client while the client's pending output is above
/// [`Config::high_water_mark`](crate::sansocket::Config::high_water_mark); it then sees neither messages nor the end of
/// the stream. A peer that reads slowly keeps its connection, and with it the pending output and what the kernel holds
/// (its send buffer, often some MiB):
///
/// | connection | a slow reader keeps it | a peer that neither sends nor acknowledges anything keeps it |
/// |---|---|---|
/// | open | as long as it acknowledges some bytes in each [`Config::pong_timeout`](crate::sansocket::Config::pong_timeout) | `keepalive` and `pong_timeout` (30 s each by default); without keepalive, until TCP gives up |
/// | closing | [`Config::closing_limit`](crate::sansocket::Config::closing_limit) (5 min) | [`Config::closing_timeout`](crate::sansocket::Config::closing_timeout) (5 s) |
/// | the loop is stopping | [`Options::stop_timeout`] (5 s) | the same |
///
/// On Linux and Android, the loop knows which bytes the peer has acknowledged. Elsewhere, it knows only which bytes the
/// kernel has accepted: a peer that needs longer than such a timeout to read the kernel's buffer is then cut off.
///
/// # The end of a loop
///
/// [`Connections::stop`] and [`Handle::stop`] end a loop in an orderly way. Dropping a loop aborts its connections: TCP
/// is reset, what the peers have not read is lost, and no method of the handler is called.
pub struct EventLoop<H: Handler> {
    poll: Poll,
    /// The buffer of mio's events; `None` while the loop runs.
    events: Option<Events>,
    handler: H,
    connections: Connections<H>,
    listeners: Vec<Listener>,
    /// The read buffer that all connections share.
    buffer: ReadBuffer,
    /// The working memory of the connection that is being served.
    scratch: Scratch,
    /// Commands taken from the mailbox. Between turns: those beyond the budget of the last turn.
    commands: VecDeque<Command<H::Data, H::Event>>,
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
    /// Makes a loop with the settings of [`Options::new`].
    ///
    /// # Errors
    ///
    /// Returns the error of the system, such as too many open files.
    pub fn new(handler: H) -> io::Result<Self> {
        Self::with_options(handler, &Options::new())
    }

    /// Makes a loop with the given settings.
    ///
    /// # Errors
    ///
    /// Returns the error of the system, such as too many open files.
    pub fn with_options(handler: H, options: &Options) -> io::Result<Self> {
        let (poll, mailbox) = new_poll(options)?;
        Ok(Self::build(handler, options, poll, Arc::new(Mailboxes::new(vec![mailbox], options.config.clone())), 0))
    }

    /// Makes one of the loops that run together.
    pub(crate) fn build(
        handler: H,
        options: &Options,
        poll: Poll,
        mailboxes: Arc<Mailboxes<H::Data, H::Event>>,
        thread: u16,
    ) -> Self {
        let stop_requested = mailboxes.get(thread.into()).map(Mailbox::stop_requested).unwrap_or_default();
        Self {
            stop_requested,
            poll,
            events: Some(Events::with_capacity(EVENTS)),
            handler,
            connections: Connections::new(mailboxes, thread, options),
            listeners: Vec::new(),
            buffer: ReadBuffer::new(options.buffer_size),
            scratch: Scratch::new(),
            commands: VecDeque::new(),
            finishing: Vec::new(),
            thread: thread.into(),
            has_other_work: false,
            has_commands: false,
            may_accept: false,
            is_clock_stale: true,
            has_started: false,
        }
    }

    /// Begins to connect to a URL: see [`Connections::connect`].
    ///
    /// # Errors
    ///
    /// As for [`Connections::connect`].
    pub fn connect(&mut self, url: &str) -> Result<ConnectionId, DialError> {
        self.connections().connect(url)
    }

    /// Begins to connect with the caller's settings: see [`Connections::connect_with`].
    ///
    /// # Errors
    ///
    /// As for [`Connections::connect_with`].
    pub fn connect_with(
        &mut self,
        connector: &Connector,
        target: Target,
        data: H::Data,
    ) -> Result<ConnectionId, DialError> {
        self.connections().connect_with(connector, target, data)
    }

    /// Runs until it is stopped ([`Connections::stop`], [`Handle::stop`]) and all connections are closed.
    ///
    /// # Errors
    ///
    /// The system's: mio's `poll` failed. Failures of a connection or a listener are reported to the handler.
    ///
    /// # Panics
    ///
    /// If a method of the handler panics. Drop the loop then: it has lost the rest of the turn's work.
    pub fn run(&mut self) -> io::Result<()> {
        self.connections.table.now = clock::now();
        self.with_events(|event_loop, events| {
            while event_loop.take_turn(events, None)? {}
            Ok(())
        })
    }

    /// Runs one turn: waits for an event or a deadline, no longer than `max_wait`, and does the work of the turn.
    /// Returns whether the loop goes on.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As for [`run`](Self::run).
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<bool> {
        // time has passed since the last turn
        self.connections.table.now = clock::now();
        self.is_clock_stale = false;
        self.with_events(|event_loop, events| event_loop.take_turn(events, max_wait))
    }

    /// Takes the buffer of mio's events out of the loop for as long as `act` runs, so that `act` may change the loop
    /// while it iterates over them.
    fn with_events<R>(&mut self, act: impl FnOnce(&mut Self, &mut Events) -> R) -> R {
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS));
        let result = act(self, &mut events);
        self.events = Some(events);
        result
    }

    #[inline(always)]
    fn take_turn(&mut self, events: &mut Events, max_wait: Option<Duration>) -> io::Result<bool> {
        if !mem::replace(&mut self.has_started, true) {
            self.handler.on_start(&mut self.connections);
            self.is_clock_stale = true;
            self.finish_dirty();
        }
        if !self.is_running() {
            return Ok(false);
        }
        let wait = self.wait(max_wait);
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.connections.table.now = clock::now(),
        }
        self.is_clock_stale = false;
        self.connections.table.is_interrupted = !self.connections.table.publications.is_empty();
        if self.stop_requested.load(Acquire) {
            self.execute_stop();
        }
        if !self.connections.table.unfinished.is_empty() {
            self.serve_unfinished();
        }
        self.serve_events(events);
        if self.connections.table.is_due() {
            self.expire_deadlines();
        }
        if self.has_other_work {
            self.serve_others();
        }
        if !self.connections.table.publications.is_empty() {
            self.deliver_publications();
        }
        self.finish_dirty();
        Ok(self.is_running())
    }

    /// Returns a handle that reaches this loop from any thread.
    pub fn handle(&self) -> Handle<H> {
        self.connections.handle()
    }

    /// Returns the handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }

    /// Returns the connections.
    pub fn connections(&mut self) -> &mut Connections<H> {
        self.connections.table.now = clock::now();
        &mut self.connections
    }

    /// Returns whether the loop is not stopping, or has connections to close.
    #[inline]
    fn is_running(&mut self) -> bool {
        !self.connections.table.is_stopping || self.continue_stop()
    }

    /// Returns how long the poll may wait.
    #[inline]
    fn wait(&self, max_wait: Option<Duration>) -> Option<Duration> {
        let table = &self.connections.table;
        let is_idle = table.unfinished.is_empty()
            && table.dirty.is_empty()
            && table.unsent.is_empty()
            && table.publications.is_empty();
        if !is_idle {
            return Some(Duration::ZERO);
        }
        let mut next = table.next_deadline();
        if self.has_other_work {
            if self.has_commands {
                return Some(Duration::ZERO);
            }
            let listeners = self.listeners.iter().filter_map(Listener::poll_timeout);
            next = listeners.chain(next).min();
        }
        let wait = next.map(|next| {
            if !self.is_clock_stale {
                next - table.now
            } else if next >= table.now + NEAR {
                MAX_BLOCK
            } else {
                next - clock::now()
            }
        });
        wait.into_iter().chain(max_wait).min()
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

/// Makes a poll and the mailbox that wakes it.
pub(crate) fn new_poll<D, E>(options: &Options) -> io::Result<(Poll, Mailbox<D, E>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), MAILBOX)?;
    Ok((poll, Mailbox::new(waker, options.mailbox)))
}
