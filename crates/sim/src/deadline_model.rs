//! Checks when deadlines end a connection: never while it makes progress, and always once it makes none for too long.
//!
//! The model does not use the core's timers. It knows what happened on the simulated wire: when bytes arrived, when
//! bytes were delivered, when acknowledgements arrived.

use std::time::Duration;

use sansocket::Config;

use crate::model::{ClosingPhase, Model, Phase};
use crate::settings::MILLISECOND;

/// Tolerance for the clock, which may go back by up to a millisecond at a call.
const CLOCK_SLACK: u64 = 2 * MILLISECOND;
/// Tolerance for sleeping processes: twice the longest sleep.
const SLEEP_SLACK: u64 = 120 * MILLISECOND;

/// The times of a connection's latest events, in nanoseconds.
#[derive(Debug)]
pub(crate) struct DeadlineModel {
    closing_timeout: u64,
    closing_limit: u64,
    opening_timeout: u64,
    ping_interval: Option<u64>,
    pong_timeout: u64,
    created_at: u64,
    /// When the connection opened, and when it began to close.
    opened_at: Option<u64>,
    closing_began_at: Option<u64>,
    /// When the latest bytes arrived, and when the latest bytes arrived that counted as progress of closing.
    received_at: u64,
    closing_received_at: u64,
    /// When the latest bytes were delivered, or the transport accepted bytes of the layer.
    delivered_at: u64,
    /// A deadline of closing has ended the connection.
    pub(crate) has_timed_out: bool,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl DeadlineModel {
    pub(crate) fn new(config: &Config, now: u64) -> Self {
        Self {
            closing_timeout: nanos(config.closing_timeout),
            closing_limit: nanos(config.closing_limit),
            opening_timeout: nanos(config.opening_timeout),
            ping_interval: config.keepalive.interval().map(nanos),
            pong_timeout: nanos(config.pong_timeout),
            created_at: now,
            opened_at: None,
            closing_began_at: None,
            received_at: now,
            closing_received_at: 0,
            delivered_at: 0,
            has_timed_out: false,
        }
    }

    /// Notes when the connection opens and begins to close. Called after every change of the model.
    pub(crate) fn note(&mut self, model: &Model, now: u64) {
        if model.phase == Phase::Opened && self.opened_at.is_none() {
            self.opened_at = Some(now);
        }
        if model.is_closing() && self.closing_began_at.is_none() {
            self.closing_began_at = Some(now);
        }
    }

    /// Notes that bytes arrived. They are progress of closing while the endpoint awaits the peer's Close frame.
    pub(crate) fn note_received(&mut self, model: &Model, now: u64) {
        self.received_at = now;
        let is_progress = match model.closing_phase() {
            ClosingPhase::AwaitingClose => true,
            ClosingPhase::WriteLost => model.is_receiving(),
            _ => false,
        };
        if model.is_closing() && is_progress {
            self.closing_received_at = now;
        }
    }

    /// Notes that bytes were delivered.
    pub(crate) fn note_delivered(&mut self, now: u64) {
        self.delivered_at = now;
    }

    /// Returns when a closing connection last made progress. `acked` is the time of the latest acknowledgement, if the
    /// driver knows it.
    fn progress(&self, acked: Option<u64>) -> u64 {
        let began = self.closing_began_at.unwrap_or_default();
        began.max(self.closing_received_at).max(self.delivered_at).max(acked.unwrap_or_default())
    }

    /// Checks that a deadline was right to end the connection or drop its output: there was no progress for
    /// `closing_timeout`, or closing took `closing_limit`.
    pub(crate) fn check_closing_timeout(&mut self, acked: Option<u64>, now: u64) {
        self.has_timed_out = true;
        let began = self.closing_began_at.expect("a deadline of closing ended a connection that was not closing");
        // acknowledgements are counted four times per `closing_timeout`
        let acked = acked.map(|acked| acked.saturating_sub(self.closing_timeout / 4));
        let silent = now.saturating_sub(self.progress(acked));
        assert!(
            silent + CLOCK_SLACK >= self.closing_timeout || now - began + CLOCK_SLACK >= self.closing_limit,
            "given up {} ms after closing began and {} ms after the latest progress",
            (now - began) / MILLISECOND,
            silent / MILLISECOND
        );
    }

    /// Checks that the opening handshake timed out late enough.
    pub(crate) fn check_opening_timeout(&self, now: u64) {
        assert!(now + CLOCK_SLACK >= self.created_at + self.opening_timeout, "the opening handshake ended too early");
    }

    /// Checks that the keepalive Ping was sent late enough.
    pub(crate) fn check_ping(&self, now: u64) {
        let interval = self.ping_interval.expect("a keepalive Ping, but keepalive is off");
        let earliest = self.received_at.max(self.opened_at.unwrap_or_default()) + interval;
        assert!(now + CLOCK_SLACK >= earliest, "the keepalive Ping was sent too early");
    }

    /// Checks that the connection was right to fail for a missing Pong: the peer was silent, and, if acknowledgements
    /// are known, its kernel did not acknowledge outstanding bytes.
    pub(crate) fn check_pong_timeout(&self, acked: Option<u64>, outstanding: usize, now: u64) {
        self.check_ping(now.saturating_sub(self.pong_timeout));
        let is_acking = outstanding > 0 && acked.is_some_and(|acked| now + CLOCK_SLACK < acked + self.pong_timeout);
        assert!(!is_acking, "failed for a missing Pong, although the peer's kernel acknowledges bytes");
    }

    /// Checks that no deadline is overdue. Called when the endpoint is awake and has nothing to do.
    pub(crate) fn check_overdue(&self, model: &Model, acked: Option<u64>, now: u64) {
        if let Some(began) = self.closing_began_at {
            let silent = now.saturating_sub(self.progress(acked));
            let max = self.closing_timeout + self.closing_timeout / 2 + SLEEP_SLACK;
            assert!(silent <= max, "no progress for {} ms in {:?}", silent / MILLISECOND, model.closing_phase());
            let since = now - began;
            let max = self.closing_limit.saturating_add(CLOCK_SLACK);
            assert!(since <= max, "closing did not end within {} ms", since / MILLISECOND);
        } else if let Some(opened) = self.opened_at {
            let Some(interval) = self.ping_interval else { return };
            let alive = opened.max(self.received_at).max(self.delivered_at).max(acked.unwrap_or_default());
            let silent = now.saturating_sub(alive);
            let max = interval + 3 * self.pong_timeout + SLEEP_SLACK;
            assert!(silent <= max, "keepalive did not end a connection silent for {} ms", silent / MILLISECOND);
        } else {
            let max = self.created_at + self.opening_timeout + CLOCK_SLACK;
            assert!(now <= max, "the opening handshake does not time out");
        }
    }

    /// Returns whether an ordinary peer never exceeds the time limits.
    pub(crate) fn are_generous(&self) -> bool {
        self.closing_timeout >= 1000 * MILLISECOND
            && self.closing_limit >= 60_000 * MILLISECOND
            && self.opening_timeout >= 1000 * MILLISECOND
            && (self.ping_interval.is_none() || self.pong_timeout >= 1000 * MILLISECOND)
    }
}
