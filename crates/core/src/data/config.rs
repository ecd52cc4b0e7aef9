//! How a connection behaves and what it lets its peer do.

use core::num::NonZeroUsize;
use core::time::Duration;

/// The settings of a connection. Connections share one by [`Arc`](alloc::sync::Arc); every limit has a default, and
/// zero means zero; but one Pong may always wait ([`max_pending_controls`](Self#structfield.max_pending_controls)).
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
    /// The head of a handshake message, start line to blank line, in bytes. A longer request is answered with 431; a
    /// client gives up a longer response. The body of a refusal is kept up to this many bytes, and so are frames that
    /// arrive before a server has accepted; more of them are answered with 400. Default: 16 KiB.
    pub max_head_size: usize,
    /// Header lines in the head of a handshake message. More in a request are answered with 431; a client gives up a
    /// response with more. Default: 100.
    pub max_header_lines: usize,
    /// The payload of one received data frame, in bytes. A longer one fails the connection with 1009. A frame is never
    /// longer than its message may be ([`max_message_size`](Self#structfield.max_message_size)). Default: `None`, no
    /// other limit than that.
    pub max_frame_payload: Option<u64>,
    /// A received message, its fragments added up, in bytes. A longer one fails the connection with 1009.
    /// Default: 16 MiB.
    pub max_message_size: usize,
    /// Empty fragments in a row within one received message. More fail the connection with 1008. Default: 1,000.
    pub max_empty_fragments: u32,
    /// Payload bytes accepted by `send` and not yet delivered. A message that would exceed the limit now is returned in
    /// [`SendError::BufferFull`](crate::SendError::BufferFull), one that is longer than the limit in
    /// [`SendError::MessageTooLong`](crate::SendError::MessageTooLong). Frame overhead has a separate limit of the same
    /// size. Default: 64 MiB.
    pub max_buffered_amount: usize,
    /// Bytes of output not yet delivered above which a server's [`wants_read`](crate::WebSocket::wants_read) is false,
    /// so that a client that does not read its answers is not given more to wait for. A client always reads: two
    /// endpoints that each wait for the other to read would wait for ever. Default: 1 MiB.
    pub high_water_mark: usize,
    /// Automatic Pongs waiting in the output, and Pings and Pongs of the application's waiting there. Of automatic
    /// Pongs beyond, only the latest is kept (RFC 6455 section 5.5.3), and even at zero one is (5.5.2); more of the
    /// application's are refused. Default: 64.
    pub max_pending_controls: usize,
    /// The largest payload of a sent frame, in bytes. A longer message leaves in fragments, between which control
    /// frames find a place. (A message that was [encoded](crate::EncodedMessage) for many keeps the frames that it was
    /// encoded in.) Default: 1 MiB.
    pub max_sent_frame_payload: NonZeroUsize,
    /// Whether a received message is handed over whole or as it arrives. Default: whole.
    pub delivery: Delivery,
    /// How long the opening handshake may take. Then a client gives up, and a server answers: with 408 if the request
    /// has not come whole, with 503 if the application has left it unanswered. Default: 10 s.
    pub opening_timeout: Duration,
    /// How long a closing connection may make no progress: deliver no byte while output is pending, or receive none
    /// while the peer's Close frame is awaited. Also how long the end of TCP may take after both Close frames. Then the
    /// driver is told to end TCP. Default: 5 s.
    pub closing_timeout: Duration,
    /// How long a closing connection may take in total, however slowly it makes progress. It bounds how long a slow or
    /// malicious peer can hold the connection and its pending output. Default: 5 min.
    pub closing_limit: Duration,
    /// After how long without a byte from the peer to send a Ping. Default: [`Keepalive::Default`].
    pub keepalive: Keepalive,
    /// How long after such a Ping the peer may stay silent before the connection is aborted. Output that is delivered
    /// counts as an answer while the Ping is queued behind it, or while the peer's bytes are left unread
    /// (`high_water_mark`). So do bytes that the peer acknowledges ([`progress`](crate::WebSocket::progress)). Default:
    /// 30 s.
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
            delivery: Delivery::Messages,
            opening_timeout: Duration::from_secs(10),
            closing_timeout: Duration::from_secs(5),
            closing_limit: Duration::from_secs(5 * 60),
            keepalive: Keepalive::Default,
            pong_timeout: Duration::from_secs(30),
        }
    }
}

/// Defines a setter for each of these fields.
macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {
        impl Config {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
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

    /// Whether the payload of a data frame may be so long: by its own limit, if it has one, and by that of its message.
    #[inline(always)]
    pub(crate) fn permits_frame(&self, payload_length: u64) -> bool {
        payload_length <= self.max_message_size as u64
            && self.max_frame_payload.is_none_or(|limit| payload_length <= limit)
    }
}

/// When to ask a silent peer whether it is alive, with a Ping (RFC 6455 section 5.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle each of these")]
pub enum Keepalive {
    /// As the driver prefers: never in this crate, after 30 s in `sansocket-net` and `sansocket-mio`.
    #[default]
    Default,
    /// Never.
    Off,
    /// After so long without a byte from the peer.
    Every(Duration),
}

impl Keepalive {
    /// Returns how long the peer may be silent before this crate sends a Ping; `None` if it never does.
    #[inline]
    pub const fn interval(self) -> Option<Duration> {
        match self {
            Self::Every(interval) => Some(interval),
            Self::Default | Self::Off => None,
        }
    }
}

/// How received messages reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Whole, as [`Event::Message`](crate::Event::Message).
    Messages,
    /// As they arrive, as [`Event::Chunk`](crate::Event::Chunk): nothing is assembled, and a chunk never copies.
    Chunks,
}
