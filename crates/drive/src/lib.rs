//! The driver of a [`sansocket`] WebSocket, without IO, for an event loop of your own.
//!
//! The core turns bytes into events and messages into bytes. A driver connects it to a transport, and most faults of
//! drivers concern the end of a connection: output lost when the stream ends, descriptors leaked after a failed write,
//! events never fetched, a slow reader taken for a dead one. [`Driver`] makes these decisions. Its owner has the
//! socket, the clock and the buffers.
//!
//! # The driver loop
//!
//! `examples/poll_echo_server.rs`, an echo server over `std::net` and poll(2). The loop is in `drive`.
//!
//! ```no_run
#![doc = include_str!("../examples/poll_echo_server.rs")]
//! ```
//!
//! [`sansocket-net`](https://docs.rs/sansocket-net) and [`sansocket-mio`](https://docs.rs/sansocket-mio) are built on
//! this crate, and re-export its [`Error`].
//!
//! # What the loop must do
//!
//! 1. **Report** what the transport did: bytes ([`Driver::open`]), the end of the stream ([`Driver::eof`]), a failed
//!    read or write ([`Driver::read_lost`], [`Driver::write_lost`]), a deadline that has come ([`Driver::timeout`]).
//! 2. **Fetch events** with [`Driver::next_event`] after each report, until it returns `Ok(None)`.
//! 3. **Write** the bytes of [`Driver::to_write`], as far as the transport takes them.
//! 4. **Obey** [`Driver::next_action`]: wait, go on, close the sending direction, close the transport, or abort it. If
//!    the transport hangs up while neither reading nor writing is asked for, read anyway, and report the result.
//! 5. **Before a deadline takes effect**, read and write once more, and pass the size of the transport's send queue to
//!    [`Driver::timeout`] (`sansocket-acked` reads it on Linux). Where it is unknown, a byte counts as delivered when
//!    the kernel has accepted it: a peer that reads its last megabytes too slowly may then lose them at a deadline.
//!
//! # What the driver guarantees
//!
//! * A loop that does so loses no output, leaks no descriptor and never busy-loops, however the connection ends.
//! * The driver returns at most one failure, before [`Event::Close`](sansocket::Event::Close).
//! * Events borrow the read buffer, never the driver: a handler may use the driver while it has an event.
//!
//! # Layers and many connections
//!
//! A [`Layer`] lies between the transport and the core, such as TLS. [`Plain`], the default, compiles away.
//! [`Deadlines`] is a queue of the connections' deadlines; idle connections cost it nothing. [`Publications`] delivers
//! messages to [groups](Group) of connections. [`Clock`] is a clock that all connections can share.
//!
//! # What it does not do
//!
//! It has no sockets, threads or read buffers, brings no TLS, and does not limit the number of connections.
//!
//! # Features
//!
//! * `simd` (default): as in [`sansocket`].
//! * `idna`: hosts outside ASCII in URLs, which are converted by UTS 46. Off by default: it brings tables of Unicode.
//! * `rand`: `masking_keys` and `upgraded`, with random numbers of the system, for adapters.
//! * `tracing`: logs what happens to each connection with the [`tracing`](https://docs.rs/tracing) crate, target
//!   `sansocket`: `opened`, `refused` (with the status of the HTTP response; `responded` if it is 2xx), `failed` (with
//!   the error) and `closed` (with the close code). [`Driver::set_log_id`] names the connection. Payloads and
//!   credentials are never logged.

#![forbid(unsafe_code)]

mod clock;
mod deadlines;
mod driver;
mod error;
mod group;
mod layer;
mod log;
mod outgoing;
mod publications;
#[cfg(feature = "rand")]
mod random;
mod setup;
mod state;

pub use clock::Clock;
pub use deadlines::{Armed, Deadline, Deadlines};
pub use driver::{Action, Driver};
pub use error::{Error, is_disconnect};
pub use group::{Group, SlowMembers};
pub use layer::{Layer, LayerScratch, Plain};
pub use outgoing::Outgoing;
pub use publications::Publications;
#[cfg(feature = "rand")]
pub use random::{masking_keys, upgraded};
pub use setup::{parse_uri, with_keepalive};

/// The protocol, whose types appear in this crate's interface.
pub use sansocket;
