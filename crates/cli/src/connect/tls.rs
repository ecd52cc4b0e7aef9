//! The options of `connect` that concern TLS.

use std::path::PathBuf;

use sansocket_net::Connector;
use sansocket_net::tls::{ClientTls, ConfigError, Identity, Roots};

use crate::exit::{self, Exit, Failure};

/// The arguments about TLS.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "TLS (wss URLs)")]
pub(super) struct TlsArgs {
    /// Trust the certificate authorities in this PEM file too; may be repeated
    #[arg(long = "tls-ca", value_name = "FILE")]
    authorities: Vec<PathBuf>,

    /// Show this certificate to a server that asks for one: a PEM file with the certificate and its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Accept any certificate of the server, to try things: the connection is then not safe from anyone on the way
    #[arg(long)]
    insecure: bool,
}

impl TlsArgs {
    pub(super) fn apply(&self, connector: Connector) -> Result<Connector, Failure> {
        if self.insecure {
            exit::note(
                "WARNING: --insecure: the certificate of the server is not checked; anyone on the way can read and \
                 change everything, and may be the server",
            );
        }
        let is_default = self.authorities.is_empty() && self.tls_cert.is_none() && !self.insecure;
        if is_default {
            return Ok(connector);
        }
        let tls = self.config().map_err(|error| Failure::new(Exit::Failed, error))?;
        Ok(connector.tls(tls))
    }

    fn config(&self) -> Result<ClientTls, ConfigError> {
        let mut builder = ClientTls::builder();
        for path in &self.authorities {
            builder = builder.add_roots(Roots::from_pem_file(path)?);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            builder = builder.client_certificate(Identity::from_pem_files(cert, key)?);
        }
        if self.insecure {
            builder = builder.dangerous_accept_any_certificate();
        }
        builder.build()
    }
}
