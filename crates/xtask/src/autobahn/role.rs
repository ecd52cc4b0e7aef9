//! The two roles of an endpoint under test, and one run of the suite with one adapter in one role.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Adapter;
use super::relay::Relay;
use super::suite::{Mode, Suite, Wstest};

/// How long a run may take: many times what it does, so that only one that hangs is ended.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// How long `wstest` may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What the endpoint under test is; `wstest` is the other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// We accept connections.
    Server,
    /// We connect.
    Client,
}

impl Role {
    /// The role's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// One adapter in one role.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) adapter: Adapter,
    pub(crate) role: Role,
    /// Where a server listens, or what keeps the port for `wstest`, which cannot choose one and
    /// tell. Runs that are prepared before the first one starts have different ports.
    listener: TcpListener,
    /// Where the client connects to: the server, or a relay before it.
    entrance: SocketAddr,
}

impl Run {
    pub(crate) fn prepare(adapter: Adapter, role: Role) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let entrance = listener.local_addr()?;
        Ok(Self { adapter, role, listener, entrance })
    }

    /// A run whose cases all go through a relay.
    pub(crate) fn prepare_relayed(adapter: Adapter, role: Role) -> Result<(Self, Relay)> {
        let run = Self::prepare(adapter, role)?;
        let relay = Relay::start(role, run.entrance)?;
        Ok((Self { entrance: relay.address, ..run }, relay))
    }

    /// The name of the folder of its reports.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.adapter.name(), self.role.name())
    }

    /// Runs `cases`, patterns as the suite understands them, and leaves a report.
    pub(crate) fn execute(self, suite: &Suite, cases: &Value) -> Result<()> {
        match self.role {
            Role::Server => self.execute_server(suite, cases),
            Role::Client => self.execute_client(suite, cases),
        }
    }

    fn execute_server(self, suite: &Suite, cases: &Value) -> Result<()> {
        let (name, agent) = (self.name(), self.adapter.agent());
        self.adapter.start_echo_server(self.listener)?;

        let server = json!({ "agent": agent, "url": format!("ws://{}", self.entrance) });
        let spec = json!({ "servers": [server], "cases": cases });
        let mut wstest = suite.start(&name, Mode::FuzzingClient, spec)?;
        let deadline = Instant::now() + RUN_LIMIT;
        loop {
            if let Some(status) = wstest.ended()? {
                ensure!(status.success(), "wstest failed with {status}; {}", wstest.last_words());
                return Ok(());
            }
            pause(deadline, &wstest)?;
        }
    }

    fn execute_client(self, suite: &Suite, cases: &Value) -> Result<()> {
        let (name, adapter, entrance) = (self.name(), self.adapter, self.entrance);
        let address = self.listener.local_addr()?;
        drop(self.listener);
        let spec = json!({ "url": format!("ws://{address}"), "cases": cases });
        let mut wstest = suite.start(&name, Mode::FuzzingServer, spec)?;

        // In a thread of its own, so that a client that hangs is noticed.
        let client = thread::spawn(move || run_all_cases(adapter, address, entrance));
        let deadline = Instant::now() + RUN_LIMIT;
        while !client.is_finished() {
            still_running(&mut wstest)?;
            pause(deadline, &wstest)?;
        }
        let outcome = client.join().map_err(|_| anyhow!("the client panicked"))?;
        if outcome.is_err() {
            // Which explains it better.
            still_running(&mut wstest)?;
        }
        outcome.with_context(|| wstest.last_words())
    }
}

/// Everything that a client does with the fuzzing server.
fn run_all_cases(adapter: Adapter, server: SocketAddr, entrance: SocketAddr) -> Result<()> {
    let agent = adapter.agent();
    for case in 1..=number_of_cases(adapter, server)? {
        // Many cases are there to make a client fail. The suite knows which.
        let _ = adapter.echo_client(&format!("ws://{server}/runCase?case={case}&agent={agent}"), entrance);
    }
    adapter.ask(&format!("ws://{server}/updateReports?agent={agent}")).context("cannot ask for the reports")?;
    Ok(())
}

/// Asks until `wstest` answers, which takes a while to listen.
///
/// That the port takes a connection says little: a process that another run is just starting has, for a moment, a copy of
/// the listener that kept the port.
fn number_of_cases(adapter: Adapter, server: SocketAddr) -> Result<u32> {
    let url = format!("ws://{server}/getCaseCount");
    let deadline = Instant::now() + START_LIMIT;
    let count = loop {
        match adapter.ask(&url) {
            Ok(count) => break count.context("no answer to the number of cases")?,
            Err(_) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
            Err(error) => return Err(error.context("cannot ask for the number of cases")),
        }
    };
    count.parse().with_context(|| format!("{count:?} cases"))
}

fn still_running(wstest: &mut Wstest) -> Result<()> {
    match wstest.ended()? {
        Some(status) => bail!("wstest ended early with {status}; {}", wstest.last_words()),
        None => Ok(()),
    }
}

fn pause(deadline: Instant, wstest: &Wstest) -> Result<()> {
    ensure!(Instant::now() < deadline, "wstest takes too long; {}", wstest.last_words());
    thread::sleep(POLL_INTERVAL);
    Ok(())
}
