//! `cargo run -p sansocket-sim -- SEED` replays one run with a trace; `-- --seeds N` performs many runs.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use sansocket_sim::{Choices, Trace, run, run_seed, run_seeds};

/// Simulate connections of sansocket and check them against a model
#[derive(Debug, Parser)]
struct Cli {
    /// Replay the run of this seed, and print every step
    #[arg(required_unless_present_any = ["seeds", "bytes"])]
    seed: Option<u64>,

    /// Run many seeds on all cores: from 0 to N, or from FROM to TO, without the last
    #[arg(long, value_name = "N|FROM..TO", value_parser = range, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,

    /// Replay the run whose choices are the bytes of this file, such as an input that a fuzzer found
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds"])]
    bytes: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(seeds) = cli.seeds {
        let summary = run_seeds(seeds);
        println!("{summary}");
        return Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let outcome = match (cli.seed, cli.bytes) {
        (Some(seed), _) => run_seed(seed, Trace::printed()),
        (None, Some(path)) => {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            run(&mut Choices::from_bytes(&bytes), Trace::printed())
        }
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    println!("the run passed: {outcome:?}");
    Ok(ExitCode::SUCCESS)
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.replace('_', "").parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let seeds = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if seeds.is_empty() { Err(format!("{text}: the range is empty")) } else { Ok(seeds) }
}
