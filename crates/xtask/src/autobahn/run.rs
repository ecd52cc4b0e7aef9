//! A run of the testsuite with one adapter in one role.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::endpoint::{Adapter, Role};
use super::suite::{Mode, Suite, Wstest};
use crate::relay::Relay;

/// The longest time without a line in the log of `wstest`. The suite ends a case after 480 s at most.
const SILENCE_LIMIT: Duration = Duration::from_secs(600);

/// The maximum time until `wstest` listens.
const START_LIMIT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One adapter in one role.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) adapter: Adapter,
    pub(crate) role: Role,
    /// The listener of our server; or the listener that reserves a port for `wstest`, which cannot report a port that
    /// it chooses. Runs that are prepared before the first one starts get different ports.
    listener: TcpListener,
    /// The address to which the client connects: the server, or a relay in front of it.
    target: SocketAddr,
}

impl Run {
    pub(crate) fn prepare(adapter: Adapter, role: Role) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let target = listener.local_addr()?;
        Ok(Self { adapter, role, listener, target })
    }

    /// Prepares a run whose connections all pass through a relay.
    pub(crate) fn prepare_relayed(adapter: Adapter, role: Role) -> Result<(Self, Relay)> {
        let run = Self::prepare(adapter, role)?;
        let relay = Relay::start(run.target)?;
        Ok((Self { target: relay.address, ..run }, relay))
    }

    /// Returns the name of the run, which is also that of its folder of reports.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.adapter.name(), self.role.name())
    }

    /// Runs `cases`, patterns in the syntax of the suite, and writes a report.
    pub(crate) fn execute(self, suite: &Suite, cases: &Value) -> Result<()> {
        match self.role {
            Role::Server => self.execute_server(suite, cases),
            Role::Client => self.execute_client(suite, cases),
        }
    }

    fn execute_server(self, suite: &Suite, cases: &Value) -> Result<()> {
        let (name, agent) = (self.name(), self.adapter.agent());
        self.adapter.start_echo_server(self.listener)?;

        let server = json!({ "agent": agent, "url": format!("{}://{}", self.adapter.scheme(), self.target) });
        let spec = json!({ "servers": [server], "cases": cases });
        let mut wstest = suite.start(&name, Mode::FuzzingClient, spec)?;
        let mut progress = Progress::new();
        loop {
            if let Some(status) = wstest.exit_status()? {
                ensure!(status.success(), "wstest failed with {status}; {}", wstest.last_line());
                return Ok(());
            }
            progress.wait(&wstest)?;
        }
    }

    fn execute_client(self, suite: &Suite, cases: &Value) -> Result<()> {
        let (name, adapter, target) = (self.name(), self.adapter, self.target);
        let address = self.listener.local_addr()?;
        drop(self.listener);
        let spec = json!({ "url": format!("{}://{address}", adapter.scheme()), "cases": cases });
        let mut wstest = suite.start(&name, Mode::FuzzingServer { is_over_tls: adapter.is_over_tls() }, spec)?;

        // In a separate thread, so that a client that hangs is detected.
        let client = thread::spawn(move || run_all_cases(adapter, address, target));
        let mut progress = Progress::new();
        while !client.is_finished() {
            check_running(&mut wstest)?;
            progress.wait(&wstest)?;
        }
        let result = client.join().map_err(|_| anyhow!("the client panicked"))?;
        if result.is_err() {
            // A failure of wstest explains more than that of the client.
            check_running(&mut wstest)?;
        }
        result.with_context(|| wstest.last_line())
    }
}

/// Runs our client against the fuzzing server.
fn run_all_cases(adapter: Adapter, server: SocketAddr, target: SocketAddr) -> Result<()> {
    let (agent, scheme) = (adapter.agent(), adapter.scheme());
    for case in 1..=number_of_cases(adapter, server)? {
        // Many cases make a client fail on purpose. The suite checks the result.
        let _ = adapter.echo_client(&format!("{scheme}://{server}/runCase?case={case}&agent={agent}"), target);
    }
    adapter
        .ask(&format!("{scheme}://{server}/updateReports?agent={agent}"))
        .context("wstest does not update its reports")?;
    Ok(())
}

/// Asks `wstest` for the number of cases until it answers.
///
/// A connection to the port does not prove that `wstest` listens: for a moment, a process that another run starts has a
/// copy of the listener that reserved the port.
fn number_of_cases(adapter: Adapter, server: SocketAddr) -> Result<u32> {
    let url = format!("{}://{server}/getCaseCount", adapter.scheme());
    let deadline = Instant::now() + START_LIMIT;
    let count = loop {
        match adapter.ask(&url) {
            Ok(count) => break count.context("wstest sent no number of cases")?,
            Err(_) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
            Err(error) => return Err(error.context("wstest does not send the number of cases")),
        }
    };
    count.parse().with_context(|| format!("wstest sent {count:?} as the number of cases"))
}

fn check_running(wstest: &mut Wstest) -> Result<()> {
    match wstest.exit_status()? {
        Some(status) => bail!("wstest exited early with {status}; {}", wstest.last_line()),
        None => Ok(()),
    }
}

/// The progress of `wstest`, which writes a line to its log for each case.
struct Progress {
    /// The size of the log in bytes.
    size: u64,
    grown_at: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { size: 0, grown_at: Instant::now() }
    }

    /// Waits for a moment.
    ///
    /// # Errors
    ///
    /// If the log has not grown for [`SILENCE_LIMIT`].
    fn wait(&mut self, wstest: &Wstest) -> Result<()> {
        let size = wstest.log_size()?;
        if size != self.size {
            *self = Self { size, grown_at: Instant::now() };
        }
        let limit = SILENCE_LIMIT.as_secs();
        ensure!(self.grown_at.elapsed() < SILENCE_LIMIT, "wstest logs nothing for {limit} s; {}", wstest.last_line());
        thread::sleep(POLL_INTERVAL);
        Ok(())
    }
}
