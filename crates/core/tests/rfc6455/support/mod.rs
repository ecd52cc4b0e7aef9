//! An oracle for frames that shares no code with the crate, and one way to check what an endpoint makes of bytes.

use std::num::NonZeroUsize;
use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    CloseCode, Config, Connection, Error, Event, Initiator, Input, Instant, Message, MessageKind, ProtocolError, Role,
};

mod frame;
pub(crate) mod transport;

pub(crate) use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
pub(crate) use rand_chacha::ChaCha8Rng;

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];

/// Frames on the wire, masked as an endpoint with this role must receive them.
pub(crate) fn wire(role: Role, frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.clone().to(role).bytes()).collect()
}

/// An open connection. Its masking keys are the same in every run.
pub(crate) fn endpoint(role: Role, config: &Config) -> Connection {
    match role {
        Role::Client => Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(6455), Instant::EPOCH),
        Role::Server => Connection::server(config.clone(), Instant::EPOCH),
    }
}

/// One with the default settings.
pub(crate) fn open(role: Role) -> Connection {
    endpoint(role, &Config::default())
}

/// Messages longer than this leave in frames of this payload.
pub(crate) fn with_frames_of(payload: usize) -> Config {
    let mut config = Config::default();
    config.max_sent_frame_payload = NonZeroUsize::new(payload).unwrap();
    config
}

/// Gives bytes to a connection and collects the events, up to the first error.
pub(crate) fn feed(connection: &mut Connection, bytes: &[u8]) -> (Vec<Seen>, Result<(), Error>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let seen = receive_all(connection, &mut input);
    assert!(input.is_empty(), "input was left");
    seen
}

fn receive_all(connection: &mut Connection, input: &mut Input<'_>) -> (Vec<Seen>, Result<(), Error>) {
    let mut events = Vec::new();
    loop {
        let before = input.remaining().len();
        // a Close that no byte causes: `pending` asks for it
        if before == 0 && !events.is_empty() && connection.has_pending_event() {
            return (events, Ok(()));
        }
        match connection.receive(input, Instant::EPOCH) {
            Ok(Some(event)) => {
                // CVE-2020-13935: every step takes something
                assert!(input.remaining().len() < before, "an event came out of nothing");
                events.push(event.into());
            }
            Ok(None) => return (events, Ok(())),
            Err(error) => {
                assert!(input.is_empty(), "a failed connection left input");
                return (events, Err(error));
            }
        }
    }
}

/// Takes all output, and reads it as frames. A client masks all of them, a server none: section 5.1.
pub(crate) fn take_output(connection: &mut Connection) -> Vec<Frame> {
    let bytes = take(connection, usize::MAX);
    frames_of(connection, &bytes)
}

/// Takes all output, some bytes at a time, and delivers it afterwards.
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

fn frames_of(connection: &Connection, bytes: &[u8]) -> Vec<Frame> {
    let frames = Frame::parse_all(bytes);
    for frame in &frames {
        assert_eq!(frame.key.is_some(), connection.role() == Role::Client, "5.1: {frame:?}");
    }
    frames.into_iter().map(Frame::unmasked).collect()
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
    /// 7.4.1: the status code of the Close frame.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Rule(ProtocolError::Utf8Invalid) => 1007,
            Self::Rule(_) => 1002,
            Self::Limit("max_empty_fragments", ..) => 1008,
            Self::Limit(..) => 1009,
        }
    }

    /// The reason in the Close frame.
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

/// The digits of a number, grouped by thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

/// Everything that a connection shows after it received some bytes and then the end of the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Neighbouring chunks of a message put together.
    pub(crate) events: Vec<Seen>,
    pub(crate) result: Result<(), Failure>,
    pub(crate) output: Vec<Frame>,
    pub(crate) close: Option<Seen>,
}

impl Outcome {
    /// Receives the pieces one by one, then the end of the stream after the output was delivered.
    pub(crate) fn of<'a>(config: &Config, role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::of_ending(config, role, pieces, false)
    }

    /// Receives the pieces one by one, then the end of the stream: before the output is delivered, or after.
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
                // failure is sticky, and what comes after it is swallowed: 7.1.7
                assert_eq!((&more, &now), (&Vec::new(), &result));
            }
            more.into_iter().for_each(|event| join(&mut events, event));
            result = now;
        }
        Self::at_end(connection, events, result, eof_first)
    }

    /// The end of the stream arrives before the output is delivered, or after; the transport delivers the output when
    /// it takes it, or later. DESIGN 3.7: the outcome is the same.
    fn at_end(mut connection: Connection, events: Vec<Seen>, result: Result<(), Error>, eof_first: bool) -> Self {
        let mut output = vec![];
        let mut close = None;
        if eof_first {
            close = connection.receive_eof(Instant::EPOCH).unwrap();
            assert_eq!(close.is_some(), !connection.output().has_remaining(), "the connection ends with its output");
        }
        output.extend(if eof_first { take_and_deliver(&mut connection, 7) } else { take_output(&mut connection) });
        if eof_first && close.is_none() {
            assert!(connection.has_pending_event());
            close = connection.receive(&mut Input::new(&mut []), Instant::EPOCH).unwrap();
        }
        let close = if eof_first { close } else { connection.receive_eof(Instant::EPOCH).unwrap() };
        let close = close.map(Seen::from);
        assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None), "Close comes once");
        assert_eq!(take_output(&mut connection), [], "nothing is sent after the end");
        Self { events, result: result.map_err(Failure::from), output, close }
    }
}

