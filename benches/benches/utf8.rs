//! Compares validators of text, and measures the cost of receiving text with the validator of sansocket.
//!
//! "sansocket, received" is a client's `receive` of a frame in the buffer. It neither copies nor unmasks: the time
//! beyond the validator's is for the frame head. sockudo-ws has its own validator; tungstenite uses std's, the others
//! std's or simdutf8's.

#![allow(missing_docs, reason = "a bench has no users")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sansocket::{Config, Connection, Event, Input, Instant, Message};
use sansocket_benches::table::{self, Group};
use sansocket_benches::wire::{self, From};

const SIZES: [usize; 6] = [16, 64, 125, 1 << 10, 16 << 10, 1 << 20];

/// The groups, with the sentences that texts consist of.
const TEXTS: [(&str, &str); 3] = [
    ("utf8: ASCII", "All human beings are born free and equal. "),
    ("utf8: German", "Alle Menschen sind frei und gleich an Würde und Rechten geboren, für immer. "),
    ("utf8: Chinese", "人人生而自由,在尊严和权利上一律平等。"),
];

type Validator = (&'static str, fn(&[u8]) -> bool);

const VALIDATORS: [Validator; 4] = [
    ("std", |text| str::from_utf8(text).is_ok()),
    ("simdutf8, basic", |text| simdutf8::basic::from_utf8(text).is_ok()),
    ("simdutf8, compat", |text| simdutf8::compat::from_utf8(text).is_ok()),
    ("sockudo-ws", sockudo_ws::utf8::validate_utf8),
];

/// Returns a text of at most `length` bytes that ends with a whole character.
fn text(of: &str, length: usize) -> Vec<u8> {
    let mut text = of.repeat(length / of.len() + 1);
    text.truncate((0..=length).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0));
    text.into_bytes()
}

fn received(group: &mut Group<'_>, size: usize, text: &[u8]) {
    let mut connection = Connection::client(Arc::new(Config::default()), rng(), Instant::EPOCH);
    let mut wire = wire::messages(From::Server, true, text, 1);
    let mut receive = || {
        let event = connection.receive(&mut Input::new(black_box(&mut wire)), Instant::EPOCH).unwrap();
        let Some(Event::Message(Message::Text(received))) = event else { panic!("no text") };
        received.len()
    };
    assert_eq!(receive(), text.len());
    group.bench_function(BenchmarkId::new("sansocket, received", size), |bencher| bencher.iter(&mut receive));
}

fn rng() -> rand::rngs::StdRng {
    rand::SeedableRng::seed_from_u64(1)
}

fn utf8(criterion: &mut Criterion) {
    for (name, of) in TEXTS {
        for size in SIZES {
            let text = text(of, size);
            let mut group = table::group(criterion, name, 1, text.len());
            received(&mut group, size, &text);
            for (name, is_valid) in VALIDATORS {
                let mut invalid = text.clone();
                *invalid.last_mut().unwrap() = 0xff;
                assert!(is_valid(&text) && !is_valid(&invalid), "{name}: a wrong result");
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| is_valid(black_box(&text)));
                });
            }
            let mut copy = vec![0; text.len()];
            group.bench_function(BenchmarkId::new("memcpy", size), |bencher| {
                bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&text)));
            });
        }
    }
}

criterion_group!(name = benches; config = table::criterion(); targets = utf8);
criterion_main!(benches);
