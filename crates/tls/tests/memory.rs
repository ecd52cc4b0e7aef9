//! The heap memory of connections, in bytes. (The counter is that of the thread.)

use allocation_counter::measure;
use sansocket_tls::{ClientTls, SelfSigned, ServerTls, Tls};

const MIB: usize = 1024 * 1024;

/// The maximum for an idle connection of a server. Most of it is rustls' own: its connection with the state of TLS 1.3,
/// the keys of both directions, and room for 16 handshake messages, which it keeps.
const IDLE_SERVER_MAX: i64 = 3_600;
const IDLE_CLIENT_MAX: i64 = 4_096;

struct Configs {
    client: ClientTls,
    server: ServerTls,
}

impl Configs {
    fn new() -> Self {
        let certificate = SelfSigned::new(["localhost"]).unwrap();
        let client = ClientTls::builder().only_roots(certificate.roots()).build().unwrap();
        Self { client, server: ServerTls::new(certificate.identity).unwrap() }
    }

    /// Returns a client and a server that have exchanged a message.
    fn open(&self) -> (Tls, Tls) {
        let (mut client, mut server) = (self.client.layer("localhost").unwrap(), self.server.layer());
        while !(client.is_open() && server.is_open()) {
            carry(&mut client, &mut server);
            carry(&mut server, &mut client);
        }
        send(&mut client, &mut server, b"request");
        send(&mut server, &mut client, b"response");
        (client, server)
    }
}

/// Carries all pending bytes; returns the number of bytes of plaintext that arrived.
fn carry(from: &mut Tls, to: &mut Tls) -> usize {
    let mut plaintext = Vec::new();
    // as many bytes as a read buffer holds
    while let Some(chunk) = from.pending().chunks(10_000).next() {
        let mut chunk = chunk.to_vec();
        from.advance(chunk.len());
        to.receive(&mut chunk, &mut plaintext).unwrap();
    }
    plaintext.len()
}

fn send(from: &mut Tls, to: &mut Tls, plaintext: &[u8]) {
    from.send(plaintext).unwrap();
    assert_eq!(carry(from, to), plaintext.len());
}

/// Returns how many bytes dropping a connection frees.
fn held(tls: Tls) -> i64 {
    -measure(|| drop(tls)).bytes_current
}

#[test]
fn an_idle_connection_holds_little_memory_also_after_a_burst() {
    let configs = Configs::new();
    for is_resumed in [false, true] {
        let (client, server) = configs.open();
        assert_eq!(server.is_resumed(), Some(is_resumed));
        let before = [held(client), held(server)];
        let (mut client, mut server) = configs.open();
        let burst = |from: &mut Tls, to: &mut Tls| {
            for _ in 0..16 {
                send(from, to, &vec![7; MIB]);
            }
        };
        burst(&mut client, &mut server);
        burst(&mut server, &mut client);
        let after = [held(client), held(server)];
        println!("resumed: {is_resumed}; bytes held by an idle client: {} and server: {}", before[0], before[1]);
        println!("after a burst of 16 MiB in each direction: {} and {}", after[0], after[1]);
        assert!(before[1] <= IDLE_SERVER_MAX && before[0] <= IDLE_CLIENT_MAX, "{before:?}");
        assert!(after[1] <= IDLE_SERVER_MAX && after[0] <= IDLE_CLIENT_MAX, "{after:?}");
    }
}

#[test]
fn an_incomplete_record_takes_memory_in_proportion_to_the_bytes_that_arrived() {
    let (mut client, mut server) = Configs::new().open();
    client.send(&[7; 16_000]).unwrap();
    let ciphertext = client.pending().to_vec();
    let mut plaintext = Vec::with_capacity(16_000);
    let mut arrived = 0;
    let mut held = 0;
    for piece in ciphertext.chunks(1_000) {
        arrived += piece.len() as i64;
        let mut piece = piece.to_vec();
        held += measure(|| server.receive(&mut piece, &mut plaintext).unwrap()).bytes_current;
        assert!(held <= 2 * arrived, "{held} bytes for {arrived}");
    }
    assert_eq!((plaintext.len(), held), (16_000, 0), "nothing is held after the record");
}
