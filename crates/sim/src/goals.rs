//! What time must not do to a connection, and what it must: no deadline ends a connection that makes progress, and none
//! lets a connection that makes no progress live on.
//!
//! The goals know nothing of the core's timers. They know what the simulated wire saw: when bytes came, when bytes were
//! delivered, when acknowledgements came.

use std::time::Duration;

use sansocket::Config;

use crate::model::{Ending, Model, Phase};
use crate::settings::MILLISECOND;

/// How far the clock may be turned back at a call, and then some.
const CLOCK: u64 = 2 * MILLISECOND;
/// How long a process may sleep at a time, twice.
const SLEEP: u64 = 120 * MILLISECOND;

/// When something last happened to a connection, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Goals {
    closing_timeout: u64,
    closing_limit: u64,
    opening_timeout: u64,
    ping_interval: Option<u64>,
    pong_timeout: u64,
    /// When the connection was created.
    created: u64,
    /// When it opened, and when its end began.
    opened: Option<u64>,
    began: Option<u64>,
    /// When bytes came from the peer, and when such bytes were progress of an end that had begun.
    heard: u64,
    listened: u64,
    /// When bytes were delivered, or a layer's accepted.
    delivered: u64,
    /// A deadline has ended the connection.
    pub(crate) has_given_up: bool,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Goals {
    pub(crate) fn new(config: &Config, now: u64) -> Self {
        Self {
            closing_timeout: nanos(config.closing_timeout),
            closing_limit: nanos(config.closing_limit),
            opening_timeout: nanos(config.opening_timeout),
            ping_interval: config.keepalive.interval().map(nanos),
            pong_timeout: nanos(config.pong_timeout),
            created: now,
            opened: None,
            began: None,
            heard: now,
            listened: 0,
            delivered: 0,
            has_given_up: false,
        }
    }

    /// Notes where the connection stands. Called after everything that may change that.
    pub(crate) fn note(&mut self, model: &Model, now: u64) {
        if model.phase == Phase::Opened && self.opened.is_none() {
            self.opened = Some(now);
        }
        if model.is_ending() && self.began.is_none() {
            self.began = Some(now);
        }
    }

    /// Bytes came. They are progress while the peer's Close frame is awaited.
    pub(crate) fn hear(&mut self, model: &Model, now: u64) {
        self.heard = now;
        let is_progress = match model.ending() {
            Ending::AwaitingClose => true,
            Ending::WriteLost => model.is_listening(),
            _ => false,
        };
        if model.is_ending() && is_progress {
            self.listened = now;
        }
    }

    /// Bytes were delivered.
    pub(crate) fn deliver(&mut self, now: u64) {
        self.delivered = now;
    }

    /// When an ending connection last made progress. `acked`: when an acknowledgement came, if the driver knows.
    fn progress(&self, acked: Option<u64>) -> u64 {
        let began = self.began.unwrap_or_default();
        began.max(self.listened).max(self.delivered).max(acked.unwrap_or_default())
    }

    /// A deadline has ended the connection, or dropped its output: it must have made no progress for `closing_timeout`,
    /// or have taken `closing_limit`.
    pub(crate) fn check_given_up(&mut self, acked: Option<u64>, now: u64) {
        self.has_given_up = true;
        let began = self.began.expect("a deadline ended a connection whose end had not begun");
        // acknowledgements are counted four times per `closing_timeout`
        let acked = acked.map(|acked| acked.saturating_sub(self.closing_timeout / 4));
        let silent = now.saturating_sub(self.progress(acked));
        assert!(
            silent + CLOCK >= self.closing_timeout || now - began + CLOCK >= self.closing_limit,
            "given up {} ms after the end began, and {} ms after progress",
            (now - began) / MILLISECOND,
            silent / MILLISECOND
        );
    }

    /// The opening handshake took too long.
    pub(crate) fn check_opening_timeout(&self, now: u64) {
        assert!(now + CLOCK >= self.created + self.opening_timeout, "the opening handshake was given up too early");
    }

    /// The Ping of keepalive was sent.
    pub(crate) fn check_ping(&self, now: u64) {
        let interval = self.ping_interval.expect("a Ping, though keepalive is off");
        assert!(now + CLOCK >= self.heard.max(self.opened.unwrap_or_default()) + interval, "a Ping came too early");
    }

    /// The peer was given up for not answering a Ping: it must have been silent, and, where acknowledgements are known,
    /// its kernel too while bytes were outstanding.
    pub(crate) fn check_pong_timeout(&self, acked: Option<u64>, outstanding: usize, now: u64) {
        self.check_ping(now.saturating_sub(self.pong_timeout));
        let is_acking = outstanding > 0 && acked.is_some_and(|acked| now + CLOCK < acked + self.pong_timeout);
        assert!(!is_acking, "given up for silence, although the peer's kernel acknowledges");
    }

    /// The endpoint is awake, and has nothing to do: a connection that makes no progress must have ended by now.
    pub(crate) fn check_overdue(&self, model: &Model, acked: Option<u64>, now: u64) {
        if let Some(began) = self.began {
            let silent = now.saturating_sub(self.progress(acked));
            let most = self.closing_timeout + self.closing_timeout / 2 + SLEEP;
            assert!(silent <= most, "no progress for {} ms, and no end: {:?}", silent / MILLISECOND, model.ending());
            let since = now - began;
            assert!(since <= self.closing_limit.saturating_add(CLOCK), "{} ms, and no end", since / MILLISECOND);
        } else if let Some(opened) = self.opened {
            let Some(interval) = self.ping_interval else { return };
            let alive = opened.max(self.heard).max(self.delivered).max(acked.unwrap_or_default());
            let silent = now.saturating_sub(alive);
            assert!(silent <= interval + 3 * self.pong_timeout + SLEEP, "silent for {} ms", silent / MILLISECOND);
        } else {
            assert!(now <= self.created + self.opening_timeout + CLOCK, "the opening handshake does not end");
        }
    }

    /// Whether the time limits are so generous that an ordinary peer meets none.
    pub(crate) fn are_generous(&self) -> bool {
        self.closing_timeout >= 1000 * MILLISECOND
            && self.closing_limit >= 60_000 * MILLISECOND
            && self.opening_timeout >= 1000 * MILLISECOND
            && (self.ping_interval.is_none() || self.pong_timeout >= 1000 * MILLISECOND)
    }
}
