//! Two WebSockets over TLS, each with a [`Driver`], between which bytes are cut anywhere, changed, inserted or lost.
//! What an application receives are the first messages of the other. It receives all of them if nothing was damaged and
//! the end was clean. A driver never spins, and reaches its end once the transport has ended.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use sansocket::bytes::Buf;
use sansocket::{Accept, CloseCode, Config, Event, Instant, OriginPolicy, ReadyState, Role, WebSocket};
use sansocket_drive::{Action, Driver, LayerScratch};
use sansocket_sim::fixed_tls::Version;
use sansocket_tls::MaybeTls;

use super::end::tls;
use super::wire::Wire;
use crate::drive::NOW;
use crate::response;

/// A driver that returns `Action::Again` this many times in a row without progress is in a busy loop.
const IDLE_ROUNDS_MAX: usize = 4;
/// The most rounds in which two ends exchange all bytes.
const ROUNDS_MAX: usize = 64;
/// The most deadlines until a connection with a silent peer ends.
const DEADLINES_MAX: usize = 40;

/// One end and its application.
struct End {
    driver: Driver<MaybeTls>,
    scratch: LayerScratch,
    now: Instant,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    /// Whether the end was clean.
    close: Option<bool>,
    failure: Option<String>,
    is_over: bool,
}

struct Pair {
    ends: [End; 2],
    /// `wires[i]` leads from end `i` to the other.
    wires: [Wire; 2],
    /// An application has closed before the connection was open, so the other end fails.
    has_closed_early: bool,
}

/// Input: the damage of both directions, then reports and calls, each a byte and its arguments.
pub(super) fn check(version: Version, u: &mut Unstructured<'_>) -> Result<()> {
    let wires = [Wire::choose(u)?, Wire::choose(u)?];
    let ends = [Role::Client, Role::Server].map(|role| End::new(role, version));
    let mut pair = Pair { ends, wires, has_closed_early: false };
    while !u.is_empty() {
        pair.perform(u)?;
        pair.check_messages();
    }
    pair.finish();
    pair.check_end();
    Ok(())
}

impl Pair {
    fn perform(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let choice: u8 = u.arbitrary()?;
        let index = usize::from(choice & 1);
        let (end, outgoing) = (&mut self.ends[index], &mut self.wires[index]);
        match choice >> 1 & 15 {
            0..3 => end.send((u.arbitrary::<u16>()? % 3_000).into()),
            3 => end.send(70_000),
            4..6 => outgoing.write(end.write(u.arbitrary::<u8>()?.into())),
            6 => outgoing.write(end.take(u.arbitrary::<u8>()?.into())),
            7..10 => {
                let bytes = end.take_arrived(&mut self.wires[1 - index], u.arbitrary::<u8>()?.into());
                end.fetch(bytes);
            }
            10 => {
                self.has_closed_early |= end.driver.websocket().ready_state() == ReadyState::Connecting;
                let _ = end.driver.websocket_mut().close(CloseCode::NORMAL, "done", end.now);
            }
            11 => _ = end.driver.websocket_mut().ping(b"ping"),
            _ => self.exchange(),
        }
        for (end, wire) in self.ends.iter_mut().zip(&mut self.wires) {
            end.obey(wire);
        }
        Ok(())
    }

    /// Carries bytes in both directions, and obeys the drivers, until nothing moves.
    fn exchange(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut has_moved = false;
            for index in [0, 1] {
                let end = &mut self.ends[index];
                if end.is_over {
                    continue;
                }
                let bytes = end.write(usize::MAX);
                has_moved |= !bytes.is_empty();
                self.wires[index].write(bytes);
                has_moved |= end.read(&mut self.wires[1 - index]);
                end.obey(&mut self.wires[index]);
            }
            if !has_moved {
                return;
            }
        }
        panic!("the ends do not stop writing");
    }

    /// Closes both connections, ends the transport, and waits for the deadlines that remain.
    fn finish(&mut self) {
        self.exchange();
        for end in &mut self.ends {
            let _ = end.driver.websocket_mut().close(CloseCode::NORMAL, "", end.now);
        }
        self.exchange();
        self.wires.iter_mut().for_each(Wire::end);
        self.exchange();
        for _ in 0..DEADLINES_MAX {
            if self.ends.iter().all(|end| end.is_over) {
                return;
            }
            for (end, wire) in self.ends.iter_mut().zip(&mut self.wires) {
                end.time_out();
                end.obey(wire);
            }
            self.exchange();
        }
        panic!("the drivers do not end: {:?}", self.ends.each_ref().map(|end| &end.driver));
    }

    fn check_messages(&self) {
        for (from, to) in self.directions() {
            assert!(from.sent.starts_with(&to.received), "a message differs from the one sent");
        }
    }

    fn check_end(&self) {
        self.check_messages();
        let is_damaged = self.wires.iter().any(|wire| wire.is_damaged);
        for (from, to) in self.directions() {
            assert!(is_damaged || self.has_closed_early || to.failure.is_none(), "{:?}", to.failure);
            assert!(to.close != Some(true) || to.received == from.sent, "a clean end, but a message is missing");
        }
    }

    fn directions(&self) -> [(&End, &End); 2] {
        let [client, server] = &self.ends;
        [(client, server), (server, client)]
    }
}

