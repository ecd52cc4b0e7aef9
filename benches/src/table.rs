//! The criterion settings of every bench. Samples last a millisecond, so most of them run uninterrupted even on a busy
//! machine, and the median is stable. `cargo xtask bench` repeats all benches, which is more robust than one long
//! measurement of each participant.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

/// A group of figures to compare.
pub type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Returns criterion with the settings of all benches.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(60)
        .nresamples(1000)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(60))
}

/// Creates a group in which an iteration handles `messages` messages of `size` bytes each.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str, messages: usize, size: usize) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::ElementsAndBytes { elements: messages as u64, bytes: (messages * size) as u64 });
    group
}
