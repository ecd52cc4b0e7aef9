//! [`sansocket`] over mio: ten thousand WebSocket connections on one thread, as client and as server. [`sansocket`]
//! implements the protocol without IO; this crate adds the sockets, the clock, the random numbers and the read buffer.
//!
//! * [`EventLoop`] runs any number of listeners and connections, and calls a [`Handler`] when something happens.
//! * [`Threads`] runs several loops, such as one for each core, behind one address.
//! * [`Socket`] is one connection as a mio source, for applications that have a `Poll` of their own.
//!
//! # A server and a client
//!
//! This is `examples/echo_server.rs`, a complete server:
//!
//! ```no_run
#![doc = include_str!("../examples/echo_server.rs")]
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
//! # How it behaves
//!
//! * **One turn** polls once, reads from the ready connections, calls the handler, and writes: all messages that a
//!   connection is sent in a turn leave together. The work of a turn is bounded, so no peer starves the others: [the
//!   limits](EventLoop#the-work-of-one-turn). A handler must not block: all connections of the loop would wait.
//! * **The order of calls.** A server's connection begins with [`on_accept`](Handler::on_accept) and
//!   [`on_request`](Handler::on_request). Each connection that opens has one [`on_open`](Handler::on_open) and one
//!   [`on_close`](Handler::on_close), the last call, however it ends. If it fails, [`on_error`](Handler::on_error)
//!   comes before `on_close`, or alone if a server's connection never opens.
//! * **Back-pressure.** Output is pending in memory until the kernel takes it: [`Connection::buffered_amount`]. Above
//!   [`Config::high_water_mark`] a server stops reading from that client. A message that would exceed
//!   [`Config::max_buffered_amount`] is refused. [`Handler::on_writable`] is called when there is room again. An
//!   application that sends to clients that do not answer must watch these itself. A handler that cannot keep up with a
//!   peer pauses it: [`Connection::pause_reading`].
//! * **Delivery.** Every accepted message is delivered to a peer that keeps reading, whichever end closes: messages
//!   sent before [`Connection::close`], before the peer's Close frame or before the end of its stream are still
//!   written, for up to [`Config::closing_limit`] (5 min). [`Connection::abort`], and dropping an [`EventLoop`] or a
//!   [`Socket`], discard them.
//! * **The end of a connection.** `on_close` reports the code, and whether both ends agreed. A peer that vanishes is
//!   not an error but a close with [`CloseCode::ABNORMAL`]. An [`Error`] says who is at fault.
//! * **Deadlines are on**: 10 s for the opening handshake, 5 s without progress for the closing handshake, a Ping after
//!   30 s of silence and 30 s for its Pong. [`Config`] sets them; keepalive stays enabled in a `Config` of your own,
//!   unless it says [`Keepalive::Off`]. A peer that reads slowly makes progress, and is not cut off: [how long, and
//!   what it costs](EventLoop#slow-readers).
//! * **State and timers.** [`Handler::Data`] is the application's state for each connection, and ends with it.
//!   Connections and the loop have any number of timers: [`Connection::set_timer`], [`Connections::set_timer`].
//! * **Groups.** Connections join a [`Group`] ([`Connection::join`]), and get what is published to it
//!   ([`Connections::publish`]). A message is encoded once for all members on all loops; the messages of a turn are
//!   joined, and each member gets them with one system call, in the order in which they were published and sent.
//!   [`Connections::broadcast`] publishes to all connections. [`SlowMembers`] says what happens to slow members.
//! * **Threads.** A [`Handle`] reaches the loop from other threads: it sends, closes, connects, and posts events to the
//!   handler; it also publishes. Its methods never wait: a full mailbox refuses the command ([`PostError::Full`]).
//! * **Stopping** ([`Connections::stop`], [`Handle::stop`]) closes every connection with 1001 and takes at most
//!   [`Options::stop_timeout`] (5 s); the loop then aborts the remaining connections.
//! * **Which pages may connect.** A browser lets any page connect to any server, with the cookies of that server. By
//!   default, the loop accepts requests of pages of the same origin, and those without `Origin`, which no browser
//!   sends; [`ListenOptions::origin`] and [`Handler::on_request`] decide otherwise.
//!
//! * **Connecting.** Addresses race (RFC 8305), and names are looked up in other threads. A [`Connector`] sets proxies,
//!   redirects, another address, TLS, and whether to connect again. [`Handler::on_connect_error`] reports why a client
//!   has no connection, with its data. A `ws+unix` URL names a Unix socket.
//!
//! # What it does not do
//!
//! * The number of connections is not limited, unless [`ListenOptions::max_connections`] limits it for a listener.
//!
//! # Features
//!
//! * `deflate`: permessage-deflate (RFC 7692), which [`Config::compression`] turns on: see [`sansocket`].
//! * `tls`: `wss`, for clients (`Connector::tls`) and servers (`ListenOptions::tls`), on rustls. A client trusts the
//!   certificate authorities that the system trusts. [`sansocket-tls`](https://docs.rs/sansocket-tls) describes it.
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate: see
//!   [`sansocket-drive`](https://docs.rs/sansocket-drive). The span has the numbers that the `Debug` of
//!   [`ConnectionId`] shows, the role and the peer's address. A [`Socket`] alone gets a number.

#![forbid(unsafe_code)]

mod answer;
mod clock;
mod connection_id;
mod connector;
mod error;
mod event_loop;
mod handle;
mod handler;
mod listen_options;
mod listener;
mod mailbox;
mod occupancy;
mod options;
mod read_buffer;
mod resolver;
mod send_scratch;
mod socket;
mod table;
mod threads;
mod timers;

pub use answer::Answer;
pub use clock::now;
pub use connection_id::ConnectionId;
pub use connector::Connector;
pub use error::{MailboxLimit, PostError, Stopped};
pub use event_loop::EventLoop;
pub use handle::Handle;
pub use handler::{Connection, Connections, Handler};
pub use listen_options::ListenOptions;
pub use options::Options;
pub use read_buffer::ReadBuffer;
pub use sansocket_connect::{Lookup, ResolvedLookup};
pub use socket::{NextStep, Reconnection, Socket};
pub use threads::Threads;
pub use timers::TimerKey;

/// The library whose types appear in this crate's interface.
pub use mio;
/// How clients connect: the settings and errors of [`Connector`].
pub use sansocket_dial as dial;
pub use sansocket_dial::{DialError, Target};
/// The protocol, whose types appear in this crate's interface.
pub use sansocket_drive::sansocket;
pub use sansocket_drive::sansocket::{
    Accept, Chunk, ClientRequest, Close, CloseCode, CloseFrame, Config, EncodedMessage, Event, HttpResponse, Instant,
    Keepalive, Message, MessageKind, Open, OriginPolicy, ReadyState, Request, SendError, WebSocket,
};
#[cfg(feature = "deflate")]
pub use sansocket_drive::sansocket::{Compress, Compression};
pub use sansocket_drive::{Error, Group, SlowMembers, parse_uri};
/// TLS, whose types appear in this crate's interface.
#[cfg(feature = "tls")]
pub use sansocket_tls as tls;
