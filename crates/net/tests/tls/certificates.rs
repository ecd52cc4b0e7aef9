//! Certificates that the tests make.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use sansocket_net::tls::rustls::pki_types::PrivateKeyDer;
use sansocket_net::tls::{ClientTls, Identity, Roots, ServerTls};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("the authority of the tests")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::new(vec![self.0.der().clone()])
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.issue_until(name, 4000)
    }

    /// Issues a certificate that is not valid from the beginning of this year.
    pub(crate) fn issue_until(&self, name: &str, year: i32) -> Identity {
        let (params, key) = params(name, year);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::new(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    /// Returns the configuration of clients that trust this authority.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::builder().only_roots(self.roots()).build().unwrap()
    }
}

/// Returns the configuration of a server with a self-signed certificate.
pub(crate) fn self_signed(name: &str) -> ServerTls {
    let (params, key) = params(name, 4000);
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    ServerTls::new(Identity::new(vec![certificate.der().clone()], key)).unwrap()
}

fn params(name: &str, until: i32) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    (params, KeyPair::generate().unwrap())
}
