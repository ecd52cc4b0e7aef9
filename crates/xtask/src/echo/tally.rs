//! When a run of the clients stops, and its results.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// The maximum time for which the clients wait without receiving anything.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The range of latencies, in nanoseconds; they have three significant digits.
const LATENCIES: (u64, u64) = (100, 60_000_000_000);

/// When to stop sending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StopAfter {
    /// When the clients have received this many messages, or a few more: each connection receives the same number.
    Messages(u64),
    /// After this time, when the messages in flight have arrived.
    Elapsed(Duration),
}

impl StopAfter {
    /// Returns whether a run with these results is long enough.
    pub(crate) fn is_reached(self, tally: &Tally) -> bool {
        match self {
            Self::Messages(messages) => tally.messages >= messages,
            Self::Elapsed(duration) => tally.elapsed >= duration,
        }
    }
}

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The number of messages that the clients received.
    pub(crate) messages: u64,
    /// The time from the first message to the last arrival.
    pub(crate) elapsed: Duration,
    /// The bytes of these messages on the wire, with the heads of frames; 0 if the clients do not count them.
    pub(crate) wire_bytes: u64,
    /// The times from sending to arrival, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let latencies = Histogram::new_with_bounds(LATENCIES.0, LATENCIES.1, 3)?;
        Ok(Self { messages: 0, wire_bytes: 0, elapsed: Duration::ZERO, latencies })
    }

    /// Records a latency.
    pub(crate) fn add_latency(&mut self, latency: Duration) {
        self.latencies.saturating_record(latency.as_nanos() as u64);
    }
}
