//! What an endpoint must be at every moment: the closing table, the timers, the states, written down anew from
//! RFC 6455 section 7 and the documentation of the core. It is slow and obvious, and shares no code with the core.

use std::sync::Arc;

use sansocket::{Close, Config, Error, Initiator, ProtocolError, ReadyState, Role, TimeoutKind, TransportAction};

use crate::reading::{Reading, Said};
use crate::writing::{Farewell, Writing};

/// How far the opening handshake has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Opened,
    /// It will not open; what `receive` reports, if anything.
    Refused(Option<Error>),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Opening,
    Ping,
    Pong,
    Closing,
}

/// An endpoint as it must be.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) role: Role,
    pub(crate) config: Arc<Config>,
    pub(crate) phase: Phase,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// The latest reading of the clock: time never goes backwards.
    now: u64,
    timer: Option<(Timer, u64)>,
    initiator: Option<Initiator>,
    /// The code and the reason of the peer's Close frame.
    received: Option<(u16, String)>,
    pub(crate) failure: Option<Error>,
    has_ended: bool,
    /// Whether bytes left since the Pong was asked for, and whether something excuses the peer for being silent.
    has_moved: bool,
    is_excused: bool,
    /// Whether something went wrong that no endpoint can help.
    pub(crate) is_disturbed: bool,
}

impl Model {
    pub(crate) fn new(role: Role, config: Arc<Config>, now: u64) -> Self {
        let mut model = Self {
            role,
            phase: Phase::Connecting,
            reading: Reading::new(role, Arc::clone(&config)),
            writing: Writing::new(role),
            now,
            timer: None,
            initiator: None,
            received: None,
            failure: None,
            has_ended: false,
            has_moved: false,
            is_excused: false,
            is_disturbed: false,
            config,
        };
        model.set(Timer::Opening, model.config.opening_timeout.as_nanos() as u64);
        model
    }

    pub(crate) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    pub(crate) const fn now(&self) -> u64 {
        self.now
    }

    fn set(&mut self, timer: Timer, after: u64) {
        // a deadline always lies ahead, so that a driver that waits for it never spins
        self.timer = Some((timer, self.now.saturating_add(after.max(1))));
    }

    fn ping_later(&mut self) {
        self.timer = None;
        if let Some(interval) = self.config.ping_interval {
            self.set(Timer::Ping, interval.as_nanos() as u64);
        }
    }

    /// From the first sign of closing a timer bounds it all.
    fn await_end(&mut self) {
        if !matches!(self.timer, Some((Timer::Closing, _))) {
            self.set(Timer::Closing, self.config.closing_timeout.as_nanos() as u64);
        }
    }

    /// The opening handshake is over, and well.
    pub(crate) fn open(&mut self) {
        self.phase = Phase::Opened;
        self.ping_later();
    }

