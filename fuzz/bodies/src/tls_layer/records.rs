//! An end that receives any records from a peer that has the keys (TLS 1.3). It receives the data in the order of the
//! records, and fails if too many of them have none.

use std::io::Write;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::Role;
use sansocket_sim::fixed_tls::{self, NAME, Version};
use sansocket_tls::Tls;
use sansocket_tls::rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use sansocket_tls::rustls::pki_types::ServerName;
use sansocket_tls::rustls::{
    ClientConnection, Connection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConnection,
};

use super::end::End;

/// Handshake messages that may follow a handshake: a ticket, and a KeyUpdate that asks for one, or not.
const MESSAGES: [&[u8]; 3] =
    [&[4, 0, 0, 15, 0, 0, 14, 16, 1, 2, 3, 4, 1, 9, 0, 1, 7, 0, 0], &[24, 0, 0, 1, 1], &[24, 0, 0, 1, 0]];

/// The sending direction of the peer.
struct Sender {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

/// Input: records, each a type, the length of its payload, and the payload; and whether to receive what was sent.
pub(super) fn check(role: Role, u: &mut Unstructured<'_>) -> Result<()> {
    let (mut end, mut sender) = open(role);
    let (mut sent, mut ciphertext, mut without_data) = (Vec::new(), Vec::new(), 0);
    while !u.is_empty() && sender.sequence < 200 {
        let choice: u8 = u.arbitrary()?;
        let (typ, payload) = record(choice % 8, u)?;
        ciphertext.extend(sender.record(typ, &payload));
        let has_data = typ == ContentType::ApplicationData && !payload.is_empty();
        if has_data {
            sent.extend(&payload);
        }
        without_data = if has_data { 0 } else { without_data + 1 };
        if choice & 8 == 0 || u.is_empty() {
            end.receive(&std::mem::take(&mut ciphertext));
            end.written();
            assert!(sent.starts_with(&end.received), "the data differs from the records");
            let is_over = end.error.is_some() || end.tls.has_received_close();
            assert!(is_over || end.received == sent, "data is missing");
            assert!(is_over || without_data <= Tls::MAX_RECORDS_WITHOUT_DATA, "a flood of records without data");
        }
    }
    Ok(())
}

/// Chooses a record.
fn record(kind: u8, u: &mut Unstructured<'_>) -> Result<(ContentType, Vec<u8>)> {
    let typ = match kind {
        0 | 1 => ContentType::ApplicationData,
        2 => return Ok((ContentType::Handshake, u.choose(&MESSAGES)?.to_vec())),
        3 => ContentType::Handshake,
        4 => ContentType::Alert,
        5 => ContentType::ChangeCipherSpec,
        6 => return Ok((ContentType::ApplicationData, vec![7; u.int_in_range(16_000..=17_000)?])),
        _ => ContentType::from(u.arbitrary::<u8>()?),
    };
    let length = usize::from(u.arbitrary::<u8>()? % 64);
    Ok((typ, u.bytes(length.min(u.len()))?.to_vec()))
}

/// Returns an end after its handshake, and the sending direction of its peer.
fn open(role: Role) -> (End, Sender) {
    let configs = fixed_tls::configs(Version::Tls13);
    let mut end = End::new(role, Version::Tls13);
    let mut peer = match role {
        Role::Client => Connection::from(ServerConnection::new(Arc::clone(configs.server.config())).expect("a server")),
        Role::Server => {
            let name = ServerName::try_from(NAME).expect("a name");
            ClientConnection::new(Arc::clone(configs.client.config()), name).expect("a client").into()
        }
    };
    while !end.tls.is_open() || peer.is_handshaking() {
        carry(&mut end, &mut peer);
    }
    // the tickets precede it
    peer.writer().write_all(b"data").expect("an open connection");
    carry(&mut end, &mut peer);
    assert_eq!(end.received, b"data");
    end.received.clear();
    (end, Sender::new(peer))
}

/// Carries bytes once in both directions.
fn carry(end: &mut End, peer: &mut Connection) {
    let bytes = end.written();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        peer.read_tls(&mut rest).expect("memory");
        peer.process_new_packets().expect("honest bytes");
    }
    let mut bytes = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut bytes).expect("memory");
    }
    end.receive(&bytes);
    assert!(end.error.is_none(), "{:?}", end.error);
}

impl Sender {
    /// Takes over from a peer.
    fn new(peer: Connection) -> Self {
        let suite = peer.negotiated_cipher_suite().and_then(|suite| suite.tls13()).expect("TLS 1.3");
        let (sequence, secrets) = peer.dangerous_extract_secrets().expect("they are enabled").tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("an unknown cipher")
        };
        Self { encrypter: suite.aead_alg.encrypter(key, iv), sequence }
    }

    fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: payload.into() };
        self.sequence += 1;
        self.encrypter.encrypt(message, self.sequence - 1).expect("a record").encode()
    }
}