/// Puts a chunk that continues another to it: where chunks begin and end says nothing.
pub(crate) fn join(events: &mut Vec<Seen>, event: Seen) {
    match (events.last_mut(), event) {
        (
            Some(Seen::Chunk { kind, payload, last }),
            Seen::Chunk { kind: next_kind, payload: next, last: next_last },
        ) if !*last => {
            assert_eq!(*kind, next_kind);
            payload.extend_from_slice(&next);
            *last = next_last;
        }
        (_, event) => events.push(event),
    }
}

/// Checks what an endpoint makes of these bytes: given whole, byte by byte, and in random pieces, of which the caller's
/// buffer may keep some.
///
/// If the peer closes, the last of `events` is the Close that the connection reports at its end; the `CloseReceived`
/// before it follows from it. Without a Close the end is abnormal. What the endpoint must send follows from the events:
/// its Pongs, and its Close frame.
#[track_caller]
pub(crate) fn check(config: &Config, role: Role, wire: &[u8], events: &[Seen], result: Result<(), ProtocolError>) {
    check_named("", config, role, wire, events, result);
}

/// [`check`] of a record that has a name.
#[track_caller]
pub(crate) fn check_named(
    name: &str,
    config: &Config,
    role: Role,
    wire: &[u8],
    events: &[Seen],
    result: Result<(), ProtocolError>,
) {
    check_failure(name, config, role, wire, events, result.map_err(Failure::Rule));
}

/// [`check`] for a client and for a server, with the masks that belong: this limit is exceeded, by this size.
#[track_caller]
pub(crate) fn check_limit(config: &Config, frames: &[Frame], events: &[Seen], limit: (&'static str, u64, u64)) {
    for role in BOTH {
        let (name, limit, size) = limit;
        check_failure(name, config, role, &wire(role, frames), events, Err(Failure::Limit(name, limit, size)));
    }
}

#[track_caller]
fn check_failure(name: &str, config: &Config, role: Role, wire: &[u8], events: &[Seen], result: Result<(), Failure>) {
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

/// [`check`] for a client and for a server, with the default settings and the masks that belong.
#[track_caller]
pub(crate) fn check_both(frames: &[Frame], events: &[Seen], result: Result<(), ProtocolError>) {
    check_both_with(&Config::default(), frames, events, result);
}

/// [`check`] for a client and for a server, with the masks that belong.
#[track_caller]
pub(crate) fn check_both_with(config: &Config, frames: &[Frame], events: &[Seen], result: Result<(), ProtocolError>) {
    for role in BOTH {
        check(config, role, &wire(role, frames), events, result);
    }
}

fn expect(config: &Config, events: &[Seen], result: Result<(), Failure>) -> Outcome {
    let (events, close) = match events {
        [events @ .., close @ Seen::Close { .. }] => (events, Some(close.clone())),
        events => (events, None),
    };
    // 5.5.3: beyond some Pongs, only the one for the latest Ping is sent
    let mut output: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Seen::Ping(payload) => Some(Frame::pong(payload)),
            _ => None,
        })
        .collect();
    while output.len() > config.max_pending_controls && output.len() > 1 {
        output.remove(output.len() - 2);
    }
    let end = match (&close, &result) {
        (Some(Seen::Close { code: 1005, .. }), _) => Some(Frame::new(CLOSE, [])),
        (Some(Seen::Close { code, .. }), _) => Some(Frame::close(*code, "")),
        (_, Err(error)) => Some(Frame::close(error.code(), &error.reason())),
        _ => None,
    };
    output.extend(end);
    let mut events = events.to_vec();
    if let Some(Seen::Close { code, reason, .. }) = &close {
        events.push(close_received(*code, reason));
    }
    let close = close.unwrap_or_else(|| abnormal(if result.is_ok() { Initiator::Peer } else { Initiator::Local }));
    Outcome { events, result, output, close: Some(close) }
}

