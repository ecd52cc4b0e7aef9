//! `cargo xtask interop`: exchanges compressed messages with other implementations over real sockets.

mod case;
mod client;
mod install;
mod peer;
mod process;
mod tls;
mod traffic;
mod workload;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sansocket_net::Connector;

use crate::relay::Relay;
use crate::workspace;
use case::{BROWSER_CASES, ClientCase, SERVER_CASES, ServerCase, client_cases};
use install::Install;
use peer::{PeerServer, Runner};
use process::Process;
use tls::TlsCases;
use traffic::Ratios;

/// Exchange messages with other implementations, compressed and over TLS: ws, websockets, Chromium, curl, openssl
///
/// Their clients connect to `sansocket serve`, and our client (sansocket-net) to their servers, with several agreements.
/// A client sends many similar messages, and on a second connection messages of many kinds and sizes, some in fragments;
/// the server sends them back. A case fails unless the echoes are the same, the agreement is the expected one, and the
/// bytes on the wire are as few as it permits. Over TLS, the same messages are exchanged once in each direction.
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
    let are_required = tls::are_required();
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
    runs.run_tools()?;
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
        self.run_over_tls(peer);
        let is_browser = matches!(peer, Runner::Browser(_));
        for case in if is_browser { BROWSER_CASES } else { SERVER_CASES } {
            let name = format!("client {}, serve {}", case.offer, case.options.join(" "));
            let result = self.with_their_client(peer, case);
            self.report(&name, result);
        }
        for case in &client_cases() {
            let name = format!("server {}, our client for {}", case.demand, case.agreed);
            match peer.start_server(&self.folder, case.demand, &[]) {
                Ok(None) => return,
                Ok(Some(server)) => self.report(&name, with_their_server(&server, case)),
                Err(error) => self.report(&name, Err::<Ratios, _>(error)),
            }
        }
    }

    /// Runs the cases of a peer over TLS.
    fn run_over_tls(&mut self, peer: &Runner) {
        let results = self.results_over_tls(peer);
        for (name, result) in results.unwrap_or_else(|error| vec![("over TLS", Err(error))]) {
            self.report(name, result.map(|()| "all echoes are right"));
        }
    }

    fn results_over_tls(&self, peer: &Runner) -> Result<Vec<(&'static str, Result<()>)>> {
        let cases = TlsCases::prepare(&self.command, &self.folder)?;
        let mut results = vec![
            ("client over TLS, serve --mio", cases.with_their_client(peer, "--mio")),
            ("client over TLS, serve --blocking", cases.with_their_client(peer, "--blocking")),
        ];
        if let Some(server) = peer.start_server(&self.folder, "{}", &cases.environment())? {
            results.push(("server over TLS, our client", cases.with_their_server(&server.url)));
        }
        Ok(results)
    }

    /// Runs the cases of programs that speak TLS, and know no WebSocket.
    fn run_tools(&mut self) -> Result<()> {
        for program in ["curl", "openssl"] {
            if !tls::has(program) {
                ensure!(!tls::are_required(), "{program} is missing");
                println!("skipped: {program}: not on this machine");
            }
        }
        let (command, folder) = (self.command.clone(), self.folder.clone());
        let cases = TlsCases::prepare(&command, &folder)?;
        let right = "what it receives is right";
        if tls::has("curl") {
            self.report("curl over TLS, serve", cases.with_curl().map(|()| right));
        }
        if tls::has("openssl") {
            self.report("openssl s_client, serve", cases.with_openssl_client().map(|()| right));
            self.report("openssl s_server, our client", cases.with_openssl_server().map(|()| right));
        }
        Ok(())
    }

    fn report(&mut self, name: &str, result: Result<impl Display>) {
        match result {
            Ok(details) => println!("  {name}: {details}"),
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
        let lengths = peer.run_client(&self.folder, case.offer, &format!("ws://{}/", relay.address), &[])?;
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
        let exchanged = client::exchange(Connector::new(), &url, &case.settings, &workload)?;
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
