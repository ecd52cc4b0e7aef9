//! A server parses and answers a browser's opening handshake, from a new connection to the last byte of the response.
//!
//! "httparse, sha1, base64" is the floor: it parses the request, hashes the key and writes the shortest response,
//! without validation. Omitted are libraries that leave the opening handshake to hyper or the application:
//! fastwebsockets, yawc, web-socket and websocket-sans-io.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    sansocket_answer, shiguredo_answer, sockudo_answer, soketto_answer, tokio_websockets_answer, tungstenite_answer,
};
use sansocket_benches::table;
use sansocket_benches::transport::{Exchange, Transport};
use sansocket_benches::wire::{ACCEPT, REQUEST};
use sha1::{Digest, Sha1};

type Participant<'a> = (&'static str, &'a dyn Fn(&'static [u8]) -> Vec<u8>);

fn floor(request: &'static [u8]) -> Vec<u8> {
    let mut exchange = Exchange::new(request);
    let mut buffer = [0; 1024];
    let count = exchange.read_into(&mut buffer);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&buffer[..count]).unwrap();
    let key = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("Sec-WebSocket-Key")).unwrap();
    let hash = Sha1::new().chain_update(key.value).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut accept = [0; 28];
    STANDARD.encode_slice(hash, &mut accept).unwrap();
    exchange.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    exchange.write(b"Sec-WebSocket-Accept: ");
    exchange.write(&accept);
    exchange.write(b"\r\n\r\n");
    exchange.response
}

fn check(name: &str, response: &[u8]) {
    let response = str::from_utf8(response).unwrap();
    let is_accepted = response
        .lines()
        .filter_map(|line| line.split_once(": "))
        .any(|(name, value)| name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value == ACCEPT);
    let is_whole = response.starts_with("HTTP/1.1 101 ") && response.ends_with("\r\n\r\n");
    assert!(is_accepted && is_whole, "{name}: the response is {response:?}");
}

fn handshake(criterion: &mut Criterion) {
    let config = Arc::default();
    let sansocket = |request| sansocket_answer(request, &config);
    let participants: [Participant<'_>; 7] = [
        ("sansocket", &sansocket),
        ("tungstenite", &tungstenite_answer),
        ("tokio-websockets", &tokio_websockets_answer),
        ("soketto", &soketto_answer),
        ("sockudo-ws", &sockudo_answer),
        ("shiguredo_websocket", &shiguredo_answer),
        ("floor: httparse, sha1, base64", &floor),
    ];
    let mut group = table::group(criterion, "handshake", 1, REQUEST.len());
    for (name, answer) in participants {
        check(name, &answer(REQUEST));
        group.bench_function(BenchmarkId::new(name, "a browser's"), |bencher| {
            bencher.iter(|| answer(black_box(REQUEST)));
        });
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = handshake);
criterion_main!(benches);
