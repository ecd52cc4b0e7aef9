//! The settings, the offers and the agreement of permessage-deflate (RFC 7692).

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU8;

use super::setters::setters;

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
///
/// A server accepts the first valid offer, on its own terms: it never uses more than these settings permit. If a client
/// cannot lower its window (its offer has no `client_max_window_bits`: Firefox, Safari), and
/// [`peer_window_bits`](Self#structfield.peer_window_bits) is less than 15, the answer declines context takeover for the
/// data that the client sends, because its history would take 32 KiB.
///
/// A client makes [offers](Self#structfield.offers). The connection stays uncompressed if the server accepts none.
///
/// ```
/// use sansocket::{Compression, CompressionLevel, Config};
///
/// let level = CompressionLevel::new(6).unwrap();
/// let config = Config::default().compression(Compression::default().level(level).threshold(256));
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// How much work the compressor does. Default: 1.
    pub level: CompressionLevel,
    /// How much memory the shared compressor uses. Default: 5.
    pub memory_level: MemoryLevel,
    /// The window of the data that this end sends. The peer may demand a smaller one. Default: 12 bits.
    pub window_bits: WindowBits,
    /// The window that a server requests for the data that the client sends. (A client requests one with
    /// [`DeflateOffer::server_max_window_bits`].) With 8 bits, some clients cannot compress. Default: 12 bits.
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
    /// What a client offers, the most preferred offer first; the others are its fallbacks. Default: empty, which means
    /// one offer: `permessage-deflate; client_max_window_bits`, with `client_no_context_takeover` unless
    /// [`context_takeover`](Self#structfield.context_takeover) is true, and with `server_no_context_takeover` unless
    /// [`peer_context_takeover`](Self#structfield.peer_context_takeover) is true.
    pub offers: Vec<DeflateOffer>,
}

impl Compression {
    /// Creates the settings that take no memory per connection: no context takeover in either direction. Small messages
    /// shrink less: messages of 200 bytes take about twice as many bytes as with the [default](Self::default).
    pub fn small() -> Self {
        Self {
            // a smaller window would save nothing, since no history is kept
            peer_window_bits: WindowBits::MAX,
            context_takeover: false,
            peer_context_takeover: false,
            ..Self::default()
        }
    }

    /// Creates the settings with the best ratio, and the most memory per connection: context takeover with windows of
    /// 32 KiB in both directions, up to 64 KiB per connection, at level 6. Messages cost several times the processor
    /// time of the [default](Self::default), since each is compressed with up to 32 KiB of history.
    pub fn best_ratio() -> Self {
        Self {
            level: CompressionLevel(6),
            memory_level: MemoryLevel(8),
            window_bits: WindowBits::MAX,
            peer_window_bits: WindowBits::MAX,
            sent_history: WindowBits::MAX.size(),
            ..Self::default()
        }
    }

    /// Sets [`offers`](Self#structfield.offers), which a client makes: the first one is preferred.
    ///
    /// ```
    /// use sansocket::{Compression, DeflateOffer, WindowBits};
    ///
    /// // at most 4 KiB of history for received data, or else none
    /// let lowered = DeflateOffer::default().server_max_window_bits(WindowBits::new(12));
    /// let without = DeflateOffer::default().server_no_context_takeover(true);
    /// let compression = Compression::default().offers([lowered, without]);
    /// assert_eq!(lowered.to_string(), "permessage-deflate; server_max_window_bits=12; client_max_window_bits");
    /// # let _ = compression;
    /// ```
    #[must_use]
    pub fn offers(mut self, offers: impl Into<Vec<DeflateOffer>>) -> Self {
        self.offers = offers.into();
        self
    }

    /// Returns what a client offers, in order.
    pub(crate) fn client_offers(&self) -> Vec<DeflateOffer> {
        if !self.offers.is_empty() {
            return self.offers.clone();
        }
        let offer = DeflateOffer::default().client_no_context_takeover(!self.context_takeover);
        vec![offer.server_no_context_takeover(!self.peer_context_takeover)]
    }
}

