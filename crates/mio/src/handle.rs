//! Handle: what other threads may ask of event loops.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use sansocket_drive::sansocket::{CloseCode, Config, EncodedMessage, Message};

use crate::connection::ConnectionId;
use crate::error::Stopped;
use crate::handler::Answer;

/// Reaches an event loop, or all that run together, from any thread. Clones reach the same.
///
/// What is asked for is done in the order in which one thread asks for it. A connection that is gone or closed by then is
/// passed over. What could not be sent to a connection is told to [`Handler::on_error`](crate::Handler::on_error).
///
/// No method waits for the loop, nor refuses because it is busy: what is asked for is kept until the loop's next turn,
/// which takes all of it. How much that can be is up to those who ask. What then waits for a peer is bounded, by
/// [`Config::max_buffered_amount`]. So a thread that has more to send than the network takes should be paced by the
/// handler, which knows: by [`buffered_amount`](crate::Connection::buffered_amount) and
/// [`on_writable`](crate::Handler::on_writable).
///
/// ```no_run
/// use std::thread;
/// use sansocket_mio::{EventLoop, Handler};
///
/// struct Silent;
/// impl Handler for Silent {}
///
/// let mut event_loop = EventLoop::new(Silent)?;
/// event_loop.listen("127.0.0.1:9001")?;
/// let handle = event_loop.handle();
/// thread::spawn(move || {
///     handle.broadcast("Hello to all")?;
///     handle.stop()
/// });
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    mailboxes: Arc<[Mailbox]>,
    config: Arc<Config>,
}

impl Handle {
    pub(crate) fn new(mailboxes: Vec<Mailbox>, config: Arc<Config>) -> Self {
        Self { mailboxes: mailboxes.into(), config }
    }

    /// Sends a message to a connection.
    ///
    /// # Errors
    ///
    /// The loop has stopped.
    pub fn send<'m>(&self, id: ConnectionId, message: impl Into<Message<'m>>) -> Result<(), Stopped> {
        self.post(id, Command::Send(id, message.into().into_owned()))
    }

    /// Sends a message that was encoded once for many.
    ///
    /// # Errors
    ///
    /// The loop has stopped.
    pub fn send_encoded(&self, id: ConnectionId, message: &EncodedMessage) -> Result<(), Stopped> {
        self.post(id, Command::SendEncoded(id, message.clone()))
    }

    /// Sends a message to all open connections, of all loops. It is encoded once.
    ///
    /// # Errors
    ///
    /// The loops have stopped.
    pub fn broadcast<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), Stopped> {
        self.broadcast_encoded(&EncodedMessage::new(message, &self.config))
    }

    /// Sends an encoded message to all open connections, of all loops.
    ///
    /// # Errors
    ///
    /// The loops have stopped.
    pub fn broadcast_encoded(&self, message: &EncodedMessage) -> Result<(), Stopped> {
        self.post_to_all(|| Command::Broadcast(message.clone()))
    }

    /// Begins to close a connection.
    ///
    /// # Errors
    ///
    /// The loop has stopped. A code or a reason that must not be sent is told to the handler.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: impl Into<String>) -> Result<(), Stopped> {
        self.post(id, Command::Close(id, code, reason.into()))
    }

    /// Answers a request that [`Handler::on_request`](crate::Handler::on_request) left for later.
    ///
    /// # Errors
    ///
    /// The loop has stopped.
    pub fn answer(&self, id: ConnectionId, answer: impl Into<Answer>) -> Result<(), Stopped> {
        self.post(id, Command::Answer(id, answer.into()))
    }

    /// Stops the loops in good order: see [`Connections::stop`](crate::Connections::stop).
    ///
    /// # Errors
    ///
    /// They have stopped.
    pub fn stop(&self) -> Result<(), Stopped> {
        self.post_to_all(|| Command::Stop)
    }

    /// Does to all loops but one.
    pub(crate) fn post_to_others(&self, thread: usize, command: impl Fn() -> Command) {
        for (number, mailbox) in self.mailboxes.iter().enumerate() {
            if number != thread {
                let _ = mailbox.post(command());
            }
        }
    }

    pub(crate) fn post(&self, id: ConnectionId, command: Command) -> Result<(), Stopped> {
        self.mailboxes.get(id.thread()).ok_or(Stopped)?.post(command)
    }

    pub(crate) fn mailbox(&self, thread: usize) -> Option<&Mailbox> {
        self.mailboxes.get(thread)
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// An error only if no loop is left.
    fn post_to_all(&self, command: impl Fn() -> Command) -> Result<(), Stopped> {
        let posted = self.mailboxes.iter().filter(|mailbox| mailbox.post(command()).is_ok()).count();
        if posted == 0 { Err(Stopped) } else { Ok(()) }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loops", &self.mailboxes.len()).finish_non_exhaustive()
    }
}

/// What a loop is asked to do.
pub(crate) enum Command {
    Send(ConnectionId, Message<'static>),
    SendEncoded(ConnectionId, EncodedMessage),
    Broadcast(EncodedMessage),
    Close(ConnectionId, CloseCode, String),
    Answer(ConnectionId, Answer),
    Stop,
}

/// Where a loop finds what it is asked to do.
pub(crate) struct Mailbox {
    waker: Waker,
    letters: Mutex<Letters>,
}

#[derive(Default)]
struct Letters {
    commands: Vec<Command>,
    is_closed: bool,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { waker, letters: Mutex::default() }
    }

    fn post(&self, command: Command) -> Result<(), Stopped> {
        let mut letters = self.lock();
        if letters.is_closed {
            return Err(Stopped);
        }
        letters.commands.push(command);
        // whoever put the first one in has woken the loop, which takes all
        if letters.commands.len() == 1 {
            drop(letters);
            wake(&self.waker);
        }
        Ok(())
    }

    /// Takes everything; `commands` must be empty, and its memory is used for what comes next.
    pub(crate) fn take(&self, commands: &mut Vec<Command>) {
        mem::swap(&mut self.lock().commands, commands);
    }

    pub(crate) fn close(&self) {
        let mut letters = self.lock();
        letters.is_closed = true;
        letters.commands = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &Waker) {
    while let Err(error) = waker.wake() {
        if error.kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
