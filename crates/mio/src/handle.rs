//! Handle: how other threads reach event loops.

use std::fmt;
use std::sync::Arc;

use sansocket_dial::Target;
use sansocket_drive::Group;
#[cfg(feature = "deflate")]
use sansocket_drive::sansocket::Compress;
use sansocket_drive::sansocket::{CloseCode, EncodedMessage, Message};

use crate::answer::Answer;
use crate::connection_id::ConnectionId;
use crate::connector::Connector;
use crate::error::{PostError, Stopped};
use crate::handler::Handler;
use crate::mailbox::{Command, Connect, Mailbox, Mailboxes};
use crate::socket::Socket;

/// Reaches an event loop, or all that run together, from any thread: sends, closes, connects, and posts events to the
/// handler. Clones reach the same loops.
///
/// Each method posts a command. A loop executes the commands of one thread in the order in which they were posted. A
/// command to a connection that has ended does nothing. [`Handler::on_error`] reports a message that could not be sent.
///
/// No method waits for the loop. Each loop has a mailbox of bounded size, by default 16,384 commands and 16 MiB of
/// payloads ([`Options::max_pending_commands`](crate::Options::max_pending_commands),
/// [`Options::max_pending_bytes`](crate::Options::max_pending_bytes)). A command that does not fit is refused with
/// [`PostError::Full`], which hands back the message. [`pending`](Self::pending) counts the commands not executed yet.
///
/// The mailbox bounds the pending commands. [`Config::max_buffered_amount`](crate::Config::max_buffered_amount) bounds
/// the pending output of each connection. If a thread may produce more than the network takes, let the handler pace it,
/// by [`buffered_amount`](crate::Connection::buffered_amount) and [`on_writable`](crate::Handler::on_writable).
///
/// ```no_run
/// use std::thread;
/// use sansocket_mio::{Connections, EventLoop, Handler};
///
/// struct News;
///
/// impl Handler for News {
///     type Data = ();
///     type Event = String;
///
///     fn on_event(&mut self, connections: &mut Connections<Self>, news: String) {
///         let _ = connections.broadcast(news);
///     }
/// }
///
/// let mut event_loop = EventLoop::new(News)?;
/// event_loop.listen("127.0.0.1:9001")?;
/// let handle = event_loop.handle();
/// thread::spawn(move || {
///     if let Err(error) = handle.post(0, "This just in".into()) {
///         eprintln!("{error}");
///     }
///     handle.stop()
/// });
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Handle<H: Handler> {
    mailboxes: Arc<Mailboxes<H::Data, H::Event>>,
}

impl<H: Handler> Handle<H> {
    pub(crate) fn new(mailboxes: Arc<Mailboxes<H::Data, H::Event>>) -> Self {
        Self { mailboxes }
    }

    /// Posts an event to a loop, which passes it to [`Handler::on_event`]. `thread` is the loop's number:
    /// [`ConnectionId::thread`] of its connections, or 0 for a loop that runs alone.
    ///
    /// An event counts as a command without payload.
    ///
    /// # Errors
    ///
    /// The mailbox is full, the loop has stopped, or there is none with this number. The event is handed back.
    pub fn post(&self, thread: usize, event: H::Event) -> Result<(), PostError<H::Event>> {
        self.mailboxes.post_to(thread, event, 0, Command::Event)
    }

    /// Posts an event to each loop that has not stopped.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the loops is full, or the loops have stopped. The event is handed back, and was posted to
    /// no loop.
    pub fn post_to_all(&self, event: H::Event) -> Result<(), PostError<H::Event>>
    where
        H::Event: Clone,
    {
        self.mailboxes.post_to_all(|| Command::Event(event.clone())).map_err(|error| error.map(|()| event))
    }

    /// Makes a loop connect: see [`Connections::connect_with`](crate::Connections::connect_with). `data` is the
    /// connection's [`data`](crate::Connection::data), by which the handler recognises it. Several loops take turns; a
    /// loop whose mailbox is full is skipped.
    ///
    /// [`on_open`](crate::Handler::on_open) or [`on_connect_error`](crate::Handler::on_connect_error) reports the
    /// result.
    ///
    /// # Errors
    ///
    /// All mailboxes are full, or the loops have stopped. The data is handed back.
    pub fn connect(&self, connector: &Connector, target: Target, data: H::Data) -> Result<(), PostError<H::Data>> {
        let connect = Box::new(Connect { connector: connector.clone(), target, data });
        let posted = self.mailboxes.post_in_turn(connect, Command::Connect);
        posted.map_err(|error| error.map(|connect| connect.data))
    }

    /// Gives a connection that was made elsewhere to a loop: see [`Socket::from_upgraded`] and
    /// [`Connections::adopt`](crate::Connections::adopt). Several loops take turns; a loop whose mailbox is full is
    /// skipped.
    ///
    /// # Errors
    ///
    /// All mailboxes are full, or the loops have stopped. The socket and the data are handed back.
    #[expect(clippy::result_large_err, reason = "the socket is handed back")]
    pub fn adopt(&self, socket: Socket, data: H::Data) -> Result<(), PostError<(Socket, H::Data)>> {
        let posted = self.mailboxes.post_in_turn(Box::new((socket, data)), Command::Adopt);
        posted.map_err(|error| error.map(|adopted| *adopted))
    }

