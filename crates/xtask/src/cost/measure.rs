//! Measures the cost of a message: the difference between a long and a short run.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::callgrind;
use super::strace::{self, Calls};
use crate::echo::{Cell, Program};

/// The cost of a message.
#[derive(Debug)]
pub(super) struct Cost {
    pub(super) instructions: f64,
    pub(super) calls: Calls,
    /// The file of callgrind for the long run, if it is kept.
    pub(super) profile: Option<PathBuf>,
}

impl Cost {
    pub(super) fn measure(program: &Program, cell: Cell, keep: bool) -> Result<Self> {
        let short = short(cell);
        let (few, less, _) = callgrind::count(program, cell, short)?;
        let long = few + difference(cell, less / few);
        let (many, more, profile) = callgrind::count(program, cell, long)?;
        let instructions = more.saturating_sub(less) as f64 / (many - few) as f64;
        if !keep {
            fs::remove_file(&profile)?;
        }
        let calls = calls(program, cell, short, long)?;
        Ok(Self { instructions, calls, profile: keep.then_some(profile) })
    }
}

/// Counts the system calls of a message. Other load on the clients' processor splits their messages into smaller
/// batches, which take more calls, never fewer: so the best of several runs counts.
fn calls(program: &Program, cell: Cell, short: u64, long: u64) -> Result<Calls> {
    let (few, less) = strace::count(program, cell, short)?;
    let mut calls = (0..RUNS).map(|_| {
        let (many, more) = strace::count(program, cell, long)?;
        anyhow::Ok((more - less) / (many - few) as f64)
    });
    let first = calls.next().context("no run")??;
    calls.try_fold(first, |best, calls| calls.map(|calls| if calls.waits < best.waits { calls } else { best }))
}

/// The number of long runs whose system calls are counted.
const RUNS: usize = 3;

/// Returns the messages of the short run: at least two rounds per connection, so all buffers are allocated.
fn short(cell: Cell) -> u64 {
    (2 * cell.messages_in_flight()).max(500.min(MAX_BYTES / cell.payload.0.max(1) as u64 / 40))
}

/// Returns how many more messages the long run has: enough that variations do not matter, and few enough that valgrind,
/// which is 50 times slower, takes seconds.
fn difference(cell: Cell, instructions: u64) -> u64 {
    let payload = cell.payload.0.max(1) as u64;
    let max = (MAX_BYTES / payload).min(MAX_INSTRUCTIONS / instructions.max(1));
    max.clamp(96, 20_000).max(4 * cell.messages_in_flight())
}

/// The maximum bytes of payload in a run.
const MAX_BYTES: u64 = 64 << 20;
/// The maximum instructions of the server in a run.
const MAX_INSTRUCTIONS: u64 = 500_000_000;
