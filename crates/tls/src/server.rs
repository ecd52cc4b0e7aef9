//! The configuration of servers.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};

use crate::certificates::{CertificateStore, Identity, Roots};
use crate::config_error::ConfigError;
use crate::engine::Engine;
use crate::provider::{default_provider, ticketer};
use crate::tls::Tls;

/// The number of session tickets that a client receives in TLS 1.3. A connection that resumes a session receives
/// another one.
const TICKETS: usize = 1;

/// The TLS configuration of servers. A clone is cheap.
///
/// Clients can resume sessions: they keep the state in a ticket that only this configuration can decrypt, so sessions
/// cost the server no memory. There is no early data (0-RTT), which could be replayed.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Creates a configuration with one certificate.
    ///
    /// # Errors
    ///
    /// Those of [`ServerTlsBuilder::build`].
    pub fn new(identity: Identity) -> Result<Self, ConfigError> {
        Self::builder(identity).build()
    }

    /// Creates a configuration whose certificates come from a resolver, such as a [`CertificateStore`].
    ///
    /// # Errors
    ///
    /// Those of [`ServerTlsBuilder::build`].
    pub fn with_resolver(resolver: Arc<dyn ResolvesServerCert>) -> Result<Self, ConfigError> {
        Self::builder_with_resolver(resolver).build()
    }

    /// Returns a builder for client certificates and protocols.
    #[must_use]
    pub fn builder(identity: Identity) -> ServerTlsBuilder {
        ServerTlsBuilder::new(Certificates::Identity(identity))
    }

    /// Returns a builder with a resolver, such as a [`CertificateStore`].
    #[must_use]
    pub fn builder_with_resolver(resolver: Arc<dyn ResolvesServerCert>) -> ServerTlsBuilder {
        ServerTlsBuilder::new(Certificates::Resolver(resolver))
    }

    /// Uses a complete configuration of rustls, with its own provider. Early data is turned off.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`]: rustls does not accept it.
    pub fn from_config(config: Arc<ServerConfig>) -> Result<Self, ConfigError> {
        let mut config = config;
        if config.max_early_data_size > 0 {
            // early data can be replayed (RFC 8446 8)
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        Engine::server(Arc::clone(&config))?;
        Ok(Self { config })
    }

    /// Starts the connection of a client that has connected.
    #[must_use]
    pub fn layer(&self) -> Tls {
        #[expect(clippy::missing_panics_doc, reason = "it depends on the configuration alone")]
        let engine = Engine::server(Arc::clone(&self.config)).expect("`from_config` has tried it");
        Tls::new(engine)
    }

    /// Returns the configuration of rustls.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Builds a [`ServerTls`].
#[derive(Debug)]
pub struct ServerTlsBuilder {
    certificates: Certificates,
    client_certificates: ClientCertificates,
    alpn: Vec<Vec<u8>>,
    provider: Option<Arc<CryptoProvider>>,
}

#[derive(Debug)]
enum Certificates {
    Identity(Identity),
    Resolver(Arc<dyn ResolvesServerCert>),
}

#[derive(Debug)]
enum ClientCertificates {
    Ignored,
    Optional(Roots),
    Required(Roots),
}

impl ServerTlsBuilder {
    fn new(certificates: Certificates) -> Self {
        Self {
            certificates,
            client_certificates: ClientCertificates::Ignored,
            alpn: vec![b"http/1.1".to_vec()],
            provider: None,
        }
    }

    /// Asks clients for a certificate of one of these authorities, and accepts clients without one. A certificate of
    /// another authority fails the handshake.
    #[must_use]
    pub fn optional_client_certificates(mut self, roots: Roots) -> Self {
        self.client_certificates = ClientCertificates::Optional(roots);
        self
    }

    /// Requires a certificate of one of these authorities from every client.
    #[must_use]
    pub fn require_client_certificates(mut self, roots: Roots) -> Self {
        self.client_certificates = ClientCertificates::Required(roots);
        self
    }

    /// Sets the supported application protocols (ALPN, RFC 7301), the preferred one first. Default: `http/1.1`. A
    /// client that offers only others is refused; one that offers none is not.
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

    /// Builds the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Rustls`]: the key is not supported, or does not belong to the certificate.
    /// [`ConfigError::ClientRoots`], [`ConfigError::NoProvider`].
    pub fn build(self) -> Result<ServerTls, ConfigError> {
        let provider = self.provider.map_or_else(default_provider, Ok)?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let client_verifier = |roots: Roots| -> Result<_, ConfigError> {
            Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots.into_store()?), Arc::clone(&provider)))
        };
        let builder = match self.client_certificates {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Optional(roots) => {
                builder.with_client_cert_verifier(client_verifier(roots)?.allow_unauthenticated().build()?)
            }
            ClientCertificates::Required(roots) => builder.with_client_cert_verifier(client_verifier(roots)?.build()?),
        };
        let resolver = match self.certificates {
            Certificates::Identity(identity) => CertificateStore::with_provider(identity, provider)?,
            Certificates::Resolver(resolver) => resolver,
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = self.alpn;
        config.send_tls13_tickets = TICKETS;
        if let Some(ticketer) = ticketer()? {
            config.ticketer = ticketer;
        }
        ServerTls::from_config(Arc::new(config))
    }
}
