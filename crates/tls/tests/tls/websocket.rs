//! WebSockets over TLS: data in both directions, back-pressure, bounded memory.

use sansocket::bytes::Buf;
use sansocket::{CloseCode, Config, Role};
use sansocket_drive::{Action, Layer};
use sansocket_tls::{MaybeTls, Tls};

use crate::endpoint::{Endpoint, NOW, Wire, run};
use crate::support::{Configs, Numbers, VERSIONS};

const SIZES: [usize; 9] = [0, 1, 125, 126, 1_000, 16_384, 16_385, 70_000, 300_000];

fn message(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 253) as u8).collect()
}

fn unlimited() -> [Wire; 2] {
    [Wire::new(usize::MAX), Wire::new(usize::MAX)]
}

fn endpoints(configs: &Configs) -> (Endpoint<Tls>, Endpoint<Tls>) {
    (
        Endpoint::new(Role::Client, Config::default(), configs.tls(Role::Client)),
        Endpoint::new(Role::Server, Config::default(), configs.tls(Role::Server)),
    )
}

fn send<L: Layer>(endpoint: &mut Endpoint<L>, size: usize) {
    endpoint.driver.websocket_mut().send(message(size)).unwrap();
}

/// Exchanges messages in both directions at once, and closes.
fn exchange<L: Layer, M: Layer>(
    client: &mut Endpoint<L>,
    server: &mut Endpoint<M>,
    wires: &mut [Wire; 2],
    seed: Option<u64>,
) {
    let mut numbers = seed.map(Numbers::new);
    run(client, server, wires, numbers.as_mut());
    assert!(client.is_open && server.is_open);
    for size in SIZES {
        send(client, size);
        send(server, size);
    }
    run(client, server, wires, numbers.as_mut());
    client.driver.websocket_mut().close(CloseCode::NORMAL, "done", NOW).unwrap();
    run(client, server, wires, numbers.as_mut());
    let expected = SIZES.map(message);
    assert!(client.messages == expected && server.messages == expected);
    for endpoint_end in [(client.close, client.end), (server.close, server.end)] {
        assert_eq!(endpoint_end, (Some((1000, true)), Some(Action::Close)));
    }
    assert!(client.errors.is_empty() && server.errors.is_empty());
}

#[test]
fn messages_cross_in_both_versions_and_the_end_is_clean() {
    for version in VERSIONS {
        let (mut client, mut server) = endpoints(&Configs::of_version(version));
        exchange(&mut client, &mut server, &mut unlimited(), None);
        assert!(client.driver.layer().has_received_close() && server.driver.layer().has_received_close());
    }
}

#[test]
fn messages_cross_in_pieces_of_any_size() {
    for seed in 0..10 {
        let (mut client, mut server) = endpoints(&Configs::of_version(VERSIONS[seed as usize % 2]));
        exchange(&mut client, &mut server, &mut unlimited(), Some(seed));
    }
}

#[test]
fn full_transports_in_both_directions_are_no_deadlock() {
    for (seed, capacity) in [(1, 1), (2, 100), (3, 20_000)] {
        let (mut client, mut server) = endpoints(&Configs::new());
        let mut wires = [Wire::new(capacity), Wire::new(capacity)];
        exchange(&mut client, &mut server, &mut wires, Some(seed));
    }
}

#[test]
fn output_that_is_pending_when_the_tls_handshake_ends_is_sent() {
    let (mut client, mut server) = endpoints(&Configs::new());
    // the client's request is in the output from the start
    server.receive(client.written());
    client.receive(server.written());
    assert!(client.driver.layer().is_open());
    let flight = client.written();
    server.receive(flight);
    assert!(server.is_open, "the request came with the last flight of the handshake");
    client.receive(server.written());
    assert!(client.is_open);
}

#[test]
fn bytes_that_tls_holds_are_bounded_and_count_as_buffered() {
    let (mut client, mut server) = endpoints(&Configs::new());
    run(&mut client, &mut server, &mut unlimited(), None);
    server.driver.websocket_mut().send(message(1_000_000)).unwrap();
    for written in [0, 10_000, 50_000] {
        // the transport takes some bytes and no more
        let mut outgoing = server.driver.to_write();
        assert!(outgoing.remaining() <= 64 * 1024 + 4 * 32, "{} bytes", outgoing.remaining());
        outgoing.advance(written);
    }
    assert_eq!(server.driver.websocket().buffered_amount(), 1_000_000, "not delivered");
    let bytes = server.written();
    assert!(bytes.len() > 900_000);
    assert_eq!(server.driver.websocket().buffered_amount(), 0);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_although_tls_holds_all_output() {
    let configs = Configs::new();
    let config = || Config::default().high_water_mark(50_000);
    let mut client = Endpoint::new(Role::Client, config(), configs.tls(Role::Client));
    let mut server = Endpoint::new(Role::Server, config(), configs.tls(Role::Server));
    run(&mut client, &mut server, &mut unlimited(), None);
    send(&mut server, 60_000);
    assert!(server.driver.to_write().remaining() > 60_000, "TLS has taken the whole message");
    assert!(matches!(server.driver.next_action(), Action::Wait { read: false, write: true, .. }));
    client.receive(server.written());
    assert!(matches!(server.driver.next_action(), Action::Wait { read: true, write: false, .. }));
    assert!(client.messages == [message(60_000)]);
}

#[test]
fn small_messages_share_a_record() {
    let (mut client, mut server) = endpoints(&Configs::new());
    run(&mut client, &mut server, &mut unlimited(), None);
    for _ in 0..16 {
        send(&mut server, 20);
    }
    let bytes = server.written();
    assert_eq!(bytes.len(), 16 * (2 + 20) + 22, "one record");
    client.receive(bytes);
    assert_eq!(client.messages.len(), 16);
}

#[test]
fn a_layer_that_may_be_tls_is_either() {
    assert_eq!(size_of::<MaybeTls>(), size_of::<usize>());
    let configs = Configs::new();
    let layer = |role, has_tls: bool| if has_tls { configs.tls(role).into() } else { MaybeTls::PLAIN };
    for has_tls in [false, true] {
        let mut client = Endpoint::new(Role::Client, Config::default(), layer(Role::Client, has_tls));
        let mut server = Endpoint::new(Role::Server, Config::default(), layer(Role::Server, has_tls));
        assert_eq!((client.driver.layer().is_plain(), client.driver.layer().tls().is_some()), (!has_tls, has_tls));
        let mut wires = unlimited();
        run(&mut client, &mut server, &mut wires, Some(&mut Numbers::new(7)));
        for size in SIZES {
            send(&mut client, size);
        }
        run(&mut client, &mut server, &mut wires, Some(&mut Numbers::new(8)));
        assert!(server.messages == SIZES.map(message));
        server.driver.websocket_mut().close(CloseCode::NORMAL, "", NOW).unwrap();
        run(&mut client, &mut server, &mut wires, None);
        assert_eq!([client.close, server.close], [Some((1000, true)); 2]);
        assert_eq!([client.end, server.end], [Some(Action::Close); 2]);
    }
}
