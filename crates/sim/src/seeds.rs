//! Many runs, on all cores.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::choices::Choices;
use crate::run::run;
use crate::trace::Trace;

/// Seeds that a thread takes at a time.
const BATCH: u64 = 64;
/// After so many failures no new seeds are taken.
const FAILURES_MAX: usize = 20;

/// What came of many runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// How many seeds were run.
    pub runs: u64,
    /// How many steps all of them took.
    pub steps: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// The seeds that failed, and why, in order.
    pub failures: Vec<(u64, String)>,
}

thread_local! {
    /// Whether this thread makes runs, whose panics are collected and not printed.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    /// Why the latest run of this thread failed.
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs all these seeds.
pub fn run_seeds(seeds: Range<u64>) -> Summary {
    let start = Instant::now();
    let hook = Arc::new(panic::take_hook());
    let other = Arc::clone(&hook);
    panic::set_hook(Box::new(move |info| if IS_WORKER.get() { remember(info) } else { other(info) }));
    let (next, runs, steps) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let work = || loop {
        let first = take_batch(&next);
        if first >= seeds.end {
            return;
        }
        for seed in first..seeds.end.min(first.saturating_add(BATCH)) {
            match panic::catch_unwind(AssertUnwindSafe(|| run(&mut Choices::from_seed(seed), Trace::silent()))) {
                Ok(outcome) => steps.fetch_add(outcome.steps as u64, Ordering::Relaxed),
                Err(_) => {
                    let failure = FAILURE.take().unwrap_or_default();
                    let mut failures = failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    failures.push((seed, failure));
                    if failures.len() >= FAILURES_MAX {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    0
                }
            };
            runs.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                IS_WORKER.set(true);
                work();
            });
        }
    });
    panic::set_hook(Box::new(move |info| hook(info)));
    let mut failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    failures.sort();
    Summary { runs: runs.into_inner(), steps: steps.into_inner(), elapsed: start.elapsed(), failures }
}

/// The first seed of the next batch. Behind the last seed of all comes no other.
fn take_batch(next: &AtomicU64) -> u64 {
    let behind = |first: u64| Some(first.saturating_add(BATCH));
    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, behind).unwrap_or(u64::MAX)
}

fn remember(info: &PanicHookInfo<'_>) {
    let words = info.payload().downcast_ref::<String>().map(String::as_str);
    let message = words.or(info.payload().downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    FAILURE.set(Some(format!("{place}: {message}")));
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (seed, failure) in &self.failures {
            writeln!(f, "seed {seed}: {failure}\n  replay: cargo run -p sansocket-sim -- {seed}")?;
        }
        let seconds = self.elapsed.as_secs_f64();
        let (rate, steps) = (self.runs as f64 / seconds, self.steps as f64 / self.runs.max(1) as f64);
        let (runs, failed) = (self.runs, self.failures.len());
        write!(f, "{runs} runs of {steps:.0} steps in {seconds:.1} s, {rate:.0} a second: {failed} failed")
    }
}
