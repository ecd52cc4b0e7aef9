//! Handle: what other threads may ask of event loops.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use sansocket_drive::sansocket::{ClientRequest, CloseCode, Config, EncodedMessage, Message};

use crate::connection::ConnectionId;
use crate::error::{PostError, Stopped};
use crate::handler::{Answer, Handler};
use crate::mailbox::{Command, Connect, Mailbox};
use crate::socket::Socket;

/// Reaches an event loop, or all that run together, from any thread: sends, closes and connects, and tells the handler of
/// events. Clones reach the same.
///
/// What is asked for is done in the order in which one thread asks for it. A connection that is gone or closed by then is
/// passed over. What could not be sent to a connection is told to [`Handler::on_error`].
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
/// impl Handler for Silent {
///     type Data = ();
///     type Event = ();
/// }
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
pub struct Handle<H: Handler> {
    shared: Arc<Shared<H>>,
}

struct Shared<H: Handler> {
    mailboxes: Vec<Mailbox<H>>,
    config: Arc<Config>,
    /// The loop that makes the next connection.
    next_loop: AtomicUsize,
}

impl<H: Handler> Handle<H> {
    pub(crate) fn new(mailboxes: Vec<Mailbox<H>>, config: Arc<Config>) -> Self {
        Self { shared: Arc::new(Shared { mailboxes, config, next_loop: AtomicUsize::new(0) }) }
    }

