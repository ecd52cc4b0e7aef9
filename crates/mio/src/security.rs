//! The layer between a connection and its stream: TLS, or none.

#[cfg(not(feature = "tls"))]
pub(crate) use sansocket_drive::Plain as Security;
#[cfg(feature = "tls")]
pub(crate) use sansocket_tls::MaybeTls as Security;

/// No TLS.
#[cfg(not(feature = "tls"))]
pub(crate) const PLAIN: Security = Security;
/// No TLS.
#[cfg(feature = "tls")]
pub(crate) const PLAIN: Security = Security::PLAIN;
