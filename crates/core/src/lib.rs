//! RFC 6455 WebSockets as a state machine without IO: received bytes go in and events come out, messages go in and
//! bytes to write come out. Time and randomness are arguments, so the crate fits any event loop and any test. It is for
//! drivers: [`sansocket-net`](https://docs.rs/sansocket-net) drives it over `std::net`,
//! [`sansocket-mio`](https://docs.rs/sansocket-mio) over mio, and [`sansocket-drive`](https://docs.rs/sansocket-drive)
//! has what every driver needs.
//!
//! # The driver loop
//!
//! [`WebSocket`] is one connection, from the first byte of the opening handshake to the last byte of the closing
//! handshake. [`Connection`] is the part after the opening handshake, for applications that performed it elsewhere.
//! This is `examples/driver/`, an echo server over `std::net` and poll(2).
//!
//! ```no_run
#![doc = include_str!("../examples/driver/drive.rs")]
//! ```
//!
//! The same server without IO:
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
//!         // the event borrows the input, not `ws`
//!         Event::Message(message) => ws.send(message).unwrap_or_else(report),
//!         _ => {}
//!     }
//! }
//!
//! // no early return: `receive` takes all of the input
//! fn report(error: impl std::fmt::Display) {
//!     eprintln!("{error}");
//! }
//! let to_write = ws.output().take_bytes(usize::MAX);
//! assert!(to_write.starts_with(b"HTTP/1.1 101 "));
//! assert!(to_write.ends_with(b"\r\n\r\n\x81\x05Hello"));
//! ws.output().delivered(to_write.len()); // after writing them
//! # Ok::<(), sansocket::Error>(())
//! ```
//!
//! # The order of events
//!
//! ```text
//! server: Request ─ accept ─┐
//!                           ├─ Open ─ (Message│Chunk│Ping│Pong)* ─ CloseReceived? ─ Close
//! client: (its request) ────┘
//! ```
//!
//! * [`Event::CloseReceived`] reports the peer's Close frame. [`Event::Close`] reports the end of the connection:
//!   exactly once, and last.
//! * A connection that never opens has no `Close`. An error says why, unless the application refused or closed it.
//! * A server gets [`Event::HttpRequest`] instead of `Request` if a client does not ask for a WebSocket. A server that
//!   serves only WebSockets responds with [`HttpResponse::upgrade_required`].
//!
//! # What the driver must do
//!
//! 1. **Pass received bytes** to [`receive`](WebSocket::receive), in a buffer that all its connections may share, until
//!    it returns `Ok(None)`: then every byte is taken. Call it with an empty input while
//!    [`has_pending_event`](WebSocket::has_pending_event) is true.
//! 2. **Write the output** after every call that may have added to it, and also after an error, because the Close frame
//!    tells the peer what was wrong. Use [`output`](WebSocket::output) as a [`Buf`](bytes::Buf). If the transport takes
//!    bytes before it delivers them, use [`Output::take_bytes`] and [`Output::delivered`]. If writing fails, call
//!    [`write_lost`](WebSocket::write_lost) and keep reading.
//! 3. **Obey [`transport`](WebSocket::transport)**: half-close TCP at [`TransportAction::ShutdownWrite`], close it at
//!    [`TransportAction::Close`], abort it at [`TransportAction::Abort`].
//! 4. **Wait** until the transport is readable (if [`wants_read`](WebSocket::wants_read)) or writable (if there is
//!    output), but no longer than [`poll_timeout`](WebSocket::poll_timeout). If the transport hangs up while the driver
//!    waits for neither, read anyway, and report the end of the stream or the error.
//! 5. **Report** the end of the stream with [`receive_eof`](WebSocket::receive_eof), until it returns `Ok(None)`.
//!    Report a deadline with [`handle_timeout`](WebSocket::handle_timeout), after one more attempt to read and write.
//!    If the number of bytes that the peer has acknowledged is known and has grown, call
//!    [`progress`](WebSocket::progress): otherwise a slow reader looks like a dead peer.
//!
//! A driver of many connections may [attach](WebSocket::attach_scratch) its scratch memory to the connection that has
//! its turn, and [recycle](WebSocket::recycle) messages.
//!
//! # What the library guarantees
//!
//! * Any split of the same bytes gives the same events and the same output. (With chunk delivery, the chunks depend on the split.)
//! * Each call returns at most one event, and the state never runs ahead of the events delivered.
//! * Events borrow the input, never the connection. A message that lies in the input as a whole is unmasked in place;
//!   other messages are assembled.
//! * A failure is final: every later `receive` returns the same error, and no more data is delivered.
//! * A peer that keeps reading gets every message that was accepted before `close`, before the peer's FIN or before the
//!   peer's Close, within [`Config::closing_limit`]. A closing connection without progress ends after
//!   [`Config::closing_timeout`].
//! * Control frames are sent between data frames: a Pong does not wait for pending messages.
//! * `Debug` and error messages redact credentials: the values of `Authorization`, `Cookie`, `Proxy-Authorization` and
//!   `Set-Cookie`, and user information in URIs and origins.
//! * No input, order of calls or configuration causes a panic. (Exception: in debug builds, dropping an [`Input`]
//!   that has unread bytes, which is a fault of the driver.)
//!
//! # Limits
//!
//! Every limit of [`Config`] has a default and is enabled. Work is linear in the bytes received. Memory is bounded by
//! the limits, and grows with the bytes that arrived, not with the length that the peer claims. An idle open connection
//! owns no heap memory, except its subprotocol, a client's random number generator and, with context takeover, the last
//! bytes of its messages.
//!
//! # Compression
//!
//! With the feature `deflate`, [`Config::compression`] turns on permessage-deflate (RFC 7692), if the peer agrees. A
//! client offers it; a server accepts the first valid offer. [`WebSocket::compression`] and [`Open::compression`] return
//! the agreement. [`Compression`] has presets with their costs, and the offers of a client.
//!
//! If another HTTP library performs the opening handshake, [`Acceptance::with_compression`] and
//! [`ClientRequest::with_compression`] do the same, and [`Connection::with_agreement`] takes the result.
//!
//! An offer that breaks a rule of RFC 7692 is declined, and the next one is considered. An answer that breaks a rule
//! fails the client's handshake ([`HandshakeError::CompressionInvalid`]). A field that does not follow the grammar of
//! RFC 6455 section 9.1 fails the handshake as a whole: a server answers 400, even if the field also has a valid offer.
//!
//! # Features
//!
//! * `deflate`: permessage-deflate (RFC 7692), which [`Config::compression`] turns on. Needs `std`.
//! * `simd` (default): masking with the SIMD instructions of the machine, detected at run time. Needs `std`. Without
//!   it, no crate of the workspace has `unsafe` code except `sansocket-acked`.
//! * `std` (default): vectored output, and detection of SIMD instructions for UTF-8 validation. Without it, the crate
//!   needs only `alloc`.
//! * `http`: [`Request`], [`Response`], [`Acceptance`], [`HttpResponse`] and [`ClientRequest`] convert from and to the
//!   types of the `http` crate, for connections whose opening handshake hyper, axum or h2 has read. Needs `std`.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod buffers;
mod closing;
mod connection;
mod data;
#[cfg(feature = "deflate")]
mod deflate;
mod error;
mod event;
pub mod frame;
mod handshake;
mod opening;
mod receive;
mod send;
mod websocket;

