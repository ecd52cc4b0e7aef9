//! [`sansocket`] over mio: ten thousand WebSocket connections on one thread, as client and as server.
//!
//! The protocol is [`sansocket`]'s, which does no IO. This crate owns the sockets, the clock, the random numbers and the
//! read buffer, and carries bytes between them; it parses none.
//!
//! * [`EventLoop`] runs any number of listeners and connections, and tells a [`Handler`] what happens.
//! * [`Threads`] runs several loops, one for each core, behind one address.
//! * [`Socket`] is one connection as a mio source, for whoever has a `Poll` of their own.
//!
//! A server that sends every message back to all:
//!
//! ```no_run
//! use sansocket_mio::{Connection, EventLoop, Handler, Message};
//!
//! struct Chat;
//!
//! impl Handler for Chat {
//!     fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
//!         let _ = connection.connections().broadcast(message); // encoded once, however many there are
//!     }
//! }
//!
//! let mut event_loop = EventLoop::new(Chat)?;
//! event_loop.listen("127.0.0.1:9001")?;
//! event_loop.run()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A client:
//!
//! ```no_run
//! use sansocket_mio::{Close, CloseCode, Connection, EventLoop, Handler, Message, Open};
//!
//! struct Client;
//!
//! impl Handler for Client {
//!     fn on_open(&mut self, connection: &mut Connection<'_>, _: Open) {
//!         connection.send("Hello").unwrap();
//!     }
//!
//!     fn on_message(&mut self, connection: &mut Connection<'_>, message: Message<'_>) {
//!         println!("{:?}", message.as_text());
//!         connection.close(CloseCode::NORMAL, "").unwrap();
//!     }
//!
//!     fn on_close(&mut self, connection: &mut Connection<'_>, close: Close) {
//!         println!("closed with {}", close.code);
//!         connection.connections().stop();
//!     }
//! }
//!
//! let mut event_loop = EventLoop::new(Client)?;
//! event_loop.connect("ws://localhost:9001/chat")?;
//! event_loop.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to know
//!
//! * **Nothing blocks.** What is sent waits in memory until the peer takes it; how much waits is
//!   [`Connection::buffered_amount`]. Above [`Config::high_water_mark`] a server reads no more from that client, above
//!   [`Config::max_buffered_amount`] nothing more can be sent to it, and [`Handler::on_writable`] says when there is room
//!   again. A client that only listens must be watched by whoever sends to it.
//! * **How it ended** is told by [`Handler::on_close`], with which code, and whether both ends had agreed. A peer that
//!   vanishes is no error but a close with [`CloseCode::ABNORMAL`]. Errors say whose fault it was ([`Error`]).
//! * **Deadlines are on**: ten seconds for the opening handshake, five for the closing one, a Ping after thirty seconds of
//!   silence and as long again for its answer. They are [`Config`]'s; [`default_config`] has these.
//! * **Which pages may connect.** A browser lets any page connect to any server, with the cookies of that server.
//!   By default requests without `Origin`, which no browser sends, are accepted, and those of pages of the same origin;
//!   [`Handler::on_request`] decides otherwise.
//! * **`wss`** is not built in yet.

#![forbid(unsafe_code)]

mod connection;
mod connections;
mod dispatch;
mod error;
mod event_loop;
mod flags;
mod handle;
mod handler;
mod listener;
mod mailbox;
mod options;
mod socket;
mod threads;
mod turn;

pub use connection::{Connection, ConnectionId};
pub use connections::Connections;
pub use error::{ConnectError, PostError, Stopped};
pub use event_loop::EventLoop;
pub use handle::Handle;
pub use handler::{Answer, Handler};
pub use options::Options;
pub use socket::{Next, Socket};
pub use threads::Threads;

/// The library whose types appear in this crate's interface.
pub use mio;
/// The protocol, whose types appear in this crate's interface.
pub use sansocket_drive::sansocket;
pub use sansocket_drive::sansocket::{
    Accept, Chunk, ClientRequest, Close, CloseCode, CloseFrame, Config, EncodedMessage, Event, HttpResponse, Instant,
    Message, MessageKind, Open, OriginPolicy, ReadyState, Request, SendError, WebSocket,
};
pub use sansocket_drive::{Error, default_config};

/// Reads the clock of the process, as the core counts time.
///
/// ```
/// let now = sansocket_mio::now();
/// assert!(sansocket_mio::now() >= now);
/// ```
#[inline]
pub fn now() -> Instant {
    sansocket_drive::Clock::of_process().now()
}
