//! Mailbox: the bounded queue of commands for an event loop, shared with the threads that post. Mailboxes: those of all
//! loops that run together.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use sansocket_connect::{Lookup, ResolvedLookup};
use sansocket_dial::Target;
use sansocket_drive::Group;
#[cfg(feature = "deflate")]
use sansocket_drive::sansocket::Compress;
use sansocket_drive::sansocket::{CloseCode, Config, EncodedMessage, Message};

use crate::answer::Answer;
use crate::connection_id::ConnectionId;
use crate::connector::Connector;
use crate::error::{MailboxLimit, PostError};
use crate::listener::Client;
use crate::occupancy::Occupancy;
use crate::options::MailboxLimits;
use crate::resolver::Resolver;
use crate::socket::Socket;

/// Commands executed in one turn.
pub(crate) const TURN_COMMANDS: usize = 1024;

/// A request to an event loop, whose handler keeps data of type `D` and receives events of type `E`.
pub(crate) enum Command<D, E> {
    Send(ConnectionId, Message<'static>),
    #[cfg(feature = "deflate")]
    SendWith(ConnectionId, Message<'static>, Compress),
    SendEncoded(ConnectionId, EncodedMessage),
    /// Publishes a message to a group, or to all connections.
    Publish(Option<Group>, EncodedMessage),
    Close(ConnectionId, CloseCode, String),
    Abort(ConnectionId),
    Answer(ConnectionId, Box<Answer>),
    Connect(Box<Connect<D>>),
    /// The result of a lookup for a connection.
    Resolved(ConnectionId, ResolvedLookup),
    Adopt(Box<(Socket, D)>),
    /// A client that another loop has accepted.
    Serve(Client),
    Event(E),
}

/// A connection that the loop should make.
pub(crate) struct Connect<D> {
    pub(crate) connector: Connector,
    pub(crate) target: Target,
    pub(crate) data: D,
}

impl<D, E> Command<D, E> {
    /// Returns the bytes that count against [`Options::max_pending_bytes`](crate::Options::max_pending_bytes).
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Send(_, message) => message.len(),
            #[cfg(feature = "deflate")]
            Self::SendWith(_, message, _) => message.len(),
            Self::SendEncoded(_, message) | Self::Publish(_, message) => message.len(),
            Self::Close(_, _, reason) => reason.len(),
            Self::Abort(_)
            | Self::Adopt(_)
            | Self::Answer(..)
            | Self::Connect(_)
            | Self::Event(_)
            | Self::Resolved(..)
            | Self::Serve(_) => 0,
        }
    }
}

/// The commands of one loop, and what wakes it. A command counts against the limits until the loop has executed it.
pub(crate) struct Mailbox<D, E> {
    waker: Waker,
    limits: MailboxLimits,
    /// Written under the lock, read without.
    pending_commands: AtomicUsize,
    pending_bytes: AtomicUsize,
    stop_requested: Arc<AtomicBool>,
    queue: Mutex<Queue<D, E>>,
}

/// The commands that the loop has not taken yet, and whether more may be posted.
struct Queue<D, E> {
    commands: VecDeque<Command<D, E>>,
    /// The loop has been woken, and has not taken all commands since.
    is_woken: bool,
    /// Commands are refused: the loop is stopping or has ended.
    is_refusing: bool,
    /// The loop has ended.
    is_closed: bool,
}

impl<D, E> Mailbox<D, E> {
    pub(crate) fn new(waker: Waker, limits: MailboxLimits) -> Self {
        Self {
            waker,
            limits,
            pending_commands: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            stop_requested: Arc::default(),
            queue: Mutex::new(Queue {
                commands: VecDeque::new(),
                is_woken: false,
                is_refusing: false,
                is_closed: false,
            }),
        }
    }

    /// Returns the number of commands that were posted and not executed.
    pub(crate) fn pending_commands(&self) -> usize {
        self.pending_commands.load(Relaxed)
    }

