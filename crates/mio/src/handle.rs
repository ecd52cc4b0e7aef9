//! Handle: what other threads may ask of event loops.

use std::fmt;
use std::sync::Arc;

use sansocket_drive::sansocket::{CloseCode, Config, EncodedMessage, Message};

use crate::connection::ConnectionId;
use crate::error::{PostError, Stopped};
use crate::handler::Answer;
use crate::mailbox::{Command, Mailbox};

/// Reaches an event loop, or all that run together, from any thread. Clones reach the same.
///
/// What is asked for is done in the order in which one thread asks for it. A connection that is gone or closed by then is
/// passed over. What could not be sent to a connection is told to [`Handler::on_error`](crate::Handler::on_error).
///
/// No method waits for the loop. Each loop has a mailbox of bounded size, by default 16,384 commands and 16 MiB of payloads
/// ([`Options::max_pending_commands`](crate::Options::max_pending_commands),
/// [`Options::max_pending_bytes`](crate::Options::max_pending_bytes)). A command that does not fit is refused with
/// [`PostError::Full`], which hands back the message. [`pending`](Self::pending) counts what is not done yet.
///
/// The mailbox bounds what waits for the loop. What then waits for a peer is bounded by
/// [`Config::max_buffered_amount`]. A thread that has more to send than the network takes should be paced by the
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
///     if let Err(error) = handle.broadcast("Hello to all") {
///         eprintln!("{error}");
///     }
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
    /// The mailbox is full, or the loop has stopped. The message is handed back.
    pub fn send<'m>(&self, id: ConnectionId, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        let message = message.into();
        let Some(mailbox) = self.mailbox(id.thread()) else { return Err(PostError::Stopped(message)) };
        // A full mailbox is common under load: a borrowed payload is then not copied.
        if let Err(limit) = mailbox.check_room(message.len())
            && mailbox.is_open()
        {
            return Err(PostError::Full(message, limit));
        }
        mailbox.post(Command::Send(id, message.into_owned())).map_err(|error| {
            error.map(|command| match command {
                Command::Send(_, message) => message,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Sends a message that was encoded once for many.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped.
    pub fn send_encoded(&self, id: ConnectionId, message: &EncodedMessage) -> Result<(), PostError> {
        self.post(id, Command::SendEncoded(id, message.clone())).map_err(|error| error.map(drop))
    }

    /// Sends a message to all open connections, of all loops. It is encoded once.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the loops is full, or the loops have stopped. The message is handed back, and was sent to no
    /// connection of any loop.
    pub fn broadcast<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        self.encode_and_post(None, message.into())?;
        Ok(())
    }

    /// Sends an encoded message to all open connections, of all loops.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the loops is full, or the loops have stopped. The message was sent to no connection of any
    /// loop.
    pub fn broadcast_encoded(&self, message: &EncodedMessage) -> Result<(), PostError> {
        self.post_broadcast(None, message)
    }

    /// Begins to close a connection.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The reason is handed back. A code or a reason that must not be sent
    /// is told to the handler.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: impl Into<String>) -> Result<(), PostError<String>> {
        self.post(id, Command::Close(id, code, reason.into())).map_err(|error| {
            error.map(|command| match command {
                Command::Close(_, _, reason) => reason,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Answers a request that [`Handler::on_request`](crate::Handler::on_request) or
    /// [`Handler::on_http_request`](crate::Handler::on_http_request) left for later.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The answer is handed back.
    pub fn answer(&self, id: ConnectionId, answer: impl Into<Answer>) -> Result<(), PostError<Box<Answer>>> {
        self.post(id, Command::Answer(id, Box::new(answer.into()))).map_err(|error| {
            error.map(|command| match command {
                Command::Answer(_, answer) => answer,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Stops the loops in good order: see [`Connections::stop`](crate::Connections::stop). From now on they refuse
    /// commands. Each loop stops in its next turn, however many commands are pending: it first does up to one turn's
    /// budget of them (see [`EventLoop`](crate::EventLoop)). Later ones find their connections closing.
    ///
    /// # Errors
    ///
    /// They have stopped.
    pub fn stop(&self) -> Result<(), Stopped> {
        let told = self.mailboxes.iter().filter(|mailbox| mailbox.request_stop()).count();
        if told == 0 { Err(Stopped) } else { Ok(()) }
    }

    /// Returns how many commands are pending: posted and not yet done, in all loops together. A broadcast counts once for
    /// each loop.
    pub fn pending(&self) -> usize {
        self.mailboxes.iter().map(Mailbox::pending_commands).sum()
    }

    /// Returns how many payload bytes the pending commands have, in all loops together.
    pub fn pending_bytes(&self) -> usize {
        self.mailboxes.iter().map(Mailbox::pending_bytes).sum()
    }

    /// Encodes a message and posts it to all loops, or to all but one. Returns what was posted.
    pub(crate) fn encode_and_post<'m>(
        &self,
        except: Option<usize>,
        message: Message<'m>,
    ) -> Result<EncodedMessage, PostError<Message<'m>>> {
        let mut others = self.mailboxes.iter().enumerate().filter(|&(number, _)| Some(number) != except);
        // A full mailbox is common under load: the message is then not encoded.
        let full =
            others.find_map(|(_, mailbox)| mailbox.check_room(message.len()).err().filter(|_| mailbox.is_open()));
        if let Some(limit) = full {
            return Err(PostError::Full(message, limit));
        }
        let borrowed = match &message {
            Message::Text(text) => Message::from(&**text),
            Message::Binary(bytes) => Message::from(&**bytes),
        };
        let encoded = EncodedMessage::new(borrowed, &self.config);
        match self.post_broadcast(except, &encoded) {
            Ok(()) => Ok(encoded),
            Err(error) => Err(error.map(|()| message)),
        }
    }

    /// Posts a broadcast to all loops, or to all but one: to each that has not stopped, or, if one of them is full, to
    /// none. Never waits for room, so loops that broadcast to each other cannot wait for each other.
    pub(crate) fn post_broadcast(&self, except: Option<usize>, message: &EncodedMessage) -> Result<(), PostError> {
        let mut locked = Vec::new();
        // Everyone locks in the order of the loops.
        for (number, mailbox) in self.mailboxes.iter().enumerate() {
            if Some(number) == except {
                continue;
            }
            let queue = mailbox.lock();
            if queue.is_refusing {
                continue;
            }
            if let Err(limit) = mailbox.check_room(message.len()) {
                return Err(PostError::Full((), limit));
            }
            locked.push((mailbox, queue));
        }
        if locked.is_empty() && except.is_none() {
            return Err(PostError::Stopped(()));
        }
        let mut sleeping = Vec::new();
        for (mailbox, mut queue) in locked {
            if mailbox.push(&mut queue, Command::Broadcast(message.clone())) {
                sleeping.push(mailbox);
            }
        }
        for mailbox in sleeping {
            mailbox.wake();
        }
        Ok(())
    }

    pub(crate) fn mailbox(&self, thread: usize) -> Option<&Mailbox> {
        self.mailboxes.get(thread)
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    fn post(&self, id: ConnectionId, command: Command) -> Result<(), PostError<Command>> {
        match self.mailbox(id.thread()) {
            Some(mailbox) => mailbox.post(command),
            None => Err(PostError::Stopped(command)),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loops", &self.mailboxes.len()).finish_non_exhaustive()
    }
}
