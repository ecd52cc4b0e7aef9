//! What the adapters do to set up a connection: parse the URL, enable keepalive, seed the masking keys.

use std::sync::Arc;
use std::time::Duration;

use sansocket::{Config, Keepalive, UriError, WsUri};

/// How long a peer may be silent before the adapters send a Ping.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(30);

/// Enables keepalive, as the adapters do with the [`Config`] of every connection: replaces [`Keepalive::Default`] by a
/// Ping after 30 s of silence. Call it once, before connections share the result: if it changes a configuration that is
/// shared already, it copies the configuration.
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

/// Parses a ws or wss URL. With the feature `idna`, converts a host outside ASCII by UTS 46, as browsers do.
///
/// ```
/// let uri = sansocket_drive::parse_uri("ws://example.com/chat")?;
/// assert_eq!(uri.host(), "example.com");
/// # #[cfg(feature = "idna")]
/// assert_eq!(sansocket_drive::parse_uri("ws://b\u{fc}cher.example/")?.host(), "xn--bcher-kva.example");
/// # Ok::<(), sansocket::UriError>(())
/// ```
///
/// # Errors
///
/// This is not a ws or wss URI, or its host is outside ASCII and cannot be converted.
pub fn parse_uri(text: &str) -> Result<WsUri, UriError> {
    WsUri::parse_with(text, to_ascii)
}

#[cfg(feature = "idna")]
fn to_ascii(host: &str) -> Result<String, UriError> {
    let ascii = idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL);
    ascii.map(|host| host.into_owned()).map_err(|_| UriError::HostInvalid)
}

#[cfg(not(feature = "idna"))]
fn to_ascii(host: &str) -> Result<String, UriError> {
    Err(UriError::HostNotAscii(host.into()))
}

#[cfg(feature = "rand")]
pub use random::{masking_keys, upgraded};

#[cfg(feature = "rand")]
mod random {
    use std::io;
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand::rngs::{StdRng, SysRng};
    use sansocket::rand_core::CryptoRng;
    use sansocket::{Agreement, Config, Connection, Instant, Role, WebSocket};

    /// Returns the source of a client's masking keys (RFC 6455 section 5.3), seeded by the system.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn masking_keys() -> io::Result<impl CryptoRng + Send + Sync + use<>> {
        StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)
    }

    /// Returns an open connection whose opening handshake was done elsewhere. Pass bytes that followed the handshake to
    /// [`Driver::open`](crate::Driver::open), so that the state never runs ahead of the events delivered.
    ///
    /// # Errors
    ///
    /// A client needs random numbers, and the system has none.
    pub fn upgraded(role: Role, agreement: Agreement, config: Arc<Config>, now: Instant) -> io::Result<WebSocket> {
        let connection = match role {
            Role::Client => Connection::client(config, masking_keys()?, now),
            Role::Server => Connection::server(config, now),
        };
        Ok(WebSocket::opened(connection.with_agreement(agreement), []))
    }
}
