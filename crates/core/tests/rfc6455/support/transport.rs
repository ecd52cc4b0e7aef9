//! A simulated transport, and a driver over it that reports what the transport did and obeys the connection.

use std::collections::VecDeque;
use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{Connection, Error, Input, Instant, TransportAction};

use super::{OwnedEvent, owned};

/// The step of simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(10);
const TICKS_PER_SECOND: usize = 100;

/// One direction of a transport: a kernel buffer, and a peer that reads from it at some rate.
#[derive(Debug)]
pub(crate) struct Transport {
    rate: usize,
    capacity: usize,
    kernel: VecDeque<u8>,
    /// Bytes that the peer may read in this tick.
    allowance: usize,
    /// The part of a byte that the rate allows, in hundredths.
    fraction: usize,
    is_shut_down: bool,
    is_reset: bool,
}

/// What arrives at the peer in one tick.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fin: bool,
    pub(crate) reset: bool,
}

impl Transport {
    /// The peer reads `rate` bytes per second. The kernel accepts `capacity` bytes more than the peer has read.
    pub(crate) fn new(rate: usize, capacity: usize) -> Self {
        let kernel = VecDeque::new();
        Self { rate, capacity, kernel, allowance: 0, fraction: 0, is_shut_down: false, is_reset: false }
    }

    fn begin_tick(&mut self) {
        self.fraction += self.rate;
        self.allowance = self.fraction / TICKS_PER_SECOND;
        self.fraction %= TICKS_PER_SECOND;
    }

    /// Writes as much as the kernel accepts.
    fn write(&mut self, output: &mut impl Buf) {
        let mut room = (self.capacity + self.allowance).saturating_sub(self.kernel.len());
        while room > 0 && output.has_remaining() {
            let count = output.chunk().len().min(room);
            self.kernel.extend(&output.chunk()[..count]);
            output.advance(count);
            room -= count;
        }
    }

    /// The peer reads.
    fn end_tick(&mut self) -> Arrival {
        if self.is_reset {
            self.kernel.clear();
        }
        let count = self.allowance.min(self.kernel.len());
        let (front, back) = self.kernel.as_slices();
        let (front, back) = (&front[..count.min(front.len())], &back[..count.saturating_sub(front.len())]);
        let bytes = [front, back].concat();
        self.kernel.drain(..count);
        Arrival { bytes, fin: self.is_shut_down && self.kernel.is_empty(), reset: self.is_reset }
    }

    /// Changes the rate at which the peer reads.
    pub(crate) fn set_rate(&mut self, rate: usize) {
        self.rate = rate;
    }

    /// Returns how many bytes the peer has not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.kernel.len()
    }
}

/// A connection with its driver.
#[derive(Debug)]
pub(crate) struct DrivenConnection {
    pub(crate) connection: Connection,
    pub(crate) transport: Transport,
    pub(crate) events: Vec<OwnedEvent>,
    pub(crate) error: Option<Error>,
    /// When the Close event was returned.
    pub(crate) ended_at: Option<Instant>,
    /// The last action other than `Open`.
    pub(crate) action: TransportAction,
    /// Unacknowledged bytes at the previous deadline.
    sampled: usize,
    has_eof: bool,
}

impl DrivenConnection {
    pub(crate) fn new(connection: Connection, transport: Transport) -> Self {
        Self {
            connection,
            transport,
            events: vec![],
            error: None,
            ended_at: None,
            action: TransportAction::Open,
            sampled: 0,
            has_eof: false,
        }
    }

    /// Writes, handles a deadline, and obeys `transport()`. Returns what arrives at the peer.
    pub(crate) fn tick(&mut self, now: Instant) -> Arrival {
        self.transport.begin_tick();
        if self.action != TransportAction::Abort {
            self.transport.write(self.connection.output());
        }
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            // `progress`: the driver checks the acknowledged bytes before it handles a deadline
            let outstanding = self.transport.outstanding();
            if outstanding < self.sampled {
                self.connection.progress(now);
            }
            self.sampled = outstanding;
            let event = owned(self.connection.handle_timeout(now));
            self.note(event, now);
        }
        self.take_pending(now);
        match self.connection.transport() {
            TransportAction::Open => {}
            TransportAction::Abort => (self.action, self.transport.is_reset) = (TransportAction::Abort, true),
            action => (self.action, self.transport.is_shut_down) = (action, true),
        }
        self.transport.end_tick()
    }

    /// Passes to the connection what arrived.
    pub(crate) fn receive(&mut self, arrival: &Arrival, now: Instant) {
        let mut bytes = arrival.bytes.clone();
        let mut input = Input::new(&mut bytes);
        while !input.is_empty() {
            let event = owned(self.connection.receive(&mut input, now));
            self.note(event, now);
        }
        if arrival.reset {
            self.connection.write_lost(now);
        }
        if (arrival.fin || arrival.reset) && !self.has_eof {
            self.has_eof = true;
            let event = owned(self.connection.receive_eof(now));
            self.note(event, now);
        }
        self.take_pending(now);
    }

    fn take_pending(&mut self, now: Instant) {
        while self.connection.has_pending_event() {
            let event = owned(self.connection.receive(&mut Input::new(&mut []), now));
            self.note(event, now);
        }
    }

    fn note(&mut self, event: Result<Option<OwnedEvent>, Error>, now: Instant) {
        match event {
            Ok(event) => {
                assert!(self.ended_at.is_none() || event.is_none(), "an event after Close");
                if matches!(event, Some(OwnedEvent::Close { .. })) {
                    self.ended_at = Some(now);
                }
                self.events.extend(event);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Returns the lengths of the messages received.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let lengths = self.events.iter().filter_map(|event| match event {
            OwnedEvent::Text(text) => Some(text.len()),
            OwnedEvent::Binary(bytes) => Some(bytes.len()),
            _ => None,
        });
        lengths.collect()
    }

    /// Returns the last event, which is the Close.
    pub(crate) fn last(&self) -> Option<&OwnedEvent> {
        self.events.last()
    }
}

/// Runs two connections against each other until both have ended, and returns the time of the end.
pub(crate) fn run(
    ends: &mut [DrivenConnection; 2],
    until: Instant,
    mut each_tick: impl FnMut(&mut [DrivenConnection; 2], Instant),
) -> Instant {
    let mut now = Instant::EPOCH;
    while now < until && ends.iter().any(|end| end.ended_at.is_none()) {
        each_tick(ends, now);
        let [first, second] = ends;
        let to_second = first.tick(now);
        let to_first = second.tick(now);
        second.receive(&to_second, now);
        first.receive(&to_first, now);
        now = now + TICK;
    }
    now
}
