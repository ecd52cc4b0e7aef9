//! Connecting again and again, by a policy.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use sansocket::Instant;
use sansocket::rand_core::Rng;
use sansocket_dial::{Backoff, DialError, ReconnectPolicy, Target};
use sansocket_drive::{Clock, masking_keys};

use crate::connect::Connector;
use crate::websocket::WebSocket;

/// The attempts to connect, and to connect again whenever the connection has ended: an iterator of connections and
/// failures. [`Connector::reconnecting`] returns it.
///
/// Each call of [`next`](Iterator::next) sleeps for the delay that the [`ReconnectPolicy`] demands, and makes one
/// attempt. Call it again when the connection has ended: the time between both calls counts as the time that the
/// connection was open. The iterator ends after [`ReconnectPolicy::max_attempts`], and after a failure that is
/// [permanent](DialError::is_permanent).
///
/// ```no_run
/// use sansocket_net::dial::ReconnectPolicy;
/// use sansocket_net::{Connector, Event};
///
/// let mut attempts = Connector::new().reconnecting("ws://localhost:9001/news", ReconnectPolicy::default())?;
/// while let Some(connected) = attempts.next() {
///     match connected {
///         Ok(mut ws) => {
///             while let Ok(Some(event)) = ws.read() {
///                 if let Event::Message(message) = event {
///                     println!("{:?}", message.as_text());
///                 }
///             }
///         }
///         Err(error) => eprintln!("attempt {}: {error}", attempts.attempt()),
///     }
/// }
/// # Ok::<(), sansocket_net::DialError>(())
/// ```
pub struct Reconnecting {
    connector: Connector,
    target: Target,
    backoff: Backoff<Box<dyn Rng + Send + Sync>>,
    clock: Clock,
    state: State,
    attempt: u32,
}

/// What comes before the next attempt.
#[derive(Clone, Copy)]
enum State {
    /// The connection is open, or has ended since.
    Opened,
    /// The attempt begins at this time.
    Waiting(Instant),
    /// There is no attempt.
    Ended,
}

impl Connector {
    /// Returns the attempts to connect, and to connect again whenever the connection has ended.
    ///
    /// # Errors
    ///
    /// The URL is not valid, or the system has no random numbers.
    pub fn reconnecting(&self, url: &str, policy: ReconnectPolicy) -> Result<Reconnecting, DialError> {
        Reconnecting::new(self.clone(), url.parse()?, policy)
    }
}

impl Reconnecting {
    fn new(connector: Connector, target: Target, policy: ReconnectPolicy) -> Result<Self, DialError> {
        let clock = Clock::of_process();
        let rng: Box<dyn Rng + Send + Sync> = Box::new(masking_keys().map_err(DialError::Local)?);
        let state = State::Waiting(clock.now());
        Ok(Self { connector, target, backoff: Backoff::new(policy, rng), clock, state, attempt: 1 })
    }

    /// Returns how long the next call of [`next`](Iterator::next) will sleep; `None` if it makes no attempt. A program
    /// that must be able to stop meanwhile waits for this time itself, such as in a channel's `recv_timeout`. After a
    /// connection, this notes that the connection has ended.
    pub fn delay(&mut self) -> Option<Duration> {
        if let State::Opened = self.state {
            let delay = self.backoff.closed(self.clock.now());
            self.wait_for(delay);
        }
        match self.state {
            State::Waiting(until) => Some(self.clock.until(until)),
            State::Opened | State::Ended => None,
        }
    }

    /// Returns the number of the last attempt since the beginning or the last stable connection
    /// ([`ReconnectPolicy::stable_after`]), 1 for the first; before any attempt, that of the next.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    fn wait_for(&mut self, delay: Option<Duration>) {
        self.state = delay.map_or(State::Ended, |delay| State::Waiting(self.clock.now() + delay));
    }
}

impl Iterator for Reconnecting {
    type Item = Result<WebSocket, DialError>;

    fn next(&mut self) -> Option<Self::Item> {
        thread::sleep(self.delay()?);
        self.attempt = self.backoff.attempts().saturating_add(1);
        let connected = self.connector.connect_to(self.target.clone());
        match &connected {
            Ok(_) => {
                self.backoff.opened(self.clock.now());
                self.state = State::Opened;
            }
            Err(error) => {
                let delay = self.backoff.failed(error, SystemTime::now());
                self.wait_for(delay);
            }
        }
        Some(connected)
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("target", &self.target).finish_non_exhaustive()
    }
}
