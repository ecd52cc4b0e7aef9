//! `cargo xtask interop`: exchanges compressed messages with other implementations over real sockets.

mod case;
mod client;
mod install;
mod peer;
mod process;
mod traffic;
mod workload;

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::relay::Relay;
use crate::workspace;
use case::{BROWSER_CASES, ClientCase, SERVER_CASES, ServerCase, client_cases};
use install::Install;
use peer::{PeerServer, Runner};
use process::Process;
use traffic::Ratios;

/// Exchange compressed messages with other implementations: ws, websockets, Chromium
///
/// Their clients connect to `sansocket serve`, and our client (sansocket-net) to their servers, with several agreements.
/// A client sends many similar messages, and on a second connection messages of many kinds and sizes, some in fragments;
/// the server sends them back. A case fails unless the echoes are the same, the agreement is the expected one, and the
/// bytes on the wire are as few as it permits.
///
/// ws and websockets are installed in target/interop. A peer that this machine cannot run is skipped, and so is one that
/// cannot be installed, unless the variable CI is `true`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// The peers: what each needs, and how it is installed.
const PEERS: [(&str, Install); 3] = [
    ("Node's ws, which needs node and npm", install::ws),
    ("Python's websockets, which needs python3, 3.11 or later, with venv", install::websockets),
    ("Chromium", install::browser),
];

/// Runs all cases of every peer, and prints a line for each.
///
/// # Errors
///
/// If a case fails, or in CI a peer cannot be installed.
pub(crate) fn run(_: &Args) -> Result<()> {
    let build = ["build", "--release", "--package", "sansocket-cli", "--bin", "sansocket"];
    let mut runs =
        Runs { command: workspace::build(&build, "sansocket")?, folder: install::copy_scripts()?, failures: 0 };
    let are_required = env::var_os("CI").is_some_and(|ci| ci == "true");
    for (name, install) in PEERS {
        match install(&runs.folder) {
            Ok(Some(peer)) => {
                println!("{}", peer.version);
                runs.run_all(&peer.runner);
            }
            Ok(None) => println!("skipped: {name}: not on this machine"),
            Err(error) if are_required => return Err(error.context(format!("cannot install {name}"))),
            Err(error) => println!("skipped: {name}: cannot be installed: {error:#}"),
        }
    }
    let failures = runs.failures;
    ensure!(failures == 0, "{failures} cases failed");
    Ok(())
}

/// The runs of cases.
#[derive(Debug)]
struct Runs {
    /// The command `sansocket`.
    command: PathBuf,
    /// The folder of the scripts.
    folder: PathBuf,
    failures: usize,
}

impl Runs {
    /// Runs all cases of a peer.
    fn run_all(&mut self, peer: &Runner) {
        let is_browser = matches!(peer, Runner::Browser(_));
        for case in if is_browser { BROWSER_CASES } else { SERVER_CASES } {
            let name = format!("client {}, serve {}", case.offer, case.options.join(" "));
            let result = self.with_their_client(peer, case);
            self.report(&name, result);
        }
        for case in &client_cases() {
            let name = format!("server {}, our client for {}", case.demand, case.agreed);
            match peer.start_server(&self.folder, case.demand) {
                Ok(None) => return,
                Ok(Some(server)) => self.report(&name, with_their_server(&server, case)),
                Err(error) => self.report(&name, Err(error)),
            }
        }
    }

    fn report(&mut self, name: &str, result: Result<Ratios>) {
        match result {
            Ok(ratios) => println!("  {name}: {ratios}"),
            Err(error) => {
                self.failures += 1;
                println!("  {name}: FAILED: {error:#}");
            }
        }
    }

    fn with_their_client(&self, peer: &Runner, case: &ServerCase) -> Result<Ratios> {
        let mut command = Command::new(&self.command);
        let server = Process::start(command.args(["serve", "127.0.0.1:0", "--any-origin"]).args(case.options))?;
        let relay = Relay::start(address(server.line()?.rsplit(' ').next().unwrap_or_default())?)?;
        let lengths = peer.run_client(&self.folder, case.offer, &format!("ws://{}/", relay.address))?;
        let opened = server.line()?;
        let agreed = opened.split_once(" opened: /, ").map(|(_, agreed)| agreed);
        let agreed = agreed.with_context(|| format!("the server logged {opened:?}"))?;
        ensure!(agreed == case.agreed, "both ends agreed {agreed:?}, not {:?}", case.agreed);
        traffic::check(&relay, lengths, agreed)
    }
}

fn with_their_server(server: &PeerServer, case: &ClientCase) -> Result<Ratios> {
    let relay = Relay::start(address(&server.url)?)?;
    let url = format!("ws://{}/", relay.address);
    let mut lengths = [0; 2];
    for (length, workload) in lengths.iter_mut().zip([workload::similar(), workload::mixed()]) {
        let exchanged = client::exchange(&url, &case.settings, &workload)?;
        let agreed = exchanged.agreed;
        ensure!(agreed == case.agreed, "both ends agreed {agreed:?}, not {:?}", case.agreed);
        *length = exchanged.bytes;
    }
    traffic::check(&relay, lengths, case.agreed)
}

/// Parses the address in a URL without a path.
fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("ws://").unwrap_or_default().trim_end_matches('/');
    address.parse().with_context(|| format!("the server printed {url:?} instead of its URL"))
}
