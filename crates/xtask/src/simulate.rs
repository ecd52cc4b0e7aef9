//! `cargo xtask simulate`: many runs of the simulation.

use anyhow::{Result, ensure};
use sansocket_sim::run_seeds;

/// Simulate connections: two endpoints, or one and an adversary, watched by a model.
///
/// Every seed makes one run, and always the same. What failed is printed with its seed, which
/// `cargo run -p sansocket-sim -- SEED` replays with a trace of every step.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many seeds, N
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
}

/// Runs them on all cores, and prints how fast that was.
///
/// # Errors
///
/// If a run failed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let summary = run_seeds(args.from..args.from.saturating_add(args.seeds));
    println!("{summary}");
    ensure!(summary.failures.is_empty(), "the simulation failed");
    Ok(())
}
