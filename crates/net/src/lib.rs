//! [`sansocket`] over `std::net`: a blocking WebSocket client and server, with a thread for each connection.
//!
//! [`sansocket`] implements the protocol without IO, and [`sansocket_drive`] drives a connection. This crate adds the
//! sockets, the timeouts, the random numbers and the read buffers. It parses no bytes.
//!
//! # A server and a client
//!
//! An echo server; [`Listener`] has one that can be stopped.
//!
//! ```no_run
//! use std::thread;
//! use sansocket_net::{Error, Event, Incoming, Listener};
//!
//! fn echo(incoming: Incoming) -> Result<(), Error> {
//!     let mut ws = incoming.accept()?;
//!     while let Some(event) = ws.read()? {
//!         if let Event::Message(message) = event {
//!             let message = message.into_owned(); // the event borrows the connection's read buffer
//!             ws.send(message)?;
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let listener = Listener::bind("127.0.0.1:9001")?;
//! for incoming in listener.incoming() {
//!     // Messages are on the heap: a small stack is enough. If there is no thread, the client is dropped.
//!     let served = incoming.and_then(|incoming| {
//!         thread::Builder::new().stack_size(128 * 1024).spawn(|| echo(incoming))
//!     });
//!     if let Err(error) = served {
//!         eprintln!("{error}"); // such as too many open files: keep accepting
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A client:
//!
//! ```no_run
//! use sansocket_net::{CloseCode, Event, Message};
//!
//! let mut ws = sansocket_net::connect("ws://localhost:9001/chat")?;
//! ws.send("Hello")?;
//! while let Some(event) = ws.read()? {
//!     match event {
//!         Event::Message(Message::Text(text)) => {
//!             println!("{text}");
//!             ws.close(CloseCode::NORMAL, "")?;
//!         }
//!         Event::Close(close) => println!("closed with {}", close.code),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it behaves
//!
//! * **Reading drives the connection.** [`WebSocket::read`] answers Pings, enforces deadlines and performs the closing
//!   handshake, including one that [`WebSocket::close`] began: read until `None`.
//! * **Blocking.** Reading waits for an event, sending until the operating system has taken the message. For a thread
//!   with other work, [`WebSocket::read_timeout`] returns after a time, and [`WebSocket::try_read`] at once.
//! * **Timeouts are enabled**: 10 s for the opening handshake; 5 s without progress, and 5 min in total, for the
//!   closing handshake; a Ping after 30 s of silence, and 30 s for its Pong. [`Config`] describes them; keepalive stays
//!   enabled in a `Config` of your own, unless you set [`Keepalive::Off`]. They apply while a thread waits in a method
//!   of the connection.
//! * **A slow reader is not taken for a dead one.** While the peer acknowledges bytes, only `closing_limit` ends a
//!   connection that is open or closing. Linux reports acknowledgements. Elsewhere a byte counts as delivered when the
//!   system has taken it, so that a deadline may end a connection whose peer still reads, too slowly.
//! * **Splitting.** Two ends that only send wait for each other until keepalive ends the connection: TCP takes more
//!   bytes only when the other end reads. If the peer may send while you send much, [`split`](WebSocket::split) the
//!   connection: one thread reads while others send. A split client always reads, but a server stops reading above
//!   [`Config::high_water_mark`]: if both ends may send much before they read, split the client, or raise that limit.
//! * **The end of a connection.** [`Event::Close`] is the last event of every connection, with the code, and whether
//!   both ends agreed. [`Event::CloseReceived`] reports the peer's Close frame as soon as it arrives. A peer that
//!   vanishes is not an error, but a Close event with [`CloseCode::ABNORMAL`]. An [`Error`] names the party at fault:
//!   the transport, the peer or the caller.
//! * **Finish.** [`WebSocket::finish`] closes in an orderly way, and delivers every message sent before to a peer that
//!   keeps reading, within [`Config::closing_limit`]. Dropping a connection aborts it: TCP is reset, and bytes that the
//!   peer has not acknowledged are lost.
//! * **Stopping a server.** [`Stopper::stop`] ends [`Listener::accept`] from any thread. The threads of the connections
//!   check [`Stopper::is_stopped`] and close them; [`Listener::drain`] waits for them.
//! * **When files or threads run out**, the server continues: [`Listener::accept`] returns an error, and its next call
//!   waits until a connection has ended (100 ms at most); [`thread::Builder`](std::thread::Builder) returns an error,
//!   and the client is dropped. [`std::thread::spawn`] would panic.
//! * **An idle connection** holds a descriptor, a thread (128 KiB of stack are enough for this crate) and its read
//!   buffer, which begins small and keeps the size to which longer reads have made it grow.
//! * **A slow reader** holds a thread, up to two read buffers, the pending output (one message in one thread; up to
//!   [`Config::max_buffered_amount`], 64 MiB, if several threads send) and the socket's buffers: without a time limit
//!   while the connection is open and the peer keeps reading, and for up to `closing_limit` while it closes. A peer
//!   that reads nothing holds them until the pong deadline or `closing_timeout`. A public server should limit the
//!   number of connections ([`Acceptor::max_connections`]), and lower `max_buffered_amount` and `closing_limit`.
//! * **Origins.** A browser lets any page connect to any server, with the cookies of that server. [`Incoming::accept`]
//!   accepts requests without `Origin` (browsers always send one), and those of pages of the same origin;
//!   [`Acceptor::origin`] permits others.
//!
//! * **Connecting.** Addresses race (RFC 8305), and names are looked up in another thread, so that
//!   [`Config::opening_timeout`] covers everything. [`Connector::dial`] sets proxies, redirects and another address; a
//!   `ws+unix` URL names a Unix socket. [`DialError`] names the layer that failed. [`Connector::reconnecting`] connects
//!   again after a loss.
//!
//! # What it does not do
//!
//! * **HTTP.** [`WebSocket::from_upgraded`] adopts a connection whose handshake an HTTP server has done.
//! * **One connection attempt at a time.** RFC 6455 section 4.1 forbids a client a second connection to an address
//!   while one is in CONNECTING. The application must see to that.
//!
//! # Features
//!
//! * `deflate`: permessage-deflate (RFC 7692), which [`Config::compression`] turns on: see [`sansocket`].
//! * `tls`: `wss`, for clients and servers (`Connector::tls`, `Acceptor::tls`), on rustls. A client trusts the
//!   certificate authorities that the system trusts. [`sansocket-tls`](https://docs.rs/sansocket-tls) describes it.
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate, target
//!   `sansocket`: `opened`, `refused`, `failed` and `closed`, in a span `connection` with a number, the role and, if
//!   this crate connected or accepted the socket, the peer's address. Payloads, header fields and credentials are
//!   never logged.

#![forbid(unsafe_code)]

mod connect;
mod dial_waiter;
mod engine;
mod gate;
mod incoming;
mod listener;
mod read_buffers;
mod reconnecting;
mod send_side;
mod shared;
mod split;
mod stream;
mod turn;
mod unsplit;
mod websocket;

pub use connect::{Connector, connect};
pub use incoming::Incoming;
pub use listener::{Acceptor, Listener, Stopper};
pub use read_buffers::ReadOutcome;
pub use reconnecting::Reconnecting;
pub use split::{Reader, Writer};
pub use stream::{SharedStream, SplitStream, Stream};
pub use websocket::{Events, WebSocket};

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;
pub use sansocket::{
    Accept, Close, CloseCode, Config, Event, HttpResponse, Keepalive, Message, MessageKind, OriginPolicy, ReadyState,
    Request,
};
#[cfg(feature = "deflate")]
pub use sansocket::{Compress, Compression};
/// How clients connect: the settings and errors of [`Connector`].
pub use sansocket_dial as dial;
pub use sansocket_dial::{DialError, Target};
pub use sansocket_drive::Error;
/// TLS, whose types appear in this crate's interface.
#[cfg(feature = "tls")]
pub use sansocket_tls as tls;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
