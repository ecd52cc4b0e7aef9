//! `cargo xtask load --threads`: how the throughput of a server grows with its number of event loops.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::run::MIN_WARM_UP;
use super::table::grouped;
use crate::echo::{Cell, Generator, Payload, Program, Server, StopAfter, Tally, allow_connections};

/// The load: small messages, of which the server has one or many at a time.
const CELLS: [Cell; 2] = [
    Cell { payload: Payload(20), connections: 256, in_flight: 1 },
    Cell { payload: Payload(20), connections: 256, in_flight: 16 },
];

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Figures {
    /// Messages per second.
    pub(super) rate: f64,
    /// The processor time that each loop took, in seconds.
    loops: Vec<f64>,
    /// Messages per second of the loops' processor time.
    pub(super) per_cpu: f64,
    elapsed: f64,
}

/// Measures servers with these numbers of event loops, and prints a table for each cell.
///
/// # Errors
///
/// If a server or a connection fails.
pub(super) fn run(counts: &[usize], duration: Duration) -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    allow_connections(CELLS[0].connections)?;
    println!("{cores} cores, shared by the server's event loops and as many threads of clients");
    let needed = 2 * counts.iter().max().copied().unwrap_or_default();
    if cores < needed {
        println!("note: with fewer than {needed} cores, messages/s cannot grow with the number of loops");
        println!("      messages per CPU second show whether the loops slow each other down");
    }
    for cell in CELLS {
        println!("\n{cell}");
        println!("  loops  messages/s  per CPU second  cores used  busiest loop");
        for &count in counts {
            let Figures { rate, loops, per_cpu, elapsed } = measure(count, cell, duration)?;
            let total: f64 = loops.iter().sum();
            let busiest = loops.iter().copied().fold(0.0, f64::max) * count as f64 / total;
            let (rate, per_cpu) = (grouped(rate), grouped(per_cpu));
            println!("  {count:>5} {rate:>11} {per_cpu:>15} {:>11.2} {busiest:>10.2} x mean", total / elapsed);
        }
    }
    Ok(())
}

/// Measures `sansocket serve` with this number of event loops, and clients in as many threads.
pub(super) fn measure(count: usize, cell: Cell, duration: Duration) -> Result<Figures> {
    let mut server = Server::start(&Program::serve(count)?, &[])?;
    let measured = load(&server, count, cell, duration);
    let (generators, figures) = measured.map_err(|error| server.explain(error))?;
    server.end()?;
    drop(generators);
    Ok(figures)
}

fn load(server: &Server, count: usize, cell: Cell, duration: Duration) -> Result<(Vec<Generator>, Figures)> {
    let share = Cell { connections: (cell.connections / count).max(1), ..cell };
    let connect = |_| Generator::connect(server.address(), share);
    let mut generators = (0..count).map(connect).collect::<Result<Vec<_>>>()?;
    run_all(&mut generators, MIN_WARM_UP.max(duration / 10))?;
    let before = server.loop_times()?;
    let tallies = run_all(&mut generators, duration)?;
    let after = server.loop_times()?;

    let loops: Vec<_> = after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64()).collect();
    let messages: u64 = tallies.iter().map(|tally| tally.messages).sum();
    let elapsed = tallies.iter().map(|tally| tally.elapsed.as_secs_f64()).fold(0.0, f64::max);
    let per_cpu = messages as f64 / loops.iter().sum::<f64>();
    Ok((generators, Figures { rate: messages as f64 / elapsed, loops, per_cpu, elapsed }))
}

/// Runs each generator in a thread of its own.
fn run_all(generators: &mut [Generator], duration: Duration) -> Result<Vec<Tally>> {
    thread::scope(|scope| {
        let run = |generator: &'_ mut Generator| generator.run(StopAfter::Elapsed(duration));
        let threads: Vec<_> = generators.iter_mut().map(|generator| scope.spawn(move || run(generator))).collect();
        threads.into_iter().map(|thread| thread.join().ok().context("a client panicked")?).collect()
    })
}
