//! `cargo xtask load`: compares throughput and latency of servers, ours and those of other libraries.
//!
//! Times are noisy: a difference below a factor of 1.5 is significant only if every pass shows it. `cargo xtask cost`
//! counts instead.
//!
//! `--threads` compares numbers of event loops of one server, and `--model` computes what they would do with a core
//! each.

mod costs;
mod handshakes;
mod model;
mod run;
mod table;
mod threads;

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::compressed;
use crate::echo::{Cell, Payload, Program, Workload, allow_connections, count};
use crate::fan_out;
use run::Cores;
use table::{Summary, Table};

/// Compare throughput and latency of echo or fan-out servers, ours and those of other libraries
///
/// The server has one core, and the clients in this process another. Each client sends, waits for the echo, checks it,
/// and sends again. For each size and number of connections, all servers run in turn, in several passes, each time
/// newly started. The table shows the medians of messages per second, of messages per second of the server's processor
/// time, and of the latencies.
///
/// With --fan-out, the server sends every message to all connections, its members. The first member publishes a burst
/// of messages in one write, and the next burst when all members have received this one. Each message that one member
/// receives counts, and is checked. The latency is the time from publishing a burst to the last arrival at any member.
/// `benches/peers/` has servers of libraries in other languages for --servers.
///
/// With --compress, the servers and the clients compress JSON messages (permessage-deflate), all with the same level and
/// window, with and without takeover. Each client sends distinct trades, which were compressed before. All echoes of the
/// first connection are inflated and compared, and the first echo of the others. The table also shows the bytes on the
/// wire of an echo, with the head of its frame: they tell how well a server compresses.
///
/// The last lines show in how many cells ours is slower than another. That is not a failure, because times are noisy.
/// On a busy machine, messages per second are not reliable; those per second of processor time are more so.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Measure servers that send every message to all connections, instead of echo servers
    #[arg(long)]
    fan_out: bool,

    /// Measure echo servers over TLS 1.3, with the same crypto provider
    #[arg(long, conflicts_with_all = ["fan_out", "compress"])]
    tls: bool,

    /// Instead, measure opening handshakes over TLS 1.3, full ones and those that resume a session
    #[arg(long, conflicts_with_all = ["payload", "connections", "in_flight", "compress", "fan_out", "tls"])]
    handshakes: bool,

    #[command(flatten)]
    compression: compressed::Options,

    /// Only messages of these sizes, such as 20B,1KiB [all: 20B, 1KiB, 16KiB, 1MiB; --fan-out: 128B, 2KiB; --compress:
    /// 200B, 1KiB, 16KiB]
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    payload: Vec<Payload>,

    /// Only these numbers of connections [all: 1, 32, 200, 1000; --fan-out: 100, 1000, 5000;
    /// --compress: 1, 32]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    connections: Vec<usize>,

    /// Only these numbers of messages in flight per connection, or per burst with --fan-out [all: 1, 16]
    ///
    /// With 16, a connection sends 16 messages in one write, and waits until all have returned (with --fan-out: to all
    /// connections) before it sends the next 16.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    in_flight: Vec<usize>,

    /// Only these servers: names in this workspace, or paths [all: those of this workspace]
    #[arg(long, value_name = "NAME|PATH", value_delimiter = ',')]
    servers: Vec<String>,

    /// Instead, compare `sansocket serve` with these numbers of event loops, such as 1,2,4
    ///
    /// The server's loops, and as many threads of clients, share all cores.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = loops, conflicts_with_all = CELL_ARGS)]
    threads: Vec<usize>,

    /// Instead, measure the costs of an event loop here, and compute the throughput of up to this many loops with a
    /// core each
    #[arg(long, value_name = "LOOPS", value_parser = loops, conflicts_with_all = CELL_ARGS)]
    model: Option<usize>,

    /// The number of passes
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    passes: usize,

    /// The duration of a run, after at least a tenth of a second to warm up
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
}

/// The arguments that choose cells and servers.
const CELL_ARGS: [&str; 6] = ["payload", "connections", "in_flight", "servers", "passes", "compress"];
const PAYLOADS: [usize; 4] = [20, 1 << 10, 16 << 10, 1 << 20];
/// Numbers of connections, and of messages in flight per connection.
const SHAPES: [(usize, usize); 5] = [(1, 1), (32, 1), (200, 1), (1000, 1), (32, 16)];
/// The same over TLS.
const TLS_SHAPES: [(usize, usize); 4] = [(1, 1), (32, 1), (1, 16), (32, 16)];
/// The maximum payload in flight, in bytes. A server may buffer it several times.
const BYTES_IN_FLIGHT_MAX: usize = 256 << 20;
/// The time of a run for starting, connecting and ending.
const OVERHEAD: Duration = Duration::from_millis(100);

