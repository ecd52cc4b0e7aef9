//! The clock of all sockets and loops.

use sansocket_drive::Clock;
use sansocket_drive::sansocket::Instant;

/// Reads the clock of the process, as the core counts time.
///
/// ```
/// let now = sansocket_mio::now();
/// assert!(sansocket_mio::now() >= now);
/// ```
#[inline]
pub fn now() -> Instant {
    Clock::of_process().now()
}
