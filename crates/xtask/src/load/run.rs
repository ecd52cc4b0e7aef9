//! A run of one server under load, on its own core.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::clients::Clients;
use crate::echo::{Cell, Program, Server, StopAfter, Workload};

/// The minimum time for a server to allocate its buffers, and for the processor to reach its clock rate.
pub(super) const MIN_WARM_UP: Duration = Duration::from_millis(100);

/// The core of the servers. This thread, with the clients, runs on another.
#[derive(Debug)]
pub(super) struct Cores {
    server: usize,
}

impl Cores {
    /// Moves this thread to a core, and reserves another for the servers.
    pub(super) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot find the cores of this machine")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(server), Some(ours)) = (cores.next(), cores.next()) else {
            bail!("the server and the clients need a core each, but only one is available");
        };
        let mut set = CpuSet::new();
        set.set(ours);
        sched_setaffinity(None, &set).with_context(|| format!("cannot move this thread to core {ours}"))?;
        Ok(Self { server })
    }

    /// Returns the command that runs a server on its core.
    pub(super) fn prefix(&self) -> [OsString; 3] {
        ["taskset".into(), "-c".into(), self.server.to_string().into()]
    }
}

/// The figures of a run: messages per second, messages per second of the server's processor time, the latencies at the
/// median, 99 % and 99.9 %, in nanoseconds, and the bytes of a message on the wire, or 0 if they are not counted.
pub(super) type Figures = [f64; 6];

/// Starts a server, measures it under load, and ends it.
pub(super) fn measure(program: &Program, cores: &Cores, cell: Cell, duration: Duration) -> Result<Figures> {
    let mut server = Server::start(program, &cores.prefix())?;
    let measured = load(program.workload(), &server, cell, duration);
    let (clients, figures) =
        measured.map_err(|error| server.explain(error)).with_context(|| format!("{program}: {cell}"))?;
    // Before the connections close: some servers fail when they do.
    server.end()?;
    drop(clients);
    Ok(figures)
}

fn load(workload: Workload, server: &Server, cell: Cell, duration: Duration) -> Result<(Clients, Figures)> {
    let mut clients = Clients::connect(workload, server, cell)?;
    clients.run(StopAfter::Elapsed(MIN_WARM_UP.max(duration / 10)))?;
    let before = server.cpu_time()?;
    let tally = clients.run(StopAfter::Elapsed(duration))?;
    let cpu = server.cpu_time()? - before;

    let messages = tally.messages as f64;
    let latency = |quantile| tally.latencies.value_at_quantile(quantile) as f64;
    let rates = [messages / tally.elapsed.as_secs_f64(), messages / cpu.as_secs_f64()];
    let bytes = tally.wire_bytes as f64 / messages;
    Ok((clients, [rates[0], rates[1], latency(0.5), latency(0.99), latency(0.999), bytes]))
}
