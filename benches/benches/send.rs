//! A client sends binary messages, which it masks, or a server does. The application borrows, owns or shares the
//! payload. Sending ends when the transport has every byte. The transport does not copy: that is the system's part.
//!
//! memcpy copies only the payload; the floor masks it too, with a known key. "by reference" marks libraries that pass a
//! borrowed payload to the transport without a copy, which makes the caller wait until the transport has taken it.
//!
//! Each message has a new owned payload, or a new reference to the shared one. Creating it is not timed; freeing it is.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    Endpoint, Fastwebsockets, Payload, Role, Sansocket, Sockudo, Soketto, TokioWebsockets, Tungstenite, WebSocket,
    WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{End, Sink, Transport};
use sansocket_benches::wire;

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// How the application holds the payload.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Borrowed,
    Owned,
    Shared,
}

struct Case {
    role: Role,
    held: Held,
    payload: Vec<u8>,
}

type Participant = (&'static str, &'static str, fn(&mut Group<'_>, &str, &Case));

/// The participants, with their names in general and for sending a borrowed payload unmasked.
const PARTICIPANTS: [Participant; 9] = [
    ("sansocket", "sansocket", run::<Sansocket<Sink>, Sansocket<End>>),
    ("tungstenite", "tungstenite", run::<Tungstenite<Sink>, Tungstenite<End>>),
    ("fastwebsockets", "fastwebsockets, by reference", run::<Fastwebsockets<Sink>, Fastwebsockets<End>>),
    ("tokio-websockets", "tokio-websockets", run::<TokioWebsockets<Sink>, TokioWebsockets<End>>),
    ("soketto", "soketto, by reference", run::<Soketto<Sink>, Soketto<End>>),
    ("yawc", "yawc", run::<Yawc<Sink>, Yawc<End>>),
    ("sockudo-ws", "sockudo-ws", run::<Sockudo<Sink>, Sockudo<End>>),
    ("web-socket", "web-socket, by reference", run::<WebSocket<Sink>, WebSocket<End>>),
    ("websocket-sans-io", "websocket-sans-io", run::<WebsocketSansIo<Sink>, WebsocketSansIo<End>>),
];

/// Checks with a receiver of sansocket that the messages arrive as they were sent.
fn check<E: Endpoint<End>>(name: &str, case: &Case) {
    let (here, there) = End::pair();
    let other = if case.role == Role::Client { Role::Server } else { Role::Client };
    let (mut sender, mut receiver) = (E::new(case.role, here), Sansocket::<End>::new(other, there));
    for _ in 0..3 {
        sender.send(case.payload());
    }
    receiver.receive(3, |is_text, payload| {
        assert!(!is_text && payload == case.payload, "{name}: the received message differs from the one sent");
    });
}

impl Case {
    fn payload(&self) -> Payload<'_> {
        match self.held {
            Held::Borrowed => Payload::Borrowed(&self.payload),
            Held::Owned => Payload::Owned(self.payload.clone()),
            Held::Shared => Payload::Shared(Bytes::copy_from_slice(&self.payload)),
        }
    }
}

fn run<E: Endpoint<Sink>, C: Endpoint<End>>(group: &mut Group<'_>, name: &str, case: &Case) {
    check::<C>(name, case);
    let mut endpoint = E::new(case.role, Sink::default());
    // enough messages that reading the clock does not affect the figure
    let batch_max = 64;
    group.bench_function(BenchmarkId::new(name, case.payload.len()), |bencher| match case.held {
        Held::Borrowed => bencher.iter(|| endpoint.send(Payload::Borrowed(black_box(&case.payload)))),
        Held::Owned => {
            // few enough that the payloads stay in the cache, if possible
            let batch = BatchSize::NumIterations(((1 << 20) / case.payload.len() as u64).clamp(16, batch_max));
            bencher.iter_batched(|| case.payload.clone(), |payload| endpoint.send(Payload::Owned(payload)), batch);
        }
        Held::Shared => {
            let (payload, batch) = (Bytes::copy_from_slice(&case.payload), BatchSize::NumIterations(batch_max));
            bencher.iter_batched(|| payload.clone(), |payload| endpoint.send(Payload::Shared(payload)), batch);
        }
    });
}

fn send(criterion: &mut Criterion) {
    for (role, held, name) in [
        (Role::Client, Held::Borrowed, "send: masked, borrowed"),
        (Role::Client, Held::Owned, "send: masked, owned"),
        (Role::Server, Held::Borrowed, "send: unmasked, borrowed"),
        (Role::Server, Held::Owned, "send: unmasked, owned"),
        (Role::Server, Held::Shared, "send: unmasked, shared"),
    ] {
        for size in SIZES {
            let case = Case { role, held, payload: wire::payload(size) };
            let mut group = table::group(criterion, name, 1, size);
            for (usual, borrowing, run) in PARTICIPANTS {
                let is_borrowed = role == Role::Server && held == Held::Borrowed;
                run(&mut group, if is_borrowed { borrowing } else { usual }, &case);
            }
            let (mut buffer, mut sink) = (vec![0; size], Sink::default());
            if role == Role::Client {
                group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                    bencher.iter(|| {
                        sansocket_mask::copy(&mut buffer, black_box(&case.payload), black_box(wire::KEY), 0);
                        sink.write(&buffer);
                    });
                });
            }
            group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
                bencher.iter(|| {
                    wire::copy(&mut buffer, black_box(&case.payload));
                    sink.write(&buffer);
                });
            });
        }
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = send);
criterion_main!(benches);