    /// Returns the payload bytes of these commands.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Relaxed)
    }

    /// Checks whether a command with `payload` payload bytes fits.
    ///
    /// # Errors
    ///
    /// The limit that the command would exceed.
    pub(crate) fn check_room(&self, payload: usize) -> Result<(), MailboxLimit> {
        let (commands, bytes) = (self.pending_commands(), self.pending_bytes());
        if commands >= self.limits.commands {
            return Err(MailboxLimit::Commands(self.limits.commands));
        }
        // A payload longer than the limit is accepted if no other is pending.
        let fits = bytes == 0 || payload == 0 || bytes.saturating_add(payload) <= self.limits.bytes;
        if fits { Ok(()) } else { Err(MailboxLimit::Bytes(self.limits.bytes)) }
    }

    /// Returns whether commands may be posted.
    pub(crate) fn is_open(&self) -> bool {
        !self.lock().is_refusing
    }

    /// Posts a command that is made of `value` and has `payload` payload bytes. Hands back `value` if it is refused.
    pub(crate) fn post<T>(
        &self,
        value: T,
        payload: usize,
        command: impl FnOnce(T) -> Command<D, E>,
    ) -> Result<(), PostError<T>> {
        let mut queue = self.lock();
        if queue.is_refusing {
            return Err(PostError::Stopped(value));
        }
        if let Err(limit) = self.check_room(payload) {
            return Err(PostError::Full(value, limit));
        }
        let is_sleeping = self.push(&mut queue, command(value));
        drop(queue);
        if is_sleeping {
            self.wake();
        }
        Ok(())
    }

    /// Posts a command that the loop has caused, whatever the limits are. Drops it if the loop has ended.
    fn post_always(&self, command: Command<D, E>) {
        let mut queue = self.lock();
        if queue.is_closed {
            return;
        }
        let is_sleeping = self.push(&mut queue, command);
        drop(queue);
        if is_sleeping {
            self.wake();
        }
    }

    /// Adds a command, for which there is room. Returns whether the loop must be woken.
    fn push(&self, queue: &mut Queue<D, E>, command: Command<D, E>) -> bool {
        self.pending_commands.fetch_add(1, Relaxed);
        self.pending_bytes.fetch_add(command.payload_len(), Relaxed);
        queue.commands.push_back(command);
        !mem::replace(&mut queue.is_woken, true)
    }

    /// Moves commands to the end of `commands` until it holds `count`. Returns whether more are queued; if not, the
    /// next command wakes the loop.
    pub(crate) fn take(&self, commands: &mut VecDeque<Command<D, E>>, count: usize) -> bool {
        let mut queue = self.lock();
        let count = count.saturating_sub(commands.len()).min(queue.commands.len());
        commands.extend(queue.commands.drain(..count));
        let has_more = !queue.commands.is_empty();
        queue.is_woken = has_more;
        if !has_more {
            // release the memory of a burst of commands
            queue.commands.shrink_to(TURN_COMMANDS);
        }
        has_more
    }

    /// Notes that the loop has executed commands that it took.
    pub(crate) fn finish(&self, commands: usize, bytes: usize) {
        let _queue = self.lock();
        self.pending_commands.fetch_sub(commands, Relaxed);
        self.pending_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Asks the loop to stop, ahead of all commands, and refuses further commands. Returns whether it still runs.
    pub(crate) fn request_stop(&self) -> bool {
        let mut queue = self.lock();
        if queue.is_closed {
            return false;
        }
        queue.is_refusing = true;
        drop(queue);
        self.stop_requested.store(true, Release);
        self.wake();
        true
    }

    /// Returns the flag that is set from [`Handle::stop`](crate::Handle::stop) until the loop executes it.
    pub(crate) fn stop_requested(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop_requested)
    }

    /// Refuses further commands.
    pub(crate) fn refuse(&self) {
        self.lock().is_refusing = true;
    }

    /// Refuses further commands and returns those that are queued: the loop has ended. The caller drops them without a
    /// lock, since `drop` of the application's types may post.
    pub(crate) fn close(&self) -> VecDeque<Command<D, E>> {
        let mut queue = self.lock();
        (queue.is_refusing, queue.is_closed) = (true, true);
        self.pending_commands.store(0, Relaxed);
        self.pending_bytes.store(0, Relaxed);
        mem::take(&mut queue.commands)
    }

    pub(crate) fn wake(&self) {
        while let Err(error) = self.waker.wake() {
            if error.kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<D, E>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mailboxes of event loops that run together, by the loops' numbers.
pub(crate) struct Mailboxes<D, E> {
    mailboxes: Vec<Mailbox<D, E>>,
    occupancy: Arc<Occupancy>,
    config: Arc<Config>,
    /// The loop that gets the next connection.
    next_loop: AtomicUsize,
    resolver: Resolver,
}

impl<D, E> Mailboxes<D, E> {
    pub(crate) fn new(mailboxes: Vec<Mailbox<D, E>>, config: Arc<Config>) -> Self {
        let occupancy = Arc::new(Occupancy::new(mailboxes.len()));
        Self { mailboxes, occupancy, config, next_loop: AtomicUsize::new(0), resolver: Resolver::default() }
    }

    /// Returns the mailbox of a loop.
    pub(crate) fn get(&self, thread: usize) -> Option<&Mailbox<D, E>> {
        self.mailboxes.get(thread)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Mailbox<D, E>> {
        self.mailboxes.iter()
    }

    /// Returns the loops' numbers of connections.
    pub(crate) fn occupancy(&self) -> &Arc<Occupancy> {
        &self.occupancy
    }

    /// Returns the settings of all connections.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Posts a command to one loop: see [`Mailbox::post`].
    pub(crate) fn post_to<T>(
        &self,
        thread: usize,
        value: T,
        payload: usize,
        command: impl FnOnce(T) -> Command<D, E>,
    ) -> Result<(), PostError<T>> {
        match self.get(thread) {
            Some(mailbox) => mailbox.post(value, payload, command),
            None => Err(PostError::Stopped(value)),
        }
    }

    /// Posts an encoded message to the loop of a connection.
    pub(crate) fn send_encoded(&self, id: ConnectionId, message: &EncodedMessage) -> Result<(), PostError> {
        self.post_to(id.thread(), (), message.len(), |()| Command::SendEncoded(id, message.clone()))
    }

    /// Posts a command without payload to the loops in turn. A loop whose mailbox is full, or that has stopped, is
    /// skipped.
    pub(crate) fn post_in_turn<T>(
        &self,
        mut value: T,
        command: impl Fn(T) -> Command<D, E>,
    ) -> Result<(), PostError<T>> {
        let (count, first) = (self.mailboxes.len(), self.next_loop.fetch_add(1, Relaxed));
        let mut exceeded = None;
        for number in 0..count {
            match self.post_to(first.wrapping_add(number) % count, value, 0, &command) {
                Ok(()) => return Ok(()),
                Err(PostError::Full(refused, limit)) => (value, exceeded) = (refused, Some(limit)),
                Err(PostError::Stopped(refused)) => value = refused,
            }
        }
        Err(match exceeded {
            Some(limit) => PostError::Full(value, limit),
            None => PostError::Stopped(value),
        })
    }

    /// Hands a client that loop `own` has accepted to the loop that should serve it. Hands it back if that is `own`, or
    /// if the other loop's mailbox is full or refuses commands.
    pub(crate) fn hand_over(&self, own: usize, client: Client) -> Option<Client> {
        let Some(thread) = self.occupancy.emptier_than(own) else { return Some(client) };
        // The client counts at once, so that the next one does not follow it there.
        self.occupancy.add(thread);
        let refused = self.post_to(thread, client, 0, Command::Serve).err()?;
        self.occupancy.remove(thread);
        Some(refused.into_inner())
    }

    /// Looks up a name for a connection, in another thread. The result is posted to the loop of the connection.
    pub(crate) fn resolve(self: &Arc<Self>, id: ConnectionId, lookup: Lookup)
    where
        D: Send + 'static,
        E: Send + 'static,
    {
        let post = move |mailboxes: &Self, resolved| {
            if let Some(mailbox) = mailboxes.get(id.thread()) {
                mailbox.post_always(Command::Resolved(id, resolved));
            }
        };
        let (mailboxes, job) = (Arc::clone(self), lookup.clone());
        if let Err(error) = self.resolver.run(move || post(&mailboxes, job.resolve())) {
            post(self, lookup.complete(Err(error)));
        }
    }

    /// Encodes a message, and publishes it as [`publish`](Self::publish) does. Returns the encoded message.
    pub(crate) fn encode_and_publish<'m>(
        &self,
        except: Option<usize>,
        group: Option<&Group>,
        message: Message<'m>,
    ) -> Result<EncodedMessage, PostError<Message<'m>>> {
        let mut receivers = self.receivers(except, group);
        // A full mailbox is common under load: the message is then not encoded.
        let full = receivers.find_map(|mailbox| mailbox.check_room(message.len()).err().filter(|_| mailbox.is_open()));
        if let Some(limit) = full {
            return Err(PostError::Full(message, limit));
        }
        let borrowed = match &message {
            Message::Text(text) => Message::from(&**text),
            Message::Binary(bytes) => Message::from(&**bytes),
        };
        let encoded = EncodedMessage::new(borrowed, &self.config);
        match self.publish(except, group, &encoded) {
            Ok(()) => Ok(encoded),
            Err(error) => Err(error.map(|()| message)),
        }
    }

    /// Posts a message for a group, or for all connections, to all loops that may have members, except one.
    pub(crate) fn publish(
        &self,
        except: Option<usize>,
        group: Option<&Group>,
        message: &EncodedMessage,
    ) -> Result<(), PostError> {
        let command = || Command::Publish(group.cloned(), message.clone());
        self.post_to_each(self.receivers(except, group), message.len(), command)?;
        let is_stopped = except.is_none() && self.mailboxes.iter().all(|mailbox| !mailbox.is_open());
        if is_stopped { Err(PostError::Stopped(())) } else { Ok(()) }
    }

    /// Returns the mailboxes of the loops that may have members of a group, or of all loops, except one.
    fn receivers(&self, except: Option<usize>, group: Option<&Group>) -> impl Iterator<Item = &Mailbox<D, E>> {
        let has_members = move |number: usize| group.is_none_or(|group| group.may_have_members(number as u16));
        let mailboxes = self.mailboxes.iter().enumerate();
        mailboxes.filter(move |&(number, _)| Some(number) != except && has_members(number)).map(|(_, mailbox)| mailbox)
    }

    /// Posts a command to all loops that have not stopped.
    pub(crate) fn post_to_all(&self, command: impl Fn() -> Command<D, E>) -> Result<(), PostError> {
        match self.post_to_each(self.mailboxes.iter(), 0, command)? {
            0 => Err(PostError::Stopped(())),
            _ => Ok(()),
        }
    }

    /// Posts a command with `payload` payload bytes to those of these loops that have not stopped, and returns their
    /// number. If one of their mailboxes is full, posts it to none. Never waits for room, so loops that publish to each
    /// other cannot wait for each other.
    fn post_to_each<'a>(
        &'a self,
        mailboxes: impl Iterator<Item = &'a Mailbox<D, E>>,
        payload: usize,
        command: impl Fn() -> Command<D, E>,
    ) -> Result<usize, PostError> {
        // Before any lock and after all: the application's `clone` and `drop` may post.
        let commands: Vec<_> = mailboxes.map(|mailbox| (mailbox, command())).collect();
        let mut refused = Vec::new();
        let mut locked = Vec::new();
        // All threads lock in the order of the loops' numbers, so that there is no deadlock.
        for (mailbox, _) in &commands {
            let queue = mailbox.lock();
            if !queue.is_refusing
                && let Err(limit) = mailbox.check_room(payload)
            {
                return Err(PostError::Full((), limit));
            }
            locked.push(queue);
        }
        let mut sleeping = Vec::new();
        let count = commands.len();
        for ((mailbox, command), mut queue) in commands.into_iter().zip(locked) {
            if queue.is_refusing {
                refused.push(command);
            } else if mailbox.push(&mut queue, command) {
                sleeping.push(mailbox);
            }
        }
        for mailbox in sleeping {
            mailbox.wake();
        }
        Ok(count - refused.len())
    }

    /// Wakes all loops except one.
    pub(crate) fn wake_others(&self, except: usize) {
        let others = self.mailboxes.iter().enumerate().filter(|&(number, _)| number != except);
        others.for_each(|(_, mailbox)| mailbox.wake());
    }
}
