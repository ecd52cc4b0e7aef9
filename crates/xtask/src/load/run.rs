//! One server's turn under load, on a core of its own.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::echo::{Cell, Generator, Program, Server, Until};

/// The least time for a server to grow its buffers and for the processor to find its speed.
pub(super) const MIN_WARM_UP: Duration = Duration::from_millis(100);

/// The core that the servers run on. This thread, which sends and receives, is on another.
#[derive(Debug)]
pub(super) struct Cores {
    server: usize,
}

impl Cores {
    /// Moves this thread to a core, and reserves another for the servers.
    pub(super) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot tell which cores there are")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (Some(server), Some(ours)) = (cores.next(), cores.next()) else {
            bail!("the server and the clients need a core each, and there is one for both");
        };
        let mut set = CpuSet::new();
        set.set(ours);
        sched_setaffinity(None, &set).with_context(|| format!("cannot move to core {ours}"))?;
        Ok(Self { server })
    }

    /// The command that runs a server on its core.
    fn prefix(&self) -> [OsString; 3] {
        ["taskset".into(), "-c".into(), self.server.to_string().into()]
    }
}

/// What is measured: two rates, in messages per second of time and of the server's processor time, and the latencies of the
/// median, of 99 % and of 99.9 %, in nanoseconds.
pub(super) type Figures = [f64; 5];

/// A server's turn: starts it, loads it, and ends it.
pub(super) fn turn(program: &Program, cores: &Cores, cell: Cell, duration: Duration) -> Result<Figures> {
    let mut server = Server::start(program, &cores.prefix())?;
    let measured = measure(&server, cell, duration);
    let (generator, figures) =
        measured.map_err(|error| server.explain(error)).with_context(|| format!("{program}: {cell}"))?;
    // Before the connections close, which not every server takes calmly.
    server.end()?;
    drop(generator);
    Ok(figures)
}

fn measure(server: &Server, cell: Cell, duration: Duration) -> Result<(Generator, Figures)> {
    let mut generator = Generator::connect(server.address(), cell)?;
    generator.run(Until::Elapsed(MIN_WARM_UP.max(duration / 10)))?;
    let before = server.cpu_time()?;
    let tally = generator.run(Until::Elapsed(duration))?;
    let cpu = server.cpu_time()? - before;
    // The kernel counts in hundredths of a second.
    let cpu = cpu.max(Duration::from_millis(10));

    let messages = tally.messages as f64;
    let latency = |quantile| tally.latencies.value_at_quantile(quantile) as f64;
    let rates = [messages / tally.elapsed.as_secs_f64(), messages / cpu.as_secs_f64()];
    Ok((generator, [rates[0], rates[1], latency(0.5), latency(0.99), latency(0.999)]))
}
