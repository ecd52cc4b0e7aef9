//! [`sansocket`] over `std::net`: a blocking WebSocket client and server, with a thread for each connection.
//!
//! [`sansocket`] implements the protocol without IO, and [`sansocket_drive`] drives a connection. This crate adds the
//! sockets, the timeouts, the random numbers and the read buffers. It parses no bytes.
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
//! A server:
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
//!     // Messages are on the heap: a small stack is enough. Without a thread, the client is dropped.
//!     let served = incoming.and_then(|incoming| {
//!         thread::Builder::new().stack_size(128 * 1024).spawn(|| echo(incoming))
//!     });
//!     if let Err(error) = served {
//!         eprintln!("{error}"); // such as too many open files: it passes
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What to know
//!
//! * **Read until `None`.** [`WebSocket::read`] answers Pings, enforces deadlines and carries out the closing handshake,
//!   including one that [`WebSocket::close`] began.
//! * **Periodic work.** [`WebSocket::read_timeout`] returns in time, [`WebSocket::try_read`] at once, so that one
//!   thread can read and do other things.
//! * **Finish.** Dropping a connection aborts it: TCP is reset, and bytes that the peer has not acknowledged are lost.
//!   [`WebSocket::finish`] closes in an orderly way. Every message sent before reaches a peer that keeps reading, within
//!   [`Config::closing_limit`].
//! * **How a connection ended** is reported by [`Event::Close`], the last event of every connection: the code, and whether
//!   both ends agreed. [`Event::CloseReceived`] reports the peer's Close frame as soon as it arrives. A peer that vanishes
//!   is not an error, but a Close event with [`CloseCode::ABNORMAL`]. An [`Error`] says who is at fault: the transport, the
//!   peer or the caller.
//! * **Two ends that only send** wait for each other: TCP takes more bytes only when the other end reads. Where your peer
//!   may send while you send much, [`split`](WebSocket::split) the connection: one thread reads while another sends.
//!   Otherwise keepalive ends the connection. A split client always reads, but a server stops reading above
//!   [`Config::high_water_mark`]: where both ends may send much before they read, let the client split, or raise that limit.
//! * **Deadlines are on**: 10 s for the opening handshake; 5 s without progress, and 5 min in total, for the closing
//!   handshake; a Ping after 30 s of silence, and 30 s for its answer. [`Config`] describes them; keepalive stays
//!   enabled in a `Config` of your own, unless it says [`Keepalive::Off`]. They apply while a thread waits in a method
//!   of the connection.
//! * **A slow reader is not a dead one.** While the peer acknowledges bytes, no deadline but `closing_limit` ends a
//!   connection that is open or closing. Linux reports acknowledgements. Elsewhere a byte counts as delivered when the
//!   system has taken it, and a peer that is too slow to read what the system holds can be taken for dead.
//! * **What a slow reader can pin.** Its thread, up to two read buffers, the output that is pending (one message in one
//!   thread; up to [`Config::max_buffered_amount`], 64 MiB, if several threads send) and the socket's buffers: without a
//!   limit of time while the connection is open and the peer keeps reading; for `closing_limit` after the connection has
//!   begun to close. A peer that reads nothing is left after the pong deadline, or after `closing_timeout`. A public server
//!   should limit the number of connections ([`Acceptor::max_connections`]), and lower `max_buffered_amount` and
//!   `closing_limit`.
//! * **An idle connection** holds a descriptor, a thread and its read buffer. The buffer begins small, and keeps the size to
//!   which longer reads have made it grow. Give the threads small stacks: 128 KiB are enough for this crate.
//! * **When files or threads run out**, the server goes on: [`Listener::accept`] fails, and waits until a connection
//!   has ended (100 ms at most) before it tries again; a client for whom [`thread::Builder`](std::thread::Builder) has
//!   no thread is dropped. [`std::thread::spawn`] would panic.
//! * **Stopping a server.** [`Stopper::stop`] ends [`Listener::accept`] from any thread; the threads of the connections
//!   ask [`Stopper::is_stopped`] and close them; [`Listener::drain`] waits for them. [`Listener`] has an example.
//! * **Which pages may connect.** A browser lets any page connect to any server, with the cookies of that server.
//!   [`Incoming::accept`] accepts requests without `Origin`, which no browser sends, and those of pages of the same
//!   origin; [`Acceptor::origin`] permits others.
//! * **One at a time.** RFC 6455 section 4.1 requires a client to have no more than one connection to an address in
//!   CONNECTING at a time. This is left to the application.
//! * **Handshakes done elsewhere**, such as by an HTTP server: [`WebSocket::from_upgraded`] adopts the connection.
//! * **`wss`** is not built in yet. For a TLS stream of your own, use [`Connector::handshake`] and [`Acceptor::incoming`];
//!   deadlines work through the timeouts that [`Stream`] requires.
//!
//! # Features
//!
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate, target
//!   `sansocket`: `opened`, `refused`, `failed` and `closed`, in a span `connection` with a number, the role and, if
//!   this crate connected or accepted the socket, the peer's address. Payloads, header fields and credentials are
//!   never logged.

#![forbid(unsafe_code)]

mod connect;
mod engine;
mod error;
mod gate;
mod listener;
mod read_buffers;
mod send_side;
mod shared;
mod split;
mod stream;
mod turn;
mod unsplit;
mod websocket;

pub use connect::{Connector, connect};
pub use error::ConnectError;
pub use listener::{Acceptor, Incoming, Listener, Stopper};
pub use read_buffers::ReadOutcome;
pub use split::{Reader, Writer};
pub use stream::{SharedStream, SplitStream, Stream};
pub use websocket::{Events, WebSocket};

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;
pub use sansocket::{
    Accept, Close, CloseCode, Config, Event, HttpResponse, Keepalive, Message, MessageKind, OriginPolicy, ReadyState,
    Request,
};
pub use sansocket_drive::Error;

/// The most that is read at a time unless the caller chooses otherwise, in bytes.
const DEFAULT_BUFFER_SIZE: usize = 16 * 1024;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
