//! Certificates and keys from PEM, and certificates of a server that can be replaced.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config_error::ConfigError;
use crate::provider::default_provider;

/// A certificate chain and its private key: the identity of a server, or of a client that has one.
///
/// `Debug` omits the key.
pub struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Creates an identity. The chain begins with the certificate of the key; the intermediate certificates follow.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// Reads a chain and a key in PEM (PKCS #8, PKCS #1 or SEC1). They may be the same text.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pem`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let chain = certificates(chain)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| ConfigError::Pem { wanted: "private key", error })?;
        Ok(Self { chain, key })
    }

    /// Reads a chain and a key from PEM files. They may be the same file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`], [`ConfigError::Pem`].
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::from_pem(&read(chain.as_ref())?, &read(key.as_ref())?)
    }

    /// Parses the key, and checks that it belongs to the certificate.
    pub(crate) fn certified(self, provider: &CryptoProvider) -> Result<CertifiedKey, ConfigError> {
        Ok(CertifiedKey::from_der(self.chain, self.key, provider)?)
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Root certificates: the authorities that an endpoint trusts.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Creates roots from certificates in DER.
    #[must_use]
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self { certificates }
    }

    /// Reads the certificates of a PEM text.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Pem`], also if there is no certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self { certificates: certificates(pem)? })
    }

    /// Reads the certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`], [`ConfigError::Pem`], the latter also if there is no certificate.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::from_pem(&read(path.as_ref())?)
    }

    pub(crate) fn into_store(self) -> Result<RootCertStore, ConfigError> {
        let mut store = RootCertStore::empty();
        for certificate in self.certificates {
            store.add(certificate)?;
        }
        Ok(store)
    }
}

/// The certificate of a server, which the application can replace while the server runs. New connections use the new
/// certificate; open connections keep the old one. (A client that resumes a session receives no certificate.)
///
/// ```no_run
/// use sansocket_tls::{CertificateStore, Identity, ServerTls};
///
/// let store = CertificateStore::new(Identity::from_pem_files("chain.pem", "key.pem")?)?;
/// let server = ServerTls::with_resolver(store.clone())?;
/// // later, when the files have changed:
/// store.replace(Identity::from_pem_files("chain.pem", "key.pem")?)?;
/// # Ok::<(), sansocket_tls::ConfigError>(())
/// ```
pub struct CertificateStore {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl CertificateStore {
    /// Creates a store, with the crypto provider of the features.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`]: the key is not supported, or does not belong to the certificate.
    /// [`ConfigError::NoProvider`].
    pub fn new(identity: Identity) -> Result<Arc<Self>, ConfigError> {
        Self::with_provider(identity, default_provider()?)
    }

    /// Creates a store with a crypto provider, which must be that of the server.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`], as with [`new`](Self::new).
    pub fn with_provider(identity: Identity, provider: Arc<CryptoProvider>) -> Result<Arc<Self>, ConfigError> {
        let current = RwLock::new(Arc::new(identity.certified(&provider)?));
        Ok(Arc::new(Self { provider, current }))
    }

    /// Replaces the certificate for new connections.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`], as with [`new`](Self::new). The certificate remains as it was.
    pub fn replace(&self, identity: Identity) -> Result<(), ConfigError> {
        let certified = Arc::new(identity.certified(&self.provider)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateStore").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })
}

/// Returns the certificates of a PEM text: at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let failed = |error| ConfigError::Pem { wanted: "certificate", error };
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if certificates.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}
