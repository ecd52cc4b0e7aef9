//! The clock that the core is handed: nanoseconds since the process first asked.

use std::sync::OnceLock;
use std::time::{Duration, Instant as StdInstant};

use sansocket::Instant;

pub(crate) fn now() -> Instant {
    static EPOCH: OnceLock<StdInstant> = OnceLock::new();
    let elapsed = EPOCH.get_or_init(StdInstant::now).elapsed();
    Instant::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// How long until the deadline: at least a microsecond, for sockets take a timeout of zero for none at all.
pub(crate) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now()).max(Duration::from_micros(1))
}
