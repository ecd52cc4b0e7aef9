//! A server of sansocket and those of other libraries receive and send compressed messages (permessage-deflate): JSON
//! trades, text and random bytes, with context takeover and without. All have the same level and window, and all of these
//! compress with zlib-rs. `deflate-zlib` measures the libraries that compress with zlib.
//!
//! The floor is the codec alone: zlib-rs with a compressor and an inflater for one connection, without frames.

#![allow(missing_docs, reason = "a bench has no users")]

use criterion::{Criterion, criterion_group, criterion_main};
use sansocket_benches::compressing::{Participant, Sansocket, Sockudo, Yawc, all};
use sansocket_benches::table;
use sansocket_benches::transport::{Circle, Sink};

const PARTICIPANTS: [Participant; 4] = [
    Participant::library::<Sansocket<Circle>, Sansocket<Sink>>("sansocket", |_| true),
    Participant::library::<Yawc<Circle>, Yawc<Sink>>("yawc", |_| true),
    Participant::library::<Sockudo<Circle>, Sockudo<Sink>>("sockudo-ws", |_| true),
    Participant::floor(),
];

fn deflate(criterion: &mut Criterion) {
    all(criterion, &PARTICIPANTS);
}

criterion_group!(name = benches; config = table::criterion(); targets = deflate);
criterion_main!(benches);
