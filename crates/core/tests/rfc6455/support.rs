//! An oracle for frames that shares no code with the crate, and one way to check what an endpoint makes of bytes.

use std::num::NonZeroUsize;

use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    Config, Connection, Error, Event, Initiator, Input, Instant, Message, MessageKind, ProtocolError, Role,
};

pub(crate) use rand_chacha::ChaCha8Rng;

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A frame of section 5.2, legal or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    /// The payload before masking.
    pub(crate) payload: Vec<u8>,
    length: Length,
}

/// How the payload length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Minimal,
    In16Bits,
    In64Bits,
    /// In the fewest bytes, but not the length of the payload.
    Claimed(u64),
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { fin: true, rsv: 0, opcode, key: None, payload, length: Length::Minimal }
    }

    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, text)
    }

    pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, bytes)
    }

    pub(crate) fn continuation(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, bytes)
    }

    pub(crate) fn ping(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(PING, bytes)
    }

    pub(crate) fn pong(bytes: impl AsRef<[u8]>) -> Self {
        Self::new(PONG, bytes)
    }

    /// A Close frame with a status code.
    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    pub(crate) fn fin(self, fin: bool) -> Self {
        Self { fin, ..self }
    }

    pub(crate) fn rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    pub(crate) fn masked(self, key: [u8; 4]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Masked as the peer of an endpoint with this role has to: section 5.1.
    pub(crate) fn to(self, role: Role) -> Self {
        match (role, self.key) {
            (Role::Server, None) => self.masked([0x37, 0xfa, 0x21, 0x3d]),
            _ => self,
        }
    }

    /// Masked exactly as the peer of an endpoint with this role must not.
    pub(crate) fn wrongly_to(self, role: Role) -> Self {
        self.to(match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        })
    }

    pub(crate) fn length_in_16_bits(self) -> Self {
        Self { length: Length::In16Bits, ..self }
    }

    pub(crate) fn length_in_64_bits(self) -> Self {
        Self { length: Length::In64Bits, ..self }
    }

    /// Says that the payload has this length, whatever it has.
    pub(crate) fn claiming(self, length: u64) -> Self {
        Self { length: Length::Claimed(length), ..self }
    }

    /// The frame on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let actual = self.payload.len() as u64;
        let (field, extended) = match self.length {
            Length::Minimal => length_field(actual),
            Length::Claimed(length) => length_field(length),
            Length::In16Bits => (126, (actual as u16).to_be_bytes().to_vec()),
            Length::In64Bits => (127, actual.to_be_bytes().to_vec()),
        };
        let mut wire = vec![u8::from(self.fin) * 128 + self.rsv * 16 + self.opcode];
        wire.push(u8::from(self.key.is_some()) * 128 + field);
        wire.extend(extended);
        wire.extend(self.key.iter().flatten());
        let key = self.key.unwrap_or_default();
        wire.extend(self.payload.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]));
        wire
    }

    /// Bytes on the wire up to the payload.
    pub(crate) fn head_size(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    /// Reads whole frames; their keys, and any length that is not minimal, included.
    pub(crate) fn parse_all(mut wire: &[u8]) -> Vec<Self> {
        let mut frames = Vec::new();
        while !wire.is_empty() {
            let (first, second) = (wire[0], wire[1]);
            let (length, encoding, size) = match second % 128 {
                126 => (u64::from(u16::from_be_bytes([wire[2], wire[3]])), Length::In16Bits, 4),
                127 => (u64::from_be_bytes(wire[2..10].try_into().unwrap()), Length::In64Bits, 10),
                field => (u64::from(field), Length::Minimal, 2),
            };
            let key: Option<[u8; 4]> = (second >= 128).then(|| wire[size..size + 4].try_into().unwrap());
            let begin = size + key.map_or(0, |_| 4);
            let end = begin + length as usize;
            let mask = key.unwrap_or_default();
            let payload = wire[begin..end].iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
            let is_minimal = length_field(length).1.len() == size - 2;
            let length = if is_minimal { Length::Minimal } else { encoding };
            frames.push(Self { fin: first >= 128, rsv: first / 16 % 8, opcode: first % 16, key, payload, length });
            wire = &wire[end..];
        }
        frames
    }

    /// The frame without its masking key, so that it can be compared.
    pub(crate) fn unmasked(self) -> Self {
        Self { key: None, ..self }
    }
}

/// 5.2: the 7 bits, and the bytes after them.
fn length_field(length: u64) -> (u8, Vec<u8>) {
    match length {
        0..=125 => (length as u8, vec![]),
        126..=65_535 => (126, (length as u16).to_be_bytes().to_vec()),
        _ => (127, length.to_be_bytes().to_vec()),
    }
}

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
    assert!(input.is_empty() && input.missing() == 0, "input was left");
    seen
}

