//! `cargo xtask`: the development tasks of sansocket, one module each. A task that fails prints the reason and exits
//! with a non-zero code.

mod autobahn;
mod bench;
mod certificate;
mod clients;
mod compressed;
mod cost;
mod coverage;
mod echo;
mod fan_out;
mod fuzz;
mod guard;
mod idle;
mod interop;
mod load;
mod raw;
mod relay;
mod simulate;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The development tasks of sansocket
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Autobahn(autobahn::Args),
    Bench(bench::Args),
    Cost(cost::Args),
    Coverage(coverage::Args),
    Fuzz(fuzz::Args),
    Guard(guard::Args),
    Idle(idle::Args),
    Interop(interop::Args),
    Load(load::Args),
    Simulate(simulate::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Autobahn(args) => autobahn::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Cost(args) => cost::run(&args),
        Task::Coverage(args) => coverage::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Guard(args) => guard::run(&args),
        Task::Idle(args) => idle::run(&args),
        Task::Interop(args) => interop::run(&args),
        Task::Load(args) => load::run(&args),
        Task::Simulate(args) => simulate::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