/// Runs all cells, and prints a table for each, and a summary.
///
/// # Errors
///
/// If a server or a connection fails. It is no error if ours is slower.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.threads.is_empty() {
        threads::run(&args.threads, args.seconds)?;
    }
    if let Some(loops) = args.model {
        model::run(loops, args.seconds)?;
    }
    if args.model.is_some() || !args.threads.is_empty() {
        return Ok(());
    }
    let cores = Cores::take()?;
    if args.handshakes {
        return handshakes::run(&args.programs(Workload::Tls)?, &cores, args.passes, args.seconds);
    }
    for workload in args.workloads() {
        measure(args, workload, &cores)?;
    }
    Ok(())
}

/// Runs all cells of a workload, and prints a table for each, and a summary.
fn measure(args: &Args, workload: Workload, cores: &Cores) -> Result<()> {
    let (cells, omitted): (Vec<_>, _) =
        args.cells(workload).into_iter().partition(|cell| cell.bytes_in_flight() <= BYTES_IN_FLIGHT_MAX);
    for cell in omitted {
        let (bytes, max) = (cell.bytes_in_flight() >> 20, BYTES_IN_FLIGHT_MAX >> 20);
        println!("omitted: {cell}: {bytes} MiB in flight exceed the limit of {max} MiB");
    }
    ensure!(!cells.is_empty(), "no cell has these sizes and numbers");
    let connections = cells.iter().map(|cell| cell.connections).max();
    allow_connections(connections.unwrap_or_default())?;
    let programs = args.programs(workload)?;

    let runs = cells.len() * args.passes * programs.len();
    let duration = args.seconds + args.seconds.max(run::MIN_WARM_UP * 10) / 10 + OVERHEAD;
    println!("{workload}: {runs} runs, about {}", minutes(duration * runs as u32));
    if let Some(load) = load_average() {
        println!("note: this machine is busy (load average {load:.1}), which affects the times");
    }
    let bar = ProgressBar::new(runs as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} remaining: {wide_msg}")?);
    let mut summary = Summary::default();
    for cell in cells {
        let mut table = Table::new(cell, &programs);
        for _ in 0..args.passes {
            for (index, program) in programs.iter().enumerate() {
                bar.set_message(format!("{program}: {cell}"));
                table.add(index, run::measure(program, cores, cell, args.seconds)?);
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
    fn workloads(&self) -> Vec<Workload> {
        let plain = if self.tls { Workload::Tls } else { Workload::new(self.fan_out) };
        self.compression.workloads().unwrap_or_else(|| vec![plain])
    }

    fn cells(&self, workload: Workload) -> Vec<Cell> {
        let is_chosen = |cell: &Cell| {
            (self.payload.is_empty() || self.payload.contains(&cell.payload))
                && (self.connections.is_empty() || self.connections.contains(&cell.connections))
                && (self.in_flight.is_empty() || self.in_flight.contains(&cell.in_flight))
        };
        let echo = PAYLOADS.into_iter().flat_map(|bytes| {
            let payload = Payload(bytes);
            SHAPES.map(|(connections, in_flight)| Cell { payload, connections, in_flight })
        });
        match workload {
            Workload::Echo => echo.filter(is_chosen).collect(),
            Workload::Tls => tls_cells().filter(is_chosen).collect(),
            Workload::FanOut => fan_out::cells().filter(is_chosen).collect(),
            Workload::Compressed(_) => compressed::cells().filter(is_chosen).collect(),
        }
    }

    /// Builds the servers. Ours comes first, if it is one of them.
    fn programs(&self, workload: Workload) -> Result<Vec<Program>> {
        let mut programs = match &self.servers[..] {
            [] => workload.servers().map(|name| Program::find(workload, name)).collect::<Result<Vec<_>>>()?,
            names => names.iter().map(|name| Program::find(workload, name)).collect::<Result<_>>()?,
        };
        programs.sort_by_key(|program| !program.is_ours());
        Ok(programs)
    }
}

/// Returns the cells over TLS: messages of 20 B and 16 KiB.
fn tls_cells() -> impl Iterator<Item = Cell> {
    [20, 16 << 10].into_iter().flat_map(|bytes| {
        let payload = Payload(bytes);
        TLS_SHAPES.map(|(connections, in_flight)| Cell { payload, connections, in_flight })
    })
}

/// Returns the load average of the last minute, if it exceeds 1.
fn load_average() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split_whitespace().next()?.parse().ok().filter(|&load| load > 1.0)
}

/// Parses a number of event loops, which `sansocket serve --threads` accepts.
fn loops(text: &str) -> Result<usize> {
    let loops = count(text)?;
    ensure!(loops <= 1024, "{loops} is more than 1024");
    Ok(loops)
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    ensure!((0.1..=600.0).contains(&seconds), "{seconds} is not between 0.1 and 600");
    Ok(Duration::from_secs_f64(seconds))
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