/// Cuts bytes at random places; neighbouring cuts make empty pieces.
pub(crate) fn random_split<'a>(rng: &mut ChaCha8Rng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let count = 1 + rng.next_u32() as usize % 12;
    let mut cuts: Vec<_> = (0..count).map(|_| rng.next_u32() as usize % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

/// An event as the tests compare it: owned, and made of what the RFC speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Chunk { kind: MessageKind, payload: Vec<u8>, last: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    CloseReceived { code: u16, reason: String },
    Close { code: u16, reason: String, was_clean: bool, initiator: Initiator },
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.into_owned()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.into_owned()),
            Event::Chunk(chunk) => {
                Self::Chunk { kind: chunk.kind, payload: chunk.payload.into_owned(), last: chunk.last }
            }
            Event::Ping(payload) => Self::Ping(payload.into_owned()),
            Event::Pong(payload) => Self::Pong(payload.into_owned()),
            Event::CloseReceived(frame) => {
                Self::CloseReceived { code: frame.code.as_u16(), reason: frame.reason.into() }
            }
            Event::Close(close) => Self::Close {
                code: close.code.as_u16(),
                reason: close.reason.into(),
                was_clean: close.was_clean,
                initiator: close.initiator,
            },
            event => panic!("not an event of an open connection: {event:?}"),
        }
    }
}

pub(crate) fn text(text: impl Into<String>) -> Seen {
    Seen::Text(text.into())
}

pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Seen {
    Seen::Binary(bytes.as_ref().to_vec())
}

pub(crate) fn ping(bytes: impl AsRef<[u8]>) -> Seen {
    Seen::Ping(bytes.as_ref().to_vec())
}

pub(crate) fn pong(bytes: impl AsRef<[u8]>) -> Seen {
    Seen::Pong(bytes.as_ref().to_vec())
}

pub(crate) fn chunk(kind: MessageKind, bytes: impl AsRef<[u8]>, last: bool) -> Seen {
    Seen::Chunk { kind, payload: bytes.as_ref().to_vec(), last }
}

/// The peer's Close frame.
pub(crate) fn close_received(code: u16, reason: &str) -> Seen {
    Seen::CloseReceived { code, reason: reason.into() }
}

/// A clean closing handshake that the peer began.
pub(crate) fn closed(code: u16, reason: &str) -> Seen {
    Seen::Close { code, reason: reason.into(), was_clean: true, initiator: Initiator::Peer }
}

/// The end of TCP without a Close frame from the peer.
pub(crate) fn abnormal(initiator: Initiator) -> Seen {
    Seen::Close { code: 1006, reason: String::new(), was_clean: false, initiator }
}

/// Checks that these bytes fail with their last one, not before.
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

/// Takes up to so many bytes of output, as a transport would.
pub(crate) fn take(connection: &mut Connection, mut count: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    let output = connection.output();
    while count > 0 && output.has_remaining() {
        let step = output.chunk().len().min(count);
        assert!(step > 0, "bytes remain, but the chunk is empty");
        taken.extend_from_slice(&output.chunk()[..step]);
        output.advance(step);
        count -= step;
    }
    taken
}

/// What a call returned, as the tests compare it.
pub(crate) fn seen(event: Result<Option<Event<'_>>, Error>) -> Result<Option<Seen>, Error> {
    event.map(|event| event.map(Seen::from))
}

/// The end of a connection.
pub(crate) fn close_event(code: u16, reason: &str, was_clean: bool, initiator: Initiator) -> Seen {
    Seen::Close { code, reason: reason.to_owned(), was_clean, initiator }
}

/// Returns the event that is pending, if any.
pub(crate) fn pending(connection: &mut Connection, now: Instant) -> Option<Seen> {
    if !connection.has_pending_event() {
        return None;
    }
    let event = seen(connection.receive(&mut Input::new(&mut []), now)).unwrap();
    assert!(event.is_some(), "an event is pending");
    event
}

pub(crate) fn seconds(seconds: u64) -> Instant {
    Instant::EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(millis)
}

/// Calls `close` with a code that may travel.
pub(crate) fn close(connection: &mut Connection, code: u16, reason: &str) {
    let code = CloseCode::new(code).expect("a code that may travel");
    connection.close(code, reason, Instant::EPOCH).expect("a reason that fits");
}

/// Lets time pass until the connection ends, as a driver whose transport does nothing any more. Returns when the
/// connection reported Close, and the Close.
pub(crate) fn silent_end(connection: &mut Connection) -> (Instant, Seen) {
    let mut now = Instant::EPOCH;
    for _ in 0..1_000 {
        if let Some(close) = pending(connection, now) {
            return (now, close);
        }
        let deadline = connection.poll_timeout().expect("a connection that has not ended has a deadline");
        assert!(deadline > now || now == Instant::EPOCH, "contract 7: {deadline:?} is not after {now:?}");
        now = now.max(deadline);
        if let Some(close) = seen(connection.handle_timeout(now)).unwrap() {
            return (now, close);
        }
    }
    panic!("the driver spins, or the connection does not end: it is {now:?}");
}
