//! Bytes in any pieces: records, the handshake, and what is pending.

use sansocket::Role;
use sansocket_tls::{Tls, TlsError};

use crate::support::{BOTH, Configs, Numbers, VERSIONS, exchange, pair, receive, written};

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// Runs a handshake and an exchange of data with a foreign peer, whose bytes arrive in the pieces that `cut` makes.
fn run(configs: &Configs, role: Role, cut: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) {
    let (mut tls, mut peer) = (configs.tls(role), configs.peer_of(role));
    exchange(&mut tls, &mut peer, cut).unwrap();
    assert!(tls.is_open() && !peer.0.is_handshaking());
    for size in [1, 20, 16_384, 16_385, 50_000] {
        let data = bytes(size);
        for chunk in data.chunks(40_000) {
            let ciphertext = peer.send(chunk);
            let mut received = Vec::new();
            for piece in cut(&ciphertext) {
                received.extend(receive(&mut tls, &piece).unwrap());
            }
            assert!(received == chunk, "{size} bytes");
        }
        tls.send(&data).unwrap();
        assert!(peer.receive(&written(&mut tls)).unwrap() == data, "{size} bytes");
    }
    peer.0.send_close_notify();
    for piece in cut(&peer.written()) {
        assert_eq!(receive(&mut tls, &piece).unwrap(), b"");
    }
    assert!(tls.has_received_close());
}

#[test]
fn bytes_in_any_pieces_are_the_same_data() {
    for version in VERSIONS {
        let configs = Configs::of_version(version);
        for role in BOTH {
            run(&configs, role, &mut |bytes| vec![bytes.to_vec()]);
            run(&configs, role, &mut |bytes| bytes.iter().map(|&byte| vec![byte]).collect());
            for seed in 0..20 {
                let mut numbers = Numbers::new(seed);
                let max = [3, 30, 300, 3_000, 30_000][seed as usize % 5];
                run(&configs, role, &mut |bytes| numbers.cut(bytes, max));
            }
        }
    }
}

#[test]
fn many_records_in_one_read_are_one_piece_of_data() {
    for role in BOTH {
        let (mut tls, mut peer) = Configs::new().open(role);
        let ciphertext: Vec<u8> = (0..1_000).flat_map(|_| peer.send(b"record ")).collect();
        assert_eq!(receive(&mut tls, &ciphertext).unwrap(), b"record ".repeat(1_000));
    }
}

#[test]
fn the_first_flight_of_a_client_is_pending_at_once() {
    let configs = Configs::new();
    let hello = configs.tls(Role::Client).pending().to_vec();
    assert!(hello.starts_with(&[22, 3, 1]), "a handshake record");
    assert_eq!(configs.tls(Role::Server).pending(), b"");
}

#[test]
fn data_with_the_last_flight_of_the_handshake_is_delivered() {
    for version in VERSIONS {
        let configs = Configs::of_version(version);
        let (mut client, mut server) = (configs.tls(Role::Client), configs.tls(Role::Server));
        let mut flight = written(&mut client);
        while !client.is_open() {
            receive(&mut server, &flight).unwrap();
            receive(&mut client, &written(&mut server)).unwrap();
            if !client.is_open() {
                flight = written(&mut client);
            }
        }
        client.send(b"with the Finished message").unwrap();
        let received = receive(&mut server, &written(&mut client)).unwrap();
        assert_eq!(received, b"with the Finished message", "{version:?}");
    }
}

#[test]
fn nothing_can_be_sent_before_the_handshake_is_complete_or_after_the_close() {
    let configs = Configs::new();
    let mut client = configs.tls(Role::Client);
    let hello = client.pending().to_vec();
    assert!(matches!(client.send(b"early"), Err(TlsError::NotOpen)));
    assert_eq!(client.pending(), hello);
    let (mut client, _) = pair(&configs);
    client.close();
    assert!(matches!(client.send(b"late"), Err(TlsError::NotOpen)));
    let close = written(&mut client);
    client.close();
    assert!(!close.is_empty() && client.pending().is_empty(), "one close_notify");
}

#[test]
fn plaintext_counts_as_delivered_with_the_last_byte_of_its_records() {
    let (mut client, mut server) = pair(&Configs::new());
    client.send(&bytes(20_000)).unwrap();
    let ciphertext = client.pending().to_vec();
    let mut delivered = Vec::new();
    for _ in &ciphertext {
        delivered.push(client.advance(1));
    }
    assert_eq!(delivered.pop(), Some(20_000));
    assert!(delivered.iter().all(|&count| count == 0));
    assert!(receive(&mut server, &ciphertext).unwrap() == bytes(20_000));
}

#[test]
fn a_changed_record_fails_and_the_data_before_it_is_returned() {
    for version in VERSIONS {
        let configs = Configs::of_version(version);
        for role in BOTH {
            let (mut tls, mut peer) = configs.open(role);
            let mut ciphertext = peer.send(b"genuine");
            ciphertext.extend(peer.send(b"changed"));
            *ciphertext.last_mut().unwrap() ^= 1;
            let more = peer.send(b"more");
            let mut plaintext = Vec::new();
            let error = tls.receive(&mut ciphertext, &mut plaintext).unwrap_err();
            assert_eq!(plaintext, b"genuine");
            assert!(matches!(error, TlsError::Protocol { .. }), "{error:?}");
            let alert = peer.receive(&written(&mut tls)).unwrap_err();
            assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
            // further bytes are ignored
            assert_eq!(receive(&mut tls, &more).unwrap(), b"");
            assert!(tls.pending().is_empty() && !tls.is_open());
        }
    }
}

#[test]
fn a_connection_through_another_one_carries_data_and_ends() {
    let (proxy, origin) = (Configs::new(), Configs::new());
    let (outer, mut at_proxy) = pair(&proxy);
    let mut client = origin.tls(Role::Client).through(outer);
    let mut server = origin.tls(Role::Server);
    let mut data = Vec::new();
    while !(client.is_open() && server.is_open()) {
        forward(&written(&mut client), &mut at_proxy, &mut server, &mut data);
        at_proxy.send(&written(&mut server)).unwrap();
        receive(&mut client, &written(&mut at_proxy)).unwrap();
    }
    client.send(&bytes(100_000)).unwrap();
    let ciphertext = client.pending().to_vec();
    let delivered: usize = ciphertext.iter().map(|_| client.advance(1)).sum();
    assert_eq!(delivered, 100_000, "plaintext of the inner connection");
    for piece in Numbers::new(1).cut(&ciphertext, 5_000) {
        forward(&piece, &mut at_proxy, &mut server, &mut data);
    }
    assert!(data == bytes(100_000));
    client.close();
    forward(&written(&mut client), &mut at_proxy, &mut server, &mut data);
    assert!(server.has_received_close() && at_proxy.has_received_close());
    // the end of the outer connection alone truncates the inner one
    at_proxy.close();
    receive(&mut client, &written(&mut at_proxy)).unwrap();
    assert!(matches!(client.check_eof(), Err(TlsError::Truncated { peer: Role::Server })));
}

/// Does what a proxy does: decrypts its connection to the client, and forwards the bytes to the server.
fn forward(ciphertext: &[u8], at_proxy: &mut Tls, server: &mut Tls, data: &mut Vec<u8>) {
    let mut inner = receive(at_proxy, ciphertext).unwrap();
    server.receive(&mut inner, data).unwrap();
}
