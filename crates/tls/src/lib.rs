//! TLS for [`sansocket`] without IO: a [`Layer`](sansocket_drive::Layer) between any transport and a WebSocket, on
//! [`rustls`].
//!
//! [`ClientTls`] and [`ServerTls`] are configurations, to share. Each connection takes a [`Tls`] from one of them, for
//! [`Driver::with_layer`](sansocket_drive::Driver::with_layer). The driver then carries TLS through its usual loop: the
//! handshake, the data, and the end with close_notify. [`MaybeTls`] is for event loops that also have connections
//! without TLS. [`Tls`] also carries bytes of other protocols, such as HTTP to a proxy.
//!
#![cfg_attr(
    all(feature = "self-signed", feature = "ring"),
    doc = concat!("```\n", include_str!("../examples/in_memory.rs"), "\n```")
)]
//!
//! # What it guarantees
//!
//! * **Errors say which certificate was not accepted and why**, who is at fault and what to do ([`TlsError`]). The peer
//!   receives an alert.
//! * **A cut connection is an error**: if the transport ends without close_notify and without Close frames, the error is
//!   [`TlsError::Truncated`].
//! * **Memory is bounded**: at most one record is incomplete, at most 64 KiB of output are encrypted ahead of the
//!   transport, and they count as buffered until they are written. An idle connection holds no buffer. Peers that send
//!   records without data, one after the other, are refused ([`Tls::MAX_RECORDS_WITHOUT_DATA`]).
//! * **No state of the process**: the crypto provider comes from a feature or from the caller, never from
//!   `CryptoProvider::get_default`.
//! * TLS 1.2 and 1.3, ALPN `http/1.1`, session resumption; no early data.
//!
//! # Features
//!
//! * `ring` (default), `aws-lc-rs`: the crypto provider. With both, `ring` is used unless the caller passes another one;
//!   with neither, the caller must pass one.
//! * `platform-verifier` (default): clients trust what the operating system trusts.
//! * `webpki-roots`: clients can trust what Mozilla trusts, compiled in.
//! * `self-signed`: `SelfSigned` makes certificates to try things. Needs `ring` or `aws-lc-rs`.

#![forbid(unsafe_code)]

mod certificates;
mod client;
mod config_error;
mod engine;
mod error;
mod incoming;
mod layer;
mod pending;
mod provider;
#[cfg(all(feature = "self-signed", any(feature = "ring", feature = "aws-lc-rs")))]
mod self_signed;
mod server;
mod tls;
mod verifier;

pub use certificates::{CertificateStore, Identity, Roots};
pub use client::{ClientTls, ClientTlsBuilder};
pub use config_error::ConfigError;
pub use error::{CertificateProblem, TlsError};
pub use layer::MaybeTls;
#[cfg(all(feature = "self-signed", any(feature = "ring", feature = "aws-lc-rs")))]
pub use self_signed::SelfSigned;
pub use server::{ServerTls, ServerTlsBuilder};
pub use tls::Tls;

/// The TLS implementation, whose types appear in this crate's interface.
pub use rustls;
