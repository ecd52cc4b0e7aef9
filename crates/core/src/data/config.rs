//! The settings of a connection: limits on its peer and on its own memory, timeouts, and the delivery of messages.

use core::num::NonZeroUsize;
use core::time::Duration;

#[cfg(feature = "deflate")]
use super::compression::Compression;
use super::setters::setters;

/// The settings of a connection. Connections can share one in an [`Arc`](alloc::sync::Arc). Every limit has
/// a default, and zero means zero. (Exception: one automatic Pong may always be pending, see
/// [`max_pending_controls`](Self#structfield.max_pending_controls).)
///
/// ```
/// use core::time::Duration;
/// use sansocket::{Config, Keepalive};
///
/// let keepalive = Keepalive::Every(Duration::from_secs(20));
/// let config = Config::default().max_message_size(64 * 1024).keepalive(keepalive);
/// assert_eq!(config.max_message_size, 64 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The longest head of a handshake message, from start line to blank line, in bytes. A server answers a longer
    /// request with 431; a client fails the handshake at a longer response. The limit also applies to the body of a
    /// refusal, of which a client drops the rest, and to frames that arrive before a server has accepted: more of them
    /// are answered with 400. Default: 16 KiB.
    pub max_head_size: usize,
    /// The most header lines in the head of a handshake message. A server answers a request with more of them with 431;
    /// a client fails the handshake at a response with more. Default: 100.
    pub max_header_lines: usize,
    /// The largest payload of a received data frame, in bytes; of a compressed one, as it is on the wire. A larger one
    /// fails the connection with 1009. [`max_message_size`](Self#structfield.max_message_size) limits a frame too, unless
    /// it is compressed. Default: `None`, no separate limit.
    pub max_frame_payload: Option<u64>,
    /// The largest received message, in bytes: the payloads of all its fragments. A larger one fails the connection
    /// with 1009, as soon as a frame announces it. Of a compressed message, the limit applies to the inflated bytes, and
    /// fails the connection before more of them are kept. Default: 16 MiB.
    pub max_message_size: usize,
    /// The most consecutive empty fragments in a received message. More fail the connection with 1008. Default: 1,000.
    pub max_empty_fragments: u32,
    /// The most payload bytes that `send` has accepted and the transport has not delivered.
    /// [`SendError::BufferFull`](crate::SendError::BufferFull) returns a message that does not fit now,
    /// [`SendError::MessageTooLong`](crate::SendError::MessageTooLong) one that is longer than the limit. Frame
    /// overhead has a separate limit of the same size. Default: 64 MiB.
    pub max_buffered_amount: usize,
    /// The backlog of undelivered output, in bytes, above which a server stops reading
    /// ([`wants_read`](crate::WebSocket::wants_read) is false): a peer that does not read its answers cannot request
    /// more. A client always reads: two endpoints that stop reading would wait for each other for ever. Default: 1 MiB.
    pub high_water_mark: usize,
    /// The most automatic Pongs that may be pending, and the most Pings and Pongs of the application. A further
    /// automatic Pong replaces the latest one (RFC 6455 section 5.5.3); even at zero, one is sent (5.5.2). A further
    /// call of `ping` or `pong` returns [`SendError::BufferFull`](crate::SendError::BufferFull). Default: 64.
    pub max_pending_controls: usize,
    /// The largest payload of a sent frame, in bytes. A longer message is sent in fragments, between which control
    /// frames can be sent. (An [encoded message](crate::EncodedMessage) keeps the frames that it was encoded in.)
    /// Default: 1 MiB.
    pub max_sent_frame_payload: NonZeroUsize,
    /// Whether to negotiate permessage-deflate (RFC 7692), and how. Default: `None`, no compression.
    #[cfg(feature = "deflate")]
    pub compression: Option<Compression>,
    /// Whether received messages are delivered whole, or in chunks as they arrive. Default: whole.
    pub delivery: Delivery,
    /// The longest duration of the opening handshake. At the deadline, a client fails the handshake; a server answers
    /// with 408 if the request is incomplete, with 503 if the application has not answered it. Default: 10 s.
    pub opening_timeout: Duration,
    /// The longest time that a closing connection may make no progress. Delivered bytes are progress while output is
    /// pending, received bytes while the peer's Close frame is awaited. After both Close frames, it is the time for the
    /// peer to end TCP. At the deadline, the connection ends, and the driver closes or aborts TCP. Default: 5 s.
    pub closing_timeout: Duration,
    /// The longest total duration of closing, even with steady progress. It bounds how long a slow or malicious peer
    /// can hold the connection and its pending output. At this limit, the connection ends as at `closing_timeout`.
    /// Default: 5 min.
    pub closing_limit: Duration,
    /// The longest silence of the peer before the connection sends a Ping. Default: [`Keepalive::Default`].
    pub keepalive: Keepalive,
    /// The longest silence of the peer after a keepalive Ping. At the deadline, the connection is aborted. Deliveries
    /// extend it while the Ping is queued behind other output, or while a server does not read (`high_water_mark`). So
    /// do bytes that the peer acknowledges ([`progress`](crate::WebSocket::progress)). Default: 30 s.
    pub pong_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_head_size: 16 * 1024,
            max_header_lines: 100,
            max_frame_payload: None,
            max_message_size: 16 * 1024 * 1024,
            max_empty_fragments: 1_000,
            max_buffered_amount: 64 * 1024 * 1024,
            high_water_mark: 1024 * 1024,
            max_pending_controls: 64,
            max_sent_frame_payload: const { NonZeroUsize::new(1024 * 1024).unwrap() },
            #[cfg(feature = "deflate")]
            compression: None,
            delivery: Delivery::Messages,
            opening_timeout: Duration::from_secs(10),
            closing_timeout: Duration::from_secs(5),
            closing_limit: Duration::from_secs(5 * 60),
            keepalive: Keepalive::Default,
            pong_timeout: Duration::from_secs(30),
        }
    }
}

