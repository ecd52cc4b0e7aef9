//! [`sansocket`] over mio: ten thousand WebSocket connections on one thread, as client and as server.
//!
//! The protocol is [`sansocket`]'s, which does no IO. This crate owns the sockets, the clock, the random numbers and the
//! read buffer, and carries bytes between them; it parses none.
//!
//! * [`EventLoop`] runs any number of listeners and connections, and calls a [`Handler`] when something happens.
//! * [`Threads`] runs several loops, one for each core, behind one address.
//! * [`Socket`] is one connection as a mio source, for applications that have a `Poll` of their own.
//!
//! A server that sends every message back to all:
//!
//! ```no_run
//! use sansocket_mio::{Connection, EventLoop, Handler, Message};
//!
//! struct Chat;
//!
//! impl Handler for Chat {
//!     type Data = ();
//!     type Event = ();
//!
//!     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
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
//!     type Data = ();
//!     type Event = ();
//!
//!     fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
//!         connection.send("Hello").unwrap();
//!     }
//!
//!     fn on_message(&mut self, connection: &mut Connection<'_, Self>, message: Message<'_>) {
//!         println!("{:?}", message.as_text());
//!         connection.close(CloseCode::NORMAL, "").unwrap();
//!     }
//!
//!     fn on_close(&mut self, connection: &mut Connection<'_, Self>, close: Close) {
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
//! * **Nothing blocks.** Output is pending in memory until the kernel takes it: [`Connection::buffered_amount`]. Above
//!   [`Config::high_water_mark`] a server stops reading from that client. A message that would exceed
//!   [`Config::max_buffered_amount`] is refused. [`Handler::on_writable`] is called when there is room again. An application
//!   that sends to clients that do not answer must watch these itself.
//! * **Every accepted message is delivered** to a peer that keeps reading, whichever end closes: what was sent before
//!   [`Connection::close`], before the peer's Close frame or before the end of its stream still leaves, for up to
//!   [`Config::closing_limit`] (5 min). [`Connection::abort`], and dropping an [`EventLoop`] or a [`Socket`], discard it.
//! * **A handler's state.** [`Handler::Data`] is kept for each connection, and ends with it. Connections and the loop
//!   have any number of timers ([`Connection::set_timer`], [`Connections::set_timer`]). Other threads reach the handler
//!   by events ([`Handle::post`]). A handler that cannot keep up with a peer pauses it ([`Connection::pause_reading`]).
//! * **The end of a connection** is reported by [`Handler::on_close`]: the code, and whether both ends agreed. A peer that
//!   vanishes is not an error but a close with [`CloseCode::ABNORMAL`]. An [`Error`] says who is at fault.
//! * **Deadlines are on**: 10 s for the opening handshake, 5 s without progress for the closing handshake, a Ping after
//!   30 s of silence and 30 s for its Pong. They are settings of [`Config`]; keepalive stays enabled in a `Config` of
//!   your own, unless it says [`Keepalive::Off`]. A peer that reads slowly makes progress, and is not cut off: [what it
//!   can keep, and for how long](EventLoop#slow-readers).
//! * **Stopping** ([`Connections::stop`], [`Handle::stop`]) closes every connection with 1001 and takes at most
//!   [`Options::stop_timeout`] (5 s); connections that are left are aborted.
//! * **Which pages may connect.** A browser lets any page connect to any server, with the cookies of that server.
//!   By default requests without `Origin`, which no browser sends, are accepted, and those of pages of the same origin;
//!   [`ListenOptions::origin`] and [`Handler::on_request`] decide otherwise.
//! * **`wss`** is not built in yet.
//!
//! # Features
//!
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate: see
//!   [`sansocket-drive`](https://docs.rs/sansocket-drive). The span has the numbers that the `Debug` of [`ConnectionId`]
//!   shows, the role and the peer's address. A [`Socket`] alone gets a number.

#![forbid(unsafe_code)]

mod answer;
mod connection_id;
mod error;
mod event_loop;
mod handle;
mod handler;
mod listen_options;
mod listener;
mod mailbox;
mod options;
mod socket;
mod table;
mod threads;
mod timers;

pub use answer::Answer;
pub use connection_id::ConnectionId;
pub use error::{ConnectError, MailboxLimit, PostError, Stopped};
pub use event_loop::EventLoop;
pub use handle::Handle;
pub use handler::{Connection, Connections, Handler};
pub use listen_options::ListenOptions;
pub use options::Options;
pub use socket::{NextStep, Socket};
pub use threads::Threads;
pub use timers::TimerKey;

/// The library whose types appear in this crate's interface.
pub use mio;
/// The protocol, whose types appear in this crate's interface.
pub use sansocket_drive::sansocket;
pub use sansocket_drive::sansocket::{
    Accept, Chunk, ClientRequest, Close, CloseCode, CloseFrame, Config, EncodedMessage, Event, HttpResponse, Instant,
    Keepalive, Message, MessageKind, Open, OriginPolicy, ReadyState, Request, SendError, WebSocket,
};
pub use sansocket_drive::{Error, parse_uri};

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
