//! The crypto provider. The default provider of the process is never used.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

use crate::config_error::ConfigError;

/// Returns the provider of the features: `ring`, or else `aws-lc-rs`.
pub(crate) fn default_provider() -> Result<Arc<CryptoProvider>, ConfigError> {
    #[cfg(feature = "ring")]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Err(ConfigError::NoProvider)
}

/// Returns what encrypts the session tickets of a server: its clients keep the state of the sessions, so that they cost
/// the server no memory. `None` without a provider feature.
pub(crate) fn ticketer() -> Result<Option<Arc<dyn ProducesTickets>>, ConfigError> {
    #[cfg(feature = "ring")]
    return Ok(Some(rustls::crypto::ring::Ticketer::new()?));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Ok(Some(rustls::crypto::aws_lc_rs::Ticketer::new()?));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Ok(None)
}
