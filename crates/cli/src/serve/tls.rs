//! The options of `serve` that concern TLS.

use std::path::PathBuf;

use sansocket_net::tls::{Identity, SelfSigned, ServerTls};

use crate::exit::{Exit, Failure};

/// The arguments about TLS.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "TLS (wss instead of ws)")]
pub(super) struct TlsArgs {
    /// Serve wss with this certificate: a PEM file with the certificate and its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve wss with a new self-signed certificate, to try things; prints its fingerprint
    #[arg(long, conflicts_with = "tls_cert")]
    tls_self_signed: bool,
}

/// The TLS configuration of a server.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: ServerTls,
    /// That of a self-signed certificate.
    pub(super) fingerprint: Option<[u8; 32]>,
}

impl TlsArgs {
    /// Returns the configuration for a server at an address; `None` without TLS.
    pub(super) fn config(&self, address: &str) -> Result<Option<Tls>, Failure> {
        let failure = |error| Failure::new(Exit::Failed, error);
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let identity = Identity::from_pem_files(cert, key).map_err(failure)?;
            return Ok(Some(Tls { config: ServerTls::new(identity).map_err(failure)?, fingerprint: None }));
        }
        if !self.tls_self_signed {
            return Ok(None);
        }
        let certificate = SelfSigned::new(names(address)).map_err(failure)?;
        let config = ServerTls::new(certificate.identity).map_err(failure)?;
        Ok(Some(Tls { config, fingerprint: Some(certificate.fingerprint) }))
    }
}

/// Returns the names by which clients may reach a server at this address.
fn names(address: &str) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if !host.is_empty() && host.is_ascii() && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}
