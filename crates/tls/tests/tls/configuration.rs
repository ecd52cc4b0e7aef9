//! Configurations: ALPN, crypto providers, PEM, and complete configurations of rustls.

use std::sync::Arc;

use rustls::{AlertDescription as Alert, ProtocolVersion};
use sansocket::Role;
use sansocket_tls::rustls::crypto::{CryptoProvider, ring};
use sansocket_tls::rustls::{self, ClientConfig, ServerConfig};
use sansocket_tls::{ClientTls, ConfigError, Identity, Roots, SelfSigned, ServerTls, TlsError};

use crate::support::{Authority, Configs, NAME, VERSIONS, pair, shake_hands};

/// Returns the protocols that both ends agree on, or their errors.
fn negotiate(
    client: Option<&[&str]>,
    server: Option<&[&str]>,
) -> Result<[Option<String>; 2], Box<[Option<TlsError>; 2]>> {
    let authority = Authority::new("authority");
    let mut client_tls = ClientTls::builder().only_roots(authority.roots());
    let mut server_tls = ServerTls::builder(authority.issue(NAME));
    if let Some(protocols) = client {
        client_tls = client_tls.alpn(protocols.iter().copied());
    }
    if let Some(protocols) = server {
        server_tls = server_tls.alpn(protocols.iter().copied());
    }
    let mut client = client_tls.build().unwrap().layer(NAME).unwrap();
    let mut server = server_tls.build().unwrap().layer();
    match shake_hands(&mut client, &mut server) {
        [None, None] => Ok([client, server]
            .map(|tls| tls.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap()))),
        errors => Err(Box::new(errors)),
    }
}

#[test]
fn application_protocols_are_agreed() {
    let agreed = |protocol: &str| [Some(protocol.to_owned()), Some(protocol.to_owned())];
    assert_eq!(negotiate(None, None).unwrap(), agreed("http/1.1"));
    assert_eq!(negotiate(Some(&["http/1.1", "h2"]), Some(&["h2", "http/1.1"])).unwrap(), agreed("h2"), "the server's");
    assert_eq!(negotiate(Some(&[]), None).unwrap(), [None, None], "nothing offered");
    assert_eq!(negotiate(None, Some(&[])).unwrap(), [None, None], "nothing supported");
}

#[test]
fn application_protocols_without_overlap_fail_at_both_ends() {
    let [client, server] = *negotiate(Some(&["h2"]), None).unwrap_err();
    assert!(matches!(server, Some(TlsError::NoCommonProtocol)), "{server:?}");
    let client = client.unwrap();
    assert!(
        matches!(client, TlsError::AlertReceived { sender: Role::Server, alert: Alert::NoApplicationProtocol }),
        "{client:?}"
    );
    assert!(client.to_string().contains("ALPN"), "{client}");
}

#[test]
fn the_default_provider_of_the_process_is_neither_used_nor_installed() {
    let _ = pair(&Configs::new());
    for version in VERSIONS {
        let _ = pair(&Configs::of_version(version));
    }
    assert!(CryptoProvider::get_default().is_none());
}

#[test]
fn the_caller_can_choose_the_provider() {
    // without a cipher suite, no provider works: this one must be the one in use
    let empty = Arc::new(CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() });
    let authority = Authority::new("authority");
    let client = ClientTls::builder().only_roots(authority.roots()).provider(empty.clone()).build();
    assert!(matches!(client, Err(ConfigError::Rustls(_))), "{client:?}");
    let server = ServerTls::builder(authority.issue(NAME)).provider(empty).build();
    assert!(matches!(server, Err(ConfigError::Rustls(_))), "{server:?}");
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn both_providers_work_together() {
    let aws = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authority = Authority::new("authority");
    let [ring_client, aws_client] = [None, Some(aws.clone())].map(|provider| {
        let builder = ClientTls::builder().only_roots(authority.roots());
        provider.map_or(builder, |provider| ClientTls::builder().only_roots(authority.roots()).provider(provider))
    });
    let [ring_client, aws_client] = [ring_client.build().unwrap(), aws_client.build().unwrap()];
    let ring_server = ServerTls::new(authority.issue(NAME)).unwrap();
    let aws_server = ServerTls::builder(authority.issue(NAME)).provider(aws).build().unwrap();
    let _ = pair(&Configs { client: ring_client, server: aws_server });
    let _ = pair(&Configs { client: aws_client, server: ring_server });
}

#[test]
fn two_ends_without_a_common_version_fail() {
    let [old, new] = VERSIONS.map(Configs::of_version);
    let mut client = old.client.layer(NAME).unwrap();
    let [client_error, server_error] = shake_hands(&mut client, &mut new.server.layer());
    assert!(matches!(server_error, Some(TlsError::Incompatible { peer: Role::Client, .. })), "{server_error:?}");
    let message = client_error.unwrap().to_string();
    assert!(message.contains("ProtocolVersion"), "{message}");
}