setters! { Config:
    max_head_size: usize,
    max_header_lines: usize,
    max_message_size: usize,
    max_empty_fragments: u32,
    max_buffered_amount: usize,
    high_water_mark: usize,
    max_pending_controls: usize,
    max_sent_frame_payload: NonZeroUsize,
    delivery: Delivery,
    opening_timeout: Duration,
    closing_timeout: Duration,
    closing_limit: Duration,
    keepalive: Keepalive,
    pong_timeout: Duration,
}

impl Config {
    /// Sets [`max_frame_payload`](Self#structfield.max_frame_payload).
    #[must_use]
    pub fn max_frame_payload(mut self, max_frame_payload: impl Into<Option<u64>>) -> Self {
        self.max_frame_payload = max_frame_payload.into();
        self
    }

    /// Sets [`compression`](Self#structfield.compression).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = compression.into();
        self
    }

    /// Returns whether the limits on frames and messages permit a data frame with a payload of this length.
    #[inline(always)]
    pub(crate) fn permits_frame_payload(&self, payload_length: u64) -> bool {
        payload_length <= self.max_message_size as u64
            && self.max_frame_payload.is_none_or(|limit| payload_length <= limit)
    }
}

/// When to ask a silent peer whether it is alive, with a Ping (RFC 6455 section 5.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle each of these")]
pub enum Keepalive {
    /// The default of the driver: never in this crate, after 30 s in `sansocket-net` and `sansocket-mio`.
    #[default]
    Default,
    /// Sends no keepalive Pings.
    Off,
    /// Sends a Ping when no byte has arrived from the peer for this long.
    Every(Duration),
}

impl Keepalive {
    /// Returns how long the peer may be silent before this crate sends a Ping; `None` if it sends none.
    #[inline]
    pub const fn interval(self) -> Option<Duration> {
        match self {
            Self::Every(interval) => Some(interval),
            Self::Default | Self::Off => None,
        }
    }
}

/// The form in which received messages reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Whole, as [`Event::Message`](crate::Event::Message).
    Messages,
    /// In chunks as they arrive, as [`Event::Chunk`](crate::Event::Chunk): without assembly and without a copy. (A chunk
    /// of a compressed message owns its bytes, less than 20 KiB.)
    Chunks,
}
