//! How every bench measures: criterion, with little time for each figure, in samples so short (a millisecond) that most of
//! them run uninterrupted even on a busy machine, so that their median does not know of it. `cargo xtask bench` runs the
//! whole of it several times over, which says more than one long look at each participant.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

/// A group of figures to compare.
pub type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// criterion, as all benches have it.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(60)
        .nresamples(1000)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(60))
}

/// A group in which an iteration stands for so many messages of so many bytes each.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str, messages: usize, size: usize) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::ElementsAndBytes { elements: messages as u64, bytes: (messages * size) as u64 });
    group
}
