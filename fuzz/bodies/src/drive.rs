//! Drives a connection with bytes, whole or in pieces, and collects its events and output.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{Close, Config, Connection, Error, Event, Input, Instant, Message, MessageKind, Role};

use crate::model::{Failure, ReceivedEvent};
use crate::wire::{self, Frame};

/// The time of all calls: nothing here depends on it.
pub(crate) const NOW: Instant = Instant::from_nanos(1_000);

/// The lengths of the pieces of input, repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts([u8; 4]);

impl Cuts {
    pub(crate) const NONE: Self = Self([0; 4]);

    pub(crate) fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self(u.arbitrary()?))
    }

    /// Cuts input into pieces, some of them empty, and longer for long input. Four zeros leave it whole.
    pub(crate) fn of<'a>(&self, mut bytes: &'a mut [u8]) -> Vec<&'a mut [u8]> {
        if self.0 == [0; 4] || bytes.is_empty() {
            return vec![bytes];
        }
        let unit = 1 + bytes.len() / 4_096;
        let mut pieces = Vec::new();
        for length in self.0.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (piece, rest) = bytes.split_at_mut((usize::from(*length) * unit).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

pub(crate) fn role(choice: u8) -> Role {
    if choice.is_multiple_of(2) { Role::Server } else { Role::Client }
}

pub(crate) fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(6455)
}

pub(crate) fn connection(role: Role, config: &Arc<Config>) -> Connection {
    match role {
        Role::Client => Connection::client(Arc::clone(config), rng(), NOW),
        Role::Server => Connection::server(Arc::clone(config), NOW),
    }
}

/// The observable results of a connection.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<ReceivedEvent>,
    pub(crate) error: Option<Failure>,
    pub(crate) output: Vec<Frame>,
    pub(crate) close: Close,
}

/// Receives the bytes in pieces, takes the output, then ends TCP.
pub(crate) fn outcome(role: Role, config: &Arc<Config>, bytes: &[u8], cuts: Cuts) -> Outcome {
    let mut connection = connection(role, config);
    let mut events = Vec::new();
    let mut message = Vec::new();
    let mut error = None;
    for piece in cuts.of(&mut bytes.to_vec()) {
        let result = receive(&mut connection, piece, |event| collect(event, &mut message, &mut events));
        if let Some(error) = &error {
            assert_eq!(result.as_ref(), Err(error), "failure is sticky");
        }
        error = result.err();
    }
    let output = frames(&mut connection);
    let close = match connection.receive_eof(NOW) {
        Ok(Some(Event::Close(close))) => close,
        other => panic!("a connection ends with Close, not with {other:?}"),
    };
    assert_eq!(connection.receive_eof(NOW), Ok(None), "a second Close event");
    Outcome { events, error: error.map(Failure::from), output, close }
}

/// Receives a piece of input, and calls `handle` with each event.
pub(crate) fn receive(
    connection: &mut Connection,
    piece: &mut [u8],
    mut handle: impl FnMut(Event<'_>),
) -> std::result::Result<(), Error> {
    let mut input = Input::new(piece);
    let result = loop {
        let before = input.remaining().len();
        match connection.receive(&mut input, NOW) {
            Ok(Some(event)) => {
                assert!(input.remaining().len() < before, "an event without input");
                handle(event);
            }
            result => break result.map(|_| ()),
        }
    };
    assert!(input.is_empty(), "the connection left input");
    result
}

/// Adds an event. Chunks are joined to messages.
fn collect(event: Event<'_>, message: &mut Vec<u8>, events: &mut Vec<ReceivedEvent>) {
    events.push(match event {
        Event::Message(Message::Text(text)) => ReceivedEvent::Text(text.into_owned()),
        Event::Message(Message::Binary(bytes)) => ReceivedEvent::Binary(bytes.into_owned()),
        Event::Ping(payload) => ReceivedEvent::Ping(payload.into_owned()),
        Event::Pong(payload) => ReceivedEvent::Pong(payload.into_owned()),
        Event::Chunk(chunk) => {
            message.extend_from_slice(&chunk.payload);
            if !chunk.last {
                return;
            }
            let whole = std::mem::take(message);
            match chunk.kind {
                MessageKind::Text => ReceivedEvent::Text(String::from_utf8(whole).expect("text in chunks is UTF-8")),
                MessageKind::Binary => ReceivedEvent::Binary(whole),
            }
        }
        // `Outcome::close` has the same content
        Event::CloseReceived(_) => return,
        event => panic!("not an event of an open connection: {event:?}"),
    });
}

/// Takes all output and parses its frames.
fn frames(connection: &mut Connection) -> Vec<Frame> {
    let output = connection.output();
    let bytes = output.copy_to_bytes(output.remaining());
    let mut frames = wire::frames(&bytes);
    // keys are random, and dropped frames use keys too: they need not match
    frames.iter_mut().for_each(|frame| frame.key = frame.key.map(|_| [0; 4]));
    frames
}