    /// Posts an event to a loop, which passes it to [`Handler::on_event`]. `thread` is the loop's
    /// number: that of a connection is [`ConnectionId::thread`], that of a loop that runs alone is 0.
    ///
    /// An event counts as a command without payload.
    ///
    /// # Errors
    ///
    /// The mailbox is full, the loop has stopped, or there is none with this number. The event is handed back.
    ///
    /// ```no_run
    /// use std::thread;
    /// use sansocket_mio::{ConnectionId, Connections, EventLoop, Handler};
    ///
    /// /// A search that another thread has finished.
    /// struct Found {
    ///     asked_by: ConnectionId,
    ///     result: String,
    /// }
    ///
    /// struct Search;
    ///
    /// impl Handler for Search {
    ///     type Data = ();
    ///     type Event = Found;
    ///
    ///     fn on_event(&mut self, connections: &mut Connections<Self>, found: Found) {
    ///         if let Some(mut connection) = connections.get(found.asked_by) {
    ///             let _ = connection.send(found.result);
    ///         }
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new(Search)?;
    /// let handle = event_loop.handle();
    /// let search = move |asked_by: ConnectionId| {
    ///     let result = "what was found".to_owned();
    ///     handle.post(asked_by.thread(), Found { asked_by, result })
    /// };
    /// # let _ = search;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn post(&self, thread: usize, event: H::Event) -> Result<(), PostError<H::Event>> {
        self.post_to(thread, Command::Event(event)).map_err(|error| {
            error.map(|command| match command {
                Command::Event(event) => event,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
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
        self.post_everywhere(None, 0, || Command::Event(event.clone())).map_err(|error| error.map(|()| event))
    }

    /// Has a loop connect to the first of these addresses that can be reached. `data` is the connection's
    /// [`data`](crate::Connection::data), by which the handler recognises it. Of several loops each makes one
    /// connection in turn; a loop whose mailbox is full is passed over.
    ///
    /// The handler hears of it by [`on_open`](crate::Handler::on_open) or [`on_error`](crate::Handler::on_error); if
    /// the connection cannot even begin, by [`on_connect_error`](crate::Handler::on_connect_error).
    ///
    /// # Errors
    ///
    /// All mailboxes are full, or the loops have stopped. Request and data are handed back.
    pub fn connect(
        &self,
        request: ClientRequest,
        addresses: impl Into<Vec<SocketAddr>>,
        data: H::Data,
    ) -> Result<(), PostError<(ClientRequest, H::Data)>> {
        let connect = Connect { request, addresses: addresses.into(), data };
        self.post_in_turn(Command::Connect(Box::new(connect))).map_err(|error| {
            error.map(|command| match command {
                Command::Connect(connect) => (connect.request, connect.data),
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Gives a connection that was made elsewhere to a loop: see [`Socket::from_upgraded`] and
    /// [`Connections::adopt`](crate::Connections::adopt). Of several loops each gets one in turn; a loop whose mailbox is
    /// full is passed over.
    ///
    /// # Errors
    ///
    /// All mailboxes are full, or the loops have stopped. Socket and data are handed back.
    #[expect(clippy::result_large_err, reason = "the socket is handed back")]
    pub fn adopt(&self, socket: Socket, data: H::Data) -> Result<(), PostError<(Socket, H::Data)>> {
        self.post_in_turn(Command::Adopt(Box::new((socket, data)))).map_err(|error| {
            error.map(|command| match command {
                Command::Adopt(adopted) => *adopted,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Posts a command to the loop whose turn it is, or the next one that has room for it.
    fn post_in_turn(&self, mut command: Command<H>) -> Result<(), PostError<Command<H>>> {
        let (count, first) = (self.shared.mailboxes.len(), self.shared.next_loop.fetch_add(1, Relaxed));
        let mut exceeded = None;
        for number in 0..count {
            match self.post_to(first.wrapping_add(number) % count, command) {
                Ok(()) => return Ok(()),
                Err(PostError::Full(refused, limit)) => (command, exceeded) = (refused, Some(limit)),
                Err(PostError::Stopped(refused)) => command = refused,
            }
        }
        Err(match exceeded {
            Some(limit) => PostError::Full(command, limit),
            None => PostError::Stopped(command),
        })
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
        self.post_to(id.thread(), Command::SendEncoded(id, message.clone())).map_err(|error| error.map(drop))
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
        self.post_to(id.thread(), Command::Close(id, code, reason.into())).map_err(|error| {
            error.map(|command| match command {
                Command::Close(_, _, reason) => reason,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Ends a connection without a closing handshake: see [`Connection::abort`](crate::Connection::abort).
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped.
    pub fn abort(&self, id: ConnectionId) -> Result<(), PostError> {
        self.post_to(id.thread(), Command::Abort(id)).map_err(|error| error.map(drop))
    }

    /// Answers a request that [`Handler::on_request`] or [`Handler::on_http_request`] left for later.
    ///
    /// # Errors
    ///
    /// The mailbox is full, or the loop has stopped. The answer is handed back.
    pub fn answer(&self, id: ConnectionId, answer: impl Into<Answer>) -> Result<(), PostError<Box<Answer>>> {
        self.post_to(id.thread(), Command::Answer(id, Box::new(answer.into()))).map_err(|error| {
            error.map(|command| match command {
                Command::Answer(_, answer) => answer,
                _ => unreachable!("the command that was posted is handed back"),
            })
        })
    }

    /// Stops the loops in good order: see [`Connections::stop`](crate::Connections::stop). From now on they refuse
    /// commands. Each loop stops in its next turn, however many commands are pending: it first does up to one turn's
    /// budget of them (see [`EventLoop`](crate::EventLoop)). Later ones find their connections closing; those that are
    /// pending when the last connection has closed are dropped.
    ///
    /// # Errors
    ///
    /// They have stopped.
    pub fn stop(&self) -> Result<(), Stopped> {
        let told = self.shared.mailboxes.iter().filter(|mailbox| mailbox.request_stop()).count();
        if told == 0 { Err(Stopped) } else { Ok(()) }
    }

    /// Returns how many commands are pending: posted and not yet done, in all loops together. A broadcast counts once for
    /// each loop.
    pub fn pending(&self) -> usize {
        self.shared.mailboxes.iter().map(Mailbox::pending_commands).sum()
    }

    /// Returns how many payload bytes the pending commands have, in all loops together.
    pub fn pending_bytes(&self) -> usize {
        self.shared.mailboxes.iter().map(Mailbox::pending_bytes).sum()
    }

    /// Encodes a message and posts it to all loops, or to all but one. Returns what was posted.
    pub(crate) fn encode_and_post<'m>(
        &self,
        except: Option<usize>,
        message: Message<'m>,
    ) -> Result<EncodedMessage, PostError<Message<'m>>> {
        let mut others = self.shared.mailboxes.iter().enumerate().filter(|&(number, _)| Some(number) != except);
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
        let encoded = EncodedMessage::new(borrowed, &self.shared.config);
        match self.post_broadcast(except, &encoded) {
            Ok(()) => Ok(encoded),
            Err(error) => Err(error.map(|()| message)),
        }
    }

    /// Posts a broadcast to all loops, or to all but one.
    pub(crate) fn post_broadcast(&self, except: Option<usize>, message: &EncodedMessage) -> Result<(), PostError> {
        self.post_everywhere(except, message.len(), || Command::Broadcast(message.clone()))
    }

    /// Posts a command of so many payload bytes to all loops, or to all but one: to each that has not stopped, or, if
    /// one of them is full, to none. Never waits for room, so loops that broadcast to each other cannot wait for each
    /// other.
    fn post_everywhere(
        &self,
        except: Option<usize>,
        payload: usize,
        command: impl Fn() -> Command<H>,
    ) -> Result<(), PostError> {
        // before any lock: the application's `clone` may post
        let others = (0..self.shared.mailboxes.len()).filter(|&number| Some(number) != except);
        let mut commands: Vec<_> = others.map(|_| command()).collect();
        let mut locked = Vec::new();
        // Everyone locks in the order of the loops.
        for (number, mailbox) in self.shared.mailboxes.iter().enumerate() {
            if Some(number) == except {
                continue;
            }
            let queue = mailbox.lock();
            if queue.is_refusing {
                continue;
            }
            if let Err(limit) = mailbox.check_room(payload) {
                return Err(PostError::Full((), limit));
            }
            locked.push((mailbox, queue));
        }
        if locked.is_empty() && except.is_none() {
            return Err(PostError::Stopped(()));
        }
        let mut sleeping = Vec::new();
        for (mailbox, mut queue) in locked {
            if let Some(command) = commands.pop()
                && mailbox.push(&mut queue, command)
            {
                sleeping.push(mailbox);
            }
        }
        for mailbox in sleeping {
            mailbox.wake();
        }
        Ok(())
    }

    /// Wakes all loops but one.
    pub(crate) fn wake_others(&self, except: usize) {
        let others = self.shared.mailboxes.iter().enumerate().filter(|&(number, _)| number != except);
        others.for_each(|(_, mailbox)| mailbox.wake());
    }

    pub(crate) fn mailbox(&self, thread: usize) -> Option<&Mailbox<H>> {
        self.shared.mailboxes.get(thread)
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.shared.config
    }

    fn post_to(&self, thread: usize, command: Command<H>) -> Result<(), PostError<Command<H>>> {
        match self.mailbox(thread) {
            Some(mailbox) => mailbox.post(command),
            None => Err(PostError::Stopped(command)),
        }
    }
}

impl<H: Handler> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Handler> fmt::Debug for Handle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loops", &self.shared.mailboxes.len()).finish_non_exhaustive()
    }
}
