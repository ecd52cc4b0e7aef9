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
    let elapsed = EPOCH.get_or_init(StdInstant::now).elapsed();
    Instant::from_nanos(elapsed.as_secs().saturating_mul(1_000_000_000).saturating_add(elapsed.subsec_nanos().into()))
}
