//! Handler: what an application does when something happens.

use std::io;
use std::net::SocketAddr;

use sansocket_drive::sansocket::{Accept, Chunk, Close, CloseFrame, HttpResponse, Message, Open, Request};

use crate::Error;
use crate::connection::Connection;
use crate::connections::Connections;
use crate::error::ConnectError;
use crate::timers::TimerKey;

/// What an application does when something happens to a connection of its [`EventLoop`](crate::EventLoop).
///
/// Every method has a default. A server that implements none accepts same-origin clients, answers their Pings and Close
/// frames, enforces the deadlines, and ignores their messages.
///
/// For a connection that opens, the loop calls [`on_open`](Self::on_open) first and [`on_close`](Self::on_close) last, once
/// each, however the connection ends: closed by either end, aborted, broken, or at a deadline. If it failed,
/// [`on_error`](Self::on_error) comes before `on_close`. (Exception: dropping the loop aborts its connections without a call.)
///
/// For a connection that never opens, there is no `on_close`. `on_error` reports a failure. It is not called if the
/// application ended the connection itself (it refused the request, closed or aborted the connection, or stopped the
/// loop), nor if a client did not ask for a WebSocket. What the application keeps for a connection is its
/// [`Data`](Self::Data), which ends with it in any case.
///
/// No method may block: all connections of the loop would wait.
///
/// ```
/// use sansocket_mio::{Close, Connection, Handler, Message};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = usize; // how many messages came
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
    /// What the application keeps for each connection: [`Connection::data`]. A client that is accepted begins with the
    /// default; [`Connections::connect_to`], [`Connections::adopt`] and the methods of [`Handle`](crate::Handle) take the
    /// data as an argument. It is
    /// there from [`on_accept`](Self::on_accept) until the last call for the connection, and lies in the loop's table
    /// of connections: `()` costs nothing.
    type Data: Default + Send + 'static;

    /// The events that other threads post: [`Handle::post`](crate::Handle::post). `()` if there are none.
    type Event: Send + 'static;

    /// The loop begins to run.
    fn on_start(&mut self, connections: &mut Connections<Self>) {}

    /// A listener has accepted a client, which has not asked for anything yet. Its address can be had now; once it is gone,
    /// the system no longer tells.
    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {}

    /// A client asks for a WebSocket. The default accepts it with the first subprotocol that it offers and the listener
    /// supports ([`Connection::default_accept`]).
    ///
    /// An [`Accept`] without an origin policy of its own applies the listener's
    /// ([`ListenOptions::origin`](crate::ListenOptions::origin), by default the same origin). Its subprotocol is taken
    /// as it is: none if it selects none.
    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        connection.default_accept(request).into()
    }

    /// A client asks, by HTTP, for something else, such as a health check. By default, it gets 426, Upgrade Required. It
    /// also gets 426 if the answer is [`Answer::Accept`], which [`on_error`](Self::on_error) reports as a mistake.
    fn on_http_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        HttpResponse::upgrade_required().into()
    }

    /// The connection is open.
    fn on_open(&mut self, connection: &mut Connection<'_, Self>, open: Open) {}

    /// A message came. It is lent from the read buffer if it lay there whole.
    fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {}

    /// A piece of a message came: instead of `on_message`, if [`Delivery::Chunks`](crate::sansocket::Delivery::Chunks) asks for
    /// pieces.
    fn on_chunk(&mut self, connection: &mut Connection<'_, Self>, chunk: Chunk<'_>) {}

    /// A Ping came. Its Pong is on its way.
    fn on_ping(&mut self, connection: &mut Connection<'_, Self>, payload: &[u8]) {}

    /// A Pong came.
    fn on_pong(&mut self, connection: &mut Connection<'_, Self>, payload: &[u8]) {}

    /// The connection failed, or never opened; or, with [`Error::Send`], something sent by a
    /// [`Handle`](crate::Handle) or to many was not sent to this one.
    fn on_error(&mut self, connection: &mut Connection<'_, Self>, error: Error) {}

    /// The peer's Close frame arrived: it sends nothing more. The connection is closing; [`on_close`](Self::on_close)
    /// follows when it has ended.
    fn on_close_received(&mut self, connection: &mut Connection<'_, Self>, frame: CloseFrame) {}

    /// The connection, which was open, is closed.
    fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {}

    /// [`buffered_amount`](Connection::buffered_amount) was above the high-water mark, or something did not fit beside it,
    /// and has fallen to the low-water mark: there is room for more.
    ///
    /// What does not fit although no more than the low-water mark waits is not waited for: it may never fit.
    fn on_writable(&mut self, connection: &mut Connection<'_, Self>) {}

    /// The time that [`Connection::set_timer`] set for this key has come.
    fn on_timer(&mut self, connection: &mut Connection<'_, Self>, key: TimerKey) {}

    /// The time that [`Connections::set_timer`] set for this key has come.
    fn on_loop_timer(&mut self, connections: &mut Connections<Self>, key: TimerKey) {}

    /// Another thread has posted an event: [`Handle::post`](crate::Handle::post).
    fn on_event(&mut self, connections: &mut Connections<Self>, event: Self::Event) {}

    /// A connection that [`Handle::connect`](crate::Handle::connect) asked for could not even begin: the request is not
    /// valid, there is no address that can be tried, or the system has no more descriptors. There is no connection; its
    /// data is handed back. Later failures are reported by [`on_error`](Self::on_error).
    fn on_connect_error(&mut self, connections: &mut Connections<Self>, data: Self::Data, error: ConnectError) {}

    /// The listener at this address cannot accept, for want of file descriptors or memory, say. It tries again every
    /// tenth of a second; this is called once until it has accepted again, which [`on_accept`](Self::on_accept) tells.
    fn on_accept_error(&mut self, connections: &mut Connections<Self>, address: SocketAddr, error: &io::Error) {}
}

/// How to answer a client's request: [`Handler::on_request`], [`Handler::on_http_request`].
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a request is granted, refused, or waits")]
pub enum Answer {
    /// To open the connection, if the origin policy permits. Not for a request of [`Handler::on_http_request`].
    Accept(Accept),
    /// To answer with an HTTP response other than 101, and end.
    Respond(HttpResponse),
    /// To answer later, by [`Connection::answer`] or [`Handle::answer`](crate::Handle::answer). When
    /// [`Config::opening_timeout`](crate::sansocket::Config::opening_timeout) has passed, the client gets 503.
    Later,
}

impl From<Accept> for Answer {
    fn from(accept: Accept) -> Self {
        Self::Accept(accept)
    }
}

impl From<HttpResponse> for Answer {
    fn from(response: HttpResponse) -> Self {
        Self::Respond(response)
    }
}
