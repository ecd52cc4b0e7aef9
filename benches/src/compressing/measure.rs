//! The measurement that the benches `deflate` and `deflate-zlib` share: a server receives compressed messages, or sends
//! messages, which it compresses.
//!
//! Receiving is measured in rounds of all messages; the clock is read once in a round. In each case, the results are
//! checked before they are measured.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use sansocket_samples::{Content, Samples};

use super::participant::{Compressing, Inflating};
use crate::CompressionSettings;
use crate::deflate::{self, Codec};
use crate::table::{self, Group};
use crate::transport::{Circle, Sink};

const SIZES: [usize; 6] = [64, 200, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// The bytes of all messages of a case, and the range of their number: more bytes than the window, and few enough that
/// they stay in the cache if possible.
const BYTES: usize = 256 << 10;
const MESSAGES: (usize, usize) = (4, 64);

/// The contents with the levels at which they are measured.
const LEVELS: [(Content, u8); 4] = [(Content::Json, 1), (Content::Json, 6), (Content::Text, 1), (Content::Random, 1)];

/// The window in both directions, in bits: that of our default settings.
const WINDOW_BITS: u8 = 12;

/// One cell of the tables, for all participants.
#[derive(Debug)]
pub struct Case {
    settings: CompressionSettings,
    messages: Vec<Vec<u8>>,
    /// The messages as the client sends them.
    wire: Circle,
}

/// A participant: its name, whether it can have these settings, and the functions that measure receiving and sending.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the benches build it")]
pub struct Participant {
    /// The name in the tables.
    pub name: &'static str,
    /// Whether it can compress at this level, with or without takeover.
    pub can: fn(CompressionSettings) -> bool,
    /// Measures receiving.
    pub receive: fn(&mut Group<'_>, &'static str, &Case),
    /// Measures sending.
    pub send: fn(&mut Group<'_>, &'static str, &Case),
}

impl Participant {
    /// Returns a library that only sends.
    #[must_use]
    pub const fn sender<S: Compressing<Sink>>(name: &'static str, can: fn(CompressionSettings) -> bool) -> Self {
        Self { name, can, receive: |_, _, _| {}, send: send::<S> }
    }

    /// Returns a library.
    #[must_use]
    pub const fn library<R: Inflating<Circle>, S: Compressing<Sink>>(
        name: &'static str,
        can: fn(CompressionSettings) -> bool,
    ) -> Self {
        Self { name, can, receive: receive::<R>, send: send::<S> }
    }

    /// Returns the codec alone, which neither parses nor builds frames: the least work with zlib-rs.
    #[must_use]
    pub const fn floor() -> Self {
        Self { name: "floor", can: |_| true, receive: floor_receive, send: floor_send }
    }
}

/// Measures every case.
pub fn all(criterion: &mut Criterion, participants: &[Participant]) {
    for (content, level) in LEVELS {
        for has_takeover in [true, false] {
            let settings = CompressionSettings { level, window_bits: WINDOW_BITS, has_takeover };
            let takeover = if has_takeover { "takeover" } else { "no takeover" };
            let name = format!("{}, level {level}, {takeover}", content.name());
            let participants: Vec<_> =
                participants.iter().filter(|participant| (participant.can)(settings)).copied().collect();
            for size in SIZES {
                measure(criterion, &name, &participants, &Case::new(content, settings, size));
            }
        }
    }
}

fn measure(criterion: &mut Criterion, name: &str, participants: &[Participant], case: &Case) {
    let (count, size) = (case.messages.len(), case.size());
    let mut group = table::group(criterion, &format!("inflate: {name}"), count, size);
    for participant in participants {
        (participant.receive)(&mut group, participant.name, case);
    }
    group.finish();
    let mut group = table::group(criterion, &format!("compress: {name}"), 1, size);
    for participant in participants {
        (participant.send)(&mut group, participant.name, case);
    }
}

impl Case {
    fn new(content: Content, settings: CompressionSettings, size: usize) -> Self {
        let count = (BYTES / size).clamp(MESSAGES.0, MESSAGES.1);
        let messages = Samples::new(content, 1).messages(size, count);
        let frames =
            deflate::compress(settings, &messages).iter().map(|message| deflate::frame(message)).collect::<Vec<_>>();
        Self { settings, messages, wire: Circle::new(&frames.concat()) }
    }

    fn size(&self) -> usize {
        self.messages[0].len()
    }
}

fn receive<P: Inflating<Circle>>(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let mut participant = P::new(case.settings, case.wire.clone());
    let count = case.messages.len();
    for _ in 0..2 {
        let mut expected = case.messages.iter();
        participant.receive(count, |message| {
            assert!(expected.next().is_some_and(|expected| expected == message), "{name}: a message differs");
        });
        assert_eq!(expected.len(), 0, "{name}: messages are missing");
    }
    group.bench_function(BenchmarkId::new(name, case.size()), |bencher| {
        bencher.iter(|| {
            participant.receive(count, |message| {
                black_box(message);
            })
        });
    });
}

fn send<P: Compressing<Sink>>(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let sink = Sink::default();
    let mut participant = P::new(case.settings, sink.clone());
    sink.0.is_on.set(true);
    case.messages.iter().for_each(|message| participant.send(message));
    sink.0.is_on.set(false);
    check(name, case, &sink.0.bytes.take());
    let mut messages = case.messages.iter().cycle();
    group.bench_function(BenchmarkId::new(name, case.size()), |bencher| {
        bencher.iter(|| messages.next().map(|message| participant.send(black_box(message))));
    });
}

/// Checks that these are the frames of all messages, compressed or not.
fn check(name: &str, case: &Case, mut wire: &[u8]) {
    let mut codec = Codec::new(case.settings, case.size());
    let mut message = Vec::new();
    let mut expected = case.messages.iter();
    let (mut is_compressed, mut payload) = (false, Vec::new());
    while let Some(frame) = deflate::Frame::take(&mut wire) {
        is_compressed |= frame.is_compressed;
        payload.extend_from_slice(frame.payload);
        if !frame.is_final {
            continue;
        }
        message.clear();
        message.extend_from_slice(if is_compressed { codec.inflate(&payload) } else { &payload });
        assert!(expected.next() == Some(&message), "{name}: a message differs from the one sent");
        (is_compressed, payload) = (false, Vec::new());
    }
    assert_eq!((expected.len(), wire.len()), (0, 0), "{name}: messages are missing");
}

fn floor_receive(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let compressed = deflate::compress(case.settings, &case.messages);
    let mut codec = Codec::new(case.settings, case.size());
    group.bench_function(BenchmarkId::new(name, case.size()), |bencher| {
        bencher.iter(|| {
            for message in &compressed {
                black_box(codec.inflate(black_box(message)));
            }
        });
    });
}

fn floor_send(group: &mut Group<'_>, name: &'static str, case: &Case) {
    let mut codec = Codec::new(case.settings, case.size());
    let mut messages = case.messages.iter().cycle();
    group.bench_function(BenchmarkId::new(name, case.size()), |bencher| {
        bencher.iter(|| messages.next().map(|message| codec.compress(black_box(message)).len()));
    });
}
