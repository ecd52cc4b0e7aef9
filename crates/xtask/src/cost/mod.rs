//! `cargo xtask cost`: what an echoed message costs a server, counted and not timed.
//!
//! A count says the same on a busy machine as on a quiet one, so that it can decide where a time cannot.

mod callgrind;
mod goals;
mod strace;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

pub(crate) use callgrind::total as callgrind_total;

use crate::echo::{Cell, Generator, Payload, Program, Server, Until, count};
use goals::Goals;
use strace::Calls;

/// Count instructions and system calls per echoed message.
///
/// An echo server (by default the example of sansocket-mio, in release mode) is run under valgrind's callgrind, which
/// counts the instructions of its user space, and then under strace, which counts its system calls: once for a long run
/// and once for a short one. What the long run takes more, divided by the messages that it has more, is the cost of a
/// message; starting up and the opening handshakes do not enter into it. Every echo is checked.
///
/// The figures repeat within one percent, with two exceptions. Of messages longer than the server's read buffer they depend
/// on how the bytes happen to arrive, and with that what is copied, which valgrind may count as an instruction for each
/// byte. And if the machine is too busy for the clients to keep up, a server waits more often than it need.
///
/// The goals are the project's, and for our own server alone. A goal that is missed makes the command fail.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only messages of these sizes, such as 20B,1KiB [all: 20B, 1KiB, 16KiB, 1MiB]
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    payload: Vec<Payload>,

    /// Only these numbers of connections [all: 1, 32]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    connections: Vec<usize>,

    /// Only these numbers of messages in flight per connection [all: 1, 16]
    ///
    /// With 16, a connection sends 16 messages in one write, and waits for all to come back before it sends the next 16.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    in_flight: Vec<usize>,

    /// Only this: size, connections and messages in flight of any number, such as 20B/32/16
    #[arg(long, value_name = "CELL", conflicts_with_all = ["payload", "connections", "in_flight"])]
    cell: Option<Cell>,

    /// Another echo server: its name in this workspace, or a path to a program that takes the address to listen at
    #[arg(long, value_name = "NAME|PATH", default_value = "sansocket")]
    server: String,

    /// Keep what callgrind wrote of the long runs, and say where, for callgrind_annotate
    #[arg(long)]
    keep: bool,
}

/// Every size with 1 and 32 connections, and the sizes of which 512 messages under way are not too much.
const CELLS: [(usize, usize, usize); 11] = [
    (20, 1, 1),
    (20, 32, 1),
    (20, 32, 16),
    (1 << 10, 1, 1),
    (1 << 10, 32, 1),
    (1 << 10, 32, 16),
    (16 << 10, 1, 1),
    (16 << 10, 32, 1),
    (16 << 10, 32, 16),
    (1 << 20, 1, 1),
    (1 << 20, 32, 1),
];

/// Measures cell after cell, and prints a line for each.
///
/// # Errors
///
/// If it cannot be measured, or a goal is missed. Every such goal is printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    check_tools()?;
    let cells = args.cells();
    ensure!(!cells.is_empty(), "no cell has these sizes and numbers; --cell measures any");
    let program = Program::find(&args.server)?;

    println!("{program}: user-space instructions and system calls per echoed message");
    println!("{}", Line::HEAD);
    let mut missed = Vec::new();
    for cell in cells {
        let cost = Cost::measure(&program, cell, args.keep)?;
        let goals = if program.is_ours() { Goals::of(cell) } else { Goals::default() };
        println!("{}", Line(cell, &cost, &goals));
        if let Some(profile) = &cost.profile {
            println!("  {}", profile.display());
        }
        missed.extend(goals.missed(&cost).map(|goal| format!("{cell}: {goal}")));
    }
    for goal in &missed {
        eprintln!("{goal}");
    }
    match missed.len() {
        0 => Ok(()),
        1 => bail!("a goal is missed"),
        number => bail!("{number} goals are missed"),
    }
}

impl Args {
    fn cells(&self) -> Vec<Cell> {
        if let Some(cell) = self.cell {
            return vec![cell];
        }
        let all = CELLS.map(|(bytes, connections, in_flight)| Cell { payload: Payload(bytes), connections, in_flight });
        let is_chosen = |cell: &Cell| {
            (self.payload.is_empty() || self.payload.contains(&cell.payload))
                && (self.connections.is_empty() || self.connections.contains(&cell.connections))
                && (self.in_flight.is_empty() || self.in_flight.contains(&cell.in_flight))
        };
        all.into_iter().filter(is_chosen).collect()
    }
}

