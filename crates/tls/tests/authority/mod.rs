//! Certificates that tests make, of this crate and of the adapters.
#![allow(dead_code, reason = "each test file uses some of it")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use sansocket_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sansocket_tls::{Identity, Roots};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns the authority's own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::new(vec![self.certificate()])
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.issue_between(name, 2020, 4000)
    }

    /// Returns a certificate with a key that does not belong to it.
    pub(crate) fn issue_for_another_key(&self, name: &str) -> Identity {
        let (params, key) = params(name, 2020, 4000);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let another = KeyPair::generate().unwrap().serialize_der();
        Identity::new(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(another.into()))
    }

    /// Issues a certificate that is valid from the first to the last of these years, exclusively.
    pub(crate) fn issue_between(&self, name: &str, from: i32, until: i32) -> Identity {
        let (params, key) = params(name, from, until);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::new(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }
}

/// Returns a self-signed certificate, which is that of an authority or not.
pub(crate) fn self_signed(name: &str, is_ca: bool) -> Identity {
    let (mut params, key) = params(name, 2020, 4000);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = params.self_signed(&key).unwrap();
    Identity::new(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

fn params(name: &str, from: i32, until: i32) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    (params, KeyPair::generate().unwrap())
}
