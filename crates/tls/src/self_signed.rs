//! Self-signed certificates, to try things.

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::hash::HashAlgorithm;
use rustls::pki_types::PrivateKeyDer;

use crate::certificates::{Identity, Roots};
use crate::config_error::ConfigError;
use crate::provider::default_provider;

/// A new self-signed certificate, to try things. Clients must [add](crate::ClientTlsBuilder::add_roots) it to their
/// roots, or not verify it at all.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate and its key.
    pub identity: Identity,
    /// The SHA-256 fingerprint of the certificate, by which a person can recognise it.
    pub fingerprint: [u8; 32],
}

impl SelfSigned {
    /// Makes a certificate for DNS names and IP addresses.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SelfSigned`]: a name is not ASCII, or there are no random numbers.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, ConfigError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.self_signed(&key)?;
        let fingerprint = sha256(certificate.der())?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Self { identity: Identity::new(vec![certificate.der().clone()], key), fingerprint })
    }

    /// Returns the certificate as a root for clients.
    #[must_use]
    pub fn roots(&self) -> Roots {
        Roots::new(self.identity.chain.clone())
    }
}

/// Hashes with the crypto provider, which needs SHA-256 for TLS.
fn sha256(bytes: &[u8]) -> Result<[u8; 32], ConfigError> {
    let provider = default_provider()?;
    let hash = provider
        .cipher_suites
        .iter()
        .filter_map(|suite| suite.tls13())
        .map(|suite| suite.common.hash_provider)
        .find(|hash| hash.algorithm() == HashAlgorithm::SHA256)
        .ok_or(ConfigError::NoProvider)?;
    hash.hash(bytes).as_ref().try_into().map_err(|_| ConfigError::NoProvider)
}
