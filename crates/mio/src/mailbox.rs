//! Mailbox: the commands that wait for an event loop. Bounded, and shared with the threads that post.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use sansocket_drive::sansocket::{ClientRequest, CloseCode, EncodedMessage, Message};

use crate::connection::ConnectionId;
use crate::error::{MailboxLimit, PostError};
use crate::handler::{Answer, Handler};
use crate::options::MailboxLimits;
use crate::socket::Socket;

/// Commands executed in one turn.
pub(crate) const TURN_COMMANDS: usize = 1024;

/// What a loop is asked to do.
pub(crate) enum Command<H: Handler> {
    Send(ConnectionId, Message<'static>),
    SendEncoded(ConnectionId, EncodedMessage),
    Broadcast(EncodedMessage),
    Close(ConnectionId, CloseCode, String),
    Abort(ConnectionId),
    Answer(ConnectionId, Box<Answer>),
    Connect(Box<Connect<H::Data>>),
    Adopt(Box<(Socket, H::Data)>),
    Event(H::Event),
}

/// A connection to be made.
pub(crate) struct Connect<D> {
    pub(crate) request: ClientRequest,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) data: D,
}

impl<H: Handler> Command<H> {
    /// Returns the bytes that count against [`Options::max_pending_bytes`](crate::Options::max_pending_bytes).
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Send(_, message) => message.len(),
            Self::SendEncoded(_, message) | Self::Broadcast(message) => message.len(),
            Self::Close(_, _, reason) => reason.len(),
            Self::Abort(_) | Self::Adopt(_) | Self::Answer(..) | Self::Connect(_) | Self::Event(_) => 0,
        }
    }
}

/// Where a loop finds what it is asked to do. Bounded: a command counts from when it is posted until it is done.
pub(crate) struct Mailbox<H: Handler> {
    waker: Waker,
    limits: MailboxLimits,
    /// Written under the lock, read without.
    pending_commands: AtomicUsize,
    pending_bytes: AtomicUsize,
    stop_requested: Arc<AtomicBool>,
    queue: Mutex<Queue<H>>,
}

/// The commands, and whether more may be posted.
pub(crate) struct Queue<H: Handler> {
    commands: VecDeque<Command<H>>,
    /// The loop has been woken, and has not taken all commands since.
    is_woken: bool,
    /// No more commands are taken: the loop has been told to stop.
    pub(crate) is_refusing: bool,
    /// The loop has ended.
    is_closed: bool,
}

impl<H: Handler> Mailbox<H> {
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

    /// Returns how many commands were posted and are not done.
    pub(crate) fn pending_commands(&self) -> usize {
        self.pending_commands.load(Relaxed)
    }

    /// Returns how many payload bytes these commands have.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Relaxed)
    }

    /// Checks whether a command with so many payload bytes fits; if not, returns the limit that it would exceed.
    pub(crate) fn check_room(&self, payload: usize) -> Result<(), MailboxLimit> {
        let (commands, bytes) = (self.pending_commands(), self.pending_bytes());
        if commands >= self.limits.commands {
            return Err(MailboxLimit::Commands(self.limits.commands));
        }
        // A payload longer than the limit must fit at some time.
        let fits = bytes == 0 || payload == 0 || bytes.saturating_add(payload) <= self.limits.bytes;
        if fits { Ok(()) } else { Err(MailboxLimit::Bytes(self.limits.bytes)) }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.lock().is_refusing
    }

    pub(crate) fn post(&self, command: Command<H>) -> Result<(), PostError<Command<H>>> {
        let mut queue = self.lock();
        if queue.is_refusing {
            return Err(PostError::Stopped(command));
        }
        if let Err(limit) = self.check_room(command.payload_len()) {
            return Err(PostError::Full(command, limit));
        }
        let is_sleeping = self.push(&mut queue, command);
        drop(queue);
        if is_sleeping {
            self.wake();
        }
        Ok(())
    }

    /// Adds a command, for which there is room. Returns whether the loop must be woken.
    pub(crate) fn push(&self, queue: &mut Queue<H>, command: Command<H>) -> bool {
        self.pending_commands.fetch_add(1, Relaxed);
        self.pending_bytes.fetch_add(command.payload_len(), Relaxed);
        queue.commands.push_back(command);
        !mem::replace(&mut queue.is_woken, true)
    }

    /// Moves commands to the end of `commands` until it holds `count`. Returns whether some are left; if not, the next one
    /// wakes the loop.
    pub(crate) fn take(&self, commands: &mut VecDeque<Command<H>>, count: usize) -> bool {
        let mut queue = self.lock();
        let count = count.saturating_sub(commands.len()).min(queue.commands.len());
        commands.extend(queue.commands.drain(..count));
        let has_more = !queue.commands.is_empty();
        queue.is_woken = has_more;
        if !has_more {
            // a crowd of commands leaves no memory behind
            queue.commands.shrink_to(TURN_COMMANDS);
        }
        has_more
    }

    /// Notes that commands that were taken are done.
    pub(crate) fn finish(&self, commands: usize, bytes: usize) {
        let _letters = self.lock();
        self.pending_commands.fetch_sub(commands, Relaxed);
        self.pending_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Asks the loop to stop, ahead of all commands. Returns whether it still runs.
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

    /// Whether [`Handle::stop`](crate::Handle::stop) was called, and the loop has not executed it yet.
    pub(crate) fn stop_requested(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop_requested)
    }

    /// Takes no more commands.
    pub(crate) fn refuse(&self) {
        self.lock().is_refusing = true;
    }

    /// The loop has ended: what is pending is dropped.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        (queue.is_refusing, queue.is_closed) = (true, true);
        let commands = mem::take(&mut queue.commands);
        self.pending_commands.store(0, Relaxed);
        self.pending_bytes.store(0, Relaxed);
        drop(queue);
        // the application's types, whose `drop` may post
        drop(commands);
    }

    pub(crate) fn wake(&self) {
        while let Err(error) = self.waker.wake() {
            if error.kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue<H>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
