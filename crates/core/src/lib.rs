//! RFC 6455 WebSockets as a pure state machine: received bytes go in and events come out, messages go in and bytes to
//! write come out. The crate does no IO, reads no clock, starts no thread and never waits; time and randomness are
//! arguments, so it fits any event loop. [`sansocket-net`](https://docs.rs/sansocket-net) drives it over `std::net`,
//! [`sansocket-mio`](https://docs.rs/sansocket-mio) over mio, and [`sansocket-drive`](https://docs.rs/sansocket-drive)
//! holds what every driver has in common.
//!
//! # The driver loop
//!
//! [`WebSocket`] is one connection, from the first byte of the opening handshake to the last of the closing handshake;
//! [`Connection`] is the part after the opening handshake, for applications that performed that elsewhere. This is
//! `examples/driver.rs`, an echo server over `std::net` and poll(2). The loop is in `drive`.
//!
//! ```no_run
#![doc = include_str!("../examples/driver.rs")]
//! ```
//!
//! Without IO the same looks like this:
//!
//! ```
//! use sansocket::{Accept, Config, Event, Input, Instant, WebSocket};
//!
//! # let mut received = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//! #     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
//! let now = Instant::EPOCH;
//! let mut ws = WebSocket::server(Config::default(), now);
//! let mut input = Input::new(&mut received); // an opening handshake, and the frame of "Hello"
//! while let Some(event) = ws.receive(&mut input, now)? {
//!     match event {
//!         Event::Request(_) => ws.accept(Accept::new(), now).unwrap_or_else(report),
//!         Event::Message(message) => ws.send(message).unwrap_or_else(report), // the event borrows the input, not `ws`
//!         _ => {}
//!     }
//! }
//!
//! // no early return: `receive` takes all of the input
//! fn report(error: impl std::fmt::Display) {
//!     eprintln!("{error}");
//! }
//! let to_write = ws.output().take_bytes(usize::MAX); // `delivered` follows when they were written
//! assert!(to_write.starts_with(b"HTTP/1.1 101 ") && to_write.ends_with(b"\r\n\r\n\x81\x05Hello"));
//! # Ok::<(), sansocket::Error>(())
//! ```
//!
//! # The order of events
//!
//! ```text
//! server: Request ─ accept ─┐                                        ┌─ CloseReceived ─┐
//!                           ├─ Open ─ (Message │ Chunk │ Ping │ Pong)* ┤                 ├─ Close
//! client:    (the request) ─┘                                        └─────────────────┘
//! ```
//!
//! [`Event::CloseReceived`] says that the peer closes, [`Event::Close`] that the connection has ended; the latter comes
//! exactly once and last. A connection that never opens has no `Close`: an error says why, unless the application
//! itself refused or closed it. A request that asks for no WebSocket is [`Event::HttpRequest`]: a driver that serves
//! nothing else responds with [`HttpResponse::upgrade_required`].
//!
//! # What the driver must do
//!
//! 1. **Hand over received bytes** with [`receive`](WebSocket::receive), in a buffer that all its connections may
//!    share, and fetch events until it returns `Ok(None)`: then every byte is consumed. (In debug builds, an [`Input`]
//!    that is dropped before panics.) Call it with an empty input while
//!    [`has_pending_event`](WebSocket::has_pending_event) is true.
//! 2. **Write the output** after every call that may have added to it, and after an error: the Close frame says why.
//!    Use [`output`](WebSocket::output) as a [`Buf`](bytes::Buf), or [`Output::take_bytes`] and [`Output::delivered`]
//!    if the transport takes bytes before it delivers them. If writing fails, call
//!    [`write_lost`](WebSocket::write_lost) and keep reading.
//! 3. **Obey [`transport`](WebSocket::transport)**: half-close TCP at [`TransportAction::ShutdownWrite`], close it at
//!    [`TransportAction::Close`], drop it at [`TransportAction::Abort`].
//! 4. **Wait** until something can be read (if [`wants_read`](WebSocket::wants_read)) or written (if there is output),
//!    but no longer than [`poll_timeout`](WebSocket::poll_timeout). If the transport hangs up while neither is awaited,
//!    read anyway: the end of the stream or the error is what has to be reported.
//! 5. **Report what happened**: bytes as in 1; the end of the stream with [`receive_eof`](WebSocket::receive_eof),
//!    until it returns `Ok(None)`; a deadline with [`handle_timeout`](WebSocket::handle_timeout), after one more
//!    attempt to read and write. A driver that can see how many bytes the peer has acknowledged calls
//!    [`progress`](WebSocket::progress) when their number has grown: a slow reader then is not taken for a dead one.
//!
//! A driver of many connections may [attach](WebSocket::attach_scratch) its scratch memory to the connection that has
//! its turn, and [`recycle`](WebSocket::recycle) messages that are not needed any more.
//!
//! # What the library guarantees
//!
//! * Any split of the same bytes gives the same events and the same output.
//! * Each call returns one event, and the state never runs ahead of the events delivered.
//! * Events borrow the input, never the connection. A message that lies whole in the input is unmasked in place.
//!   Otherwise it is assembled; memory grows with the bytes that arrived, not with the length that the peer claims.
//! * A failure is final: every later `receive` returns the same error, and no more data is delivered.
//! * Every message accepted before `close`, before the peer's FIN or before the peer's Close is delivered to a peer
//!   that keeps reading, within [`Config::closing_limit`]. A closing connection without progress ends after
//!   [`Config::closing_timeout`].
//! * Control frames are sent between data frames: a Pong does not wait for pending messages.
//! * `Debug` and error messages redact credentials: the values of `Authorization`, `Cookie`, `Proxy-Authorization` and
//!   `Set-Cookie`, and user information in URIs and origins.
//! * Every limit of [`Config`] has a default and is enabled. Work is linear in the bytes received, memory is bounded by
//!   the limits, an idle open connection owns no heap memory, and no input, order of calls or configuration causes a
//!   panic. (The drop of an [`Input`] that has bytes left is a mistake of the driver, and the one thing that debug
//!   builds assert.)
//!
//! # Features
//!
//! * `simd` (default): masking with the SIMD instructions of the machine, detected at run time. Needs `std`. Without
//!   it, no crate of the workspace has `unsafe` code except `sansocket-acked`.
//! * `std` (default): vectored output, and run-time detection of SIMD in the libraries below. Without it, the crate
//!   needs only `alloc`.
//! * `http`: [`Request`], [`Response`], [`Acceptance`], [`HttpResponse`] and [`ClientRequest`] convert from and to the
//!   types of the `http` crate, for connections whose opening handshake hyper, axum or h2 has read. Needs `std`.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod closing;
mod connection;
mod data;
mod error;
mod event;
pub mod frame;
mod handshake;
mod opening;
mod receive;
mod scratch;
mod send;
mod websocket;

pub use connection::Connection;
pub use data::{
    Chunk, Close, CloseCode, CloseFrame, Config, Delivery, FragmentPayload, Initiator, Input, Instant, Keepalive,
    LimitExceeded, Message, MessageKind, ProtocolError, ReadyState, Role, SendError, TransportAction, UriError, WsUri,
    redact_user_info,
};
pub use error::{Error, TimeoutKind};
pub use event::Event;
pub use handshake::{
    Accept, Acceptance, Agreement, AnswerError, ClientRequest, Extension, HandshakeError, Headers, HttpResponse,
    HttpVersion, MalformedResponse, NotHttp, Open, OpeningHandshake, OriginError, OriginFault, OriginPolicy, Origins,
    Request, RequestError, RequestTemplate, Response, ResponseFault, accept_key, generate_key,
};
pub use scratch::Scratch;
pub use send::{EncodedMessage, Output};
pub use websocket::WebSocket;

// Their types are part of this crate's interface.
pub use bytes;
pub use rand_core;
