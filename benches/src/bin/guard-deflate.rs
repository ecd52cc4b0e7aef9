//! Compressing and inflating with context takeover, as operations of the guard: the codec alone, and connections that
//! share one.
//!
//! "same connection" is a connection that has the next turn again, and finds the shared codec as it left it. "two
//! connections" take turns, so the codec is primed with a history at each turn.
//!
//! It is a separate program, because the compiler would optimise the operations of `guard` differently in a program
//! that has a codec.

use std::hint::black_box;
use std::process::ExitCode;

use sansocket_benches::CompressionSettings;
use sansocket_benches::deflate::{Codec, Server, compress, frame};
use sansocket_benches::operations::{self, Operation};
use sansocket_samples::{Content, Samples};

/// The levels and the sizes of messages, with their names.
const CASES: [(u8, &str, usize); 4] =
    [(1, "1 KiB", 1 << 10), (6, "1 KiB", 1 << 10), (1, "16 KiB", 16 << 10), (6, "16 KiB", 16 << 10)];

/// The number of distinct messages, which are sent in a cycle.
const MESSAGES: usize = 64;

/// The name of a participant, and its number of connections; none is the codec alone.
const PARTICIPANTS: [(&str, usize); 3] = [("codec alone", 0), ("same connection", 1), ("two connections", 2)];

fn main() -> ExitCode {
    let operations = CASES.into_iter().flat_map(|(level, name, size)| {
        let settings = CompressionSettings { level, window_bits: 12, has_takeover: true };
        PARTICIPANTS.into_iter().flat_map(move |(participant, connections)| {
            let sending: Box<dyn FnOnce() -> Operation> = Box::new(move || send(settings, size, connections));
            let receiving: Box<dyn FnOnce() -> Operation> = Box::new(move || receive(settings, size, connections));
            [
                (format!("compress, level {level}, {name}, {participant}"), sending),
                (format!("inflate, level {level}, {name}, {participant}"), receiving),
            ]
        })
    });
    operations::run(operations)
}

/// Compresses the next message.
fn send(settings: CompressionSettings, size: usize, connections: usize) -> Operation {
    let messages = Samples::new(Content::Json, 1).messages(size, MESSAGES);
    let mut turn = 0;
    let mut next = move || {
        turn += 1;
        turn - 1
    };
    if connections == 0 {
        let mut codec = Codec::new(settings, size);
        return Box::new(move || {
            black_box(codec.compress(black_box(&messages[next() % MESSAGES])));
        });
    }
    let mut server = Server::open(settings, connections);
    Box::new(move || {
        let turn = next();
        let message = &messages[(turn / connections) % MESSAGES];
        server.send(turn % connections, black_box(message), |bytes| {
            black_box(bytes);
        });
    })
}

/// Inflates the next message. Every connection receives the same ones.
fn receive(settings: CompressionSettings, size: usize, connections: usize) -> Operation {
    let messages = compress(settings, &Samples::new(Content::Json, 1).messages(size, MESSAGES));
    let mut turn = 0;
    let mut next = move || {
        turn += 1;
        turn - 1
    };
    if connections == 0 {
        let mut codec = Codec::new(settings, size);
        return Box::new(move || {
            black_box(codec.inflate(black_box(&messages[next() % MESSAGES])));
        });
    }
    let frames: Vec<_> = messages.iter().map(|message| frame(message)).collect();
    let mut server = Server::open(settings, connections);
    Box::new(move || {
        let turn = next();
        server.receive(turn % connections, &frames[(turn / connections) % MESSAGES], |bytes| {
            black_box(bytes);
        });
    })
}
