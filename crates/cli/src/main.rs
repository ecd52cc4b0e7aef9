//! The `sansocket` command: an echo server, a client for the terminal, and a demonstration.
//!
//! Each subcommand has a module. This file runs one of them and turns its result into an exit status and, after a
//! failure, one line on stderr.

mod compression;
mod connect;
mod demo;
mod escape;
mod exit;
mod interrupt;
mod serve;
mod threads;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

/// WebSockets (RFC 6455) at the command line: an echo server, a client, and a demonstration
#[derive(Debug, Parser)]
#[command(name = "sansocket", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Connect(connect::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error),
    };
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Connect(args) => connect::run(&args),
    };
    let exit = outcome.unwrap_or_else(|Failure { exit, message }| {
        exit::print_error(&message);
        exit
    });
    exit.into()
}

/// Prints the help, the version (neither is a failure), or an error in the arguments.
fn print_usage(error: &clap::Error) -> ExitCode {
    // If this fails, nothing reads the output.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Clean.into(),
        _ => Exit::Failed.into(),
    }
}
