//! `guard OPERATION TIMES`: one operation of ours, so many times over, for `cargo xtask guard` to count instructions of.
//! `guard OPERATION allocations`: the allocations of one, and their bytes. `guard list`: the operations.
//!
//! Nothing here is timed, and nothing depends on chance: the same program on the same kind of machine does the same.

use std::env;
use std::hint::black_box;
use std::io::IoSlice;
use std::process::ExitCode;
use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use sansocket::bytes::{Buf, Bytes};
use sansocket::{Accept, Config, Connection, Event, Input, Instant, MessageKind, Scratch, WebSocket};
use sansocket_benches::wire::{self, From, REQUEST};

const NOW: Instant = Instant::EPOCH;

/// Payload bytes, and what they are called.
const SIZES: [(&str, usize); 4] = [("16 B", 16), ("125 B", 125), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

/// To be done again and again.
type Operation = Box<dyn FnMut()>;
/// What is done with a message, and what does it with one of so many bytes.
type Kind = (&'static str, fn(usize) -> Operation);

const KINDS: [Kind; 8] = [
    ("receive, server, binary", |size| receive(From::Client, false, size)),
    ("receive in pieces, server, binary", |size| receive_in_pieces(size)),
    ("receive refilled, server, binary", receive_refilled),
    ("receive, server, text", |size| receive(From::Client, true, size)),
    ("receive, client, binary", |size| receive(From::Server, false, size)),
    ("send, masked", |size| send(Connection::client(Arc::new(Config::default()), StdRng::seed_from_u64(1), NOW), size)),
    ("send, unmasked", |size| send(Connection::server(Arc::new(Config::default()), NOW), size)),
    ("send, shared", send_shared),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => names().for_each(|name| println!("{name}")),
        [name, "allocations"] if names().any(|known| known == name) => {
            let mut operation = find(name);
            // the first may grow what the following reuse
            operation();
            let info = allocation_counter::measure(&mut operation);
            println!("{} {}", info.count_total, info.bytes_total);
        }
        [name, times] if names().any(|known| known == name) => {
            let mut operation = find(name);
            for _ in 0..times.parse().unwrap_or(1) {
                operation();
            }
        }
        _ => {
            eprintln!("guard list | OPERATION TIMES | OPERATION allocations");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn names() -> impl Iterator<Item = String> {
    let of_sizes = KINDS.iter().flat_map(|(kind, _)| SIZES.map(|(size, _)| format!("{kind}, {size}")));
    of_sizes.chain(["handshake".to_owned()])
}

fn find(name: &str) -> Operation {
    let kinds = KINDS.iter().flat_map(|kind| SIZES.map(|size| (kind, size)));
    let found = kinds.into_iter().find(|((kind, _), (size, _))| format!("{kind}, {size}") == name);
    found.map_or_else(handshake, |((_, make), (_, size))| make(size))
}

/// The wire is copied into the buffer, then received from there.
fn receive(from: From, is_text: bool, size: usize) -> Operation {
    let wire = wire::messages(from, is_text, &wire::payload(size), 1);
    let config = Arc::new(Config::default());
    let mut connection = match from {
        From::Client => Connection::server(config, NOW),
        From::Server => Connection::client(config, StdRng::seed_from_u64(1), NOW),
    };
    let mut buffer = vec![0; wire.len()];
    Box::new(move || {
        wire::copy(&mut buffer, black_box(&wire));
        let mut input = Input::new(&mut buffer);
        while let Some(event) = connection.receive(&mut input, NOW).unwrap() {
            black_box(&event);
        }
    })
}

/// The wire arrives in eight reads and a rest, and the message is assembled in lent memory, which it is recycled to.
fn receive_in_pieces(size: usize) -> Operation {
    let wire = wire::messages(From::Client, false, &wire::payload(size), 1);
    let mut connection = Connection::server(Arc::new(Config::default()), NOW);
    let mut buffer = vec![0; size / 8];
    let mut memory = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut memory);
        for read in black_box(&wire).chunks(size / 8) {
            let buffer = &mut buffer[..read.len()];
            wire::copy(buffer, read);
            let mut input = Input::new(buffer);
            while let Some(event) = connection.receive(&mut input, NOW).unwrap() {
                let Event::Message(message) = event else { panic!("{event:?}") };
                connection.recycle(black_box(message));
            }
        }
        connection.detach_scratch(&mut memory);
    })
}

/// The wire arrives in eight reads and a rest, in a buffer where the message stays until it is whole.
fn receive_refilled(size: usize) -> Operation {
    let wire = wire::messages(From::Client, false, &wire::payload(size), 1);
    let mut connection = Connection::server(Arc::new(Config::default()), NOW);
    let mut buffer = vec![0; wire.len()];
    Box::new(move || {
        let mut filled = 0;
        for read in black_box(&wire).chunks(size / 8) {
            wire::copy(&mut buffer[filled..filled + read.len()], read);
            filled += read.len();
            let mut input = Input::refillable(&mut buffer[..filled], wire.len());
            while let Some(event) = connection.receive(&mut input, NOW).unwrap() {
                black_box(&event);
            }
            filled = input.remaining().len();
        }
    })
}

/// The payload is borrowed, the memory lent; all output is taken.
fn send(mut connection: Connection, size: usize) -> Operation {
    let payload = wire::payload(size);
    let mut memory = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut memory);
        connection.send(black_box(&payload)).unwrap();
        drain(&mut connection, &mut memory);
    })
}

fn send_shared(size: usize) -> Operation {
    let payload = Bytes::from(wire::payload(size));
    let mut connection = Connection::server(Arc::new(Config::default()), NOW);
    let mut memory = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut memory);
        connection.send_shared(MessageKind::Binary, black_box(&payload).clone()).unwrap();
        drain(&mut connection, &mut memory);
    })
}

/// Takes all output, in its pieces if there are several: as the adapters.
fn drain(connection: &mut Connection, memory: &mut Scratch) {
    let output = connection.output();
    while output.has_remaining() {
        let chunk = black_box(output.chunk());
        let mut count = chunk.len();
        if count < output.remaining() {
            let mut slices = [IoSlice::new(&[]); 16];
            let pieces = output.chunks_vectored(&mut slices);
            count = black_box(&slices[..pieces]).iter().map(|slice| slice.len()).sum();
        }
        output.advance(count);
    }
    connection.detach_scratch(memory);
}

/// A browser's request, parsed and accepted; the response taken.
fn handshake() -> Operation {
    let config = Arc::new(Config::default());
    let mut buffer = vec![0; REQUEST.len()];
    Box::new(move || {
        wire::copy(&mut buffer, black_box(REQUEST));
        let mut ws = WebSocket::server(Arc::clone(&config), NOW);
        let mut input = Input::new(&mut buffer);
        let Ok(Some(Event::Request(_))) = ws.receive(&mut input, NOW) else { panic!("no request") };
        ws.accept(Accept::new(), NOW).unwrap();
        let output = ws.output();
        while output.has_remaining() {
            let count = black_box(output.chunk()).len();
            output.advance(count);
        }
    })
}
