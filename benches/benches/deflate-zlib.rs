//! As `deflate`, for sending with soketto, which compresses with zlib. It is a separate program, because all users of flate2 in a
//! program share its codec.

#![allow(missing_docs, reason = "a bench has no users")]

use criterion::{Criterion, criterion_group, criterion_main};
use sansocket_benches::compressing::{Participant, Soketto, all};
use sansocket_benches::table;
use sansocket_benches::transport::Sink;

const PARTICIPANTS: [Participant; 1] =
    [Participant::sender::<Soketto<Sink>>("soketto", |settings| settings.level == 1 && !settings.has_takeover)];

fn deflate(criterion: &mut Criterion) {
    all(criterion, &PARTICIPANTS);
}

criterion_group!(name = benches; config = table::criterion(); targets = deflate);
criterion_main!(benches);
