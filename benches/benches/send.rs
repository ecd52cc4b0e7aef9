//! A client sends binary messages, which it masks, or a server does. The application borrows, owns or shares the
//! payload. Sending ends when the transport has every byte. The transport does not copy: that is the system's part.
//!
//! memcpy copies only the payload. The floor is the least work for the same contract: of a borrowed payload, one copy
//! behind a frame head that is known, masked with a key that is known; of an owned one, masking in place, and freeing
//! it. An owned or shared payload that is not masked costs no work per byte: there is no floor. "by reference" marks
//! libraries that pass a borrowed payload to the transport without a copy, which makes the caller wait until the
//! transport has taken it.
//!
//! Each message has a new owned payload, or a new reference to the shared one. Creating it is not timed; freeing it is.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    Blocking, Endpoint, Fastwebsockets, Payload, Role, Sansocket, Shiguredo, Sockudo, Soketto, TokioWebsockets,
    Tungstenite, WebSocket, WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{End, Sink, Transport};
use sansocket_benches::wire;

const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// The number of messages that are sent between two readings of the clock: enough that reading it does not affect the
/// figure.
const BATCH_MAX: u64 = 64;

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
const PARTICIPANTS: [Participant; 11] = [
    ("sansocket", "sansocket", run::<Sansocket<Sink>, Sansocket<End>>),
    ("sansocket, no scratch", "sansocket, no scratch", run::<Sansocket<Sink, Blocking>, Sansocket<End, Blocking>>),
    ("tungstenite", "tungstenite", run::<Tungstenite<Sink>, Tungstenite<End>>),
    ("fastwebsockets", "fastwebsockets, by reference", run::<Fastwebsockets<Sink>, Fastwebsockets<End>>),
    ("tokio-websockets", "tokio-websockets", run::<TokioWebsockets<Sink>, TokioWebsockets<End>>),
    ("soketto", "soketto, by reference", run::<Soketto<Sink>, Soketto<End>>),
    ("yawc", "yawc", run::<Yawc<Sink>, Yawc<End>>),
    ("sockudo-ws", "sockudo-ws", run::<Sockudo<Sink>, Sockudo<End>>),
    ("web-socket", "web-socket, by reference", run::<WebSocket<Sink>, WebSocket<End>>),
    ("websocket-sans-io", "websocket-sans-io", run::<WebsocketSansIo<Sink>, WebsocketSansIo<End>>),
    ("shiguredo_websocket", "shiguredo_websocket", run::<Shiguredo<Sink>, Shiguredo<End>>),
];

/// Checks with a receiver of sansocket that the messages arrive as they were sent.
fn check<E: Endpoint<End>>(name: &str, case: &Case) {
    let (here, there) = End::pair();
    let other = if case.role == Role::Client { Role::Server } else { Role::Client };
    let (mut sender, mut receiver) = (E::new(case.role, here), <Sansocket<End>>::new(other, there));
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
    let id = BenchmarkId::new(name, case.payload.len());
    match case.held {
        Held::Borrowed => {
            group.bench_function(id, |bencher| {
                bencher.iter(|| endpoint.send(Payload::Borrowed(black_box(&case.payload))));
            });
        }
        Held::Owned => bench_owned(group, name, case, |payload| endpoint.send(Payload::Owned(payload))),
        Held::Shared => {
            let (payload, batch) = (Bytes::copy_from_slice(&case.payload), BatchSize::NumIterations(BATCH_MAX));
            group.bench_function(id, |bencher| {
                bencher.iter_batched(|| payload.clone(), |payload| endpoint.send(Payload::Shared(payload)), batch);
            });
        }
    }
}

/// The head of a frame: what it says does not affect the figures.
const HEAD: [u8; 8] = [0x82; 8];

fn floor(group: &mut Group<'_>, case: &Case) {
    let mut sink = Sink::default();
    match (case.held, case.role) {
        (Held::Borrowed, role) => {
            let key = if role == Role::Client { wire::KEY } else { [0; 4] };
            let mut frame = vec![0; HEAD.len() + case.payload.len()];
            group.bench_function(BenchmarkId::new("floor", case.payload.len()), |bencher| {
                bencher.iter(|| {
                    let (head, payload) = frame.split_at_mut(HEAD.len());
                    head.copy_from_slice(black_box(&HEAD));
                    sansocket_mask::copy(payload, black_box(&case.payload), black_box(key), 0);
                    sink.write(&frame);
                });
            });
        }
        (Held::Owned, Role::Client) => bench_owned(group, "floor", case, |mut payload| {
            sink.write(black_box(&HEAD));
            sansocket_mask::apply(&mut payload, black_box(wire::KEY), 0);
            sink.write(&payload);
        }),
        (Held::Owned | Held::Shared, _) => {}
    }
}

/// Measures sending owned payloads.
fn bench_owned(group: &mut Group<'_>, name: &str, case: &Case, mut send: impl FnMut(Vec<u8>)) {
    // few enough that the payloads stay in the cache, if possible
    let batch = BatchSize::NumIterations(((1 << 20) / case.payload.len() as u64).clamp(16, BATCH_MAX));
    group.bench_function(BenchmarkId::new(name, case.payload.len()), |bencher| {
        bencher.iter_batched(|| case.payload.clone(), &mut send, batch);
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
            floor(&mut group, &case);
            let (mut buffer, mut sink) = (vec![0; size], Sink::default());
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
