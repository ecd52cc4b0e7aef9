//! A client that connects: it dials, and connects again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sansocket_connect::{Dialing, Progress, Settings};
use sansocket_dial::{Backoff, DialError, Target};
use sansocket_drive::masking_keys;
use sansocket_drive::sansocket::rand_core::Rng;
use sansocket_drive::sansocket::{ClientRequest, Config, Instant, WebSocket};

use crate::connector::Connector;

/// A client until it is open, and as long as it may connect again.
pub(super) struct Client {
    settings: Arc<Settings>,
    target: Target,
    config: Arc<Config>,
    /// Absent without a policy, and after it was canceled.
    backoff: Option<Backoff<Box<dyn Rng + Send + Sync>>>,
    phase: Phase,
    /// Why the last attempt has failed.
    failure: Option<DialError>,
}

enum Phase {
    /// The next attempt begins at this time.
    Waiting(Instant),
    /// The dial goes on, or the opening handshake, which a redirect may follow.
    Dialing(Box<Dialing>),
    /// The connection is or was open, or the dial has failed.
    Ended,
}

/// A client connects again: see [`Socket::reconnect`](super::Socket::reconnect).
#[derive(Debug)]
#[non_exhaustive]
pub struct Reconnection {
    /// The number of the attempt that follows: 2 is the first one after the beginning or after a stable connection
    /// ([`ReconnectPolicy::stable_after`](sansocket_dial::ReconnectPolicy#structfield.stable_after)).
    pub attempt: u32,
    /// The time until it begins.
    pub delay: Duration,
    /// Why the last attempt has failed; `None` if the connection was open.
    pub error: Option<DialError>,
}

impl Client {
    pub(super) fn new(
        connector: &Connector,
        target: Target,
        config: Arc<Config>,
        now: Instant,
    ) -> Result<Self, DialError> {
        let settings = Arc::clone(&connector.settings);
        let backoff = match connector.reconnect {
            Some(policy) => {
                let rng: Box<dyn Rng + Send + Sync> = Box::new(masking_keys().map_err(DialError::Local)?);
                Some(Backoff::new(policy, rng))
            }
            None => None,
        };
        let dialing = Dialing::new(Arc::clone(&settings), target.clone(), Arc::clone(&config), now)?;
        Ok(Self { settings, target, config, backoff, phase: Phase::Dialing(Box::new(dialing)), failure: None })
    }

    /// Returns the WebSocket of a client that has no transport yet. Its output is not written.
    pub(super) fn unconnected(&self, now: Instant) -> Result<WebSocket, DialError> {
        let request = ClientRequest::from_template(self.target.uri().clone(), self.settings.template.clone());
        let keys = masking_keys().map_err(DialError::Local)?;
        Ok(WebSocket::client(request, Arc::clone(&self.config), keys, now)?)
    }

    /// Returns the dial, if it goes on.
    pub(super) fn dialing(&mut self) -> Option<&mut Dialing> {
        match &mut self.phase {
            Phase::Dialing(dialing) => Some(dialing),
            Phase::Waiting(_) | Phase::Ended => None,
        }
    }

    /// Goes on as far as possible without waiting.
    ///
    /// # Errors
    ///
    /// Why there is no connection. [`end`](Self::end) follows.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Progress, DialError> {
        if let Phase::Waiting(until) = self.phase {
            if now < until {
                return Ok(Progress::Waits);
            }
            let (settings, config) = (Arc::clone(&self.settings), Arc::clone(&self.config));
            self.phase = Phase::Dialing(Box::new(Dialing::new(settings, self.target.clone(), config, now)?));
        }
        self.dialing().map_or(Ok(Progress::Waits), |dialing| dialing.advance(now))
    }

    /// Ends the dial, because of a failure.
    pub(super) fn end(&mut self, failure: DialError) {
        self.phase = Phase::Ended;
        self.failure = Some(failure);
    }

    /// Returns when to advance without an event.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting(until) => Some(*until),
            Phase::Dialing(dialing) => Some(dialing.poll_timeout()),
            Phase::Ended => None,
        }
    }

    /// Notes that the connection is open. Returns whether the client may connect again.
    pub(super) fn opened(&mut self, now: Instant) -> bool {
        self.phase = Phase::Ended;
        let Some(backoff) = &mut self.backoff else { return false };
        backoff.opened(now);
        true
    }

    /// Begins to wait for the next attempt, if there is one. Returns the WebSocket until then.
    pub(super) fn reconnect(&mut self, now: Instant) -> Option<(Reconnection, WebSocket)> {
        let backoff = self.backoff.as_mut()?;
        let delay = match &self.failure {
            Some(error) => backoff.failed(error, SystemTime::now())?,
            None => backoff.closed(now)?,
        };
        let attempt = self.attempt();
        let ws = self.unconnected(now).map_err(|error| self.end(error)).ok()?;
        self.phase = Phase::Waiting(now + delay);
        Some((Reconnection { attempt, delay, error: self.failure.take() }, ws))
    }

    /// Connects no more.
    pub(super) fn cancel_reconnection(&mut self) {
        self.backoff = None;
    }

    pub(super) fn take_failure(&mut self) -> Option<DialError> {
        self.failure.take()
    }

    /// Returns the number of the current attempt since the beginning or the last stable connection.
    pub(super) fn attempt(&self) -> u32 {
        self.backoff.as_ref().map_or(0, Backoff::attempts).saturating_add(1)
    }

    /// Returns whether the client is neither open nor waiting.
    pub(super) const fn is_dialing(&self) -> bool {
        matches!(self.phase, Phase::Dialing(_))
    }
}
