//! Echoes a binary message in memory, with the same library at both ends: the client masks it, the server unmasks and
//! echoes it, the client receives it. Each direction includes a copy for `send` and one for `recv`, as for memcpy. The
//! application copies the message in between, so the way a library passes it on does not matter.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    Blocking, Endpoint, Fastwebsockets, Payload, Role, Sansocket, Shiguredo, Sockudo, Soketto, TokioWebsockets,
    Tungstenite, WebSocket, WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{End, Transport};
use sansocket_benches::wire;

const SIZES: [usize; 5] = [16, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

type Participant = (&'static str, fn(&mut Group<'_>, &'static str, &[u8]));

const PARTICIPANTS: [Participant; 11] = [
    ("sansocket", run::<Sansocket<End>>),
    ("sansocket, 16 KiB reads, no scratch", run::<Sansocket<End, Blocking>>),
    ("tungstenite", run::<Tungstenite<End>>),
    ("fastwebsockets", run::<Fastwebsockets<End>>),
    ("tokio-websockets", run::<TokioWebsockets<End>>),
    ("soketto", run::<Soketto<End>>),
    ("yawc", run::<Yawc<End>>),
    ("sockudo-ws", run::<Sockudo<End>>),
    ("web-socket", run::<WebSocket<End>>),
    ("websocket-sans-io", run::<WebsocketSansIo<End>>),
    ("shiguredo_websocket", run::<Shiguredo<End>>),
];

fn run<E: Endpoint<End>>(group: &mut Group<'_>, name: &'static str, payload: &[u8]) {
    let (here, there) = End::pair();
    let (mut client, mut server) = (E::new(Role::Client, here), E::new(Role::Server, there));
    let mut held = Vec::new();
    let mut echo = |each: &mut dyn FnMut(&[u8])| {
        client.send(Payload::Borrowed(payload));
        server.receive(1, |_, payload| {
            held.clear();
            payload.chunks(wire::PIECE).for_each(|piece| held.extend_from_slice(piece));
        });
        server.send(Payload::Borrowed(&held));
        client.receive(1, |_, payload| each(payload));
    };
    for _ in 0..3 {
        echo(&mut |echoed| assert!(echoed == payload, "{name}: the echo differs from the message"));
    }
    group.bench_function(BenchmarkId::new(name, payload.len()), |bencher| {
        bencher.iter(|| {
            echo(&mut |echoed| {
                black_box(echoed);
            })
        });
    });
}

fn memcpy(group: &mut Group<'_>, payload: &[u8]) {
    let (mut here, mut there) = End::pair();
    let (mut buffer, mut held) = (vec![0; payload.len()], vec![0; payload.len()]);
    group.bench_function(BenchmarkId::new("memcpy", payload.len()), |bencher| {
        bencher.iter(|| {
            here.write(payload);
            there.read_into(&mut buffer);
            wire::copy(&mut held, &buffer);
            there.write(&held);
            here.read_into(black_box(&mut buffer))
        });
    });
}

fn echo(criterion: &mut Criterion) {
    for size in SIZES {
        let payload = wire::payload(size);
        let mut group = table::group(criterion, "echo: both ends", 1, size);
        for (name, run) in PARTICIPANTS {
            run(&mut group, name, &payload);
        }
        memcpy(&mut group, &payload);
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = echo);
criterion_main!(benches);
