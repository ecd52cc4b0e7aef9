//! Frames that are encoded and decoded without the crate, endpoints, and checks of what they do.

use std::num::NonZeroUsize;
use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{CloseCode, Config, Connection, Error, Input, Instant, Role};

mod check;
mod event;
mod frame;
mod send;
pub(crate) mod streams;
pub(crate) mod transport;

pub(crate) use check::{
    Failure, Outcome, check, check_both, check_both_with, check_last_byte_fails, check_limit, check_named,
};
pub(crate) use event::{
    OwnedEvent, abnormal, binary, chunk, close_event, close_received, closed, owned, ping, pong, text,
};
pub(crate) use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, StreamSummary, TEXT};
pub(crate) use rand_chacha::ChaCha8Rng;
pub(crate) use send::{SEND_METHODS, SendMethod, fragments, opcode, payload, send, with_buffer_of};

pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];

pub(crate) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Encodes frames, masked as an endpoint with this role must receive them.
pub(crate) fn wire(role: Role, frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.clone().masked_for(role).bytes()).collect()
}

/// Returns an open connection. Its masking keys are the same in every run.
pub(crate) fn endpoint(role: Role, config: &Config) -> Connection {
    match role {
        Role::Client => Connection::client(config.clone(), ChaCha8Rng::seed_from_u64(6455), Instant::EPOCH),
        Role::Server => Connection::server(config.clone(), Instant::EPOCH),
    }
}

/// Returns an open connection with the default configuration.
pub(crate) fn open(role: Role) -> Connection {
    endpoint(role, &Config::default())
}

/// Returns a configuration that sends longer messages in frames with this many payload bytes.
pub(crate) fn with_frames_of(payload: usize) -> Config {
    let mut config = Config::default();
    config.max_sent_frame_payload = NonZeroUsize::new(payload).unwrap();
    config
}

/// Passes bytes to a connection and collects the events, up to the first error.
pub(crate) fn feed(connection: &mut Connection, bytes: &[u8]) -> (Vec<OwnedEvent>, Result<(), Error>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let received = receive_all(connection, &mut input);
    assert!(input.is_empty(), "bytes remain in the input");
    received
}

fn receive_all(connection: &mut Connection, input: &mut Input<'_>) -> (Vec<OwnedEvent>, Result<(), Error>) {
    let mut events = Vec::new();
    loop {
        let before = input.remaining().len();
        // a Close that no byte causes: `pending_event` takes it
        if before == 0 && !events.is_empty() && connection.has_pending_event() {
            return (events, Ok(()));
        }
        match connection.receive(input, Instant::EPOCH) {
            Ok(Some(event)) => {
                // CVE-2020-13935: every step takes bytes
                assert!(input.remaining().len() < before, "an event took no bytes");
                events.push(event.into());
            }
            Ok(None) => return (events, Ok(())),
            Err(error) => {
                assert!(input.is_empty(), "a failed connection left bytes in the input");
                return (events, Err(error));
            }
        }
    }
}

/// Takes and decodes all output. Checks that a client masks every frame, and a server none (section 5.1).
pub(crate) fn take_output(connection: &mut Connection) -> Vec<Frame> {
    let bytes = take(connection, usize::MAX);
    frames_of(connection, &bytes)
}

fn frames_of(connection: &Connection, bytes: &[u8]) -> Vec<Frame> {
    for frame in Frame::parse_all(bytes) {
        assert_eq!(frame.key.is_some(), connection.role() == Role::Client, "5.1: {frame:?}");
    }
    Frame::parse_unmasked(bytes)
}

/// Cuts bytes at random places. Some pieces are empty.
pub(crate) fn random_split<'a>(rng: &mut ChaCha8Rng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let count = 1 + rng.next_u32() as usize % 12;
    let mut cuts: Vec<_> = (0..count).map(|_| rng.next_u32() as usize % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

/// Returns where the vectored chunks of the output lie, and their lengths.
#[cfg(feature = "std")]
pub(crate) fn places(connection: &mut Connection) -> Vec<(*const u8, usize)> {
    let mut slices = [std::io::IoSlice::new(&[]); 64];
    let output = connection.output();
    let filled = output.chunks_vectored(&mut slices);
    slices[..filled].iter().map(|slice| (slice.as_ptr(), slice.len())).collect()
}

/// Takes up to `count` bytes of output, as a transport would.
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

/// Returns the pending event, if any. Checks that `has_pending_event` agrees.
pub(crate) fn pending_event(connection: &mut Connection, now: Instant) -> Option<OwnedEvent> {
    if !connection.has_pending_event() {
        return None;
    }
    let event = owned(connection.receive(&mut Input::new(&mut []), now)).unwrap();
    assert!(event.is_some(), "an event is pending");
    event
}

pub(crate) fn seconds(seconds: u64) -> Instant {
    Instant::EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(millis)
}

/// Calls `close` with a code that can be sent.
pub(crate) fn close(connection: &mut Connection, code: u16, reason: &str) {
    let code = CloseCode::new(code).expect("a sendable code");
    connection.close(code, reason, Instant::EPOCH).expect("a reason that fits");
}

/// Handles deadlines until the connection ends, as a driver whose transport does nothing any more. Returns the time of
/// the `Close` event, and the event.
pub(crate) fn wait_for_end(connection: &mut Connection) -> (Instant, OwnedEvent) {
    let mut now = Instant::EPOCH;
    for _ in 0..1_000 {
        if let Some(close) = pending_event(connection, now) {
            return (now, close);
        }
        let deadline = connection.poll_timeout().expect("a connection that has not ended has a deadline");
        assert!(deadline > now || now == Instant::EPOCH, "contract 7: {deadline:?} is not after {now:?}");
        now = now.max(deadline);
        if let Some(close) = owned(connection.handle_timeout(now)).unwrap() {
            return (now, close);
        }
    }
    panic!("the driver spins, or the connection does not end: now {now:?}");
}
