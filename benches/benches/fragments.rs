//! A server receives a text message of 1 MiB: in one frame, in 64 fragments of 16 KiB, or in 16,384 of 64 bytes.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    Blocking, Endpoint, Fastwebsockets, LargeBuffer, Recycling, Role, Sansocket, Shiguredo, Sockudo, Soketto,
    TokioWebsockets, Tungstenite, WebSocket, WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{Circle, Transport};
use sansocket_benches::wire::{self, From};

const MESSAGE: usize = 1 << 20;

/// The shapes of the message, with the bytes of a fragment.
const FRAGMENTS: [(&str, usize); 3] = [("1 frame", MESSAGE), ("64 fragments", 16 << 10), ("16384 fragments", 64)];

type Participant = (&'static str, fn(&mut Group<'_>, &'static str, &Case<'_>));

const PARTICIPANTS: [Participant; 13] = [
    ("sansocket", run::<Sansocket<Circle>>),
    ("sansocket, messages recycled", run::<Sansocket<Circle, Recycling>>),
    ("sansocket, 16 KiB reads, no scratch", run::<Sansocket<Circle, Blocking>>),
    ("sansocket, 1.25 MiB reads", run::<Sansocket<Circle, LargeBuffer>>),
    ("tungstenite", run::<Tungstenite<Circle>>),
    ("fastwebsockets", run::<Fastwebsockets<Circle>>),
    ("tokio-websockets", run::<TokioWebsockets<Circle>>),
    ("soketto", run::<Soketto<Circle>>),
    ("yawc", run::<Yawc<Circle>>),
    ("sockudo-ws", run::<Sockudo<Circle>>),
    ("web-socket", run::<WebSocket<Circle>>),
    ("websocket-sans-io", run::<WebsocketSansIo<Circle>>),
    ("shiguredo_websocket", run::<Shiguredo<Circle>>),
];

struct Case<'a> {
    shape: &'static str,
    payload: &'a [u8],
    circle: Circle,
}

fn run<E: Endpoint<Circle>>(group: &mut Group<'_>, name: &'static str, case: &Case<'_>) {
    let mut endpoint = E::new(Role::Server, case.circle.clone());
    let mut received = 0;
    endpoint.receive(2, |is_text, payload| {
        assert!(is_text && payload == case.payload, "{name}: the received message differs");
        received += 1;
    });
    assert_eq!(received, 2, "{name}");
    group.bench_function(BenchmarkId::new(name, case.shape), |bencher| {
        bencher.iter(|| {
            endpoint.receive(1, |_, payload| {
                black_box(payload);
            })
        });
    });
}

fn fragments(criterion: &mut Criterion) {
    let payload = wire::payload(MESSAGE);
    for (shape, bytes) in FRAGMENTS {
        let wire = wire::fragments(From::Client, &payload, bytes);
        let case = Case { shape, payload: &payload, circle: Circle::new(&wire) };
        let mut group = table::group(criterion, "fragments: text of 1 MiB", 1, MESSAGE);
        for (name, run) in PARTICIPANTS {
            run(&mut group, name, &case);
        }
        let (mut circle, mut buffer) = (case.circle.clone(), vec![0; wire.len()]);
        group.bench_function(BenchmarkId::new("memcpy", shape), |bencher| {
            bencher.iter(|| circle.read_into(black_box(&mut buffer)));
        });
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = fragments);
criterion_main!(benches);