impl End {
    fn new(role: Role, version: Version) -> Self {
        let ws = match role {
            Role::Client => response::client(Config::default()),
            Role::Server => WebSocket::server(Config::default(), NOW),
        };
        Self {
            driver: Driver::with_layer(ws, tls(role, version).into()),
            scratch: LayerScratch::new(),
            now: NOW,
            sent: Vec::new(),
            received: Vec::new(),
            close: None,
            failure: None,
            is_over: false,
        }
    }

    /// Sends a message that differs from those before.
    fn send(&mut self, length: usize) {
        let message = vec![self.sent.len() as u8; length];
        if self.driver.websocket_mut().send(message.clone()).is_ok() {
            self.sent.push(message);
        }
    }

    /// Takes up to `max` bytes, which count as delivered.
    fn write(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < max && !self.driver.has_write_ended() {
            let mut outgoing = self.driver.to_write();
            let chunk = outgoing.chunk();
            let count = chunk.len().min(max - bytes.len());
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&chunk[..count]);
            outgoing.advance(count);
        }
        bytes
    }

    /// Takes up to `max` bytes, and reports them as delivered afterwards.
    fn take(&mut self, max: usize) -> Vec<u8> {
        if self.driver.has_write_ended() {
            return Vec::new();
        }
        let bytes = self.driver.take_bytes(max);
        self.driver.delivered(bytes.len());
        bytes.to_vec()
    }

    /// Reads all bytes that have arrived, or the end of the stream, if the driver waits for it. Returns whether there
    /// was anything.
    fn read(&mut self, wire: &mut Wire) -> bool {
        if !matches!(self.driver.next_action(), Action::Wait { read: true, .. }) {
            return false;
        }
        let bytes = self.take_arrived(wire, usize::MAX);
        if bytes.is_empty() {
            if !wire.is_at_end() {
                return false;
            }
            self.driver.eof();
        }
        self.fetch(bytes);
        true
    }

    /// Takes up to `max` bytes that have arrived, and that rustls can receive without a panic.
    fn take_arrived(&self, wire: &mut Wire, max: usize) -> Vec<u8> {
        let bytes = wire.read(max);
        if wire.would_panic(self.driver.has_closed_layer()) { Vec::new() } else { bytes }
    }

    /// Fetches events until there are none. Returns whether there was input or an event.
    fn fetch(&mut self, mut bytes: Vec<u8>) -> bool {
        let mut input = self.driver.open(&mut bytes, &mut self.scratch);
        let mut has_progress = !input.is_empty();
        loop {
            match self.driver.next_event(&mut input, self.now) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    assert!(self.close.is_none(), "{event:?} after Close");
                    match event {
                        Event::Request(_) => {
                            let accept = Accept::new().origin(OriginPolicy::Any);
                            // fails if the request was damaged
                            let _ = self.driver.accept(accept, self.now);
                        }
                        Event::Message(message) => self.received.push(message.into_bytes()),
                        Event::Close(close) => self.close = Some(close.was_clean),
                        _ => {}
                    }
                }
                Err(error) => {
                    assert!(self.failure.is_none(), "a second failure: {error}");
                    self.failure = Some(error.to_string());
                }
            }
            has_progress = true;
        }
        assert!(input.is_empty(), "the driver left input");
        has_progress
    }

    /// Performs the driver's actions until it waits or is over.
    fn obey(&mut self, outgoing: &mut Wire) {
        let mut idle_rounds = 0;
        while !self.is_over {
            match self.driver.next_action() {
                Action::Wait { .. } => return,
                Action::Again => {
                    idle_rounds = if self.fetch(Vec::new()) { 0 } else { idle_rounds + 1 };
                    assert!(idle_rounds < IDLE_ROUNDS_MAX, "the driver is in a busy loop");
                    // the close message of TLS, or an alert
                    outgoing.write(self.write(usize::MAX));
                }
                Action::ShutdownWrite => {
                    outgoing.end();
                    self.driver.write_shut_down();
                }
                Action::Close | Action::Abort => {
                    outgoing.end();
                    self.is_over = true;
                }
            }
        }
    }

    /// Waits for the deadline, and reports it.
    fn time_out(&mut self) {
        if let Action::Wait { until, .. } = self.driver.next_action() {
            self.now = until.expect("a closing connection has a deadline").max(self.now) + Duration::from_nanos(1);
            self.driver.timeout(None, self.now);
            self.fetch(Vec::new());
        }
    }
}
