//! `cargo xtask cost`: counts the instructions and system calls of a server per message that it sends.
//!
//! Counts are the same on a busy machine as on a quiet one, so they are more reliable than times.

mod atomics;
mod callgrind;
mod goals;
mod measure;
mod strace;

use std::fmt;
use std::process::Command;

use anyhow::{Result, bail, ensure};

pub(crate) use callgrind::{NO_REP_MOVSB, total as callgrind_total};

use crate::compressed;
use crate::echo::{Cell, Payload, Program, Workload, allow_connections, count};
use crate::fan_out;
use crate::workspace::succeeds;
use goals::Goals;
use measure::Cost;
use strace::Calls;

/// Count instructions and system calls per echoed message, or per delivery of a fan-out
///
/// Runs an echo server (by default the example of sansocket-mio, in release mode) under valgrind's callgrind, which
/// counts instructions in user space, and under strace, which counts system calls: a long run and a short one. The
/// difference, divided by the difference of messages, is the cost of a message, without startup and opening handshakes.
/// Every echo is checked.
///
/// The figures repeat within one percent, with two exceptions. For messages longer than the server's read buffer they
/// depend on how the bytes arrive, which affects copying. And on a machine that is too busy for the clients, the server
/// waits more often than necessary.
///
/// With --fan-out, the server sends every message to all connections, its members. The first member publishes a burst
/// of messages in one write, and the next burst when all members have received this one. A message that one member
/// receives is a delivery. Every delivery is checked: each message arrives once, in order, and unchanged.
///
/// With --compress, the server and the clients compress JSON messages (permessage-deflate), with and without takeover.
/// `cargo xtask guard` counts the instructions of the codec itself.
///
/// The goals are for the servers of sansocket only. The command fails if a goal is missed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Measure a server that sends every message to all connections, instead of an echo server
    #[arg(long)]
    fan_out: bool,

    #[command(flatten)]
    compression: compressed::Options,

    /// Only messages of these sizes, such as 20B,1KiB [all: 20B, 1KiB, 16KiB, 1MiB; --fan-out: 128B, 2KiB; --compress:
    /// 200B, 1KiB, 16KiB]
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    payload: Vec<Payload>,

    /// Only these numbers of connections [all: 1, 32; --fan-out: 100, 1000, 5000; --compress: 1, 32]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    connections: Vec<usize>,

    /// Only these numbers of messages in flight per connection, or per burst with --fan-out [all: 1, 16]
    ///
    /// With 16, a connection sends 16 messages in one write, and waits until all have returned (with --fan-out: to all
    /// connections) before it sends the next 16.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    in_flight: Vec<usize>,

    /// A single cell with any values: size, connections and messages in flight, such as 20B/32/16
    #[arg(long, value_name = "CELL", conflicts_with_all = ["payload", "connections", "in_flight"])]
    cell: Option<Cell>,

    /// The server: its name in this workspace, or the path of a program whose argument is the address to listen on
    #[arg(long, value_name = "NAME|PATH", default_value = "sansocket")]
    server: String,

    /// Count the atomic operations per echoed message instead, by function, of `sansocket serve --threads 2`: a message
    /// takes none, and therefore no lock [default cell: 20B/32/1]
    ///
    /// In a process with several threads, glibc before 2.41 has two for each system call that can block (for
    /// `pthread_cancel`), on memory of the calling thread.
    #[arg(long, conflicts_with_all = ["payload", "connections", "in_flight", "server", "keep"])]
    atomics: bool,

    /// Keep the files of callgrind for the long runs, and print their paths, for callgrind_annotate
    #[arg(long)]
    keep: bool,
}

/// Every size with 1 and 32 connections; and sizes of which 512 messages can be in flight, with 16 per connection.
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

/// The cell in which atomic operations are counted.
const ATOMICS_CELL: Cell = Cell { payload: Payload(20), connections: 32, in_flight: 1 };

/// Measures each cell, and prints a line for it.
///
/// # Errors
///
/// If measuring fails, or a goal is missed. Every missed goal is printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    check_tools()?;
    if args.atomics {
        return atomics::run(args.cell.unwrap_or(ATOMICS_CELL));
    }
    let mut missed = Vec::new();
    for workload in args.compression.workloads().unwrap_or_else(|| vec![Workload::new(args.fan_out)]) {
        missed.extend(measure(args, workload)?);
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

/// Measures the cells of a workload, and prints a line for each. Returns the goals that are missed.
fn measure(args: &Args, workload: Workload) -> Result<Vec<String>> {
    let cells = args.cells(workload);
    ensure!(!cells.is_empty(), "no default cell has these sizes and numbers; use --cell for others");
    allow_connections(cells.iter().map(|cell| cell.connections).max().unwrap_or_default())?;
    let program = Program::find(workload, &args.server)?;

    let unit = match workload {
        Workload::Echo | Workload::Compressed(_) | Workload::Tls => "echoed message",
        Workload::FanOut => "delivery",
    };
    println!("{program}, {workload}: user-space instructions and system calls per {unit}");
    println!("{}", Line::HEAD);
    let mut missed = Vec::new();
    for cell in cells {
        let cost = Cost::measure(&program, cell, args.keep)?;
        let goals = if program.is_ours() { Goals::of(workload, cell) } else { Goals::default() };
        println!("{}", Line(cell, &cost, &goals));
        if let Some(profile) = &cost.profile {
            println!("  {}", profile.display());
        }
        missed.extend(goals.missed(&cost, unit).map(|goal| format!("{cell}: {goal}")));
    }
    Ok(missed)
}

impl Args {
    fn cells(&self, workload: Workload) -> Vec<Cell> {
        if let Some(cell) = self.cell {
            return vec![cell];
        }
        let echo =
            CELLS.map(|(bytes, connections, in_flight)| Cell { payload: Payload(bytes), connections, in_flight });
        let all: Vec<_> = match workload {
            Workload::Echo | Workload::Tls => echo.into(),
            Workload::FanOut => fan_out::cells().collect(),
            Workload::Compressed(_) => compressed::cells().collect(),
        };
        let is_chosen = |cell: &Cell| {
            (self.payload.is_empty() || self.payload.contains(&cell.payload))
                && (self.connections.is_empty() || self.connections.contains(&cell.connections))
                && (self.in_flight.is_empty() || self.in_flight.contains(&cell.in_flight))
        };
        all.into_iter().filter(is_chosen).collect()
    }
}

fn check_tools() -> Result<()> {
    let is_missing = |tool: &&str| !succeeds(Command::new(tool).arg("--version"));
    let missing: Vec<_> = ["valgrind", "strace"].into_iter().filter(is_missing).collect();
    ensure!(missing.is_empty(), "not installed: {}; try `apt-get install {0}`", missing.join(" "));
    Ok(())
}

/// A line of the table: each figure with its goal.
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
