//! EventLoop: listeners and connections on one thread, driven by what mio tells of.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use mio::event::{self, Source};
use mio::{Events, Poll, Token, Waker};
use sansocket_drive::sansocket::{ClientRequest, ReadyState, Scratch};

use crate::Error;
use crate::connection::{Connection, ConnectionId};
use crate::connections::Connections;
use crate::dispatch::Dispatch;
use crate::error::ConnectError;
use crate::handle::{Command, Handle, Mailbox, TURN_COMMANDS};
use crate::handler::Handler;
use crate::listener::{self, Accepted, Listener};
use crate::options::Options;
use crate::socket::Next;
use crate::turn::{self, Driven};

/// Events taken from mio at a time.
const EVENTS: usize = 1024;
/// Connections that ask for another turn and get it at a time.
const TURN_AGAIN: usize = 256;
/// Deadlines looked at in one turn.
const TURN_DEADLINES: usize = 1024;
/// Slots of the table of connections that the broadcasts of the mailbox visit in one turn.
const TURN_DELIVERIES: usize = 4096;
/// Connections whose output is written at the end of a turn, and as many told what was not sent to them.
const TURN_SETTLED: usize = 1024;
/// A wait that is shorter is computed from the clock as it is after the handlers, whose reading costs a tenth of an echo.
const NEAR: Duration = Duration::from_secs(1);
/// How long the loop waits instead of longer, after handlers have run: then it knows the time, and waits for the rest. So a
/// deadline is late only behind handlers that take more than `NEAR - GLANCE`, and at most by this.
const GLANCE: Duration = Duration::from_millis(100);
/// Tokens count connections from zero, and from here down the mailbox and the listeners.
const MAILBOX: Token = Token(usize::MAX);

