//! `cargo xtask idle`: measures the memory of an echo server per idle connection.

use anyhow::{Result, ensure};

use crate::clients::Clients;
use crate::echo::{
    Cell, Compression, Payload, Program, Server, StopAfter, Takeover, Workload, allow_connections, count,
};

/// The number of connections that are open before measuring: enough that the server has allocated its buffers and run
/// its code.
const WARM_UP: usize = 16;
/// The payload that every connection echoes once, and the one with --compress.
const PAYLOAD: Payload = Payload(20);
const COMPRESSED_PAYLOAD: Payload = Payload(1 << 10);

/// The settings with --compress, in the order in which they are measured.
const COMPRESSIONS: [Compression; 3] = [
    Compression { level: 1, window_bits: 12, takeover: Takeover::Plain },
    Compression { level: 1, window_bits: 12, takeover: Takeover::Off },
    Compression { level: 1, window_bits: 12, takeover: Takeover::On },
];
/// How many bytes a connection without takeover may take more than one that does not compress.
const NO_TAKEOVER_MAX: f64 = 16.0;
/// The payloads that every connection echoes over TLS: a short one, and one of several records.
const TLS_PAYLOADS: [Payload; 2] = [PAYLOAD, Payload(64 << 10)];
/// The last messages over TLS, and the connections that echo one each at the same time.
const BURST: Payload = Payload(16 << 20);
const BURST_CONNECTIONS: usize = 4;
/// How many bytes the server may keep after it: the allocator returns what is free only in part.
const BURST_KEPT_MAX: u64 = 4 << 20;
/// How many bytes a connection over TLS may take.
const TLS_MAX: f64 = 4096.0;
/// How many bytes a connection with takeover may take.
const TAKEOVER_MAX: f64 = 5.0 * 1024.0;

/// Measure the resident memory of an idle connection
///
/// Starts an echo server (an example of sansocket-mio, in release mode) and opens 16 connections, then N more. Each
/// connection echoes a message of 20 bytes and stays open. The figure is the growth of the server's resident memory
/// after the first 16 connections, divided by N: the Rss in /proc/PID/smaps_rollup, which includes heap, stacks and
/// newly used code. It does not include memory of the kernel, such as socket buffers.
///
/// With --compress, a server with permessage-deflate is measured three times: with clients that do not compress, with
/// clients that compress without takeover, and with takeover and a window of 12 bits in both directions. Each connection
/// echoes a message of 1 KiB, an array of JSON trades. A connection without takeover may take 16 bytes more than one
/// that does not compress, and one with takeover 5 KiB.
///
/// With --tls, a server over TLS 1.3 is measured twice: after each connection has echoed 20 bytes, and after 64 KiB. A
/// connection may take 4,096 bytes. Then four other connections echo 16 MiB each at the same time, of which the server
/// may keep 4 MiB.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The number of connections, N; each takes an open file of this process and one of the server
    #[arg(long, value_name = "N", default_value = "5000", value_parser = count)]
    connections: usize,

    /// The number of messages that a connection echoes before it is idle, one after the other
    #[arg(long, value_name = "N", default_value = "1", value_parser = count)]
    messages: usize,

    /// Measure connections that compress
    #[arg(long)]
    compress: bool,

    /// Measure connections over TLS 1.3, also after bursts
    #[arg(long, conflicts_with = "compress")]
    tls: bool,

    /// Fail if a connection takes more than this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256, conflicts_with = "compress")]
    limit: u64,

    /// The echo server: its name in this workspace, or the path of a program whose argument is the address to listen on
    #[arg(long, value_name = "NAME|PATH", default_value = "sansocket")]
    server: String,
}

/// Measures, and prints each result in a line.
///
/// # Errors
///
/// If measuring fails, or a result exceeds the limit.
pub(crate) fn run(args: &Args) -> Result<()> {
    allow_connections(args.connections + WARM_UP)?;
    if args.compress {
        return run_compressed(args);
    }
    if args.tls {
        return run_tls(args);
    }
    let each = measure(args, Workload::Echo, PAYLOAD)?;
    let limit = args.limit;
    ensure!(each <= limit as f64, "an idle connection takes {each:.0} bytes; the limit (--limit) is {limit}");
    Ok(())
}

fn run_compressed(args: &Args) -> Result<()> {
    let [plain, no_takeover, takeover] =
        COMPRESSIONS.map(|compression| measure(args, Workload::Compressed(compression), COMPRESSED_PAYLOAD));
    let (plain, no_takeover, takeover) = (plain?, no_takeover?, takeover?);
    let more = no_takeover - plain;
    ensure!(
        more <= NO_TAKEOVER_MAX,
        "an idle connection without takeover takes {more:.0} bytes more than one that does not compress; the limit is \
         {NO_TAKEOVER_MAX}"
    );
    ensure!(
        takeover <= TAKEOVER_MAX,
        "an idle connection with takeover takes {takeover:.0} bytes; the limit is {TAKEOVER_MAX}"
    );
    Ok(())
}

fn run_tls(args: &Args) -> Result<()> {
    for payload in TLS_PAYLOADS {
        println!("after a message of {payload}:");
        let each = measure(args, Workload::Tls, payload)?;
        ensure!(each <= TLS_MAX, "an idle connection over TLS takes {each:.0} bytes; the limit is {TLS_MAX}");
    }
    Ok(())
}

/// Starts a server, and returns the bytes of a connection.
fn measure(args: &Args, workload: Workload, payload: Payload) -> Result<f64> {
    let program = Program::find(workload, &args.server)?;
    let mut server = Server::start(&program, &[])?;
    let growth = growth(&server, workload, payload, args).map_err(|error| server.explain(error))?;
    server.end()?;
    let (count, each) = (args.connections, growth as f64 / args.connections as f64);
    println!("{program}, {workload}: {count} idle connections, {each:.0} bytes each ({} KiB)", growth / 1024);
    Ok(each)
}

/// Returns by how many bytes the server grows with the connections.
fn growth(server: &Server, workload: Workload, payload: Payload, args: &Args) -> Result<u64> {
    let open = |connections| {
        let mut clients = Clients::connect(workload, server, Cell { payload, connections, in_flight: 1 })?;
        clients.run(StopAfter::Messages((connections * args.messages) as u64))?;
        anyhow::Ok(clients)
    };
    let warm_up = open(WARM_UP)?;
    let before = server.resident()?;
    let idle = open(args.connections)?;
    let after = server.resident()?;
    if workload == Workload::Tls {
        let cell = Cell { payload: BURST, connections: BURST_CONNECTIONS, in_flight: 1 };
        Clients::connect(workload, server, cell)?.run(StopAfter::Messages(BURST_CONNECTIONS as u64))?;
        let kept = server.resident()?.saturating_sub(after);
        println!(
            "after a burst, {BURST_CONNECTIONS} messages of {BURST} on other connections: {} KiB more",
            kept / 1024
        );
        ensure!(kept <= BURST_KEPT_MAX, "the limit is {} KiB", BURST_KEPT_MAX / 1024);
    }
    drop((warm_up, idle));
    Ok(after.saturating_sub(before))
}