pub use connection::Connection;
pub use data::{
    Chunk, Close, CloseCode, CloseFrame, Config, Delivery, FragmentPayload, Initiator, Input, Instant, Keepalive,
    LimitExceeded, Message, MessageKind, ProtocolError, ReadyState, Role, SendError, TransportAction, UriError, WsUri,
    redact_user_info,
};
#[cfg(feature = "deflate")]
pub use data::{Compress, Compression, CompressionLevel, DeflateOffer, MemoryLevel, PermessageDeflate, WindowBits};
pub use error::{Error, TimeoutKind};
pub use event::Event;
#[cfg(feature = "deflate")]
pub use handshake::CompressionFault;
pub use handshake::{
    Accept, Acceptance, Agreement, AnswerError, ClientRequest, Extension, HandshakeError, Headers, HttpResponse,
    HttpVersion, MalformedResponse, NotHttp, Open, OpeningHandshake, OriginError, OriginFault, OriginPolicy, Origins,
    Request, RequestError, RequestTemplate, Response, ResponseFault, accept_key, generate_key,
};
#[cfg(feature = "deflate")]
pub use send::BroadcastStream;
pub use send::{EncodedBatch, EncodedMessage, Output, Scratch};
pub use websocket::WebSocket;

// Their types are part of this crate's interface.
pub use bytes;
pub use rand_core;
