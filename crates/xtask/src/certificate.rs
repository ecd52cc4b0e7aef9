//! A self-signed certificate for 127.0.0.1, which is made once per process: for servers and clients of runs over TLS.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair};
use sansocket_mio::tls::{ClientTls, Identity, Roots, ServerTls};

/// The certificate and its key, in PEM.
struct Certificate {
    certificate: String,
    key: String,
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let key = KeyPair::generate().expect("random numbers");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a valid name");
    let certificate = params.self_signed(&key).expect("a valid certificate").pem();
    Certificate { certificate, key: key.serialize_pem() }
});

/// Writes the certificate and its key to files, for programs of others.
pub(crate) fn write_pem(certificate: &Path, key: &Path) -> Result<()> {
    fs::write(certificate, &CERTIFICATE.certificate)?;
    Ok(fs::write(key, &CERTIFICATE.key)?)
}

/// Returns the configuration of a server with the certificate.
pub(crate) fn server() -> Result<ServerTls> {
    let Certificate { certificate, key } = &*CERTIFICATE;
    Ok(ServerTls::new(Identity::from_pem(certificate.as_bytes(), key.as_bytes())?)?)
}

/// Returns the configuration of a client that trusts the certificate, and no other.
pub(crate) fn client() -> Result<ClientTls> {
    let roots = Roots::from_pem(CERTIFICATE.certificate.as_bytes())?;
    Ok(ClientTls::builder().only_roots(roots).build()?)
}
