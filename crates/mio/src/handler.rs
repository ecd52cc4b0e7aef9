//! Handler: the trait that an application implements, and the two types that its methods receive. Trait and types name
//! each other, so they are defined together; the methods of the types are in `handler/`.

mod connection;
mod connections;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sansocket_dial::DialError;
use sansocket_drive::sansocket::{Chunk, Close, CloseFrame, HttpResponse, Message, Open, Request};

use crate::Error;
use crate::answer::Answer;
use crate::mailbox::Mailboxes;
use crate::socket::Reconnection;
use crate::table::Table;
use crate::timers::TimerKey;

/// Receives the events of the connections of an [`EventLoop`](crate::EventLoop).
///
/// Every method has a default. A server that implements none accepts same-origin clients, answers their Pings and Close
/// frames, enforces the deadlines, and ignores their messages.
///
/// For a connection that opens, the loop calls [`on_open`](Self::on_open) first and [`on_close`](Self::on_close) last,
/// once each, however the connection ends: closed by either end, aborted, broken, or at a deadline. If it failed,
/// [`on_error`](Self::on_error) comes before `on_close`. (Exception: dropping the loop aborts its connections without a
/// call.)
///
/// For a connection that never opens, there is no `on_close`. A failure is reported by `on_error` for a server, and by
/// [`on_connect_error`](Self::on_connect_error) for a client. Neither is called if the application ended the connection
/// itself (it refused the request, closed or aborted the connection, or stopped the loop), nor if a client did not
/// request a WebSocket. The connection's [`Data`](Self::Data) is dropped in any case.
///
/// No method may block: all connections of the loop would wait.
///
/// ```
/// use sansocket_mio::{Close, Connection, Handler, Message};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = usize; // the number of messages received
///     type Event = ();
///
///     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
///         let _ = connection.send(message);
///         *connection.data_mut() += 1;
///     }
///
///     fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
///         println!("{:?}: {} messages", connection.id(), connection.data());
///     }
/// }
/// ```
#[expect(unused_variables, reason = "the defaults ignore what happened")]
pub trait Handler: Sized {
    /// The application's state for each connection: [`Connection::data`]. An accepted client begins with the default;
    /// [`Connections::connect_with`], [`Connections::adopt`] and the methods of [`Handle`](crate::Handle) take the data
    /// as an argument. It exists from [`on_accept`](Self::on_accept) until the last call for the connection. It is
    /// stored in the loop's table of connections: `()` takes no memory.
    type Data: Default + Send + 'static;

    /// The events that other threads post: [`Handle::post`](crate::Handle::post). `()` if there are none.
    type Event: Send + 'static;

    /// The loop begins to run.
    fn on_start(&mut self, connections: &mut Connections<Self>) {}

    /// A listener has accepted a client, which has sent nothing yet. Read its address here: the system no longer
    /// returns it once the client is gone.
    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {}

