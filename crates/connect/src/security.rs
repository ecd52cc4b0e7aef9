//! The layer between a connection and its stream: TLS, or none.

/// The layer of the adapters' connections: TLS or none with the feature `tls`, otherwise none.
#[cfg(not(feature = "tls"))]
pub type Security = sansocket_drive::Plain;
/// The layer of the adapters' connections: TLS or none with the feature `tls`, otherwise none.
#[cfg(feature = "tls")]
pub type Security = sansocket_tls::MaybeTls;

/// No TLS.
#[cfg(not(feature = "tls"))]
pub const PLAIN: Security = sansocket_drive::Plain;
/// No TLS.
#[cfg(feature = "tls")]
pub const PLAIN: Security = Security::PLAIN;
