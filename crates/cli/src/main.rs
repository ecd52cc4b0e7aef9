//! The `sansocket` command: an echo server, a client for the terminal, and a demonstration.
//!
//! One module per subcommand. This file names them, and turns how they ended into one line on stderr and an exit status.

mod connect;
mod demo;
mod exit;
mod interrupt;
mod serve;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

/// A WebSocket, sans socket: RFC 6455 at the command line
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
        Err(error) => return usage(&error),
    };
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Connect(args) => connect::run(&args),
    };
    let exit = outcome.unwrap_or_else(|Failure { exit, message }| {
        exit::complain(&message);
        exit
    });
    exit.into()
}

/// Help and version are no failure; anything else is, and clap says what it was.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that has gone away has nothing to be told.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Clean.into(),
        _ => Exit::Failed.into(),
    }
}
