//! Pairs of endpoints over an in-memory transport, and rustls' own connections as foreign peers.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use sansocket::Role;
use sansocket_tls::rustls;
use sansocket_tls::{ClientTls, ServerTls, Tls, TlsError};

pub(crate) use crate::authority::*;

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
pub(crate) const NAME: &str = "server.example";

/// A client's and a server's configuration that trust each other.
pub(crate) struct Configs {
    pub(crate) client: ClientTls,
    pub(crate) server: ServerTls,
}

impl Configs {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("authority");
        Self {
            client: ClientTls::builder().only_roots(authority.roots()).build().unwrap(),
            server: ServerTls::new(authority.issue(NAME)).unwrap(),
        }
    }

    /// Returns configurations of one version of TLS only.
    pub(crate) fn of_version(version: &'static SupportedProtocolVersion) -> Self {
        let authority = Authority::new("authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate()).unwrap();
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let certificate = sansocket_tls::CertificateStore::new(authority.issue(NAME)).unwrap();
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        Self {
            client: ClientTls::from_config(Arc::new(client)).unwrap(),
            server: ServerTls::from_config(Arc::new(server)).unwrap(),
        }
    }

    /// Returns configurations whose connections can extract secrets.
    pub(crate) fn with_secret_extraction() -> Self {
        let configs = Self::new();
        let mut client = ClientConfig::clone(configs.client.config());
        let mut server = ServerConfig::clone(configs.server.config());
        (client.enable_secret_extraction, server.enable_secret_extraction) = (true, true);
        Self {
            client: ClientTls::from_config(Arc::new(client)).unwrap(),
            server: ServerTls::from_config(Arc::new(server)).unwrap(),
        }
    }

    pub(crate) fn tls(&self, role: Role) -> Tls {
        match role {
            Role::Client => self.client.layer(NAME).unwrap(),
            Role::Server => self.server.layer(),
        }
    }

    /// Returns a peer for an endpoint with this role.
    pub(crate) fn peer_of(&self, role: Role) -> Foreign {
        let connection = match role {
            Role::Client => ServerConnection::new(self.server.config().clone()).unwrap().into(),
            Role::Server => {
                let name = ServerName::try_from(NAME).unwrap();
                ClientConnection::new(self.client.config().clone(), name).unwrap().into()
            }
        };
        Foreign(connection)
    }

    /// Returns an endpoint with this role and a peer, after their handshake.
    pub(crate) fn open(&self, role: Role) -> (Tls, Foreign) {
        let (mut tls, mut peer) = (self.tls(role), self.peer_of(role));
        let received = exchange(&mut tls, &mut peer, &mut |bytes| vec![bytes.to_vec()]).unwrap();
        assert_eq!(received, b"");
        assert!(tls.is_open() && !peer.0.is_handshaking(), "{role:?}");
        (tls, peer)
    }
}

/// A peer that is not ours: a buffered connection of rustls.
pub(crate) struct Foreign(pub(crate) Connection);

impl Foreign {
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.0.writer().write_all(plaintext).unwrap();
        self.written()
    }

    /// Returns the ciphertext to write.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Receives ciphertext and returns its plaintext.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plaintext = Vec::new();
        while !bytes.is_empty() {
            if self.0.read_tls(&mut bytes).unwrap() == 0 {
                break;
            }
            let state = self.0.process_new_packets()?;
            let start = plaintext.len();
            plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut plaintext[start..]).unwrap();
        }
        Ok(plaintext)
    }
}

/// The sending direction of a peer that encrypts any record (TLS 1.3).
pub(crate) struct RawSender {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl RawSender {
    /// Takes over from a peer whose configuration allows it to extract secrets.
    pub(crate) fn new(peer: Foreign) -> Self {
        let suite = peer.0.negotiated_cipher_suite().unwrap().tls13().unwrap();
        let (sequence, secrets) = peer.0.dangerous_extract_secrets().unwrap().tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("an unknown cipher")
        };
        Self { encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    pub(crate) fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: payload.into() };
        self.sequence += 1;
        self.encrypter.encrypt(message, self.sequence - 1).unwrap().encode()
    }
}

/// Removes and returns all pending bytes.
pub(crate) fn written(tls: &mut Tls) -> Vec<u8> {
    let bytes = tls.pending().to_vec();
    tls.advance(bytes.len());
    bytes
}

/// Receives ciphertext and returns its plaintext.
pub(crate) fn receive(tls: &mut Tls, bytes: &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut plaintext = Vec::new();
    tls.receive(&mut bytes.to_vec(), &mut plaintext).map(|()| plaintext)
}

/// Carries bytes in both directions, cut into pieces, until none are left. Returns the plaintext that `tls` received.
pub(crate) fn exchange(
    tls: &mut Tls,
    peer: &mut Foreign,
    cut: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>,
) -> Result<Vec<u8>, TlsError> {
    let mut plaintext = Vec::new();
    loop {
        let (to_peer, to_tls) = (written(tls), peer.written());
        if to_peer.is_empty() && to_tls.is_empty() {
            return Ok(plaintext);
        }
        // an error of the peer becomes an alert
        let _ = peer.receive(&to_peer);
        for piece in cut(&to_tls) {
            plaintext.extend(receive(tls, &piece)?);
        }
    }
}

/// Performs a handshake between two of our endpoints; returns the errors of the client and the server.
pub(crate) fn shake_hands(client: &mut Tls, server: &mut Tls) -> [Option<TlsError>; 2] {
    let mut errors = [None, None];
    loop {
        let (to_server, to_client) = (written(client), written(server));
        if to_server.is_empty() && to_client.is_empty() {
            return errors;
        }
        if let Err(error) = receive(server, &to_server) {
            errors[1] = errors[1].take().or(Some(error));
        }
        if let Err(error) = receive(client, &to_client) {
            errors[0] = errors[0].take().or(Some(error));
        }
    }
}

/// Returns an open pair of our endpoints: a client and a server.
pub(crate) fn pair(configs: &Configs) -> (Tls, Tls) {
    let (mut client, mut server) = (configs.tls(Role::Client), configs.tls(Role::Server));
    assert!(matches!(shake_hands(&mut client, &mut server), [None, None]));
    assert!(client.is_open() && server.is_open());
    (client, server)
}

/// A sequence of numbers from a seed (xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns a number from 0 to `limit`, exclusively.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    /// Cuts bytes into pieces of at most `max` bytes.
    pub(crate) fn cut(&mut self, mut bytes: &[u8], max: usize) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((self.below(max) + 1).min(bytes.len()));
            pieces.push(piece.to_vec());
            bytes = rest;
        }
        pieces
    }
}
