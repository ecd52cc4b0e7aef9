//! `cargo xtask load`: how much echo servers do and how long it takes them, ours and those of other libraries.
//!
//! Times are noisy: a difference below a factor of 1.5 says little, unless every pass shows it. `cargo xtask cost` counts.

mod run;
mod table;

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::echo::{Cell, Payload, Program, allow_connections, count};
use run::Cores;
use table::{Summary, Table};

/// Load echo servers, ours and those of other libraries, and compare.
///
/// The server has one core to itself and the clients, in this process, another. Every client sends, waits until the echo
/// is there, checks it, and sends again. For each size and number of connections all servers take turns, several times
/// over, each time started anew; printed are the medians of messages per second, of messages per second of the server's
/// processor time, and of the latencies from sending a message until its echo is there.
///
/// The last line says in how many cells ours is behind another, and by how much. That is no failure: these are times. On a
/// machine that is busy with other things messages per second say little, and those of processor time somewhat more.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only messages of these sizes, such as 20B,1KiB [all: 20B, 1KiB, 16KiB, 1MiB]
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    payload: Vec<Payload>,

    /// Only these numbers of connections [all: 1, 32, 200, 1000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    connections: Vec<usize>,

    /// Only these numbers of messages in flight per connection [all: 1, 16]
    ///
    /// With 16, a connection sends 16 messages in one write, and waits for all to come back before it sends the next 16.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    in_flight: Vec<usize>,

    /// Only these servers, by their names in this workspace or their paths [all: those of this workspace]
    #[arg(long, value_name = "NAME|PATH", value_delimiter = ',')]
    servers: Vec<String>,

    /// How often each server has its turn
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    passes: usize,

    /// How long a turn takes, after a tenth of a second or more to warm up
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
}

const PAYLOADS: [usize; 4] = [20, 1 << 10, 16 << 10, 1 << 20];
/// Connections, and messages in flight for each.
const SHAPES: [(usize, usize); 5] = [(1, 1), (32, 1), (200, 1), (1000, 1), (32, 16)];
/// Payload under way at once, in bytes. A server may hold it several times over.
const MOST_IN_FLIGHT: usize = 256 << 20;
/// What a turn takes beside its seconds: to start, to connect, to end.
const OVERHEAD: Duration = Duration::from_millis(100);

/// Runs everything, and prints a table for each cell, and a summary.
///
/// # Errors
///
/// If a server or a connection fails. That ours is slower is no error.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (cells, left_out): (Vec<_>, _) =
        args.cells().into_iter().partition(|cell| cell.bytes_in_flight() <= MOST_IN_FLIGHT);
    for cell in left_out {
        println!("left out: {cell}: {} MiB would be under way at once", cell.bytes_in_flight() >> 20);
    }
    ensure!(!cells.is_empty(), "nothing is left to run");
    let most = cells.iter().map(|cell| cell.connections).max();
    allow_connections(most.unwrap_or_default())?;
    let cores = Cores::take()?;
    let programs = args.programs()?;

    let runs = cells.len() * args.passes * programs.len();
    let turn = args.seconds + args.seconds.max(run::MIN_WARM_UP * 10) / 10 + OVERHEAD;
    println!("{runs} turns, about {}", minutes(turn * runs as u32));
    if let Some(load) = busy() {
        println!("note: this machine is busy (a load of {load:.1}), which the times will show");
    }
    let bar = ProgressBar::new(runs as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left: {wide_msg}")?);
    let mut summary = Summary::default();
    for cell in cells {
        let mut table = Table::new(cell, &programs);
        for _ in 0..args.passes {
            for (index, program) in programs.iter().enumerate() {
                bar.set_message(format!("{program}: {cell}"));
                table.add(index, run::turn(program, &cores, cell, args.seconds)?);
                bar.inc(1);
            }
        }
        bar.suspend(|| println!("\n{table}"));
        summary.add(&table);
    }
    bar.finish_and_clear();
    if programs[0].is_ours() && programs.len() > 1 {
        println!("{summary}");
    }
    Ok(())
}

impl Args {
    fn cells(&self) -> Vec<Cell> {
        let is_chosen = |cell: &Cell| {
            (self.payload.is_empty() || self.payload.contains(&cell.payload))
                && (self.connections.is_empty() || self.connections.contains(&cell.connections))
                && (self.in_flight.is_empty() || self.in_flight.contains(&cell.in_flight))
        };
        let cells = PAYLOADS.into_iter().flat_map(|bytes| {
            let payload = Payload(bytes);
            SHAPES.map(|(connections, in_flight)| Cell { payload, connections, in_flight })
        });
        cells.filter(is_chosen).collect()
    }

    /// The servers, built; ours first, if it is one of them.
    fn programs(&self) -> Result<Vec<Program>> {
        let mut programs = match &self.servers[..] {
            [] => Program::names().map(Program::find).collect::<Result<Vec<_>>>()?,
            names => names.iter().map(|name| Program::find(name)).collect::<Result<_>>()?,
        };
        programs.sort_by_key(|program| !program.is_ours());
        Ok(programs)
    }
}

/// How many programs have been running lately, if it was more than one.
fn busy() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split_whitespace().next()?.parse().ok().filter(|&load| load > 1.0)
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    ensure!((0.1..=600.0).contains(&seconds), "between 0.1 and 600");
    Ok(Duration::from_secs_f64(seconds))
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
