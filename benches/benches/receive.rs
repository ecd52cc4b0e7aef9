//! A server receives messages, which it unmasks, or a client does: binary messages, and text, which is validated.
//!
//! The wire holds 64 KiB of messages, at least one and at most 1,024. Every participant first copies it from
//! memory into a buffer, as `recv` would (`wire::copy`). The participant memcpy does nothing else, in reads of 65,550
//! bytes.
//!
//! The floor is the least work for the same contract. It reads as sansocket does, with one buffer of 65,550 bytes, which
//! holds a message of 64 KiB with its head. It unmasks and validates each message there, with the fastest kernels known
//! here. It copies a message that is longer than a read into a second buffer, and unmasks it in the same pass. It knows
//! the positions of payloads without parsing a head, checks no rule, keeps no state, and allocates nothing.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket_benches::participants::{
    Blocking, Endpoint, Fastwebsockets, LargeBuffer, Recycling, Role, Sansocket, Shiguredo, Sockudo, Soketto,
    TokioWebsockets, Tungstenite, WebSocket, WebsocketSansIo, Yawc,
};
use sansocket_benches::table::{self, Group};
use sansocket_benches::transport::{Circle, READ, Transport};
use sansocket_benches::wire::{self, From};

const SIZES: [usize; 7] = [0, 16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

type Participant = (&'static str, fn(&mut Group<'_>, &'static str, &Case));

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

struct Case {
    role: Role,
    is_text: bool,
    payload: Vec<u8>,
    count: usize,
    /// The size of a frame, in bytes.
    frame: usize,
    circle: Circle,
}

impl Case {
    fn new(role: Role, is_text: bool, size: usize) -> Self {
        let from = if role == Role::Server { From::Client } else { From::Server };
        let payload = wire::payload(size);
        let count = ((64 << 10) / (size + 6)).clamp(1, 1024);
        let wire = wire::messages(from, is_text, &payload, count);
        Self { role, is_text, payload, count, frame: wire.len() / count, circle: Circle::new(&wire) }
    }

    /// Returns the size of a frame's head, in bytes.
    fn head(&self) -> usize {
        self.frame - self.payload.len()
    }

    /// Unmasks the payload if it is masked. Not inlined: inlined into the loop of the floor, the code of this compiler
    /// takes 22 ns for 125 bytes instead of 6.
    #[inline(never)]
    fn unmask(&self, payload: &mut [u8]) {
        if self.role == Role::Server {
            sansocket_mask::apply(payload, wire::KEY, 0);
        }
    }

    /// Validates the payload if it is text.
    fn validate(&self, payload: &[u8]) {
        if self.is_text {
            simdutf8::basic::from_utf8(payload).unwrap();
        }
    }
}

fn run<E: Endpoint<Circle>>(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let mut endpoint = E::new(case.role, case.circle.clone());
    let mut received = 0;
    endpoint.receive(2 * case.count + 1, |is_text, payload| {
        assert!(is_text == case.is_text && payload == case.payload, "{name}: a received message differs");
        received += 1;
    });
    assert_eq!(received, 2 * case.count + 1, "{name}");
    // starts at the beginning of the wire again
    let mut endpoint = E::new(case.role, case.circle.clone());
    group.bench_function(BenchmarkId::new(name, case.payload.len()), |bencher| {
        bencher.iter(|| {
            endpoint.receive(case.count, |_, payload| {
                black_box(payload);
            })
        });
    });
}

/// The least work that receives the messages of a case.
struct Floor {
    /// The read buffer.
    buffer: Vec<u8>,
    /// The memory in which a message is assembled.
    message: Vec<u8>,
}

impl Floor {
    /// The number of bytes that are validated and copied while they are in the nearest cache.
    const BLOCK: usize = 8 << 10;

    fn new(case: &Case) -> Self {
        Self { buffer: vec![0; READ], message: vec![0; case.payload.len()] }
    }

    fn receive(&mut self, case: &Case, circle: &mut Circle, each: impl FnMut(&[u8])) {
        if case.frame > READ { self.assemble(case, circle, each) } else { self.borrow(case, circle, each) }
    }

    /// Receives messages that lie whole in the read buffer.
    fn borrow(&mut self, case: &Case, circle: &mut Circle, mut each: impl FnMut(&[u8])) {
        let read = circle.read_into(&mut self.buffer);
        for frame in self.buffer[..read].chunks_exact_mut(case.frame) {
            let payload = &mut frame[case.head()..];
            case.unmask(payload);
            case.validate(payload);
            each(payload);
        }
    }

    /// Receives a message that is longer than a read. Its text has no character that crosses a block.
    fn assemble(&mut self, case: &Case, circle: &mut Circle, mut each: impl FnMut(&[u8])) {
        let (mut head, mut arrived) = (case.head(), 0);
        while arrived < self.message.len() {
            let read = circle.read_into(&mut self.buffer);
            for block in self.buffer[head..read].chunks(Self::BLOCK) {
                let assembled = &mut self.message[arrived..][..block.len()];
                match case.role {
                    // copies and unmasks in one pass, and validates what it has just written
                    Role::Server => {
                        sansocket_mask::copy(assembled, block, wire::KEY, arrived);
                        case.validate(assembled);
                    }
                    // the copy then finds the block in the nearest cache
                    Role::Client => {
                        case.validate(block);
                        sansocket_mask::copy(assembled, block, [0; 4], 0);
                    }
                }
                arrived += block.len();
            }
            head = 0;
        }
        each(&self.message);
    }
}

fn memcpy(wire: usize, circle: &mut Circle, buffer: &mut [u8]) {
    let mut read = 0;
    while read < wire {
        read += circle.read_into(black_box(&mut *buffer));
    }
}

fn receive(criterion: &mut Criterion) {
    for (role, is_text, name) in [
        (Role::Server, false, "receive: server, binary"),
        (Role::Server, true, "receive: server, text"),
        (Role::Client, false, "receive: client, binary"),
        (Role::Client, true, "receive: client, text"),
    ] {
        for size in SIZES {
            let case = Case::new(role, is_text, size);
            let mut group = table::group(criterion, name, case.count, size);
            for (name, run) in PARTICIPANTS {
                run(&mut group, name, &case);
            }
            let (mut floor, mut circle) = (Floor::new(&case), case.circle.clone());
            floor.receive(&case, &mut circle, |payload| {
                assert!(payload == case.payload, "floor: a received message differs")
            });
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| {
                    floor.receive(black_box(&case), &mut circle, |payload| {
                        black_box(payload);
                    })
                });
            });
            let (mut circle, mut buffer) = (case.circle.clone(), vec![0; READ]);
            group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
                bencher.iter(|| memcpy(case.frame * case.count, &mut circle, &mut buffer));
            });
        }
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = receive);
criterion_main!(benches);
