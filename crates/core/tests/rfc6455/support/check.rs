//! Checks of the events and the output of an endpoint for given bytes.

use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{Config, Connection, Error, Initiator, Instant, ProtocolError, Role};

use super::*;

/// Takes all output, up to `max` bytes at a time, and then reports it as delivered, byte by byte.
fn take_and_deliver(connection: &mut Connection, max: usize) -> Vec<Frame> {
    let mut bytes = Vec::new();
    while connection.output().has_remaining() {
        bytes.extend_from_slice(&connection.output().take_bytes(max));
    }
    for _ in &bytes {
        assert!(!connection.has_pending_event(), "a byte is in flight");
        connection.output().delivered(1);
    }
    frames_of(connection, &bytes)
}

/// Why a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Rule(ProtocolError),
    /// A limit was exceeded: its name, its value and the size.
    Limit(&'static str, u64, u64),
}

impl From<ProtocolError> for Failure {
    fn from(rule: ProtocolError) -> Self {
        Self::Rule(rule)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol(rule) => Self::Rule(rule),
            Error::Limit(exceeded) => Self::Limit(exceeded.name(), exceeded.limit(), exceeded.size()),
            error => panic!("{error}"),
        }
    }
}

impl Failure {
    /// Returns the status code of the Close frame (7.4.1).
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Rule(ProtocolError::Utf8Invalid) => 1007,
            Self::Rule(_) => 1002,
            Self::Limit("max_empty_fragments", ..) => 1008,
            Self::Limit(..) => 1009,
        }
    }

    /// Returns the reason in the Close frame.
    pub(crate) fn reason(&self) -> String {
        let (name, limit, size) = match self {
            Self::Rule(rule) => return rule.to_string(),
            Self::Limit(name, limit, size) => (*name, grouped(*limit), grouped(*size)),
        };
        match name {
            "max_empty_fragments" => {
                format!("{size} empty fragments in a row exceed the limit of {limit} (`{name}`)")
            }
            "max_frame_payload" => format!("a frame of {size} bytes exceeds the limit of {limit} bytes (`{name}`)"),
            _ => format!("a message of {size} bytes exceeds the limit of {limit} bytes (`{name}`)"),
        }
    }
}

/// Returns the digits of a number, grouped by thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

/// The events, the output and the end of a connection that received some bytes and then the end of the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The chunks of a message are joined.
    pub(crate) events: Vec<OwnedEvent>,
    pub(crate) result: Result<(), Failure>,
    pub(crate) output: Vec<Frame>,
    pub(crate) close: Option<OwnedEvent>,
}

impl Outcome {
    /// Receives the pieces one by one, then the end of the stream after the output was delivered.
    pub(crate) fn of<'a>(config: &Config, role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::of_ending(config, role, pieces, false)
    }

    /// Receives the pieces one by one, then the end of the stream. It arrives before the output is delivered (and that
    /// is taken with `take_bytes`), or after (and that is taken with `advance`): the outcome is the same.
    pub(crate) fn of_ending<'a>(
        config: &Config,
        role: Role,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        eof_first: bool,
    ) -> Self {
        let mut connection = endpoint(role, config);
        let mut events = Vec::new();
        let mut result = Ok(());
        for piece in pieces {
            let (more, now) = feed(&mut connection, piece);
            if result.is_err() && !piece.is_empty() {
                // 7.1.7: a failure is final, and the input that follows is discarded
                assert_eq!((&more, &now), (&Vec::new(), &result));
            }
            more.into_iter().for_each(|event| join(&mut events, event));
            result = now;
        }
        Self::at_end(connection, events, result, eof_first)
    }

    fn at_end(mut connection: Connection, events: Vec<OwnedEvent>, result: Result<(), Error>, eof_first: bool) -> Self {
        let (output, close);
        if eof_first {
            let at_once = owned(connection.receive_eof(Instant::EPOCH)).unwrap();
            let is_delivered = !connection.output().has_remaining();
            assert_eq!(at_once.is_some(), is_delivered, "the connection ends once its output is delivered");
            output = take_and_deliver(&mut connection, 7);
            close = at_once.or_else(|| pending_event(&mut connection, Instant::EPOCH));
        } else {
            output = take_output(&mut connection);
            close = owned(connection.receive_eof(Instant::EPOCH)).unwrap();
        }
        assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None), "Close comes once");
        assert_eq!(take_output(&mut connection), [], "nothing is sent after the end");
        Self { events, result: result.map_err(Failure::from), output, close }
    }
}

/// Appends an event. Joins a chunk with the previous one of its message, since chunks may end anywhere.
pub(crate) fn join(events: &mut Vec<OwnedEvent>, event: OwnedEvent) {
    match (events.last_mut(), event) {
        (
            Some(OwnedEvent::Chunk { kind, payload, last }),
            OwnedEvent::Chunk { kind: next_kind, payload: next, last: next_last },
        ) if !*last => {
            assert_eq!(*kind, next_kind);
            payload.extend_from_slice(&next);
            *last = next_last;
        }
        (_, event) => events.push(event),
    }
}

