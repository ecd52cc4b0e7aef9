//! Receiving, sending and the handshake, as operations of the guard.

use std::hint::black_box;
use std::io::IoSlice;
use std::process::ExitCode;
use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use sansocket::bytes::{Buf, Bytes};
use sansocket::{Accept, Config, Connection, Event, Input, Instant, MessageKind, Scratch, WebSocket};
use sansocket_benches::operations::{self, Operation};
use sansocket_benches::wire::{self, From, REQUEST};

const NOW: Instant = Instant::EPOCH;

/// The sizes of payloads, with their names.
const SIZES: [(&str, usize); 4] = [("16 B", 16), ("125 B", 125), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

/// The name of an operation, and the function that prepares it for a payload of a given size.
type Kind = (&'static str, fn(usize) -> Operation);

const KINDS: [Kind; 7] = [
    ("receive, server, binary", |size| receive(From::Client, false, size)),
    ("receive in pieces, server, binary", receive_in_pieces),
    ("receive, server, text", |size| receive(From::Client, true, size)),
    ("receive, client, binary", |size| receive(From::Server, false, size)),
    ("send, masked", |size| send(Connection::client(Arc::new(Config::default()), StdRng::seed_from_u64(1), NOW), size)),
    ("send, unmasked", |size| send(Connection::server(Arc::new(Config::default()), NOW), size)),
    ("send, shared", send_shared),
];

fn main() -> ExitCode {
    let kinds = KINDS.iter().flat_map(|&(kind, prepare)| {
        let operation = move |(name, size)| {
            let prepare: Box<dyn FnOnce() -> Operation> = Box::new(move || prepare(size));
            (format!("{kind}, {name}"), prepare)
        };
        SIZES.map(operation)
    });
    let handshake: Box<dyn FnOnce() -> Operation> = Box::new(handshake);
    operations::run(kinds.chain([("handshake".to_owned(), handshake)]))
}

/// Copies a message from the wire into the buffer, and receives it from there.
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

/// Receives a message in reads of an eighth of its size. It is assembled in the attached scratch, and recycled.
fn receive_in_pieces(size: usize) -> Operation {
    let wire = wire::messages(From::Client, false, &wire::payload(size), 1);
    let mut connection = Connection::server(Arc::new(Config::default()), NOW);
    let mut buffer = vec![0; size / 8];
    let mut scratch = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut scratch);
        for read in black_box(&wire).chunks(size / 8) {
            let buffer = &mut buffer[..read.len()];
            wire::copy(buffer, read);
            let mut input = Input::new(buffer);
            while let Some(event) = connection.receive(&mut input, NOW).unwrap() {
                let Event::Message(message) = event else { panic!("{event:?}") };
                connection.recycle(black_box(message));
            }
        }
        connection.detach_scratch(&mut scratch);
    })
}

/// Sends a borrowed payload with scratch attached, and takes all output.
fn send(mut connection: Connection, size: usize) -> Operation {
    let payload = wire::payload(size);
    let mut scratch = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut scratch);
        connection.send(black_box(&payload)).unwrap();
        drain(&mut connection, &mut scratch);
    })
}

fn send_shared(size: usize) -> Operation {
    let payload = Bytes::from(wire::payload(size));
    let mut connection = Connection::server(Arc::new(Config::default()), NOW);
    let mut scratch = Scratch::new();
    Box::new(move || {
        connection.attach_scratch(&mut scratch);
        connection.send_shared(MessageKind::Binary, black_box(&payload).clone()).unwrap();
        drain(&mut connection, &mut scratch);
    })
}

/// Takes all output as the adapters do: as one slice if it is contiguous, or as several.
fn drain(connection: &mut Connection, scratch: &mut Scratch) {
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
    connection.detach_scratch(scratch);
}

/// Parses and accepts a browser's request, and takes the response.
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
