//! [`sansocket`] over `std::net`: a blocking WebSocket client and server, with a thread for each connection.
//!
//! The protocol is [`sansocket`]'s, which does no IO. This crate owns the sockets, the clock, the random numbers and the
//! read buffers, and carries bytes between them; it parses none.
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
//! use std::time::Duration;
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
//!     match incoming {
//!         Ok(incoming) => drop(thread::spawn(|| echo(incoming))),
//!         Err(_) => thread::sleep(Duration::from_millis(100)), // such as too many open files: it passes
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What to know
//!
//! * **Read until `None`.** [`WebSocket::read`] is what answers Pings, keeps deadlines and finishes the closing handshake,
//!   also the one that you began with [`WebSocket::close`].
//! * **How it ended** is told by [`Event::Close`], the last event of every connection: with which code, and whether both
//!   ends had agreed. A peer that vanishes is no error but a Close event with [`CloseCode::ABNORMAL`]. Errors say whose
//!   fault it was: the transport's, the peer's or the caller's ([`Error`]).
//! * **Two ends that only send** wait for each other: each waits for TCP to take more, which it does when the other
//!   reads. Where your peer may send while you send much, [`WebSocket::split`] the connection: one thread reads while
//!   another sends. Otherwise keepalive ends the wait, with the connection. A split client always reads, but a server
//!   stops above [`Config::high_water_mark`]: where both ends may send much before they read, let the client split, or
//!   raise that mark.
//! * **Deadlines are on**: ten seconds for the opening handshake, five for the closing one, a Ping after thirty seconds of
//!   silence and as long again for its answer. They are [`Config`]'s; [`default_config`] has these. They hold while a
//!   thread waits in a method of the connection.
//! * **Which pages may connect.** A browser lets any page connect to any server, with the cookies of that server.
//!   [`Incoming::accept`] accepts requests without `Origin`, which no browser sends, and those of pages of the same
//!   origin; [`Listener::origin`] permits others.
//! * **One at a time.** RFC 6455 section 4.1 wants a client to make no more than one connection to an address at a time:
//!   to wait with the second until the first is open or has failed. This is left to the application.
//! * **`wss`** is not built in yet. Over a TLS stream of your own use [`Connector::handshake`] and
//!   [`Acceptor::incoming`]; [`Stream`] needs no more than an empty `impl`.

#![forbid(unsafe_code)]

mod connect;
mod engine;
mod error;
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
pub use listener::{Acceptor, Incoming, Listener};
pub use split::{Reader, Writer};
pub use stream::{SharedStream, SplitStream, Stream};
pub use websocket::{Events, WebSocket};

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;
pub use sansocket::{
    Accept, Close, CloseCode, Config, Event, HttpResponse, Message, MessageKind, OriginPolicy, ReadyState, Request,
};
pub use sansocket_drive::{Error, default_config};

/// The most that is read at a time unless the caller chooses otherwise, in bytes.
const DEFAULT_BUFFER_SIZE: usize = 16 * 1024;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
