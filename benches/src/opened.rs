//! Connections of sansocket that are open.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Input, Instant, Output, ReadyState, WebSocket};

use crate::wire::From;

/// Returns the end of a connection after the opening handshake with an end that has the same settings, and is dropped.
#[must_use]
pub fn open(end: From, config: Config) -> WebSocket {
    let (now, config) = (Instant::EPOCH, Arc::new(config));
    let request = "ws://server.example.com/chat".parse().unwrap();
    // the generator of the adapters, but with a fixed seed
    let mut client = WebSocket::client(request, Arc::clone(&config), StdRng::seed_from_u64(1), now).unwrap();
    let mut server = WebSocket::server(config, now);

    receive_all(&mut server, &mut take(client.output()));
    server.accept(Accept::new(), now).unwrap();
    receive_all(&mut server, &mut []);
    receive_all(&mut client, &mut take(server.output()));
    let ws = if end == From::Client { client } else { server };
    assert_eq!(ws.ready_state(), ReadyState::Open);
    ws
}

fn take(output: &mut Output) -> Vec<u8> {
    output.copy_to_bytes(output.remaining()).to_vec()
}

fn receive_all(ws: &mut WebSocket, bytes: &mut [u8]) {
    let mut input = Input::new(bytes);
    while ws.receive(&mut input, Instant::EPOCH).unwrap().is_some() {}
}
