//! What a driver has to do for a [`Dial`](crate::Dial).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use sansocket::{ClientRequest, Instant};

use crate::destination::Destination;

/// What the driver has to do next; see [`Dial::next_action`](crate::Dial::next_action).
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do each of these")]
pub enum Action {
    /// Look up the addresses of this host, without blocking the loop. Then call
    /// [`Dial::resolved`](crate::Dial::resolved).
    Resolve {
        /// Identifies the lookup.
        lookup: LookupId,
        /// The host and the port.
        destination: Destination,
    },
    /// Begin to connect, without waiting. Then call [`Dial::connected`](crate::Dial::connected) or
    /// [`Dial::connect_failed`](crate::Dial::connect_failed). Several attempts may run at a time.
    Connect {
        /// Identifies the attempt.
        attempt: AttemptId,
        /// Where to connect.
        endpoint: Endpoint,
    },
    /// Drop the transport of this attempt, whether it is connected or not.
    Abandon(AttemptId),
    /// Keep the transport of this attempt, and drop those of all others. Everything that follows concerns this
    /// transport.
    Use(AttemptId),
    /// Write these bytes, or as many as the transport takes. Then call [`Dial::written`](crate::Dial::written) with
    /// their number.
    Write(ToWrite),
    /// Read. Then call [`Dial::received`](crate::Dial::received) or [`Dial::eof`](crate::Dial::eof).
    Read {
        /// The deadline.
        until: Instant,
    },
    /// Start TLS over the transport, which may be TLS already: then this is a connection within the other. Then call
    /// [`Dial::tls_started`](crate::Dial::tls_started) or [`Dial::tls_failed`](crate::Dial::tls_failed).
    StartTls(StartTls),
    /// Perform the opening handshake. If it succeeds, dialing is complete. If it fails, drop the transport and call
    /// [`Dial::opening_failed`](crate::Dial::opening_failed), which may follow a redirect.
    Open(Box<Opening>),
    /// Nothing, until a report about a lookup or an attempt.
    Wait {
        /// When to call [`Dial::next_action`](crate::Dial::next_action) without a report.
        until: Instant,
    },
}

/// Where an attempt connects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must connect to each of these")]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Bytes to write. `Debug` omits them, since they may contain credentials.
#[non_exhaustive]
pub struct ToWrite {
    /// The bytes.
    pub bytes: Bytes,
    /// The deadline.
    pub until: Instant,
}

impl fmt::Debug for ToWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, until } = self;
        f.debug_struct("ToWrite").field("len", &bytes.len()).field("until", until).finish_non_exhaustive()
    }
}

/// How to start TLS.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartTls {
    /// The name that the certificate must have: a DNS name, or an IP address without brackets.
    pub server_name: String,
    /// The peer that must have the certificate.
    pub peer: TlsPeer,
    /// Bytes that a proxy sent behind its answer, and with which the peer's TLS begins. Usually empty.
    pub leftover: Bytes,
    /// The deadline.
    pub until: Instant,
}

/// The peer of a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsPeer {
    /// The proxy.
    Proxy,
    /// The server that the URL names.
    Server,
}

/// How to perform the opening handshake.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opening {
    /// The request.
    pub request: ClientRequest,
    /// Bytes that a proxy sent behind its answer: the first bytes that the WebSocket receives. Usually empty.
    pub leftover: Bytes,
    /// When dialing began. Pass it to [`WebSocket::client`](sansocket::WebSocket::client) as the time: then the opening
    /// timeout covers lookups, TCP, proxies, TLS and HTTP together.
    pub started: Instant,
}

/// Identifies a lookup of a [`Dial`](crate::Dial).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(u32);

impl LookupId {
    pub(crate) const fn next(counter: &mut u32) -> Self {
        *counter = counter.wrapping_add(1);
        Self(*counter)
    }
}

/// Identifies an attempt to connect of a [`Dial`](crate::Dial).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u32);

impl AttemptId {
    pub(crate) const fn next(counter: &mut u32) -> Self {
        *counter = counter.wrapping_add(1);
        Self(*counter)
    }
}
