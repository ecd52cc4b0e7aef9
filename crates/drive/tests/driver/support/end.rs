//! One end of a simulated connection: a loop that follows the guide of the crate, and checks that it never busy-loops.

use std::collections::VecDeque;
use std::io;

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Event, Initiator, Instant, Role};
use sansocket_drive::{Action, Driver, Error, Layer, LayerScratch, Plain};

use super::transport::{Pipe, TICK};
use super::websocket;

/// The bytes that the kernel holds for a driver that does not read.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// The number of rounds that a loop may make without moving a byte.
const MAX_IDLE_ROUNDS: usize = 6;

/// An event or an error that the driver returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request,
    HttpRequest,
    Open,
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    CloseReceived(u16),
    Close {
        code: u16,
        was_clean: bool,
        initiator: Initiator,
    },
    /// `Error::Peer`.
    Peer(String),
    /// `Error::Io`.
    Io(io::ErrorKind),
}

impl Seen {
    pub(crate) fn of(event: Result<Event<'_>, Error>) -> Self {
        match event {
            Ok(Event::Request(_)) => Self::Request,
            Ok(Event::HttpRequest(_)) => Self::HttpRequest,
            Ok(Event::Open(_)) => Self::Open,
            Ok(Event::Message(message)) => Self::Message(message.into_bytes()),
            Ok(Event::Ping(payload)) => Self::Ping(payload.into_owned()),
            Ok(Event::Pong(payload)) => Self::Pong(payload.into_owned()),
            Ok(Event::CloseReceived(frame)) => Self::CloseReceived(frame.code.as_u16()),
            Ok(Event::Close(close)) => {
                Self::Close { code: close.code.as_u16(), was_clean: close.was_clean, initiator: close.initiator }
            }
            Err(Error::Peer(error)) => Self::Peer(error.to_string()),
            Err(Error::Io(error)) => Self::Io(error.kind()),
            other => panic!("{other:?}"),
        }
    }
}

type OnEvent<L> = Box<dyn FnMut(&mut Driver<L>, &Seen, Instant)>;

/// A driver, its transport and its application.
pub(crate) struct End<L: Layer = Plain> {
    pub(crate) driver: Driver<L>,
    /// The direction in which this end sends.
    pub(crate) pipe: Pipe,
    /// Bytes that have arrived and are not read.
    pub(crate) inbox: VecDeque<u8>,
    pub(crate) fin_arrived: bool,
    pub(crate) reset_arrived: bool,
    /// Whether the transport reports how many bytes are not acknowledged.
    pub(crate) knows_outstanding: bool,
    /// If set, reads and writes are cut at random.
    pub(crate) seed: Option<u64>,
    pub(crate) seen: Vec<Seen>,
    /// `Close` or `Abort`, once the driver has demanded it, and the time.
    pub(crate) ended: Option<(Action, Instant)>,
    on_event: OnEvent<L>,
    scratch: LayerScratch,
    buffer: Vec<u8>,
}

impl End {
    pub(crate) fn new(role: Role, config: &Config, pipe: Pipe) -> Self {
        Self::over(Driver::new(websocket(role, config)), pipe)
    }
}

