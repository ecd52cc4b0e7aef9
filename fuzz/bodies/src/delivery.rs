//! `delivery`: compares a connection whose bytes are taken and reported as delivered later, in any pieces, with one
//! whose output is advanced. Both send the same bytes. `buffered_amount` counts undelivered bytes, and the connection
//! neither ends nor counts its Close frame as delivered before it is.

use std::collections::VecDeque;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Connection, Event, MessageKind, Role, TransportAction};

use crate::drive::{self, NOW};
use crate::limits;
use crate::wire::{self, CLOSE};

/// The maximum payload to send: longer ones would take the same paths.
const PAYLOAD_MAX: usize = 10_000;

#[derive(Debug)]
struct Pair {
    role: Role,
    advanced: Connection,
    taken: Connection,
    /// Bytes taken of an incomplete frame.
    frame: Vec<u8>,
    /// For each byte in flight of complete frames: whether it is payload of a message.
    in_flight: VecDeque<bool>,
    /// The number of bytes of `frame` that are delivered.
    delivered_early: usize,
}

/// Input: role, configuration (13 bytes), then operations, each a byte and its arguments.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let role = drive::role(u.arbitrary()?);
    let mut config = limits::all(u)?;
    config.keepalive = sansocket::Keepalive::Off; // no time passes
    let config = Arc::new(config);
    let mut pair = Pair {
        role,
        advanced: drive::connection(role, &config),
        taken: drive::connection(role, &config),
        frame: Vec::new(),
        in_flight: VecDeque::new(),
        delivered_early: 0,
    };
    while !u.is_empty() {
        match u.arbitrary::<u8>()? % 16 {
            0..4 => pair.send(u)?,
            4 => pair.both(|connection| connection.ping(b"ping").is_ok()),
            5 => pair.receive(&wire::frame(u, role)?),
            6 => pair.both(|connection| connection.close(CloseCode::NORMAL, "done", NOW).is_ok()),
            7..11 => pair.take(u.arbitrary::<u16>()?.into()),
            _ => pair.deliver(u.arbitrary::<u16>()?.into()),
        }
        pair.check();
    }
    pair.take(usize::MAX);
    pair.deliver(usize::MAX);
    pair.check();
    assert_eq!(pair.taken.buffered_amount(), 0);
    pair.end();
    Ok(())
}

impl Pair {
    /// Calls `act` with both connections, and compares the results.
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, mut act: impl FnMut(&mut Connection) -> T) {
        let (advanced, taken) = (act(&mut self.advanced), act(&mut self.taken));
        assert!(advanced == taken || !self.in_flight.is_empty(), "{advanced:?}, but {taken:?}");
    }

    /// Sends a message through one of the methods for it, if the connection with more buffered bytes accepts it.
    fn send(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (choice, length): (u8, u16) = u.arbitrary()?;
        let payload = vec![choice; usize::from(length) % PAYLOAD_MAX];
        let send = |connection: &mut Connection| match choice % 3 {
            0 => connection.send(&payload).is_ok(),
            1 => connection.send(payload.clone()).is_ok(),
            _ => connection.send_shared(MessageKind::Binary, Bytes::from(payload.clone())).is_ok(),
        };
        if send(&mut self.taken) {
            assert!(send(&mut self.advanced), "the connection with fewer buffered bytes refused a message");
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.both(|connection| {
            let mut events = Vec::new();
            let result = drive::receive(connection, &mut bytes.to_vec(), |event| events.push(event.into_owned()));
            (events, result)
        });
    }

    /// Takes up to `count` bytes from one connection, and advances the other by as many.
    fn take(&mut self, count: usize) {
        let mut taken = Vec::new();
        while taken.len() < count {
            let bytes = self.taken.output().take_bytes(count - taken.len());
            assert_eq!(bytes.is_empty(), !self.taken.output().has_remaining() && bytes.is_empty());
            if bytes.is_empty() {
                break;
            }
            taken.extend_from_slice(&bytes);
        }
        let output = self.advanced.output();
        let mut advanced = vec![0; taken.len().min(output.remaining())];
        output.copy_to_slice(&mut advanced);
        assert!(taken == advanced, "the bytes taken differ from those written");
        self.frame.extend(taken);
        while let Some(head) = wire::head(&self.frame)
            && self.frame.len() >= head.size + head.length as usize
        {
            let end = head.size + head.length as usize;
            self.frame.drain(..end);
            let is_data = head.opcode < CLOSE;
            let flags = (0..end).map(|at| is_data && at >= head.size);
            self.in_flight.extend(flags.skip(std::mem::take(&mut self.delivered_early).min(end)));
        }
    }

    fn deliver(&mut self, count: usize) {
        self.taken.output().delivered(count);
        let whole = count.min(self.in_flight.len());
        self.in_flight.drain(..whole);
        self.delivered_early = (self.delivered_early + count - whole).min(self.frame.len());
    }

    fn check(&mut self) {
        let is_partial = !self.frame.is_empty();
        let payload = self.in_flight.iter().filter(|is_payload| **is_payload).count();
        let (advanced, taken) = (self.advanced.buffered_amount(), self.taken.buffered_amount());
        if !is_partial {
            assert_eq!(taken, advanced + payload, "{:?}", self.role);
        }
        assert!((advanced..=advanced + payload + self.frame.len()).contains(&taken));
        if !self.in_flight.is_empty() || self.delivered_early < self.frame.len() {
            assert!(!matches!(self.taken.transport(), TransportAction::ShutdownWrite | TransportAction::Close));
            assert!(!self.taken.has_pending_event());
        } else {
            assert_eq!(self.taken.transport(), self.advanced.transport());
        }
    }

    /// Ends the streams, and compares the `Close` events.
    fn end(&mut self) {
        let close = |connection: &mut Connection| match connection.receive_eof(NOW) {
            Ok(Some(Event::Close(close))) => close,
            other => panic!("all output is delivered and the stream has ended, but there is {other:?}"),
        };
        assert_eq!(close(&mut self.taken), close(&mut self.advanced));
    }
}
