//! `cargo xtask idle`: what an idle connection costs an echo server in memory.

use anyhow::{Result, ensure};

use crate::echo::{Cell, Generator, Payload, Program, Server, Until, allow_connections, count};

/// How many connections are open when measuring begins: enough that the server has its buffers and has run its code.
const WARM_UP: usize = 16;
/// What every connection carries once, there and back.
const PAYLOAD: Payload = Payload(20);

/// Measure the resident memory of an idle connection.
///
/// The echo server (an example of sansocket-mio, in release mode) is started, and 16 connections are opened. They, and
/// all that follow, exchange one message of 20 bytes and stay open. Then N more are opened. The figure is what the
/// resident memory of the server's process has grown by since the first 16, divided by N: the Rss of
/// /proc/PID/smaps_rollup, all pages of its own, heap, stacks and code that it had not needed before. Memory of the
/// kernel's, such as the buffers of the sockets, is not in it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many connections, N; each takes a file of this process and one of the server's
    #[arg(long, value_name = "N", default_value = "5000", value_parser = count)]
    connections: usize,

    /// Fail if a connection takes more than this
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    limit: u64,

    /// Another echo server: its name in this workspace, or a path to a program that takes the address to listen at
    #[arg(long, value_name = "NAME|PATH", default_value = "sansocket")]
    server: String,
}

/// Measures, and prints one line.
///
/// # Errors
///
/// If it cannot be measured, or is above the limit.
pub(crate) fn run(args: &Args) -> Result<()> {
    allow_connections(args.connections + WARM_UP)?;
    let program = Program::find(&args.server)?;
    let mut server = Server::start(&program, &[])?;
    let growth = measure(&server, args.connections).map_err(|error| server.explain(error))?;
    server.end()?;

    let each = growth as f64 / args.connections as f64;
    println!("{program}: {} idle connections, {each:.0} bytes each ({} KiB)", args.connections, growth / 1024);
    ensure!(each <= args.limit as f64, "an idle connection takes {each:.0} bytes, more than {}", args.limit);
    Ok(())
}

/// By how many bytes the server grows with this many connections.
fn measure(server: &Server, connections: usize) -> Result<u64> {
    let open = |connections| {
        let cell = Cell { payload: PAYLOAD, connections, in_flight: 1 };
        let mut generator = Generator::connect(server.address(), cell)?;
        generator.run(Until::Messages(1))?;
        anyhow::Ok(generator)
    };
    let warm_up = open(WARM_UP)?;
    let before = server.resident()?;
    let idle = open(connections)?;
    let after = server.resident()?;
    drop((warm_up, idle));
    Ok(after.saturating_sub(before))
}