/// What a message costs.
#[derive(Debug)]
struct Cost {
    instructions: f64,
    calls: Calls,
    /// What callgrind wrote of the long run, if it was to be kept.
    profile: Option<PathBuf>,
}

impl Cost {
    fn measure(program: &Program, cell: Cell, keep: bool) -> Result<Self> {
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

/// The system calls of a message. When something else has the clients' processor, their messages come in smaller batches
/// and take more of them, never fewer: so the best of some runs counts.
fn calls(program: &Program, cell: Cell, short: u64, long: u64) -> Result<Calls> {
    let (few, less) = strace::count(program, cell, short)?;
    let mut calls = (0..RUNS).map(|_| {
        let (many, more) = strace::count(program, cell, long)?;
        anyhow::Ok((more - less) / (many - few) as f64)
    });
    let first = calls.next().context("there is a run")??;
    calls.try_fold(first, |best, calls| calls.map(|calls| if calls.waits < best.waits { calls } else { best }))
}

/// Long runs whose system calls are counted.
const RUNS: usize = 3;

/// Messages of the short run: each connection has sent twice, so that every buffer has been there.
fn short(cell: Cell) -> u64 {
    (2 * cell.messages_in_flight()).max(500.min(MAX_BYTES / cell.payload.0.max(1) as u64 / 40))
}

/// Messages that the long run has more: enough that chance does not show, few enough that valgrind, at a fiftieth of the
/// speed, is done in seconds even if each takes as many instructions as this.
fn difference(cell: Cell, instructions: u64) -> u64 {
    let payload = cell.payload.0.max(1) as u64;
    let most = (MAX_BYTES / payload).min(MAX_INSTRUCTIONS / instructions.max(1));
    most.clamp(96, 20_000).max(4 * cell.messages_in_flight())
}

/// Of payload, in a run.
const MAX_BYTES: u64 = 64 << 20;
/// Of the server, in a run.
const MAX_INSTRUCTIONS: u64 = 500_000_000;

/// Has a server, run by a command, echo this many messages, or a few more; returns how many.
fn drive(program: &Program, prefix: &[OsString], cell: Cell, messages: u64) -> Result<u64> {
    let mut server = Server::start(program, prefix)?;
    let echo = || {
        let mut generator = Generator::connect(server.address(), cell)?;
        let tally = generator.run(Until::Messages(messages))?;
        anyhow::Ok((generator, tally.messages))
    };
    let (generator, messages) = echo().map_err(|error| server.explain(error))?;
    // While the connections are open: to see them closed takes instructions as well, more or less of them.
    server.end()?;
    drop(generator);
    Ok(messages)
}

fn check_tools() -> Result<()> {
    let runs = |tool: &&str| {
        let mut command = Command::new(tool);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = ["valgrind", "strace"].into_iter().filter(|tool| !runs(tool)).collect();
    ensure!(missing.is_empty(), "{} must be installed: apt-get install {0}, for one", missing.join(" "));
    Ok(())
}

/// A line of the table: each figure, and what it ought to be.
struct Line<'a>(Cell, &'a Cost, &'a Goals);

impl Line<'_> {
    const HEAD: &'static str = "payload  connections  in flight | instructions    goal |  read  goal | write  goal | \
                                epoll_wait  goal | others";
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cell, cost, goals) = self;
        let goal = |goal: Option<f64>, digits| goal.map_or(String::new(), |goal| format!("{goal:.digits$}"));
        let Calls { reads, writes, waits, others } = cost.calls;
        write!(f, "{:<7}  {:>11}  {:>9} | ", cell.payload, cell.connections, cell.in_flight)?;
        write!(f, "{:>12.0} {:>7} | ", cost.instructions, goal(goals.instructions, 0))?;
        write!(f, "{reads:>5.2} {:>5} | {writes:>5.2} {:>5} | ", goal(goals.reads, 2), goal(goals.writes, 2))?;
        write!(f, "{waits:>10.2} {:>5} | {others:>6.2}", goal(goals.waits, 2))
    }
}
