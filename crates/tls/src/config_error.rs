//! The error of a configuration.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;
use thiserror::Error;

/// Why a configuration is not possible. The caller is at fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file was not readable.
    #[error("TLS: cannot read {}: {error}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// PEM data is not valid, or lacks what is needed of it.
    #[error("TLS: no {wanted} in the PEM data: {error}")]
    Pem {
        /// What is needed: "certificate" or "private key".
        wanted: &'static str,
        /// Why there is none.
        error: pem::Error,
    },
    /// A name is neither a DNS name nor an IP address.
    #[error("TLS: {0:?} is neither a DNS name nor an IP address, so no certificate can be valid for it")]
    Name(String),
    /// No crypto provider.
    #[error("TLS: no crypto provider: enable the feature `ring` or `aws-lc-rs` of sansocket-tls, or pass a provider")]
    NoProvider,
    /// No root certificates.
    #[error(
        "TLS: no root certificates, so no server could be trusted: enable the feature `platform-verifier` or \
         `webpki-roots` of sansocket-tls, or add roots"
    )]
    NoRoots,
    /// Root certificates for clients are not valid.
    #[error("TLS: the roots of client certificates are not valid: {0}")]
    ClientRoots(#[from] VerifierBuilderError),
    /// rustls does not accept the certificate, the key or another part.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// A self-signed certificate could not be made.
    #[cfg(feature = "self-signed")]
    #[error("TLS: cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}