    /// It will not open. With a response that leaves first, a timer bounds that.
    pub(crate) fn refuse(&mut self, error: Option<Error>, response: usize) {
        self.is_disturbed = true;
        self.phase = Phase::Refused(error);
        self.writing.abandon();
        self.timer = None;
        if response > 0 {
            self.writing.push_handshake(response);
            self.await_end();
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Opened && self.initiator.is_none() && !self.has_ended
    }

    /// Whether bytes from the peer still mean anything (1.4, 7.1.7).
    pub(crate) fn is_listening(&self) -> bool {
        self.phase == Phase::Opened && self.received.is_none() && self.failure.is_none() && !self.has_ended
    }

    /// A byte came: the peer is alive.
    pub(crate) fn hear(&mut self) {
        if self.is_open() && self.config.ping_interval.is_some() {
            self.ping_later();
        }
    }

    /// The application closes.
    pub(crate) fn close(&mut self, body: Vec<u8>) {
        self.initiator = Some(Initiator::Local);
        self.writing.close(Farewell::Body(body), None);
        self.await_end();
    }

    /// 5.5.1: a Close frame is answered by one, unless ours is on its way.
    pub(crate) fn receive_close(&mut self, code: u16, reason: String) {
        self.initiator.get_or_insert(Initiator::Peer);
        let body = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
        self.writing.close(Farewell::Body(body), None);
        self.received = Some((code, reason));
        self.await_end();
    }

    /// 7.1.7: a broken rule fails the connection, with a Close frame that tells the peer. `len` is what waits now,
    /// if that can be known.
    pub(crate) fn fail(&mut self, error: ProtocolError, len: Option<usize>) {
        self.is_disturbed = true;
        self.initiator.get_or_insert(Initiator::Local);
        let code = match error {
            ProtocolError::Utf8Invalid => 1007,
            ProtocolError::EmptyFragmentsTooMany => 1008,
            ProtocolError::FrameTooLong | ProtocolError::MessageTooLong => 1009,
            _ => 1002,
        };
        self.writing.close(Farewell::Code(code), len);
        self.failure = Some(error.into());
        self.reading.discard();
        self.await_end();
    }

    /// The connection is over: how it closed (7.1.5), the first time.
    fn end(&mut self) -> Option<(u16, String, bool, Initiator)> {
        if self.has_ended {
            return None;
        }
        if self.is_listening() {
            // of a message that turns out to be invalid more or less may have been told
            let first = self.reading.next();
            let verdict = if matches!(first, Some(Said::Piece(..))) { self.reading.verdict() } else { None };
            match verdict.or(first) {
                Some(Said::Close(code, reason)) => self.receive_close(code, reason),
                Some(Said::Broken(rules)) => self.fail(rules[0], None),
                said => assert_eq!(said, None, "something was not delivered before the end"),
            }
        }
        self.reading.discard();
        self.has_ended = true;
        let has_closed = self.writing.has_closed();
        let initiator = self.initiator.unwrap_or(Initiator::Peer);
        let answers = self.received.is_some() && self.writing.has_close() && !has_closed;
        if !answers {
            self.timer = None;
            self.writing.abandon();
        }
        Some(match &self.received {
            Some((code, reason)) => (*code, reason.clone(), has_closed, initiator),
            None => (1006, String::new(), false, initiator),
        })
    }

    /// Which deadline has come; it is then over.
    pub(crate) fn pop_expired(&mut self) -> Option<Timer> {
        let (timer, at) = self.timer.filter(|(_, at)| *at <= self.now)?;
        self.timer = None;
        self.is_disturbed |= timer != Timer::Ping;
        assert!(at <= self.now);
        Some(timer)
    }

    /// Nothing came for a while: a Ping goes out.
    pub(crate) fn keep_alive(&mut self) {
        let is_busy = self.writing.len() > 0;
        self.writing.keep_alive();
        self.await_pong(is_busy || !self.wants_read());
    }

    fn await_pong(&mut self, is_excused: bool) {
        self.has_moved = false;
        self.is_excused = is_excused;
        self.set(Timer::Pong, self.config.pong_timeout.as_nanos() as u64);
    }

    /// No Pong came. A peer that takes what is sent is alive while the Ping waits behind other bytes, or while its own
    /// bytes are left unread.
    pub(crate) fn miss_pong(&mut self) -> Result<(), TimeoutKind> {
        if self.is_excused && self.has_moved {
            self.await_pong(self.writing.has_keepalive() || !self.wants_read());
            return Ok(());
        }
        self.initiator = Some(Initiator::Local);
        self.failure = Some(TimeoutKind::Pong.into());
        self.reading.discard();
        self.writing.abandon();
        Err(TimeoutKind::Pong)
    }

    /// The transport took bytes.
    pub(crate) fn leave(&mut self, bytes: &[u8]) {
        self.has_moved |= !bytes.is_empty();
        self.writing.leave(bytes);
    }

    /// The application has sent something: that may keep the driver from reading.
    pub(crate) fn sent(&mut self) {
        self.is_excused |= !self.wants_read();
    }

    /// The time of the next deadline.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timer.map(|(_, at)| at)
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self.initiator {
            _ if self.has_ended => ReadyState::Closed,
            Some(_) => ReadyState::Closing,
            None => ReadyState::Open,
        }
    }

    /// What is to be done with TCP: the table of the closing handshake (7.1.1).
    pub(crate) fn transport(&self) -> TransportAction {
        let gave_up = matches!(self.failure, Some(Error::Timeout(_)));
        if self.has_ended || gave_up {
            return if self.writing.len() == 0 { TransportAction::Close } else { TransportAction::Open };
        }
        let both = self.writing.has_closed() && self.received.is_some();
        match self.role {
            _ if self.failure.is_some() && self.writing.has_closed() => TransportAction::ShutdownWrite,
            Role::Server if both => TransportAction::ShutdownWrite,
            _ => TransportAction::Open,
        }
    }

    /// A server does not read from a client that does not; nobody reads once it is over.
    pub(crate) fn wants_read(&self) -> bool {
        match self.is_listening() {
            true => self.role == Role::Client || self.writing.len() <= self.config.high_water_mark,
            false => !self.has_ended,
        }
    }

    /// Whether this is how the connection must close.
    pub(crate) fn check_close(&mut self, close: &Close) {
        let expected = self.end().expect("Close came twice");
        let actual = (close.code.as_u16(), close.reason.to_string(), close.was_clean, close.initiator);
        assert_eq!(actual, expected, "code, reason, was_clean, initiator of Close");
    }
}