/// Any number of listeners and connections on one thread.
///
/// Connections share one read buffer, and an idle one owns no other memory than its place in a table. A server does not
/// read from a client that does not read what it is sent, until it does.
///
/// # The work of one turn
///
/// A turn polls once and does a bounded amount of work. What is left over is done in the next turn, which polls without
/// waiting, and which goes on where this one stopped: nothing starves. In the order in which a turn does it:
///
/// | work | at most |
/// |---|---|
/// | a stop ([`Handle::stop`]) | ahead of everything, after at most the commands of one turn |
/// | connections that had more to read or write than their last turn allowed | 256 |
/// | readiness events | 1,024 |
/// | deadlines of connections (Pings, Pongs, closing) | 1,024 |
/// | calls of [`Handler::on_timer`] | 1 |
/// | clients accepted, from each listener | 64 |
/// | commands of [`Handle`]s | 1,024 |
/// | slots of the connection table that broadcasts of [`Handle`]s and of other loops visit | 4,096 |
/// | connections whose output is written at the end, and reports of what was not sent | 1,024 each |
///
/// Each time that a connection is served in a turn (because of an event, because it had more to do, because of a deadline):
///
/// | work | at most |
/// |---|---|
/// | reads that yield no event | 18 buffers (64 KiB each: [`Options::buffer_size`]); reading ends once a read yields an event |
/// | events of a peer that has behaved | those of two buffers; the first that yields more than 256 ends it |
/// | events of a peer whose last read yielded more than 256 | those of 4 KiB (682 empty Pings), until a read yields 64 or fewer |
/// | writes | 16 |
///
/// What a handler does within one call is not bounded: a broadcast from a handler serves all connections of this loop at
/// once.
///
/// # Memory
///
/// Commands that wait for the loop take at most what [`Options::max_pending_commands`] and [`Options::max_pending_bytes`]
/// permit; what waits for a peer takes at most [`Config::max_buffered_amount`](sansocket::Config::max_buffered_amount), and
/// as much again for the overhead of frames. No thread can make the loop hold more than these.
///
/// ```no_run
/// use sansocket_mio::{Connection, EventLoop, Handler, Message};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
///         let _ = connection.send(message);
///     }
/// }
///
/// let mut event_loop = EventLoop::new(Echo)?;
/// event_loop.listen("127.0.0.1:9001")?;
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop<H> {
    poll: Poll,
    /// Absent while they are gone through.
    events: Option<Events>,
    handler: H,
    connections: Connections,
    listeners: Vec<Listener>,
    /// What every connection reads into.
    buffer: Vec<u8>,
    /// What the connection that has its turn works in.
    memory: Scratch,
    /// Commands taken from the mailbox; between turns only those for which the budget was too small.
    commands: VecDeque<Command>,
    /// The slot at which the broadcast goes on that is the first of the commands.
    next_slot: usize,
    /// Connections whose output is to leave in this turn; empty between turns.
    settling: Vec<u32>,
    /// A [`Handle`] has asked the loop to stop.
    stop_requested: Arc<AtomicBool>,
    thread: usize,
    /// Either of the next two.
    has_chores: bool,
    /// The mailbox may hold commands, or some that were taken are left.
    has_mail: bool,
    /// A listener may have clients to accept, now or after a pause.
    may_accept: bool,
    /// Handlers may have run since the clock was read.
    is_stale: bool,
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
    pub(crate) fn build(handler: H, options: &Options, poll: Poll, handle: Handle, thread: u16) -> Self {
        let stop_requested = handle.mailbox(thread.into()).map(Mailbox::stop_requested).unwrap_or_default();
        Self {
            stop_requested,
            poll,
            events: Some(Events::with_capacity(EVENTS)),
            handler,
            connections: Connections::new(handle, thread, options),
            listeners: Vec::new(),
            buffer: vec![0; options.buffer_size],
            memory: Scratch::new(),
            commands: VecDeque::new(),
            next_slot: 0,
            settling: Vec::new(),
            thread: thread.into(),
            has_chores: false,
            has_mail: false,
            may_accept: false,
            is_stale: true,
            has_started: false,
        }
    }

    /// Listens for clients at an address, which is returned; port 0 lets the system choose one. A loop may listen at
    /// several.
    ///
    /// # Errors
    ///
    /// The address is in use, or not this machine's.
    pub fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.listen_on(listener::bind(address)?)
    }

    /// Listens with a listener of the caller's making.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn listen_on(&mut self, listener: std::net::TcpListener) -> io::Result<SocketAddr> {
        let mut listener = Listener::new(listener)?;
        listener.register(self.poll.registry(), Token(MAILBOX.0 - 1 - self.listeners.len()))?;
        let address = listener.address();
        self.listeners.push(listener);
        Ok(address)
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
    ) -> Result<ConnectionId, ConnectError> {
        self.connections().connect_to(request, addresses)
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
        self.is_stale = false;
        self.take_turn(max_wait)
    }

    #[inline(always)]
    fn take_turn(&mut self, max_wait: Option<Duration>) -> io::Result<bool> {
        if !mem::replace(&mut self.has_started, true) {
            self.handler.on_start(&mut self.connections);
            self.is_stale = true;
            self.settle_touched();
        }
        if !self.goes_on() {
            return Ok(false);
        }
        let wait = self.wait(max_wait);
        let events = self.events.get_or_insert_with(|| Events::with_capacity(EVENTS));
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.connections.now = crate::now(),
        }
        self.is_stale = false;
        if self.stop_requested.load(Acquire) {
            self.obey_stop();
        }
        if !self.connections.again.is_empty() {
            self.go_on_with_those();
        }
        self.take_events();
        if self.connections.is_due() {
            self.keep_deadlines();
        }
        if self.has_chores {
            self.do_chores();
        }
        self.settle_touched();
        Ok(self.goes_on())
    }

    /// A way to reach this loop from any thread.
    pub fn handle(&self) -> Handle {
        self.connections.handle()
    }

    /// The handler.
    pub fn handler(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The connections.
    pub fn connections(&mut self) -> &mut Connections {
        self.connections.now = crate::now();
        &mut self.connections
    }

    /// Whether the loop has not been told to stop, or has connections to close.
    #[inline]
    fn goes_on(&mut self) -> bool {
        !self.connections.is_stopping || self.is_closing()
    }

    /// Stops listening; returns whether there are connections to close.
    #[cold]
    fn is_closing(&mut self) -> bool {
        for mut listener in self.listeners.drain(..) {
            // whoever waits to be accepted is refused when the listener is dropped
            let _ = listener.deregister(self.poll.registry());
        }
        let is_closing = !self.connections.is_empty();
        if !is_closing {
            self.close_mailbox();
        }
        is_closing
    }

    /// How long mio may wait.
    #[inline]
    fn wait(&self, max_wait: Option<Duration>) -> Option<Duration> {
        let connections = &self.connections;
        let is_idle = connections.again.is_empty() && connections.touched.is_empty() && connections.unsent.is_empty();
        if !is_idle {
            return Some(Duration::ZERO);
        }
        let mut next = connections.next_deadline();
        if self.has_chores {
            if self.has_mail {
                return Some(Duration::ZERO);
            }
            let listeners = self.listeners.iter().filter_map(Listener::poll_timeout);
            next = listeners.chain(next).min();
        }
        let wait = next.map(|next| {
            if !self.is_stale {
                next - connections.now
            } else if next >= connections.now + NEAR {
                GLANCE
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
            self.is_stale = true;
            let token = event.token();
            // an event for a connection that is gone, and whose place another has taken, is as good as none
            if !self.go_on_with(token.0, Some(event)) {
                self.note_other(token);
            }
        }
        self.events = Some(events);
    }

    /// There is something for the loop itself to do.
    fn note_other(&mut self, token: Token) {
        if token == MAILBOX {
            (self.has_mail, self.has_chores) = (true, true);
        } else if let Some(listener) = self.listeners.get_mut(MAILBOX.0 - 1 - token.0) {
            listener.note();
            (self.may_accept, self.has_chores) = (true, true);
        }
    }

    /// Gives a connection its turn, because of an event or because it asked for one. Returns whether it is there.
    #[inline(always)]
    fn go_on_with(&mut self, index: usize, event: Option<&event::Event>) -> bool {
        let Some(entry) = self.connections.find(index) else { return false };
        match event {
            Some(event) => entry.socket.note(event),
            None => entry.is_again = false,
        }
        // what it sends to itself is seen to here
        let was_touched = mem::replace(&mut entry.is_touched, true);
        entry.socket.websocket().attach_scratch(&mut self.memory);
        let now = self.connections.now;
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        if event.is_none() {
            turn::dispatch_pending(&mut dispatch, now);
        }
        turn::read(&mut dispatch, &mut self.buffer, now);
        if !was_touched {
            // where connections talk to each other, all that is sent to one in this turn leaves together
            if self.connections.touched.is_empty() {
                self.settle(index);
            } else {
                self.connections.touched.push(index as u32);
            }
        }
        true
    }

    #[inline(never)]
    fn go_on_with_those(&mut self) {
        self.is_stale = true;
        // those that ask again go to the end
        for _ in 0..self.connections.again.len().min(TURN_AGAIN) {
            if let Some(index) = self.connections.again.pop_front() {
                self.go_on_with(index as usize, None);
            }
        }
    }

    /// Lets the output of a connection that is touched leave, and sees to what it needs next.
    #[inline(always)]
    fn settle(&mut self, index: usize) {
        let now = self.connections.now;
        let entry = self.connections.entry_mut(index);
        entry.socket.flush(now);
        entry.socket.websocket().detach_scratch(&mut self.memory);
        if entry.is_quiet() {
            entry.is_touched = false;
        } else {
            self.settle_written(index);
        }
    }

    /// Something more is to be done for a connection, or it has ended.
    #[inline(never)]
    fn settle_written(&mut self, index: usize) {
        let now = self.connections.now;
        let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
        let mut next = turn::finish_written(&mut dispatch, now);
        if next != Next::End
            && let Err(error) = dispatch.socket().update(self.poll.registry(), Token(index))
        {
            dispatch.socket().driver.read_lost(error, now);
            turn::dispatch_pending(&mut dispatch, now);
            next = Next::End;
        }
        if next == Next::End {
            // whoever holds the descriptor as well would keep it registered, under a token that another gets
            let _ = dispatch.socket().deregister(self.poll.registry());
            return self.connections.remove(index);
        }
        let congestion_ends = dispatch.connections.ends_congestion(index);
        if congestion_ends && dispatch.socket().driver.websocket().ready_state() == ReadyState::Open {
            dispatch.handler.on_writable(&mut Connection::new(dispatch.connections, index));
        }
        let connections = dispatch.connections;
        connections.arm(index);
        if congestion_ends || next == Next::Again {
            connections.touch_again(index);
        }
        connections.entry_mut(index).is_touched = false;
    }

    #[inline]
    fn settle_touched(&mut self) {
        if !(self.connections.touched.is_empty() && self.connections.unsent.is_empty()) {
            self.settle_these();
        }
    }

    #[inline(never)]
    fn settle_these(&mut self) {
        self.is_stale = true;
        // whom they send to, when they hear that there is room, has the next turn; so have those behind whom a turn ended
        mem::swap(&mut self.settling, &mut self.connections.touched);
        let count = self.settling.len().min(TURN_SETTLED);
        for number in 0..count {
            let index = self.settling[number] as usize;
            if self.connections.contains(index) {
                self.settle(index);
            }
        }
        self.settling.drain(..count);
        if !self.settling.is_empty() {
            self.settling.append(&mut self.connections.touched);
            mem::swap(&mut self.settling, &mut self.connections.touched);
        }
        // what is sent, or cannot be, in answer to this is seen to in the next turn
        let count = self.connections.unsent.len().min(TURN_SETTLED);
        let rest = self.connections.unsent.split_off(count);
        for (id, error) in mem::replace(&mut self.connections.unsent, rest) {
            if let Some(index) = self.connections.index(id) {
                self.connections.entry_mut(index).has_unsent = false;
                self.tell_unsent(id, error.into());
            }
        }
    }

    /// Tells that something was not sent, unless the handler has heard already that the connection is closed.
    fn tell_unsent(&mut self, id: ConnectionId, error: Error) {
        if let Some(mut connection) = self.connections.get(id)
            && connection.ready_state() != ReadyState::Closed
        {
            self.handler.on_error(&mut connection, error);
        }
    }

    /// What there is to do beside connections.
    #[inline(never)]
    fn do_chores(&mut self) {
        self.is_stale = true;
        if self.may_accept {
            self.accept();
        }
        if self.has_mail {
            self.take_mail();
        }
        self.has_chores = self.may_accept || self.has_mail;
    }

    fn accept(&mut self) {
        let now = self.connections.now;
        for number in 0..self.listeners.len() {
            for _ in 0..self.listeners[number].turns(now) {
                match self.listeners[number].accept(now) {
                    Accepted::Client(stream) if !self.connections.is_stopping => {
                        let index = self.connections.accepted(stream);
                        // it is settled here, whatever the handler does to it
                        self.connections.touched.pop();
                        self.handler.on_accept(&mut Connection::new(&mut self.connections, index));
                        self.settle(index);
                    }
                    Accepted::Client(_) | Accepted::Nobody => break,
                    Accepted::Failed(error) => {
                        let address = self.listeners[number].address();
                        self.handler.on_accept_error(&mut self.connections, address, &error);
                        break;
                    }
                }
            }
        }
        self.may_accept = self.listeners.iter().any(|listener| listener.poll_timeout().is_some());
    }

    #[inline(never)]
    fn keep_deadlines(&mut self) {
        self.is_stale = true;
        let now = self.connections.now;
        for _ in 0..TURN_DEADLINES {
            let Some(due) = self.connections.pop_due() else { break };
            let Some(index) = due else { continue };
            if self.connections.entry(index).socket.is_due(now) {
                let mut dispatch = Dispatch { handler: &mut self.handler, connections: &mut self.connections, index };
                turn::handle_timeout(&mut dispatch, Some(&mut self.buffer), now);
                self.connections.touch(index);
            } else {
                self.connections.arm(index);
            }
        }
        self.connections.keep_stop_timeout();
        if self.connections.timer.is_some_and(|timer| timer <= now) {
            self.connections.timer = None;
            self.handler.on_timer(&mut self.connections);
        }
    }

    /// Stops because a handle asked for it. What was posted before the stop still goes before the Close frames, as far as
    /// one turn's budget reaches.
    #[cold]
    fn obey_stop(&mut self) {
        self.stop_requested.store(false, Relaxed);
        if !self.connections.is_stopping {
            self.take_mail();
            self.has_chores |= self.has_mail;
            self.connections.stop();
        }
    }

    /// Does the commands of one turn, in their order.
    #[inline(never)]
    fn take_mail(&mut self) {
        self.is_stale = true;
        let handle = self.connections.handle();
        let Some(mailbox) = handle.mailbox(self.thread) else { return };
        let has_more = mailbox.take(&mut self.commands, TURN_COMMANDS);
        let (mut done, mut bytes, mut deliveries) = (0, 0, TURN_DELIVERIES);
        while let Some(command) = self.commands.pop_front() {
            let length = command.payload_len();
            if let Command::Broadcast(message) = &command {
                let next = self.connections.broadcast_from(self.next_slot, &mut deliveries, message);
                self.next_slot = next.unwrap_or(0);
                if next.is_some() {
                    self.commands.push_front(command);
                    break;
                }
            } else {
                self.obey(command);
            }
            done += 1;
            bytes += length;
        }
        mailbox.finish(done, bytes);
        self.has_mail = has_more || !self.commands.is_empty();
    }

    fn obey(&mut self, command: Command) {
        let (id, result) = match command {
            // it is done by the caller
            Command::Broadcast(_) => return,
            Command::Send(id, message) => {
                (id, self.with(id, |connection| connection.send(message).map_err(Error::Send)))
            }
            Command::SendEncoded(id, message) => {
                (id, self.with(id, |connection| connection.send_encoded(&message).map_err(Error::Send)))
            }
            Command::Close(id, code, reason) => {
                (id, self.with(id, |connection| connection.close(code, &reason).map_err(Error::Send)))
            }
            Command::Answer(id, answer) => (id, self.with(id, |connection| connection.answer_in_time(*answer))),
        };
        if let Err(error) = result {
            self.tell_unsent(id, error);
        }
    }

    fn with(
        &mut self,
        id: ConnectionId,
        ask: impl FnOnce(&mut Connection<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.connections.get(id).map_or(Ok(()), |mut connection| ask(&mut connection))
    }
}

impl<H> EventLoop<H> {
    /// Whoever asks for something from now on is told that it is too late.
    fn close_mailbox(&self) {
        if let Some(mailbox) = self.connections.handle().mailbox(self.thread) {
            mailbox.close();
        }
    }
}

impl<H> Drop for EventLoop<H> {
    fn drop(&mut self) {
        self.close_mailbox();
    }
}

impl<H> fmt::Debug for EventLoop<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A poll and the mailbox that wakes it.
pub(crate) fn poll(options: &Options) -> io::Result<(Poll, Mailbox)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), MAILBOX)?;
    Ok((poll, Mailbox::new(waker, options.mailbox)))
}
