//! The clock of the adapters: nanoseconds since the process first used it.

use std::sync::OnceLock;
use std::time::{Duration, Instant as StdInstant};

use sansocket::Instant;

/// A clock that counts in the core's [`Instant`]s. All connections of a process may share one.
///
/// ```
/// let clock = sansocket_drive::Clock::of_process();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: StdInstant,
}

impl Clock {
    /// Returns the clock whose epoch is the first call of this function in the process.
    #[inline]
    pub fn of_process() -> Self {
        static EPOCH: OnceLock<StdInstant> = OnceLock::new();
        Self { epoch: *EPOCH.get_or_init(StdInstant::now) }
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> Instant {
        // 64 bits of nanoseconds last for 584 years
        Instant::from_nanos(self.epoch.elapsed().as_nanos() as u64)
    }

    /// Returns the time from now until the deadline; zero if it has come.
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.now())
    }
}
