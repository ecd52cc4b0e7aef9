//! The driver of a [`sansocket`] WebSocket, without IO: what every event loop must get right, in one place.
//!
//! The core turns bytes into events and messages into bytes. A driver connects it to a transport, and most errors are
//! made at the end of a connection: output lost at the end of the stream, descriptors leaked after a failed write,
//! events never fetched, a slow reader taken for a dead one. [`Driver`] makes these decisions. Its owner has the
//! socket, the clock and the buffers, and does five things:
//!
//! 1. **Report** what the transport did: bytes ([`Driver::open`]), the end of the stream ([`Driver::eof`]), a failed
//!    read or write ([`Driver::read_lost`], [`Driver::write_lost`]), a deadline that has come ([`Driver::timeout`]).
//! 2. **Fetch events** with [`Driver::next_event`] after each report, until it returns `Ok(None)`.
//! 3. **Write** what [`Driver::to_write`] holds, as far as the transport takes it.
//! 4. **Obey** [`Driver::next_action`]: wait, go on, close the sending direction, close the transport, or abort it. If
//!    the transport hangs up while neither reading nor writing is asked for, read anyway, and report what that gives.
//! 5. **Before a deadline takes effect**, read and write once more, and pass the size of the transport's send queue to
//!    [`Driver::timeout`] (`sansocket-acked` reads it on Linux). Where it is unknown, a byte counts as delivered when
//!    the kernel has accepted it: a peer that reads its last megabytes too slowly may then lose them at a deadline.
//!
//! ```
//! use sansocket::bytes::Buf;
//! use sansocket::{Accept, Config, Event, Instant, WebSocket};
//! use sansocket_drive::{Driver, LayerScratch, Action};
//!
//! # let mut wire = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//! #     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
//! let now = Instant::EPOCH; // from the loop's clock
//! let mut driver = Driver::new(WebSocket::server(Config::default(), now));
//! let mut scratch = LayerScratch::new();
//!
//! let mut input = driver.open(&mut wire, &mut scratch); // bytes that were read
//! while let Some(event) = driver.next_event(&mut input, now)? {
//!     match event {
//!         Event::Request(_) => driver.accept(Accept::new(), now).unwrap_or_else(report),
//!         Event::Message(message) => driver.websocket_mut().send(message).unwrap_or_else(report),
//!         _ => {}
//!     }
//! }
//!
//! // no early return: the driver takes all of the input
//! fn report(error: impl std::fmt::Display) {
//!     eprintln!("{error}");
//! }
//!
//! let mut outgoing = driver.to_write();
//! let written = outgoing.chunk().len(); // as many as the socket took
//! assert!(outgoing.chunk().ends_with(b"\r\n\r\n\x81\x05Hello"));
//! outgoing.advance(written);
//! assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
//! # Ok::<(), sansocket_drive::Error>(())
//! ```
//!
//! The loop around it, complete: `examples/driver.rs` of this crate. [`sansocket-net`](https://docs.rs/sansocket-net)
//! and [`sansocket-mio`](https://docs.rs/sansocket-mio) are built on this crate, and re-export its [`Error`].
//!
//! # Layers
//!
//! A [`Layer`] lies between the transport and the core, such as TLS. [`Plain`], the default, compiles away.
//!
//! # Many connections
//!
//! [`Deadlines`] names the connection that is due next, at no cost for those that idle. [`Clock`] is a clock that
//! they can share.
//!
//! # Features
//!
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate, target
//!   `sansocket`: `opened`, `refused` (with the status of the HTTP response; `responded` if it is 2xx), `failed` (with
//!   the error) and `closed` (with the close code). [`Driver::set_log_id`] names the connection. Payloads and credentials are never logged.

#![forbid(unsafe_code)]

mod clock;
mod deadlines;
mod driver;
mod error;
mod flags;
mod layer;
mod log;
mod outgoing;
mod rare;
mod uri;

pub use clock::Clock;
pub use deadlines::{Armed, Deadline, Deadlines};
pub use driver::{Action, Driver};
pub use error::{Error, is_disconnect};
pub use layer::{Layer, LayerScratch, Plain};
pub use outgoing::Outgoing;
pub use uri::parse_uri;

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;

use std::sync::Arc;
use std::time::Duration;

use sansocket::{Config, Keepalive};

/// How long a peer may be silent before the adapters ask whether it is alive.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(30);

/// Enables keepalive, as the adapters do with every [`Config`] that they are given: replaces [`Keepalive::Default`] by
/// a Ping after 30 s of silence. Call it once, before connections share the result: it copies a configuration that is
/// shared already, unless nothing changes.
///
/// ```
/// use sansocket::{Config, Keepalive};
///
/// let config = sansocket_drive::with_keepalive(Config::default().max_message_size(64 * 1024));
/// assert_eq!(config.keepalive, Keepalive::Every(std::time::Duration::from_secs(30)));
/// ```
pub fn with_keepalive(config: impl Into<Arc<Config>>) -> Arc<Config> {
    let mut config = config.into();
    if config.keepalive == Keepalive::Default {
        Arc::make_mut(&mut config).keepalive = Keepalive::Every(DEFAULT_KEEPALIVE);
    }
    config
}
