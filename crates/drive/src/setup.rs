//! The settings of the adapters: keepalive in the configuration, and the hosts of URLs.

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
