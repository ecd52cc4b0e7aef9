//! `cargo xtask simulate`: runs the simulation with many seeds.

use anyhow::{Context, Result, ensure};
use sansocket_sim::run_seeds;

/// Simulate connections: two endpoints, or one and an adversary, checked against models
///
/// A seed always gives the same run. Failures are printed with their seeds; `cargo run -p sansocket-sim -- SEED`
/// replays a run and prints every step.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The number of seeds
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
}

/// Performs the runs on all cores, and prints their number and duration.
///
/// # Errors
///
/// If a run fails, or the seeds exceed the largest one.
pub(crate) fn run(args: &Args) -> Result<()> {
    let end = args.from.checked_add(args.seeds).context("the seeds exceed the largest one, 18446744073709551615")?;
    let summary = run_seeds(args.from..end);
    println!("{summary}");
    ensure!(summary.failures.is_empty(), "the simulation failed");
    Ok(())
}
