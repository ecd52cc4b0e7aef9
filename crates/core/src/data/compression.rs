//! The settings and the agreement of permessage-deflate (RFC 7692).

use core::fmt;
use core::num::NonZeroU8;

/// The base-2 logarithm of the size of an LZ77 sliding window, in bytes: from 8 (256 bytes) to 15 (32 KiB). RFC 7692
/// section 7.1.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(NonZeroU8);

impl WindowBits {
    /// The smallest window: 256 bytes.
    pub const MIN: Self = Self(const { NonZeroU8::new(8).unwrap() });
    /// The largest window, which is also the default of RFC 7692: 32 KiB.
    pub const MAX: Self = Self(const { NonZeroU8::new(15).unwrap() });

    /// Returns the window of 2^`bits` bytes; `None` unless `bits` is from 8 to 15.
    pub const fn new(bits: u8) -> Option<Self> {
        match NonZeroU8::new(bits) {
            Some(bits) if bits.get() >= 8 && bits.get() <= 15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// Returns the number of bits, from 8 to 15.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Returns the size of the window in bytes, from 256 to 32,768.
    pub const fn size(self) -> usize {
        1 << self.get()
    }
}

impl fmt::Debug for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// How much work the compressor does for each byte: from 0 (stores the bytes) over 1 (fastest) to 9 (smallest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// Returns the level; `None` unless it is from 0 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the level, from 0 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How much memory a compressor uses beyond its window: from 1 (least) to 9 (most, and fastest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryLevel(u8);

impl MemoryLevel {
    /// Returns the level; `None` unless it is from 1 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        if level >= 1 && level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the level, from 1 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The settings of permessage-deflate (RFC 7692), which [`Config::compression`](crate::Config) turns on.
///
/// *Context takeover* means that a message may refer back to the messages before it. It makes small, similar messages
/// much shorter, and it takes memory in each connection: a history of the data, for each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// How much work the compressor does. Default: 1.
    pub level: CompressionLevel,
    /// How much memory the shared compressor uses. Default: 5.
    pub memory_level: MemoryLevel,
    /// The window of the data that this end sends. The peer may demand a smaller one. Default: 12 bits.
    pub window_bits: WindowBits,
    /// The window that this end requests for the data that the peer sends. Default: 12 bits.
    pub peer_window_bits: WindowBits,
    /// Whether messages that this end sends refer back to earlier ones. Default: true.
    pub context_takeover: bool,
    /// Whether the peer may refer back to earlier messages. Default: true.
    pub peer_context_takeover: bool,
    /// The most bytes of sent data that a connection keeps to refer back to. At most the window counts. Default: 512.
    pub sent_history: usize,
    /// The length in bytes below which a message is sent uncompressed, unless sent data has context takeover.
    /// Default: 64.
    pub threshold: usize,
}

impl Compression {
    /// Creates the settings that take no memory per connection: no context takeover in either direction.
    pub const fn small() -> Self {
        Self { context_takeover: false, peer_context_takeover: false, ..Self::new() }
    }

    /// Creates the settings with the best ratio, and the most memory per connection: context takeover with windows of
    /// 32 KiB in both directions, up to 64 KiB per connection.
    pub const fn best_ratio() -> Self {
        Self {
            level: CompressionLevel(6),
            memory_level: MemoryLevel(8),
            window_bits: WindowBits::MAX,
            peer_window_bits: WindowBits::MAX,
            sent_history: WindowBits::MAX.size(),
            ..Self::new()
        }
    }

    const fn new() -> Self {
        const BITS: WindowBits = WindowBits::new(12).unwrap();
        Self {
            level: CompressionLevel(1),
            memory_level: MemoryLevel(5),
            window_bits: BITS,
            peer_window_bits: BITS,
            context_takeover: true,
            peer_context_takeover: true,
            sent_history: 512,
            threshold: 64,
        }
    }
}

/// Context takeover in both directions, for at most 5 KiB per connection.
impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether to compress a message. Compressing a secret together with data that an attacker chooses can reveal the secret
/// through the length of the result, as in the attacks CRIME and BREACH: send such a message with [`No`](Self::No).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a message is compressed, or not, or as the settings say")]
pub enum Compress {
    /// As [`Config::compression`](crate::Config) says: unless the message is shorter than its threshold.
    #[default]
    AsConfigured,
    /// Also below the threshold. (A message that would not get shorter is never compressed.)
    Yes,
    /// Never. The message enters no context.
    No,
}

/// What both endpoints agreed about permessage-deflate in the opening handshake (RFC 7692 section 7.1). `Display` writes
/// the element of `Sec-WebSocket-Extensions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PermessageDeflate {
    /// Whether the server compresses each message on its own.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message on its own.
    pub client_no_context_takeover: bool,
    /// The window of the data that the server sends.
    pub server_max_window_bits: WindowBits,
    /// The window of the data that the client sends.
    pub client_max_window_bits: WindowBits,
}

/// The agreement without any parameter: context takeover and windows of 32 KiB in both directions.
impl Default for PermessageDeflate {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
        }
    }
}

impl fmt::Display for PermessageDeflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.server_max_window_bits < WindowBits::MAX {
            write!(f, "; server_max_window_bits={}", self.server_max_window_bits)?;
        }
        if self.client_max_window_bits < WindowBits::MAX {
            write!(f, "; client_max_window_bits={}", self.client_max_window_bits)?;
        }
        Ok(())
    }
}
