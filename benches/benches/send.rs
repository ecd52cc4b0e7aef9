//! Binary messages sent: by a client, which masks, and by a server; as the application holds them, borrowed, owned or
//! shared. It ends where every byte has been handed to the transport, which copies nothing: that is the system's part.
//!
//! For memcpy the payload alone is copied; for the floor it is masked as well, with a key that is known. "by reference"
//! marks who hands a borrowed payload to the transport as it is: that copies nothing, but the caller has to wait until the
//! transport has taken it.
//!
//! An owned payload is made anew for each message, and a reference to a shared one, outside of what is timed; whoever
//! takes it frees it within.

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

/// Each with the name under which it sends, unmasked, what it borrows.
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

/// What arrives at the other end, which is ours, is what was sent.
fn check<E: Endpoint<End>>(name: &str, case: &Case) {
    let (here, there) = End::pair();
    let other = if case.role == Role::Client { Role::Server } else { Role::Client };
    let (mut sender, mut receiver) = (E::new(case.role, here), Sansocket::<End>::new(other, there));
    for _ in 0..3 {
        sender.send(case.payload());
    }
    receiver.receive(3, |is_text, payload| {
        assert!(!is_text && payload == case.payload, "{name} sends something else");
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
    // so many that to look at the clock does not show
    let most = 64;
    group.bench_function(BenchmarkId::new(name, case.payload.len()), |bencher| match case.held {
        Held::Borrowed => bencher.iter(|| endpoint.send(Payload::Borrowed(black_box(&case.payload)))),
        Held::Owned => {
            // and few enough to stay in the cache where they can
            let batch = BatchSize::NumIterations(((1 << 20) / case.payload.len() as u64).clamp(16, most));
            bencher.iter_batched(|| case.payload.clone(), |payload| endpoint.send(Payload::Owned(payload)), batch);
        }
        Held::Shared => {
            let (payload, batch) = (Bytes::copy_from_slice(&case.payload), BatchSize::NumIterations(most));
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
                let is_lent = role == Role::Server && held == Held::Borrowed;
                run(&mut group, if is_lent { borrowing } else { usual }, &case);
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
