//! `delivery`: a connection whose bytes are taken and reported as delivered later, in any pieces, beside one that is
//! advanced. Both send the same bytes. `buffered_amount` counts what is not delivered, and nothing ends, and no Close
//! frame counts as delivered, before it is.

use std::collections::VecDeque;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Connection, Event, MessageKind, Role, TransportAction};

use crate::drive::{self, NOW};
use crate::limits;
use crate::wire::{self, CLOSE};

/// What is longer than this would be sent in the same way.
const LONGEST: usize = 10_000;

#[derive(Debug)]
struct Pair {
    role: Role,
    advanced: Connection,
    taken: Connection,
    /// What has left, and is not a whole frame yet.
    frame: Vec<u8>,
    /// Of each byte in flight: whether it is payload of a message. Known once its frame has left whole.
    in_flight: VecDeque<bool>,
    /// Bytes of `frame` that were delivered before their frame was whole.
    early: usize,
}

/// Role, configuration (13 bytes), then operations, each a byte and what it needs.
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
        early: 0,
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
    /// Does the same with both.
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, mut act: impl FnMut(&mut Connection) -> T) {
        let (advanced, taken) = (act(&mut self.advanced), act(&mut self.taken));
        assert!(advanced == taken || !self.in_flight.is_empty(), "{advanced:?}, but {taken:?}");
    }

    /// Sends a message in one of the ways there are, if the connection with more pending accepts it.
    fn send(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (way, length): (u8, u16) = u.arbitrary()?;
        let payload = vec![way; usize::from(length) % LONGEST];
        let send = |connection: &mut Connection| match way % 3 {
            0 => connection.send(&payload).is_ok(),
            1 => connection.send(payload.clone()).is_ok(),
            _ => connection.send_shared(MessageKind::Binary, Bytes::from(payload.clone())).is_ok(),
        };
        if send(&mut self.taken) {
            assert!(send(&mut self.advanced), "what is not delivered makes no room");
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

    /// Takes up to so many bytes of one, and as many of the other.
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
        assert!(taken == advanced, "what is taken is what would have been written");
        self.frame.extend(taken);
        while let Some(head) = wire::head(&self.frame)
            && self.frame.len() >= head.size + head.length as usize
        {
            let end = head.size + head.length as usize;
            self.frame.drain(..end);
            let is_data = head.opcode < CLOSE;
            let flags = (0..end).map(|at| is_data && at >= head.size);
            self.in_flight.extend(flags.skip(std::mem::take(&mut self.early).min(end)));
        }
    }

    fn deliver(&mut self, count: usize) {
        self.taken.output().delivered(count);
        let whole = count.min(self.in_flight.len());
        self.in_flight.drain(..whole);
        self.early = (self.early + count - whole).min(self.frame.len());
    }

    fn check(&mut self) {
        let is_partial = !self.frame.is_empty();
        let payload = self.in_flight.iter().filter(|is_payload| **is_payload).count();
        let (advanced, taken) = (self.advanced.buffered_amount(), self.taken.buffered_amount());
        if !is_partial {
            assert_eq!(taken, advanced + payload, "{:?}", self.role);
        }
        assert!((advanced..=advanced + payload + self.frame.len()).contains(&taken));
        if !self.in_flight.is_empty() || self.early < self.frame.len() {
            assert!(!matches!(self.taken.transport(), TransportAction::ShutdownWrite | TransportAction::Close));
            assert!(!self.taken.has_pending_event());
        } else {
            assert_eq!(self.taken.transport(), self.advanced.transport());
        }
    }

    /// Both end in the same way.
    fn end(&mut self) {
        let close = |connection: &mut Connection| match connection.receive_eof(NOW) {
            Ok(Some(Event::Close(close))) => close,
            other => panic!("all was delivered, and the stream has ended: {other:?}"),
        };
        assert_eq!(close(&mut self.taken), close(&mut self.advanced));
    }
}
