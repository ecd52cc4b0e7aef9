//! The peers as processes: their clients and servers.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sansocket_net::{Acceptor, Event, HttpResponse, Incoming, Message, OriginPolicy};

use super::process::Process;
use super::traffic::Lengths;
use crate::certificate;

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
    /// at `url`. `environment` has variables for it. A browser loads the page over https if the URL is a `wss` URL.
    ///
    /// # Errors
    ///
    /// An echo differs, the server does not agree to compression, or the like.
    pub(super) fn run_client(
        &self,
        folder: &Path,
        offer: &str,
        url: &str,
        environment: &[(&str, &Path)],
    ) -> Result<Lengths> {
        match self {
            Self::Script { interpreter, script } => {
                let mut command = Command::new(interpreter);
                command.current_dir(folder).args([script, "client", offer, url]).envs(environment.iter().copied());
                let client = Process::start(&mut command)?;
                parse_result(&client.line()?)
            }
            Self::Browser(browser) => run_page(browser, folder, url),
        }
    }

    /// Starts an echo server in `folder` that demands the parameters `demand` (JSON). Returns `None` if the peer is a
    /// client only. With the variables of [`TlsCases`](super::tls::TlsCases), it serves over TLS.
    pub(super) fn start_server(
        &self,
        folder: &Path,
        demand: &str,
        environment: &[(&str, &Path)],
    ) -> Result<Option<PeerServer>> {
        let Self::Script { interpreter, script } = self else { return Ok(None) };
        let mut command = Command::new(interpreter);
        command.current_dir(folder).args([script, "server", demand]).envs(environment.iter().copied());
        let process = Process::start(&mut command)?;
        Ok(Some(PeerServer { url: process.line()?, _process: process }))
    }
}

/// Opens `page.html` in a browser, and receives the result from it.
fn run_page(browser: &str, folder: &Path, url: &str) -> Result<Lengths> {
    let is_over_tls = url.starts_with("wss");
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let address = tcp.local_addr()?;
    let mut acceptor = Acceptor::new().origin(OriginPolicy::Any);
    if is_over_tls {
        acceptor = acceptor.tls(certificate::server()?);
    }
    let listener = acceptor.listen(tcp)?;
    let stopper = listener.stopper();
    let (sender, result) = mpsc::channel();
    let files = folder.to_owned();
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            let (sender, files) = (sender.clone(), files.clone());
            // connections that a browser opens in advance send nothing
            thread::spawn(move || serve_page(incoming, &files, &sender));
        }
    });

    let mut command = Command::new(browser);
    let page = if is_over_tls {
        // of the certificate that was made for this run
        command.arg("--ignore-certificate-errors");
        format!("https://{address}/page.html#{url},wss://{address}/")
    } else {
        format!("file://{}#{url},ws://{address}/", folder.join("page.html").display())
    };
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

/// Serves a file of the page, or receives its result.
fn serve_page(mut incoming: Incoming, files: &Path, sender: &mpsc::Sender<String>) -> Result<()> {
    if incoming.is_plain()? {
        let path = incoming.request()?.path().trim_start_matches('/').to_owned();
        let kind = if path.ends_with(".html") { "text/html" } else { "text/javascript" };
        let response = match fs::read(files.join(path)) {
            Ok(content) => HttpResponse::new(200).body(kind, content),
            Err(_) => HttpResponse::new(404),
        };
        return Ok(incoming.respond(response)?);
    }
    let mut ws = incoming.accept()?;
    while let Some(event) = ws.read()? {
        if let Event::Message(Message::Text(text)) = event {
            // Fails if the time is up.
            let _ = sender.send(text.into_owned());
        }
    }
    Ok(())
}

/// Parses what a client prints or reports.
fn parse_result(result: &str) -> Result<Lengths> {
    serde_json::from_str(result).map_err(|_| anyhow!("the client reports: {result}"))
}
