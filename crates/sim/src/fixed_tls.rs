//! TLS configurations with a fixed certificate: handshakes of one version have the same lengths in every run.
//!
//! The certificate is the same in every process, and its key is of Ed25519, whose signatures have a fixed length. The
//! random numbers of rustls come from a generator that [`seed`] resets. The key exchange and the tickets use ring's own
//! random numbers, which have no seed. The ciphertext of equal runs therefore differs; its length does not.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use rand_chacha::ChaCha8Rng;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket_tls::rustls::client::Resumption;
use sansocket_tls::rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom, ring};
use sansocket_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sansocket_tls::rustls::{ClientConfig, ServerConfig};
use sansocket_tls::{ClientTls, Identity, Roots, ServerTls};

/// The name in the certificate.
pub const NAME: &str = "sim.example";

/// The head of a PKCS #8 structure with a private key of Ed25519 (RFC 8410 7).
const KEY_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The private key. Everyone can read it here: it protects nothing.
const KEY: [u8; 32] = [7; 32];

thread_local! {
    static RANDOM: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(0));
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the versions that are supported")]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A client's and a server's configuration that trust each other. Connections do not resume sessions, whose handshakes
/// have other lengths, and can extract their secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Configs {
    /// The configuration of the client.
    pub client: ClientTls,
    /// The configuration of the server.
    pub server: ServerTls,
}

/// Resets the random numbers that rustls takes on this thread.
pub fn seed(seed: u64) {
    RANDOM.set(ChaCha8Rng::seed_from_u64(seed));
}

/// Returns the configurations of one version. The first call creates them for the process.
pub fn configs(version: Version) -> &'static Configs {
    static CONFIGS: [OnceLock<Configs>; 2] = [OnceLock::new(), OnceLock::new()];
    CONFIGS[version as usize].get_or_init(|| Configs::new(version))
}

impl Configs {
    fn new(version: Version) -> Self {
        let mut provider = CryptoProvider { secure_random: &Seeded, ..ring::default_provider() };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() == (version == Version::Tls13));
        let provider = Arc::new(provider);
        let (certificate, identity) = identity();
        let client = ClientTls::builder()
            .only_roots(Roots::new(vec![certificate]))
            .provider(Arc::clone(&provider))
            .build()
            .expect("a valid configuration");
        let server = ServerTls::builder(identity).provider(provider).build().expect("a valid configuration");
        let mut client = ClientConfig::clone(client.config());
        client.resumption = Resumption::disabled();
        client.enable_secret_extraction = true;
        let mut server = ServerConfig::clone(server.config());
        server.enable_secret_extraction = true;
        Self {
            client: ClientTls::from_config(Arc::new(client)).expect("a valid configuration"),
            server: ServerTls::from_config(Arc::new(server)).expect("a valid configuration"),
        }
    }
}

/// Returns the certificate and its key.
fn identity() -> (CertificateDer<'static>, Identity) {
    let key = PrivatePkcs8KeyDer::from([KEY_HEAD.as_slice(), &KEY].concat());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ED25519).expect("a valid key");
    let params = CertificateParams::new([NAME.to_owned()]).expect("a valid name");
    let certificate = params.self_signed(&pair).expect("a valid certificate").der().clone();
    (certificate.clone(), Identity::new(vec![certificate], PrivateKeyDer::Pkcs8(key)))
}

/// The random numbers of the thread.
#[derive(Debug)]
struct Seeded;

impl SecureRandom for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        RANDOM.with_borrow_mut(|random| random.fill_bytes(bytes));
        Ok(())
    }
}