impl<L: Layer> End<L> {
    pub(crate) fn over(driver: Driver<L>, pipe: Pipe) -> Self {
        Self {
            driver,
            pipe,
            inbox: VecDeque::new(),
            fin_arrived: false,
            reset_arrived: false,
            knows_outstanding: true,
            seed: None,
            seen: vec![],
            ended: None,
            on_event: Box::new(|_, _, _| {}),
            scratch: LayerScratch::new(),
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Sets the application. A server accepts each request before it calls its application.
    #[must_use]
    pub(crate) fn on_event(mut self, on_event: impl FnMut(&mut Driver<L>, &Seen, Instant) + 'static) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Runs the loop until the driver waits for something that has not happened.
    pub(crate) fn turn(&mut self, now: Instant) {
        let (mut received, mut idle_rounds) = (0, 0);
        while self.ended.is_none() {
            self.handle_events(received, now);
            let has_written = self.flush(now);
            let action = self.driver.next_action();
            idle_rounds = if received > 0 || has_written { 0 } else { idle_rounds + 1 };
            assert!(idle_rounds < MAX_IDLE_ROUNDS, "a busy loop at {now:?}: {action:?} after {:?}", self.seen.last());
            received = 0;
            match action {
                Action::Again => {}
                Action::Wait { read, write, until } => {
                    assert!(!write || !self.driver.has_write_ended());
                    assert!(!read || !self.driver.has_read_ended());
                    assert!(read || write || until.is_some(), "a wait without an end");
                    if read && self.is_readable() {
                        received = self.read(now);
                    } else if until.is_some_and(|at| at <= now) {
                        self.flush(now);
                        let outstanding = self.knows_outstanding.then(|| self.pipe.outstanding());
                        self.driver.timeout(outstanding, now);
                    } else if write && self.pipe.is_writable() {
                        // a layer has added its close message
                    } else {
                        return;
                    }
                }
                Action::ShutdownWrite => {
                    assert!(!self.driver.has_write_ended(), "`ShutdownWrite` was demanded twice");
                    self.pipe.is_shut_down = true;
                    self.driver.write_shut_down();
                }
                // unread bytes turn the end into a reset
                Action::Close if self.inbox.is_empty() => self.end(action, now),
                Action::Close | Action::Abort => {
                    self.pipe.reset();
                    self.end(action, now);
                }
            }
        }
    }

    fn end(&mut self, action: Action, now: Instant) {
        self.pipe.is_shut_down = true;
        self.ended = Some((action, now));
    }

    fn handle_events(&mut self, received: usize, now: Instant) {
        let mut input = self.driver.open(&mut self.buffer[..received], &mut self.scratch);
        while let Some(event) = self.driver.next_event(&mut input, now).transpose() {
            let seen = Seen::of(event);
            let has_closed = matches!(self.seen.last(), Some(Seen::Close { .. }));
            assert!(!has_closed, "{seen:?} after Close");
            if seen == Seen::Request {
                self.driver.accept(Accept::new(), now).unwrap();
            }
            (self.on_event)(&mut self.driver, &seen, now);
            self.seen.push(seen);
        }
    }

    /// Writes as much as the transport takes; returns whether it took any.
    fn flush(&mut self, now: Instant) -> bool {
        let mut has_written = false;
        while !self.driver.has_write_ended() {
            let max = self.cut(usize::MAX);
            let mut outgoing = self.driver.to_write();
            if !outgoing.has_remaining() {
                break;
            }
            let chunk = outgoing.chunk();
            match self.pipe.write(&chunk[..chunk.len().min(max)]) {
                Ok(count) => {
                    outgoing.advance(count);
                    has_written = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.driver.write_lost(error, now),
            }
        }
        has_written
    }

    fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.fin_arrived || self.reset_arrived
    }

    fn read(&mut self, now: Instant) -> usize {
        let count = self.inbox.len().min(self.buffer.len());
        let count = count.min(self.cut(count));
        io::Read::read_exact(&mut self.inbox, &mut self.buffer[..count]).unwrap();
        match count {
            0 if self.reset_arrived => self.driver.read_lost(io::ErrorKind::ConnectionReset.into(), now),
            0 => self.driver.eof(),
            _ => {}
        }
        count
    }

    /// Returns a number of bytes up to `max`; small if a seed cuts reads and writes.
    fn cut(&mut self, max: usize) -> usize {
        let Some(seed) = &mut self.seed else { return max };
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = if *seed >> 63 == 0 { 8 } else { 3000 };
        max.min((*seed >> 33) as usize % most + 1)
    }

    /// Carries the bytes that this end has sent to the other one.
    pub(crate) fn deliver_to<M: Layer>(&mut self, other: &mut End<M>) {
        if self.pipe.is_reset {
            other.reset_arrived = true;
            other.pipe.reset();
            return;
        }
        let bytes = self.pipe.read(RECEIVE_BUFFER.saturating_sub(other.inbox.len()));
        if other.ended.is_some() && !bytes.is_empty() {
            other.pipe.reset();
        } else {
            other.inbox.extend(bytes);
        }
        other.fin_arrived |= self.pipe.has_ended();
    }

    /// Returns the lengths of the messages received.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let lengths = self.seen.iter().filter_map(|seen| match seen {
            Seen::Message(bytes) => Some(bytes.len()),
            _ => None,
        });
        lengths.collect()
    }

    /// Returns the last event.
    pub(crate) fn last(&self) -> Option<&Seen> {
        self.seen.last()
    }
}

/// Runs two ends against each other until both have ended, and returns the time; panics if that is not before `limit`.
pub(crate) fn run<L: Layer, M: Layer>(
    first: &mut End<L>,
    second: &mut End<M>,
    limit: Instant,
    mut each_tick: impl FnMut(&mut End<L>, &mut End<M>, Instant),
) -> Instant {
    let mut now = Instant::EPOCH;
    while first.ended.is_none() || second.ended.is_none() {
        assert!(now < limit, "not ended by {limit:?}: {:?}, {:?}", first.driver, second.driver);
        each_tick(first, second, now);
        first.pipe.begin_tick();
        second.pipe.begin_tick();
        first.turn(now);
        second.turn(now);
        first.deliver_to(second);
        second.deliver_to(first);
        now = now + TICK;
    }
    now
}

/// Runs one end against a peer that `each_tick` plays; returns the time of the end. Panics if the end is not before
/// `limit`.
pub(crate) fn run_alone<L: Layer>(
    end: &mut End<L>,
    limit: Instant,
    mut each_tick: impl FnMut(&mut End<L>, Instant),
) -> Instant {
    let mut now = Instant::EPOCH;
    while end.ended.is_none() {
        assert!(now < limit, "not ended by {limit:?}: {:?}", end.driver);
        each_tick(end, now);
        end.pipe.begin_tick();
        end.turn(now);
        end.pipe.read(usize::MAX);
        now = now + TICK;
    }
    now
}
