//! The two roles of the endpoint under test, and one run of the suite for each.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint;
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
    /// The role's name, which is also the name of its run.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// Runs `cases`, patterns as the suite understands them, and leaves a report.
    pub(crate) fn run(self, suite: &Suite, cases: &Value) -> Result<()> {
        match self {
            Self::Server => run_server(suite, cases),
            Self::Client => run_client(suite, cases),
        }
    }
}

fn run_server(suite: &Suite, cases: &Value) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("ws://{}", listener.local_addr()?);
    thread::spawn(move || endpoint::echo_server(listener));

    let spec = json!({ "servers": [{ "agent": endpoint::AGENT, "url": url }], "cases": cases });
    let mut wstest = suite.start(Role::Server.name(), Mode::FuzzingClient, spec)?;
    let deadline = Instant::now() + RUN_LIMIT;
    loop {
        if let Some(status) = wstest.ended()? {
            ensure!(status.success(), "wstest failed with {status}; {}", wstest.last_words());
            return Ok(());
        }
        pause(deadline, &wstest)?;
    }
}

fn run_client(suite: &Suite, cases: &Value) -> Result<()> {
    let address = free_address()?;
    let spec = json!({ "url": format!("ws://{address}"), "cases": cases });
    let mut wstest = suite.start(Role::Client.name(), Mode::FuzzingServer, spec)?;
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect_timeout(&address, POLL_INTERVAL).is_err() {
        still_running(&mut wstest)?;
        pause(deadline, &wstest)?;
    }

    // In a thread of its own, so that a client that hangs is noticed.
    let client = thread::spawn(move || run_all_cases(address));
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

/// Everything that a client does with the fuzzing server.
fn run_all_cases(server: SocketAddr) -> Result<()> {
    let agent = endpoint::AGENT;
    let count = endpoint::ask(&format!("ws://{server}/getCaseCount"))
        .context("cannot ask for the number of cases")?
        .context("no answer to the number of cases")?;
    let count: u32 = count.parse().with_context(|| format!("{count:?} cases"))?;
    for case in 1..=count {
        // Many cases are there to make a client fail. The suite knows which.
        let _ = endpoint::echo_client(&format!("ws://{server}/runCase?case={case}&agent={agent}"));
    }
    endpoint::ask(&format!("ws://{server}/updateReports?agent={agent}")).context("cannot ask for the reports")?;
    Ok(())
}

/// An address that was free a moment ago; `wstest` cannot choose one and tell.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
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
