//! **A WebSocket, sans socket**: RFC 6455 as a pure state machine. Bytes in, events out; messages in, bytes out; the
//! clock and the dice are handed to it. It does no IO, reads no clock, starts no thread and never waits, so it fits any
//! event loop, blocking or not. [`sansocket-net`](https://docs.rs/sansocket-net) drives it over `std::net`,
//! [`sansocket-mio`](https://docs.rs/sansocket-mio) over mio.
//!
//! # The driver loop
//!
//! [`WebSocket`] is one connection, from the first byte of the opening handshake to the last of the closing one;
//! [`Connection`] is what follows the opening handshake alone, for whoever did that elsewhere. Its methods are of four
//! kinds: the network and the clock come in ([`receive`](WebSocket::receive), [`receive_eof`](WebSocket::receive_eof),
//! [`handle_timeout`](WebSocket::handle_timeout), all three answering with events), the application comes in
//! ([`send`](WebSocket::send), [`close`](WebSocket::close) and the like), the driver takes out
//! ([`output`](WebSocket::output), [`poll_timeout`](WebSocket::poll_timeout), [`transport`](WebSocket::transport),
//! [`wants_read`](WebSocket::wants_read)), and anyone may look ([`ready_state`](WebSocket::ready_state),
//! [`buffered_amount`](WebSocket::buffered_amount)). This is an echo server's heart, but for what its comments leave out:
//!
//! ```
//! use std::error::Error;
//! use std::io::{Read, Write};
//! use sansocket::bytes::Buf;
//! use sansocket::{Accept, Config, Event, Input, Instant, OriginPolicy, TransportAction, WebSocket};
//!
//! fn echo(mut socket: impl Read + Write, now: impl Fn() -> Instant) -> Result<(), Box<dyn Error>> {
//!     let mut ws = WebSocket::server(Config::default(), now());
//!     let mut buffer = [0; 4096];
//!     while ws.transport() != TransportAction::Close { // and half-close at `TransportAction::ShutdownWrite`
//!         // wait for bytes, if `wants_read`, but no longer than `poll_timeout`: then `handle_timeout`
//!         let n = socket.read(&mut buffer)?;
//!         let handled = handle(&mut ws, &mut buffer[..n], now());
//!         while ws.output().has_remaining() { // also what tells the peer of an error
//!             let n = socket.write(ws.output().chunk())?;
//!             ws.output().advance(n);
//!         }
//!         handled?; // but not before TCP has ended as `transport` says
//!     }
//!     Ok(())
//! }
//!
//! fn handle(ws: &mut WebSocket, bytes: &mut [u8], now: Instant) -> Result<(), Box<dyn Error>> {
//!     if bytes.is_empty() {
//!         while ws.receive_eof(now)?.is_some() {}
//!     }
//!     let mut input = Input::new(bytes);
//!     while let Some(event) = ws.receive(&mut input, now)? {
//!         match event {
//!             Event::Request(_) => ws.accept(Accept::new(OriginPolicy::SameOrigin), now)?,
//!             Event::Message(message) => ws.send(message)?, // the event borrows the bytes, not `ws`
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! # struct Socket { to_read: &'static [u8], written: Vec<u8> }
//! # impl Read for Socket {
//! #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> { self.to_read.read(buffer) }
//! # }
//! # impl Write for Socket {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.written.write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut socket = Socket {
//! #     to_read: b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//! #         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
//! #         \x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
//! #     written: Vec::new(),
//! # };
//! # echo(&mut socket, || Instant::EPOCH)?;
//! # assert!(socket.written.starts_with(b"HTTP/1.1 101 "));
//! # assert!(socket.written.ends_with(b"\r\n\r\n\x81\x05Hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a driver owes
//!
//! 1. **Read** while [`wants_read`](WebSocket::wants_read) says so, into a buffer of its own, which all its connections
//!    may share, and hand the bytes to [`receive`](WebSocket::receive) until that returns `None`: then all of them have
//!    been taken. (A driver whose connections have a buffer each may ask to be left with what is not whole:
//!    [`Input::refillable`].) At the end of the stream, or when the connection is lost, call
//!    [`receive_eof`](WebSocket::receive_eof).
//! 2. **Write** what [`output`](WebSocket::output) holds, after every call that may have added to it, and
//!    [`advance`](bytes::Buf::advance) by what the transport took, before anything else is asked of the connection.
//!    A driver of many connections may [`attach_scratch`](WebSocket::attach_scratch) each, for its turn, the memory that it works in, and
//!    [`recycle`](WebSocket::recycle) messages that nobody needs any more.
//! 3. **Wait** no longer than [`poll_timeout`](WebSocket::poll_timeout), then call
//!    [`handle_timeout`](WebSocket::handle_timeout).
//! 4. **End TCP** as [`transport`](WebSocket::transport) says: half-close it at [`TransportAction::ShutdownWrite`], close it
//!    at [`TransportAction::Close`].
//! 5. **After an error** go on writing and ending TCP in the same way: the peer is told why.
//!
//! # What it promises
//!
//! * Any split of the same bytes gives the same events and the same output.
//! * One event a call, and the state is what the caller has seen. [`Event::Close`] comes once, last, after
//!   [`Event::Open`], with the one exception that is told there.
//! * Events borrow the input. A message that lies whole in the input is unmasked where it lies and lent. One that does
//!   not is assembled, or left to a driver that asks for it: a peer that claims a length must send a quarter of it before
//!   there is room for the rest, unless that is in memory that the driver has lent for the turn.
//! * A failure is for good: every later `receive` returns the same error, and nothing more is delivered.
//! * Control frames find their way between data frames: a Pong does not wait for the messages that do. Our Close frame
//!   follows what was accepted before it, and like a Pong it is never dropped for want of room.
//! * Every limit of [`Config`] is on. Work is linear in the bytes received, memory bounded by the limits, an idle
//!   connection owns no heap, and no input, no order of calls and no configuration makes it panic.
//!
//! # Features
//!
//! * `simd` (default): masking by the instructions that the machine turns out to have. Needs `std`. Without it no crate of
//!   the workspace has any `unsafe`.
//! * `std` (default): vectored output, and SIMD chosen at run time in the other libraries below. Without it the crate
//!   needs `alloc` alone.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

extern crate alloc;

mod assembler;
mod closing;
mod config;
mod connection;
mod controls;
mod encoded;
mod error;
mod event;
mod flight;
pub mod frame;
mod handshake;
mod input;
mod lane;
mod left;
mod memory;
mod message;
mod output;
mod queue;
mod receiver;
mod sender;
mod time;
mod timer;
mod uri;
mod utf8;
mod websocket;

pub use closing::{Close, CloseCode, CloseFrame, Initiator};
pub use config::{Config, Delivery};
pub use connection::Connection;
pub use encoded::EncodedMessage;
pub use error::{Error, ProtocolError, SendError, TimeoutKind};
pub use event::{Event, ReadyState, Role, TransportAction};
pub use handshake::{
    Accept, AnswerError, ClientRequest, Extension, HandshakeError, Headers, HttpResponse, Open, OriginPolicy, Request,
    RequestError, Response,
};
pub use input::Input;
pub use memory::Scratch;
pub use message::{Chunk, Message, MessageKind};
pub use output::Output;
pub use time::Instant;
pub use uri::{UriError, WsUri};
pub use websocket::WebSocket;

// Their types are part of this crate's interface.
pub use bytes;
pub use rand_core;