#[test]
fn both_versions_are_supported() {
    for (version, expected) in VERSIONS.into_iter().zip([ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3]) {
        let (client, server) = pair(&Configs::of_version(version));
        assert_eq!([client.protocol_version(), server.protocol_version()], [Some(expected); 2]);
    }
}

#[test]
fn early_data_is_turned_off() {
    let configs = Configs::new();
    let mut client = ClientConfig::clone(configs.client.config());
    client.enable_early_data = true;
    let mut server = ServerConfig::clone(configs.server.config());
    server.max_early_data_size = 16_384;
    let client = ClientTls::from_config(Arc::new(client)).unwrap();
    let server = ServerTls::from_config(Arc::new(server)).unwrap();
    assert!(!client.config().enable_early_data);
    assert_eq!(server.config().max_early_data_size, 0);
}

#[test]
fn certificates_and_keys_are_read_from_pem() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let (chain_pem, key_pem) = (certificate.pem(), key.serialize_pem());
    let both = format!("{key_pem}{chain_pem}");
    let folder = std::env::temp_dir().join(format!("sansocket-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain_file, key_file) = (folder.join("chain.pem"), folder.join("key.pem"));
    std::fs::write(&chain_file, &chain_pem).unwrap();
    std::fs::write(&key_file, &key_pem).unwrap();
    for (identity, roots) in [
        (Identity::from_pem(chain_pem.as_bytes(), key_pem.as_bytes()), Roots::from_pem(chain_pem.as_bytes())),
        (Identity::from_pem(both.as_bytes(), both.as_bytes()), Roots::from_pem(both.as_bytes())),
        (Identity::from_pem_files(&chain_file, &key_file), Roots::from_pem_file(&chain_file)),
    ] {
        let client = ClientTls::builder().only_roots(roots.unwrap()).build().unwrap();
        let _ = pair(&Configs { client, server: ServerTls::new(identity.unwrap()).unwrap() });
    }
    let missing = Identity::from_pem_files(&chain_file, folder.join("missing.pem")).unwrap_err().to_string();
    assert!(missing.contains("missing.pem"), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();

    let no_key = Identity::from_pem(chain_pem.as_bytes(), chain_pem.as_bytes()).unwrap_err().to_string();
    assert!(no_key.contains("no private key"), "{no_key}");
    let no_certificate = Roots::from_pem(key_pem.as_bytes()).unwrap_err().to_string();
    assert!(no_certificate.contains("no certificate"), "{no_certificate}");
    let debug = format!("{:?}", Identity::from_pem(chain_pem.as_bytes(), key_pem.as_bytes()).unwrap());
    assert_eq!(debug, "Identity { certificates: 1, .. }");
}

#[test]
fn a_client_without_any_root_is_refused() {
    assert!(matches!(ClientTls::builder().only_roots(Roots::default()).build(), Err(ConfigError::NoRoots)));
}

#[cfg(feature = "webpki-roots")]
#[test]
fn extra_roots_are_added_to_compiled_in_ones() {
    let authority = Authority::new("authority");
    let client = ClientTls::builder().webpki_roots().add_roots(authority.roots()).build().unwrap();
    let _ = pair(&Configs { client, server: ServerTls::new(authority.issue(NAME)).unwrap() });
}

#[cfg(all(feature = "platform-verifier", target_os = "linux"))]
#[test]
fn extra_roots_are_added_to_those_of_the_platform() {
    let authority = Authority::new("authority");
    let client = ClientTls::builder().add_roots(authority.roots()).build().unwrap();
    let _ = pair(&Configs { client, server: ServerTls::new(authority.issue(NAME)).unwrap() });
}

#[test]
fn the_fingerprint_of_a_self_signed_certificate_is_that_of_its_bytes() {
    let certificate = SelfSigned::new(["localhost", "127.0.0.1", "::1"]).unwrap();
    let client = ClientTls::builder().only_roots(certificate.roots()).build().unwrap();
    let fingerprint = certificate.fingerprint;
    let server = ServerTls::new(certificate.identity).unwrap();
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let mut tls = client.layer(name).unwrap();
        assert!(matches!(shake_hands(&mut tls, &mut server.layer()), [None, None]));
        let der = &tls.peer_certificates().unwrap()[0];
        let expected = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap().common.hash_provider.hash(der);
        assert_eq!(fingerprint, expected.as_ref());
    }
    assert_ne!(fingerprint, SelfSigned::new(["localhost"]).unwrap().fingerprint);
}