fn receive_all(connection: &mut Connection, input: &mut Input<'_>) -> (Vec<Seen>, Result<(), Error>) {
    let mut events = Vec::new();
    loop {
        let before = input.remaining().len();
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
    let mut bytes = Vec::new();
    let output = connection.output();
    while output.has_remaining() {
        let chunk = output.chunk();
        assert!(!chunk.is_empty(), "bytes remain, but the chunk is empty");
        bytes.extend_from_slice(chunk);
        output.advance(chunk.len());
    }
    let frames = Frame::parse_all(&bytes);
    for frame in &frames {
        assert_eq!(frame.key.is_some(), connection.role() == Role::Client, "5.1: {frame:?}");
    }
    frames.into_iter().map(Frame::unmasked).collect()
}

/// All that can be seen of a connection that was given some bytes and then the end of the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Neighbouring chunks of a message put together.
    pub(crate) events: Vec<Seen>,
    pub(crate) result: Result<(), Error>,
    pub(crate) output: Vec<Frame>,
    pub(crate) close: Option<Seen>,
}

impl Outcome {
    /// What comes of these pieces of a stream, each given by itself.
    pub(crate) fn of<'a>(config: &Config, role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
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
        Self::at_end(connection, events, result)
    }

    /// What comes of a stream that is read, at most so many bytes at a time, into a buffer in which stays what is left.
    pub(crate) fn of_refilled(config: &Config, role: Role, mut wire: &[u8], capacity: usize, most: usize) -> Self {
        let mut connection = endpoint(role, config);
        let (mut buffer, mut filled) = (vec![0; capacity], 0);
        let (mut events, mut result) = (Vec::new(), Ok(()));
        while !wire.is_empty() && result.is_ok() {
            let (read, rest) = wire.split_at(most.min(capacity - filled).min(wire.len()));
            buffer[filled..filled + read.len()].copy_from_slice(read);
            filled += read.len();
            wire = rest;
            let mut input = Input::refillable(&mut buffer[..filled], capacity);
            let (more, now) = receive_all(&mut connection, &mut input);
            more.into_iter().for_each(|event| join(&mut events, event));
            result = now;
            let (left, missing) = (input.remaining().len(), input.missing());
            assert_eq!(left > 0, missing > 0, "{left} bytes are left, for {missing} to follow");
            assert!(left + missing <= capacity, "{left} bytes are left, for {missing} that do not fit");
            buffer.copy_within(filled - left..filled, 0);
            filled = left;
        }
        if result.is_ok() {
            let (more, now) = feed(&mut connection, &buffer[..filled]);
            more.into_iter().for_each(|event| join(&mut events, event));
            result = now;
        }
        Self::at_end(connection, events, result)
    }

    fn at_end(mut connection: Connection, events: Vec<Seen>, result: Result<(), Error>) -> Self {
        let output = take_output(&mut connection);
        let close = connection.receive_eof(Instant::EPOCH).unwrap().map(Seen::from);
        assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None), "Close comes once");
        assert_eq!(take_output(&mut connection), [], "nothing is sent after the end");
        Self { events, result, output, close }
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
/// Of `events` a Close is the last, if any, and tells what `receive_eof` returns; without one the end is abnormal.
/// What the endpoint must send follows from the events: its Pongs, and its Close frame.
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
    let expected = expect(config, events, result);
    let whole = Outcome::of(config, role, [wire]);
    assert_eq!(whole, expected, "{name} {role:?}, whole");
    assert_eq!(Outcome::of(config, role, wire.chunks(1)), expected, "{name} {role:?}, byte by byte");
    let mut rng = ChaCha8Rng::seed_from_u64(wire.len() as u64);
    for _ in 0..4 {
        let pieces = random_split(&mut rng, wire);
        let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(Outcome::of(config, role, pieces), expected, "{name} {role:?}, in pieces of {sizes:?}");
        let capacity = 1 + rng.next_u32() as usize % (wire.len() + 20);
        let most = 1 + rng.next_u32() as usize % capacity;
        let outcome = Outcome::of_refilled(config, role, wire, capacity, most);
        assert_eq!(outcome, expected, "{name} {role:?}, {most} bytes at a time into a buffer of {capacity}");
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

fn expect(config: &Config, events: &[Seen], result: Result<(), ProtocolError>) -> Outcome {
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
    let end = match (&close, result) {
        (Some(Seen::Close { code: 1005, .. }), _) => Some(Frame::new(CLOSE, [])),
        (Some(Seen::Close { code, .. }), _) => Some(Frame::close(*code, "")),
        (_, Err(error)) => Some(Frame::close(error.close_code().as_u16(), &error.to_string())),
        _ => None,
    };
    output.extend(end);
    let close = close.unwrap_or_else(|| abnormal(if result.is_ok() { Initiator::Peer } else { Initiator::Local }));
    Outcome { events: events.to_vec(), result: result.map_err(Error::from), output, close: Some(close) }
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
        let close = Frame::close(error.close_code().as_u16(), &error.to_string());
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
