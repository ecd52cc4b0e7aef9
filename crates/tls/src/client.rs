//! The configuration of clients.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use crate::certificates::{Identity, Roots};
use crate::config_error::ConfigError;
use crate::engine::Engine;
use crate::provider::default_provider;
use crate::tls::Tls;
use crate::verifier::{AcceptAny, DetectSelfSigned};

/// The TLS configuration of clients. A clone is cheap, and shares the cache of sessions to resume (for 256 servers).
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Creates a configuration that trusts the authorities that the platform trusts, or else those of the feature
    /// `webpki-roots`. This may read all of the platform's root certificates: share the result.
    ///
    /// # Errors
    ///
    /// Those of [`ClientTlsBuilder::build`].
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Returns the configuration of [`new`](Self::new), which the first call creates and all later ones share.
    ///
    /// # Errors
    ///
    /// Those of [`ClientTlsBuilder::build`]. The next call tries again.
    pub fn shared() -> Result<Self, ConfigError> {
        static SHARED: OnceLock<ClientTls> = OnceLock::new();
        match SHARED.get() {
            Some(shared) => Ok(shared.clone()),
            None => {
                let created = Self::new()?;
                Ok(SHARED.get_or_init(|| created).clone())
            }
        }
    }

    /// Returns a builder for other trust, client certificates and protocols.
    #[must_use]
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Uses a complete configuration of rustls, with its own provider. Early data is turned off.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`]: rustls does not accept it.
    pub fn from_config(config: Arc<ClientConfig>) -> Result<Self, ConfigError> {
        let mut config = config;
        if config.enable_early_data {
            // early data can be replayed (RFC 8446 8)
            Arc::make_mut(&mut config).enable_early_data = false;
        }
        let client = Self { config };
        client.layer("localhost")?;
        Ok(client)
    }

    /// Starts a connection to a server. Its first flight is [pending](Tls::pending) at once.
    ///
    /// The server's certificate must be valid for `server_name`: a DNS name, or an IP address, which may have the
    /// brackets that it has in a URL. The server learns the name (SNI), but no address (RFC 6066 3).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Name`].
    pub fn layer(&self, server_name: &str) -> Result<Tls, ConfigError> {
        let unbracketed = server_name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = ServerName::try_from(unbracketed.unwrap_or(server_name))
            .map_err(|_| ConfigError::Name(server_name.to_owned()))?;
        Ok(Tls::new(Engine::client(Arc::clone(&self.config), name.to_owned())?))
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// Builds a [`ClientTls`].
#[derive(Debug)]
pub struct ClientTlsBuilder {
    trust: Trust,
    extra_roots: Roots,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    provider: Option<Arc<CryptoProvider>>,
}

/// The authorities that a client trusts, besides the extra roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    #[cfg(feature = "platform-verifier")]
    Platform,
    #[cfg(feature = "webpki-roots")]
    WebpkiRoots,
    ExtraRootsOnly,
    AnyCertificate,
}

impl Default for ClientTlsBuilder {
    fn default() -> Self {
        #[cfg(feature = "platform-verifier")]
        let trust = Trust::Platform;
        #[cfg(all(feature = "webpki-roots", not(feature = "platform-verifier")))]
        let trust = Trust::WebpkiRoots;
        #[cfg(not(any(feature = "webpki-roots", feature = "platform-verifier")))]
        let trust = Trust::ExtraRootsOnly;
        Self { trust, extra_roots: Roots::default(), identity: None, alpn: vec![b"http/1.1".to_vec()], provider: None }
    }
}

impl ClientTlsBuilder {
    /// Trusts the authorities that Mozilla trusts, as compiled in, instead of the platform's.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn webpki_roots(mut self) -> Self {
        self.trust = Trust::WebpkiRoots;
        self
    }

    /// Trusts these roots too.
    #[must_use]
    pub fn add_roots(mut self, roots: Roots) -> Self {
        self.extra_roots.certificates.extend(roots.certificates);
        self
    }

    /// Trusts these roots and no others.
    #[must_use]
    pub fn only_roots(mut self, roots: Roots) -> Self {
        self.trust = Trust::ExtraRootsOnly;
        self.extra_roots = roots;
        self
    }

    /// Accepts every certificate, for any name: **anyone on the way can read and change the data.** Only to try things
    /// on a network that no one else can reach.
    #[must_use]
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.trust = Trust::AnyCertificate;
        self
    }

    /// Sets the certificate and the key that the client presents to servers that ask for one.
    #[must_use]
    pub fn client_certificate(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the application protocols to offer (ALPN, RFC 7301). Default: `http/1.1`. Without any, nothing is offered.
    #[must_use]
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the crypto provider. Default: that of the feature `ring`, or else of `aws-lc-rs`; never the default of the
    /// process.
    #[must_use]
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Builds the configuration. May read the platform's root certificates.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoRoots`], [`ConfigError::NoProvider`], [`ConfigError::Rustls`].
    pub fn build(self) -> Result<ClientTls, ConfigError> {
        let provider = self.provider.map_or_else(default_provider, Ok)?;
        let verifier = verifier(self.trust, self.extra_roots, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        ClientTls::from_config(Arc::new(config))
    }
}

fn verifier(
    trust: Trust,
    extra_roots: Roots,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::AnyCertificate => return Ok(Arc::new(AcceptAny(Arc::clone(provider)))),
        #[cfg(feature = "platform-verifier")]
        Trust::Platform => platform_verifier(extra_roots, provider)?,
        #[cfg(feature = "webpki-roots")]
        Trust::WebpkiRoots => {
            let mut store = extra_roots.into_store()?;
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            roots_verifier(store, provider)?
        }
        Trust::ExtraRootsOnly => roots_verifier(extra_roots.into_store()?, provider)?,
    };
    Ok(Arc::new(DetectSelfSigned(verifier)))
}

#[cfg(all(feature = "platform-verifier", not(target_os = "android")))]
fn platform_verifier(
    extra_roots: Roots,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    let provider = Arc::clone(provider);
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra_roots.certificates, provider)?;
    Ok(Arc::new(verifier))
}

/// Android's verifier takes no extra roots: those of the application's network security configuration apply.
#[cfg(all(feature = "platform-verifier", target_os = "android"))]
fn platform_verifier(_: Roots, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    Ok(Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(provider))?))
}

fn roots_verifier(
    store: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    if store.is_empty() {
        return Err(ConfigError::NoRoots);
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
    Ok(builder.build().map_err(|_| ConfigError::NoRoots)?)
}
