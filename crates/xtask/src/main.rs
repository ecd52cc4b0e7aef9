//! `cargo xtask`: the chores of sansocket, in Rust.
//!
//! One module per chore; this file only names them. A chore that fails says why and exits non-zero.

mod autobahn;
mod bench;
mod cost;
mod coverage;
mod echo;
mod fuzz;
mod guard;
mod idle;
mod load;
mod simulate;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of sansocket.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    Autobahn(autobahn::Args),
    Bench(bench::Args),
    Cost(cost::Args),
    Coverage(coverage::Args),
    Fuzz(fuzz::Args),
    Guard(guard::Args),
    Idle(idle::Args),
    Load(load::Args),
    Simulate(simulate::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Autobahn(args) => autobahn::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Cost(args) => cost::run(&args),
        Chore::Coverage(args) => coverage::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Guard(args) => guard::run(&args),
        Chore::Idle(args) => idle::run(&args),
        Chore::Load(args) => load::run(&args),
        Chore::Simulate(args) => simulate::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