    /// Sends a message to a connection.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The message is handed back.
    pub fn send<'m>(&self, id: ConnectionId, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        self.post_message(id, message.into(), |message| Command::Send(id, message))
    }

    /// Sends a message to a connection, compressed or not: see [`Compress`].
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_with<'m>(
        &self,
        id: ConnectionId,
        message: impl Into<Message<'m>>,
        compress: Compress,
    ) -> Result<(), PostError<Message<'m>>> {
        self.post_message(id, message.into(), |message| Command::SendWith(id, message, compress))
    }

    fn post_message<'m>(
        &self,
        id: ConnectionId,
        message: Message<'m>,
        command: impl FnOnce(Message<'static>) -> Command<H::Data, H::Event>,
    ) -> Result<(), PostError<Message<'m>>> {
        let Some(mailbox) = self.mailboxes.get(id.thread()) else { return Err(PostError::Stopped(message)) };
        // A full mailbox is common under load: a borrowed payload is then not copied.
        if let Err(limit) = mailbox.check_room(message.len())
            && mailbox.is_open()
        {
            return Err(PostError::Full(message, limit));
        }
        let length = message.len();
        mailbox.post(message.into_owned(), length, command)
    }

    /// Sends an encoded message to a connection.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped.
    pub fn send_encoded(&self, id: ConnectionId, message: &EncodedMessage) -> Result<(), PostError> {
        self.mailboxes.send_encoded(id, message)
    }

    /// Sends a message to all open connections of all loops. It is encoded once.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the loops is full, or the loops have stopped. The message is handed back, and was sent to
    /// no connection of any loop.
    pub fn broadcast<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        self.mailboxes.encode_and_publish(None, None, message.into())?;
        Ok(())
    }

    /// Sends an encoded message to all open connections of all loops.
    ///
    /// # Errors
    ///
    /// The mailbox of one of the loops is full, or the loops have stopped. The message was sent to no connection of any
    /// loop.
    pub fn broadcast_encoded(&self, message: &EncodedMessage) -> Result<(), PostError> {
        self.mailboxes.publish(None, None, message)
    }

    /// Publishes a message to the members of a group, on all loops. It is encoded once, and posted only to the loops
    /// that have members.
    ///
    /// # Errors
    ///
    /// As for [`broadcast`](Self::broadcast).
    pub fn publish<'m>(&self, group: &Group, message: impl Into<Message<'m>>) -> Result<(), PostError<Message<'m>>> {
        self.mailboxes.encode_and_publish(None, Some(group), message.into())?;
        Ok(())
    }

    /// Publishes an encoded message to the members of a group, on all loops.
    ///
    /// # Errors
    ///
    /// As for [`broadcast_encoded`](Self::broadcast_encoded).
    pub fn publish_encoded(&self, group: &Group, message: &EncodedMessage) -> Result<(), PostError> {
        self.mailboxes.publish(None, Some(group), message)
    }

    /// Begins to close a connection.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The reason is handed back. [`Handler::on_error`] reports a code or
    /// a reason that must not be sent.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: impl Into<String>) -> Result<(), PostError<String>> {
        let reason = reason.into();
        let length = reason.len();
        self.mailboxes.post_to(id.thread(), reason, length, |reason| Command::Close(id, code, reason))
    }

    /// Ends a connection without a closing handshake: see [`Connection::abort`](crate::Connection::abort).
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped.
    pub fn abort(&self, id: ConnectionId) -> Result<(), PostError> {
        self.mailboxes.post_to(id.thread(), (), 0, |()| Command::Abort(id))
    }

    /// Answers a request for which [`Handler::on_request`] or [`Handler::on_http_request`] returned [`Answer::Later`].
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The answer is handed back.
    pub fn answer(&self, id: ConnectionId, answer: impl Into<Answer>) -> Result<(), PostError<Box<Answer>>> {
        let answer = Box::new(answer.into());
        self.mailboxes.post_to(id.thread(), answer, 0, |answer| Command::Answer(id, answer))
    }

    /// Stops the loops in an orderly way: see [`Connections::stop`](crate::Connections::stop). They refuse further
    /// commands. Each loop stops in its next turn, however many commands are pending: it first executes up to one
    /// turn's budget of them (see [`EventLoop`](crate::EventLoop)). The rest find their connections closing; commands
    /// that are still pending when the last connection has closed are dropped.
    ///
    /// # Errors
    ///
    /// All loops have already stopped.
    pub fn stop(&self) -> Result<(), Stopped> {
        let running = self.mailboxes.iter().filter(|mailbox| mailbox.request_stop()).count();
        if running == 0 { Err(Stopped) } else { Ok(()) }
    }

    /// Returns the number of pending commands, posted and not yet executed, in all loops together. A broadcast counts
    /// once for each loop.
    pub fn pending(&self) -> usize {
        self.mailboxes.iter().map(Mailbox::pending_commands).sum()
    }

    /// Returns the payload bytes of the pending commands, in all loops together.
    pub fn pending_bytes(&self) -> usize {
        self.mailboxes.iter().map(Mailbox::pending_bytes).sum()
    }
}

impl<H: Handler> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self { mailboxes: Arc::clone(&self.mailboxes) }
    }
}

impl<H: Handler> fmt::Debug for Handle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loops", &self.mailboxes.iter().len()).finish_non_exhaustive()
    }
}
