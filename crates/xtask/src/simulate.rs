//! `cargo xtask simulate`: many runs of the simulation.

use anyhow::{Context, Result, ensure};
use sansocket_sim::run_seeds;

/// Simulate connections: two endpoints, or one and an adversary, watched by a model.
///
/// Every seed makes one run, and always the same. What failed is printed with its seed, which
/// `cargo run -p sansocket-sim -- SEED` replays with a trace of every step.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many seeds, N
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
}

/// Runs them on all cores, and prints how fast that was.
///
/// # Errors
///
/// If a run failed, or there are not so many seeds.
pub(crate) fn run(args: &Args) -> Result<()> {
    let end = args.from.checked_add(args.seeds).context("there are not so many seeds from that one on")?;
    let summary = run_seeds(args.from..end);
    println!("{summary}");
    ensure!(summary.failures.is_empty(), "the simulation failed");
    Ok(())
}
