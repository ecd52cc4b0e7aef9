//! Connects the clients of [`sansocket`](sansocket_drive::sansocket) over non-blocking sockets, for adapters.
//!
//! [`sansocket_dial`] decides what to do, without IO. This crate does it with the streams of mio: it begins to connect,
//! speaks with proxies, starts TLS, and hands over the connected stream with the WebSocket and its layer. The adapters
//! over std and mio share it. Applications use the `Connector` of their adapter.
//!
//! [`Dialing::advance`] goes on as far as possible without waiting. Its owner does the lookups of
//! [`Dialing::take_lookup`] in another thread, [registers](Dialing::register) the streams with its poll, and calls
//! `advance` again after each event and at [`Dialing::poll_timeout`].
//!
//! # Features
//!
//! * `tls`: TLS with servers and proxies, on rustls: see [`sansocket-tls`](https://docs.rs/sansocket-tls).
//! * `idna`: hosts outside ASCII in URLs, as in `sansocket-drive`.

#![forbid(unsafe_code)]

mod dial_tls;
mod dialing;
mod lookup;
mod security;
mod settings;

pub use dialing::{Dialing, Opens, Progress};
pub use lookup::{Lookup, NameResolver, ResolvedLookup};
pub use security::{PLAIN, Security};
pub use settings::Settings;

/// The state machine, whose types appear in this crate's interface.
pub use sansocket_dial as dial;
/// TLS, whose types appear in this crate's interface.
#[cfg(feature = "tls")]
pub use sansocket_tls as tls;
