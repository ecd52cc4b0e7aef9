//! Helpers of the tests: a simulated transport, a loop that drives a [`Driver`] over it, and a layer that imitates TLS.

mod end;
mod layer;
mod transport;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sansocket::bytes::Buf;
use sansocket::{Accept, CloseCode, Config, Event, Initiator, Input, Instant, Role, WebSocket};
use sansocket_drive::{Action, Driver, Layer, LayerScratch};

pub(crate) use end::{End, Seen, run, run_alone};
pub(crate) use layer::{ALERT, DATA, GOODBYE, HELLO, Records, record, records};
pub(crate) use transport::{Pipe, TICK};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;
pub(crate) const BOTH: [Role; 2] = [Role::Client, Role::Server];

pub(crate) const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) fn seconds(seconds: f64) -> Instant {
    Instant::EPOCH + Duration::from_secs_f64(seconds)
}

pub(crate) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

pub(crate) fn websocket(role: Role, config: &Config) -> WebSocket {
    match role {
        Role::Server => WebSocket::server(config.clone(), Instant::EPOCH),
        Role::Client => {
            let request = "ws://server.example.com/chat".parse().unwrap();
            WebSocket::client(request, config.clone(), ChaCha8Rng::from_seed([7; 32]), Instant::EPOCH).unwrap()
        }
    }
}

/// Returns everything that the driver has to write, and reports it as written.
pub(crate) fn written<L: Layer>(driver: &mut Driver<L>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut outgoing = driver.to_write();
    while outgoing.has_remaining() {
        let count = outgoing.chunk().len();
        bytes.extend(outgoing.chunk());
        outgoing.advance(count);
    }
    bytes
}

/// Returns a driver with this role after its opening handshake, without pending output.
pub(crate) fn opened(role: Role, config: &Config) -> Driver {
    let mut driver = Driver::new(websocket(role, config));
    let mut peer = websocket(other(role), config);
    let (mut scratch, now) = (LayerScratch::new(), Instant::EPOCH);
    for _ in 0..2 {
        let mut bytes = written(&mut driver);
        let mut input = Input::new(&mut bytes);
        while let Some(event) = peer.receive(&mut input, now).unwrap() {
            if let Event::Request(_) = event {
                peer.accept(Accept::new(), now).unwrap();
            }
        }
        let output = peer.output();
        let mut bytes = output.copy_to_bytes(output.remaining()).to_vec();
        let mut input = driver.open(&mut bytes, &mut scratch);
        while let Some(event) = driver.next_event(&mut input, now).unwrap() {
            if let Event::Request(_) = event {
                driver.accept(Accept::new(), now).unwrap();
            }
        }
    }
    assert!(written(&mut driver).is_empty() && driver.websocket().protocol().is_none());
    driver
}

/// Returns a frame of the peer of `role`, masked with a key of zeros if the peer is a client.
pub(crate) fn frame(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => bytes.push(mask | length as u8),
        length @ 126..0x1_0000 => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    if role == Role::Server {
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

/// Returns a Close frame of the peer of `role`.
pub(crate) fn close_frame(role: Role, code: u16) -> Vec<u8> {
    frame(role, CLOSE, &code.to_be_bytes())
}

/// Returns a frame with a reserved opcode.
pub(crate) fn broken_frame(role: Role) -> Vec<u8> {
    frame(role, 3, b"")
}

pub(crate) fn close<L: Layer>(driver: &mut Driver<L>, now: Instant) {
    driver.websocket_mut().close(CloseCode::NORMAL, "", now).unwrap();
}

/// Passes received bytes to the driver and returns its events and errors.
pub(crate) fn feed<L: Layer>(driver: &mut Driver<L>, bytes: &[u8], now: Instant) -> Vec<Seen> {
    let (mut bytes, mut scratch, mut seen) = (bytes.to_vec(), LayerScratch::new(), vec![]);
    let mut input = driver.open(&mut bytes, &mut scratch);
    while let Some(event) = driver.next_event(&mut input, now).transpose() {
        seen.push(Seen::of(event));
        assert!(seen.len() < 1000, "events without end: {:?}", seen.last());
    }
    seen
}

/// Returns the events and errors that are pending without received bytes.
pub(crate) fn pending<L: Layer>(driver: &mut Driver<L>, now: Instant) -> Vec<Seen> {
    feed(driver, &[], now)
}

/// Writes all output and calls `timeout` at each deadline, with the result of `outstanding`, until the connection has
/// ended or the next deadline is after `limit`. Returns that time, and the events.
pub(crate) fn run_timers(
    driver: &mut Driver,
    limit: Instant,
    mut outstanding: impl FnMut(&mut Driver, Instant) -> Option<usize>,
) -> (Instant, Vec<Seen>) {
    let (mut now, mut seen) = (Instant::EPOCH, vec![]);
    while let Action::Wait { until: Some(at), .. } = driver.next_action() {
        if at > limit {
            return (at, seen);
        }
        assert!(at > now || now == Instant::EPOCH, "the deadline does not move: {at:?}");
        now = at;
        written(driver);
        let outstanding = outstanding(driver, now);
        driver.timeout(outstanding, now);
        assert_eq!(driver.next_action(), Action::Again);
        seen.extend(pending(driver, now));
        written(driver);
    }
    (now, seen)
}

pub(crate) const fn closed(code: u16, was_clean: bool, initiator: Initiator) -> Seen {
    Seen::Close { code, was_clean, initiator }
}

/// A frame that the driver has written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// Parses the frames that a driver has written after its opening handshake.
pub(crate) fn frames(bytes: &[u8]) -> Vec<Frame> {
    let unmask = |(opcode, key, payload): (u8, [u8; 4], &[u8])| {
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Frame { opcode, payload }
    };
    masked_frames(bytes).into_iter().map(unmask).collect()
}

/// Parses frames without unmasking: opcodes, masking keys and payloads.
pub(crate) fn masked_frames(mut bytes: &[u8]) -> Vec<(u8, [u8; 4], &[u8])> {
    let mut frames = vec![];
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk().unwrap())), &rest[2..]),
            127 => (u64::from_be_bytes(*rest.first_chunk().unwrap()) as usize, &rest[8..]),
            length => (usize::from(length), rest),
        };
        let (key, rest) = if second & 0x80 == 0 { ([0; 4], rest) } else { (*rest.first_chunk().unwrap(), &rest[4..]) };
        frames.push((first & 0x0f, key, &rest[..length]));
        bytes = &rest[length..];
    }
    frames
}
