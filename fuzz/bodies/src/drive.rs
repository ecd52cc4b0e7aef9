//! Drives a connection with bytes, whole or in pieces, and collects what comes of it.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{Close, Config, Connection, Error, Event, Input, Instant, Message, MessageKind, Role};

use crate::model::{Failure, Seen};
use crate::wire::{self, Frame};

/// Any time does: nothing here waits.
pub(crate) const NOW: Instant = Instant::from_nanos(1_000);

/// Where to cut: pieces of these lengths, over and over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts([u8; 4]);

impl Cuts {
    pub(crate) const NONE: Self = Self([0; 4]);

    pub(crate) fn choose(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self(u.arbitrary()?))
    }

    /// How many bytes a buffer takes in which is kept what is not whole.
    pub(crate) fn capacity(&self) -> usize {
        self.0.iter().map(|&length| usize::from(length)).sum()
    }

    /// The pieces, some of them empty; of long input they are longer. Four zeros leave it whole.
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

/// All that can be seen of a connection from outside.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Seen>,
    pub(crate) error: Option<Failure>,
    pub(crate) output: Vec<Frame>,
    pub(crate) close: Close,
}

/// Receives the bytes in these pieces, from a buffer that takes so many and is refilled, or at once if it takes none;
/// then takes the output, then ends TCP.
pub(crate) fn outcome(role: Role, config: &Arc<Config>, bytes: &[u8], cuts: Cuts, capacity: usize) -> Outcome {
    let mut connection = connection(role, config);
    let mut events = Vec::new();
    let mut message = Vec::new();
    let mut error = None;
    let mut kept = Vec::new();
    let mut bytes = bytes.to_vec();
    let pieces = cuts.of(&mut bytes);
    let last = pieces.len() - 1;
    for (number, piece) in pieces.into_iter().enumerate() {
        kept.extend_from_slice(piece);
        let capacity = if number == last { 0 } else { capacity };
        let mut input = Input::refillable(&mut kept, capacity);
        let result = take(&mut connection, &mut input, |event| collect(event, &mut message, &mut events));
        let left = input.remaining().len();
        assert!(left + input.missing() <= capacity, "{left} bytes are left, and {} missing", input.missing());
        assert!(left == 0 || input.missing() > 0, "{left} bytes are left of a message that is whole");
        kept.drain(..kept.len() - left);
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
    assert_eq!(connection.receive_eof(NOW), Ok(None), "Close comes once");
    Outcome { events, error: error.map(Failure::from), output, close }
}

/// Receives one piece, all of it.
pub(crate) fn receive(
    connection: &mut Connection,
    piece: &mut [u8],
    told: impl FnMut(Event<'_>),
) -> std::result::Result<(), Error> {
    let mut input = Input::new(piece);
    let result = take(connection, &mut input, told);
    assert!(input.is_empty(), "all of the input is taken");
    result
}

fn take(
    connection: &mut Connection,
    input: &mut Input<'_>,
    mut told: impl FnMut(Event<'_>),
) -> std::result::Result<(), Error> {
    loop {
        let before = input.remaining().len();
        let received = connection.receive(input, NOW);
        match received {
            Ok(Some(event)) => {
                assert!(input.remaining().len() < before, "an event takes bytes");
                told(event);
            }
            ended => return ended.map(|_| ()),
        }
    }
}

/// Adds an event; chunks become the message that they are parts of.
fn collect(event: Event<'_>, message: &mut Vec<u8>, events: &mut Vec<Seen>) {
    events.push(match event {
        Event::Message(Message::Text(text)) => Seen::Text(text.into_owned()),
        Event::Message(Message::Binary(bytes)) => Seen::Binary(bytes.into_owned()),
        Event::Ping(payload) => Seen::Ping(payload.into_owned()),
        Event::Pong(payload) => Seen::Pong(payload.into_owned()),
        Event::Chunk(chunk) => {
            message.extend_from_slice(&chunk.payload);
            if !chunk.last {
                return;
            }
            let whole = std::mem::take(message);
            match chunk.kind {
                MessageKind::Text => Seen::Text(String::from_utf8(whole).expect("text in chunks is UTF-8")),
                MessageKind::Binary => Seen::Binary(whole),
            }
        }
        // `Outcome::close` holds the same
        Event::CloseReceived(_) => return,
        event => panic!("not an event of an open connection: {event:?}"),
    });
}

/// Takes all output, as frames.
fn frames(connection: &mut Connection) -> Vec<Frame> {
    let output = connection.output();
    let bytes = output.copy_to_bytes(output.remaining());
    let mut frames = wire::frames(&bytes);
    // keys are chosen at random, and which of them went to frames that were dropped says nothing
    frames.iter_mut().for_each(|frame| frame.key = frame.key.map(|_| [0; 4]));
    frames
}