/// Checks the outcome of these bytes: received whole, byte by byte, and in random pieces.
///
/// If the peer closes, the last of `events` is the `Close` at the end of the connection, and the expected
/// `CloseReceived` is derived from it. Without a `Close` the end is abnormal. The expected output is derived from the
/// events: a Pong for each Ping, and a Close frame.
#[track_caller]
pub(crate) fn check(
    config: &Config,
    role: Role,
    wire: &[u8],
    events: &[OwnedEvent],
    result: Result<(), ProtocolError>,
) {
    check_named("", config, role, wire, events, result);
}

/// [`check`] for a record with a name.
#[track_caller]
pub(crate) fn check_named(
    name: &str,
    config: &Config,
    role: Role,
    wire: &[u8],
    events: &[OwnedEvent],
    result: Result<(), ProtocolError>,
) {
    check_failure(name, config, role, wire, events, result.map_err(Failure::Rule));
}

/// [`check`] for a client and for a server, masked as each requires: this limit is exceeded, by this size.
#[track_caller]
pub(crate) fn check_limit(config: &Config, frames: &[Frame], events: &[OwnedEvent], limit: (&'static str, u64, u64)) {
    for role in BOTH {
        let (name, limit, size) = limit;
        check_failure(name, config, role, &wire(role, frames), events, Err(Failure::Limit(name, limit, size)));
    }
}

#[track_caller]
fn check_failure(
    name: &str,
    config: &Config,
    role: Role,
    wire: &[u8],
    events: &[OwnedEvent],
    result: Result<(), Failure>,
) {
    let expected = expect(config, events, result);
    let whole = Outcome::of(config, role, [wire]);
    assert_eq!(whole, expected, "{name} {role:?}, whole");
    assert_eq!(Outcome::of(config, role, wire.chunks(1)), expected, "{name} {role:?}, byte by byte");
    let mut rng = ChaCha8Rng::seed_from_u64(wire.len() as u64);
    for eof_first in [true, false, true, false] {
        let pieces = random_split(&mut rng, wire);
        let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(
            Outcome::of_ending(config, role, pieces, eof_first),
            expected,
            "{name} {role:?}, in pieces of {sizes:?}"
        );
    }
}

/// [`check_both_with`] the default configuration.
#[track_caller]
pub(crate) fn check_both(frames: &[Frame], events: &[OwnedEvent], result: Result<(), ProtocolError>) {
    check_both_with(&Config::default(), frames, events, result);
}

/// [`check`] for a client and for a server, masked as each requires.
#[track_caller]
pub(crate) fn check_both_with(
    config: &Config,
    frames: &[Frame],
    events: &[OwnedEvent],
    result: Result<(), ProtocolError>,
) {
    for role in BOTH {
        check(config, role, &wire(role, frames), events, result);
    }
}

fn expect(config: &Config, events: &[OwnedEvent], result: Result<(), Failure>) -> Outcome {
    let (events, close) = match events {
        [events @ .., close @ OwnedEvent::Close { .. }] => (events, Some(close.clone())),
        events => (events, None),
    };
    // 5.5.3: above the limit, only the Pong for the latest Ping is sent
    let mut output: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            OwnedEvent::Ping(payload) => Some(Frame::pong(payload)),
            _ => None,
        })
        .collect();
    while output.len() > config.max_pending_controls && output.len() > 1 {
        output.remove(output.len() - 2);
    }
    let end = match (&close, &result) {
        (Some(OwnedEvent::Close { code: 1005, .. }), _) => Some(Frame::new(CLOSE, [])),
        (Some(OwnedEvent::Close { code, .. }), _) => Some(Frame::close(*code, "")),
        (_, Err(error)) => Some(Frame::close(error.code(), &error.reason())),
        _ => None,
    };
    output.extend(end);
    let mut events = events.to_vec();
    if let Some(OwnedEvent::Close { code, reason, .. }) = &close {
        events.push(close_received(*code, reason));
    }
    let close = close.unwrap_or_else(|| abnormal(if result.is_ok() { Initiator::Peer } else { Initiator::Local }));
    Outcome { events, result, output, close: Some(close) }
}

/// Checks that the last of these bytes fails the connection, and no earlier one.
#[track_caller]
pub(crate) fn check_last_byte_fails(config: &Config, role: Role, wire: &[u8], error: ProtocolError) {
    let (last, before) = wire.split_last().unwrap();
    let mut connection = endpoint(role, config);
    for byte in before {
        assert_eq!(feed(&mut connection, &[*byte]).1, Ok(()), "{role:?}: too early");
    }
    assert_eq!(feed(&mut connection, &[*last]), (vec![], Err(error.into())), "{role:?}: byte by byte");

    for cut in 0..wire.len() {
        let mut connection = endpoint(role, config);
        assert_eq!(feed(&mut connection, &wire[..cut]).1, Ok(()), "{role:?}: too early, cut at {cut}");
        let (_, result) = feed(&mut connection, &wire[cut..]);
        assert_eq!(result, Err(error.into()), "{role:?}: cut at {cut}");
        let failure = Failure::Rule(error);
        let close = Frame::close(failure.code(), &failure.reason());
        assert_eq!(take_output(&mut connection).last(), Some(&close), "{role:?}: cut at {cut}");
    }
}