    /// A client requests a WebSocket. The default accepts it with the first subprotocol that it offers and the listener
    /// supports ([`Connection::default_accept`]).
    ///
    /// An [`Accept`](crate::Accept) without an origin policy of its own applies the listener's
    /// ([`ListenOptions::origin`](crate::ListenOptions::origin), by default the same origin). Its subprotocol is not
    /// replaced: if it selects none, there is none.
    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        connection.default_accept(request).into()
    }

    /// A client sends another HTTP request, such as a health check. By default, it gets 426, Upgrade Required. It also
    /// gets 426 if the answer is [`Answer::Accept`], which [`on_error`](Self::on_error) reports as a mistake.
    fn on_http_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        HttpResponse::upgrade_required().into()
    }

    /// The connection is open. A client that reconnects is open again: [`Connection::attempt`].
    fn on_open(&mut self, connection: &mut Connection<'_, Self>, open: Open) {}

    /// A message arrived. It borrows the read buffer if it lies there whole.
    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {}

    /// A chunk of a message arrived. Called instead of `on_message` with
    /// [`Delivery::Chunks`](crate::sansocket::Delivery::Chunks).
    fn on_chunk(&mut self, connection: &mut Connection<'_, Self>, chunk: Chunk<'_>) {}

    /// A Ping arrived. Its Pong is already queued.
    fn on_ping(&mut self, connection: &mut Connection<'_, Self>, payload: &[u8]) {}

    /// A Pong arrived.
    fn on_pong(&mut self, connection: &mut Connection<'_, Self>, payload: &[u8]) {}

    /// The connection failed, or that of a server never opened. [`Error::Send`]: a message that a [`Handle`](crate::Handle) or a
    /// broadcast sent was not sent to this connection.
    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {}

    /// The peer's Close frame arrived: the peer sends nothing more. The connection is closing;
    /// [`on_close`](Self::on_close) follows when it has ended.
    fn on_close_received(&mut self, connection: &mut Connection<'_, Self>, frame: CloseFrame) {}

    /// The connection, which was open, is closed.
    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {}

    /// There is room to send again: [`buffered_amount`](Connection::buffered_amount) has fallen to the low-water mark,
    /// after it was above the high-water mark, or above the low one when a message did not fit.
    ///
    /// Not called for a message that does not fit although `buffered_amount` is at or below the low-water mark: it may
    /// never fit.
    fn on_writable(&mut self, connection: &mut Connection<'_, Self>) {}

    /// A timer of the connection has expired: [`Connection::set_timer`].
    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, key: TimerKey) {}

    /// A timer of the loop has expired: [`Connections::set_timer`].
    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, key: TimerKey) {}

    /// Another thread has posted an event: [`Handle::post`](crate::Handle::post).
    fn on_event(&mut self, connections: &mut Connections<Self>, event: Self::Event) {}

    /// A client has no connection, and makes no other attempt. The connection is gone; `data` is its
    /// [`Data`](Self::Data). Not called if the application has ended the attempt itself.
    fn on_connect_error(&mut self, connections: &mut Connections<Self>, data: Self::Data, error: DialError) {}

    /// A client connects again after a delay, because its connection was lost, or because an attempt has failed: the
    /// [`Connector`](crate::Connector) has a [`ReconnectPolicy`](crate::dial::ReconnectPolicy). If the connection was
    /// open, [`on_close`](Self::on_close) came before. [`on_open`](Self::on_open) is called again for the same
    /// connection, which keeps its [`Data`](Self::Data) and its timers, but is in no [`Group`](crate::Group) any more.
    ///
    /// It does not connect again if the application ends the connection: with [`Connection::close`],
    /// [`Connection::abort`] or [`Connection::stop_reconnecting`], at any time, or by stopping the loop.
    fn on_reconnect(&mut self, connection: &mut Connection<'_, Self>, reconnection: Reconnection) {}

    /// The listener at this address cannot accept, because the system is out of file descriptors, for example. It tries
    /// again every 100 ms. This is called once for each series of failures; [`on_accept`](Self::on_accept) ends the
    /// series.
    fn on_accept_error(&mut self, connections: &mut Connections<Self>, address: SocketAddr, error: &io::Error) {}
}

/// A connection of an event loop, borrowed for one call of the handler.
///
/// Messages are queued. At the end of the turn, the loop writes those of each connection with one system call.
/// [`buffered_amount`](Self::buffered_amount) returns the payload bytes that are pending.
pub struct Connection<'a, H: Handler> {
    connections: &'a mut Connections<H>,
    index: usize,
}

impl<'a, H: Handler> Connection<'a, H> {
    /// Wraps the connection with this index, which exists.
    #[inline]
    pub(crate) fn new(connections: &'a mut Connections<H>, index: usize) -> Self {
        Self { connections, index }
    }
}

/// The connections of an event loop.
pub struct Connections<H: Handler> {
    pub(crate) table: Table<H::Data>,
    pub(crate) mailboxes: Arc<Mailboxes<H::Data, H::Event>>,
    /// The loop's number among those that run together.
    thread: usize,
}
