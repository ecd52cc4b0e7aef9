//! `cargo xtask idle`: measures the memory of an echo server per idle connection.

use anyhow::{Result, ensure};

use crate::echo::{Cell, Generator, Payload, Program, Server, StopAfter, allow_connections, count};

/// The number of connections that are open before measuring: enough that the server has allocated its buffers and run
/// its code.
const WARM_UP: usize = 16;
/// The payload that every connection echoes once.
const PAYLOAD: Payload = Payload(20);

/// Measure the resident memory of an idle connection
///
/// Starts an echo server (an example of sansocket-mio, in release mode) and opens 16 connections, then N more. Each
/// connection echoes one message of 20 bytes and stays open. The figure is the growth of the server's resident memory
/// after the first 16 connections, divided by N: the Rss in /proc/PID/smaps_rollup, which includes heap, stacks and
/// newly used code. It does not include memory of the kernel, such as socket buffers.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The number of connections, N; each takes an open file of this process and one of the server
    #[arg(long, value_name = "N", default_value = "5000", value_parser = count)]
    connections: usize,

    /// Fail if a connection takes more than this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    limit: u64,

    /// The echo server: its name in this workspace, or the path of a program whose argument is the address to listen on
    #[arg(long, value_name = "NAME|PATH", default_value = "sansocket")]
    server: String,
}

/// Measures, and prints the result in one line.
///
/// # Errors
///
/// If measuring fails, or the result exceeds the limit.
pub(crate) fn run(args: &Args) -> Result<()> {
    allow_connections(args.connections + WARM_UP)?;
    let program = Program::find(&args.server)?;
    let mut server = Server::start(&program, &[])?;
    let growth = measure(&server, args.connections).map_err(|error| server.explain(error))?;
    server.end()?;

    let each = growth as f64 / args.connections as f64;
    println!("{program}: {} idle connections, {each:.0} bytes each ({} KiB)", args.connections, growth / 1024);
    let limit = args.limit;
    ensure!(each <= limit as f64, "an idle connection takes {each:.0} bytes; the limit (--limit) is {limit}");
    Ok(())
}

/// Returns by how many bytes the server grows with this many connections.
fn measure(server: &Server, connections: usize) -> Result<u64> {
    let open = |connections| {
        let cell = Cell { payload: PAYLOAD, connections, in_flight: 1 };
        let mut generator = Generator::connect(server.address(), cell)?;
        generator.run(StopAfter::Messages(1))?;
        anyhow::Ok(generator)
    };
    let warm_up = open(WARM_UP)?;
    let before = server.resident()?;
    let idle = open(connections)?;
    let after = server.resident()?;
    drop((warm_up, idle));
    Ok(after.saturating_sub(before))
}
