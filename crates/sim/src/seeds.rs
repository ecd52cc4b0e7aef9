//! Performs many runs on all cores.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::choices::Choices;
use crate::context::Trace;
use crate::groups::run_groups;
use crate::run::{Outcome, run, run_over_tls};

/// One seed in this many also has a run over TLS, whose handshake takes longer than most runs.
const TLS_SHARE: u64 = 16;
/// Seeds that a thread takes at a time.
const BATCH: u64 = 64;
/// After this many failures no new seeds are taken.
const FAILURES_MAX: usize = 20;

/// The results of many runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The number of seeds run.
    pub runs: u64,
    /// The number of steps of all runs.
    pub steps: u64,
    /// The duration of all runs together.
    pub elapsed: Duration,
    /// The seeds that failed, with the reasons, in order.
    pub failures: Vec<(u64, String)>,
}

thread_local! {
    /// Whether this thread performs runs, whose panics are collected instead of printed.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    /// The message of this thread's latest panic.
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Performs the runs of a seed: of two endpoints, or one and an adversary; of a loop with groups; and for some seeds, of
/// two endpoints over TLS.
///
/// # Panics
///
/// If a check fails.
pub fn run_seed(seed: u64, trace: Trace) -> Outcome {
    run_groups(&mut Choices::from_seed(seed));
    if seed.is_multiple_of(TLS_SHARE) {
        run_over_tls(&mut Choices::from_seed(seed), trace);
    }
    run(&mut Choices::from_seed(seed), trace)
}

/// Performs the runs of each seed in the range, on all cores.
pub fn run_seeds(seeds: Range<u64>) -> Summary {
    let start = Instant::now();
    let hook = Arc::new(panic::take_hook());
    let printing_hook = Arc::clone(&hook);
    panic::set_hook(Box::new(move |info| if IS_WORKER.get() { remember(info) } else { printing_hook(info) }));
    let (next, runs, steps) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let work = || loop {
        let first = take_batch(&next);
        if first >= seeds.end {
            return;
        }
        for seed in first..seeds.end.min(first.saturating_add(BATCH)) {
            match panic::catch_unwind(|| run_seed(seed, Trace::silent())) {
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

/// Returns the first seed of the next batch. The counter stops at `u64::MAX` instead of wrapping around.
fn take_batch(next: &AtomicU64) -> u64 {
    let end_of_batch = |first: u64| Some(first.saturating_add(BATCH));
    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end_of_batch).unwrap_or(u64::MAX)
}

fn remember(info: &PanicHookInfo<'_>) {
    let text = info.payload().downcast_ref::<String>().map(String::as_str);
    let message = text.or(info.payload().downcast_ref::<&str>().copied()).unwrap_or("a panic without a message");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    FAILURE.set(Some(format!("{location}: {message}")));
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (seed, failure) in &self.failures {
            writeln!(f, "seed {seed}: {failure}\n  replay: cargo run -p sansocket-sim -- {seed}")?;
        }
        let seconds = self.elapsed.as_secs_f64();
        let (rate, steps) = (self.runs as f64 / seconds, self.steps as f64 / self.runs.max(1) as f64);
        let (runs, failed) = (self.runs, self.failures.len());
        write!(f, "{runs} runs of {steps:.0} steps in {seconds:.1} s ({rate:.0} runs/s): {failed} failed")
    }
}
