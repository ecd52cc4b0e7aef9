//! The peers as processes: their clients and servers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sansocket_net::{Acceptor, Event, Message, OriginPolicy};

use super::process::Process;
use super::traffic::Lengths;

/// The longest time that a page takes, from the start of the browser.
const PAGE_LIMIT: Duration = Duration::from_secs(60);

/// A WebSocket implementation of others, which is installed.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its name and version.
    pub(super) version: String,
    pub(super) runner: Runner,
}

/// What runs a peer.
#[derive(Debug)]
pub(super) enum Runner {
    /// A script that is a client and a server.
    Script { interpreter: PathBuf, script: &'static str },
    /// A browser, which is a client only.
    Browser(&'static str),
}

/// A server of a peer.
#[derive(Debug)]
pub(super) struct PeerServer {
    /// Its URL.
    pub(super) url: String,
    _process: Process,
}

impl Runner {
    /// Runs a client in `folder`: it offers the parameters `offer` (JSON), and exchanges both workloads with the server
    /// at `url`.
    ///
    /// # Errors
    ///
    /// An echo differs, the server does not agree to compression, or the like.
    pub(super) fn run_client(&self, folder: &Path, offer: &str, url: &str) -> Result<Lengths> {
        match self {
            Self::Script { interpreter, script } => {
                let mut command = Command::new(interpreter);
                let client = Process::start(command.current_dir(folder).args([script, "client", offer, url]))?;
                parse_result(&client.line()?)
            }
            Self::Browser(browser) => run_page(browser, folder, url),
        }
    }

    /// Starts an echo server in `folder` that demands the parameters `demand` (JSON). Returns `None` if the peer is a
    /// client only.
    pub(super) fn start_server(&self, folder: &Path, demand: &str) -> Result<Option<PeerServer>> {
        let Self::Script { interpreter, script } = self else { return Ok(None) };
        let mut command = Command::new(interpreter);
        let process = Process::start(command.current_dir(folder).args([script, "server", demand]))?;
        Ok(Some(PeerServer { url: process.line()?, _process: process }))
    }
}

/// Opens `page.html` in a browser, and receives the result from it.
fn run_page(browser: &str, folder: &Path, url: &str) -> Result<Lengths> {
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let report = format!("ws://{}/", tcp.local_addr()?);
    let listener = Acceptor::new().origin(OriginPolicy::Any).listen(tcp)?;
    let stopper = listener.stopper();
    let (sender, result) = mpsc::channel();
    thread::spawn(move || {
        // `None`: the time is up.
        let Some(incoming) = listener.accept()? else { return Ok(()) };
        let mut ws = incoming.accept()?;
        while let Some(event) = ws.read()? {
            if let Event::Message(Message::Text(text)) = event {
                // Fails if the time is up.
                let _ = sender.send(text.into_owned());
            }
        }
        anyhow::Ok(())
    });

    let page = format!("file://{}#{url},{report}", folder.join("page.html").display());
    let mut command = Command::new(browser);
    // A container has neither a user for the sandbox nor much shared memory.
    command.args(["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    // The page imports a module from its own folder.
    command.arg("--allow-file-access-from-files");
    command.arg(format!("--user-data-dir={}", folder.join("profile").display())).arg(page);
    let _process = Process::start(command.stderr(Stdio::null()))?;
    let result = result.recv_timeout(PAGE_LIMIT);
    stopper.stop();
    let result = result.with_context(|| format!("the page has no result after {} s", PAGE_LIMIT.as_secs()))?;
    parse_result(&result)
}

/// Parses what a client prints or reports.
fn parse_result(result: &str) -> Result<Lengths> {
    serde_json::from_str(result).map_err(|_| anyhow!("the client reports: {result}"))
}