setters! { Compression:
    level: CompressionLevel,
    memory_level: MemoryLevel,
    window_bits: WindowBits,
    peer_window_bits: WindowBits,
    context_takeover: bool,
    peer_context_takeover: bool,
    sent_history: usize,
    threshold: usize,
}

/// Context takeover in both directions. A connection of a server keeps at most 512 bytes of sent data and 4 KiB of
/// received data: less than 6 KiB of memory with the allocator's overhead. A connection of a client keeps up to 32 KiB
/// of received data if the server does not lower its window. An [offer](Compression::offers) can demand a smaller
/// window, but some servers then decline or break the offer.
impl Default for Compression {
    fn default() -> Self {
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
            offers: Vec::new(),
        }
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

/// An offer of permessage-deflate: an element of a client's `Sec-WebSocket-Extensions` (RFC 7692 section 7.1). `Display`
/// writes the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateOffer {
    /// Whether the server must compress each message on its own. A server that does not do so must decline the offer
    /// (7.1.1.1). Default: false.
    pub server_no_context_takeover: bool,
    /// Whether the client will compress each message on its own, also if the server does not answer so (7.1.1.2).
    /// Default: false.
    pub client_no_context_takeover: bool,
    /// The largest window that the server may use for the data that it sends. A server that does not limit its window
    /// must decline the offer; some servers accept it nevertheless, and the handshake then fails (7.1.2.1). Default:
    /// `None`, no demand.
    pub server_max_window_bits: Option<WindowBits>,
    /// The largest window that the client will use for the data that it sends, which the server may lower; `None` if it
    /// must not (7.1.2.2). Default: 15 bits, which are offered without a value.
    pub client_max_window_bits: Option<WindowBits>,
}

impl DeflateOffer {
    /// An offer without parameters.
    pub(crate) const BARE: Self = Self {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: None,
        client_max_window_bits: None,
    };
}

setters! { DeflateOffer:
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    client_max_window_bits: Option<WindowBits>,
}

/// `permessage-deflate; client_max_window_bits`.
impl Default for DeflateOffer {
    fn default() -> Self {
        Self { client_max_window_bits: Some(WindowBits::MAX), ..Self::BARE }
    }
}

impl fmt::Display for DeflateOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = (self.server_no_context_takeover, self.client_no_context_takeover);
        write_element(f, takeover, self.server_max_window_bits)?;
        match self.client_max_window_bits {
            None => Ok(()),
            Some(WindowBits::MAX) => f.write_str("; client_max_window_bits"),
            Some(bits) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
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

setters! { PermessageDeflate:
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: WindowBits,
    client_max_window_bits: WindowBits,
}

/// The agreement if the server answers `permessage-deflate` without parameters: context takeover and windows of 32 KiB in
/// both directions.
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
        let lowered = |bits: WindowBits| (bits < WindowBits::MAX).then_some(bits);
        let takeover = (self.server_no_context_takeover, self.client_no_context_takeover);
        write_element(f, takeover, lowered(self.server_max_window_bits))?;
        lowered(self.client_max_window_bits).map_or(Ok(()), |bits| write!(f, "; client_max_window_bits={bits}"))
    }
}

/// Writes what offers and answers have in common.
fn write_element(
    f: &mut fmt::Formatter<'_>,
    (server_no_context_takeover, client_no_context_takeover): (bool, bool),
    server_max_window_bits: Option<WindowBits>,
) -> fmt::Result {
    f.write_str("permessage-deflate")?;
    if server_no_context_takeover {
        f.write_str("; server_no_context_takeover")?;
    }
    if client_no_context_takeover {
        f.write_str("; client_no_context_takeover")?;
    }
    server_max_window_bits.map_or(Ok(()), |bits| write!(f, "; server_max_window_bits={bits}"))
}
