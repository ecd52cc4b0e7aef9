//! The clock that the core is handed: nanoseconds since the process first asked.

use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use sansocket::Instant;

/// The moment that it is now, as the core counts moments. All connections of a process may share this clock.
///
/// ```
/// let now = sansocket_mio::now();
/// assert!(sansocket_mio::now() >= now);
/// ```
pub fn now() -> Instant {
    static EPOCH: OnceLock<StdInstant> = OnceLock::new();
    // they last for 584 years
    Instant::from_nanos(EPOCH.get_or_init(StdInstant::now).elapsed().as_nanos() as u64)
}
