//! The cases over TLS: the workloads with each peer as client and as server, and single requests of curl and openssl.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail, ensure};
use sansocket_net::sansocket::{Compression, accept_key};
use sansocket_net::{CloseCode, Connector, Event, Message};

use super::peer::Runner;
use super::process::Process;
use super::{client, workload};
use crate::certificate;
use crate::workspace::succeeds;

/// The longest time that a single request takes.
const LIMIT: Duration = Duration::from_secs(30);
/// A request, the masked text "Hello", and a masked Close frame, each with a key of zeros.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
    \x81\x85\0\0\0\0Hello\x88\x82\0\0\0\0\x03\xe8";
/// What the server sends after its head.
const REPLY: &[u8] = b"\x81\x05Hello\x88\x02\x03\xe8";

/// Our command with a certificate, for all cases.
#[derive(Debug)]
pub(super) struct TlsCases<'a> {
    command: &'a Path,
    folder: &'a Path,
    certificate: PathBuf,
    key: PathBuf,
}

impl<'a> TlsCases<'a> {
    pub(super) fn prepare(command: &'a Path, folder: &'a Path) -> Result<Self> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        certificate::write_pem(&certificate, &key)?;
        Ok(Self { command, folder, certificate, key })
    }

    /// Returns the environment in which programs of others trust the certificate, and serve with it.
    pub(super) fn environment(&self) -> [(&'static str, &Path); 4] {
        let certificate = &*self.certificate;
        [
            ("NODE_EXTRA_CA_CERTS", certificate),
            ("SSL_CERT_FILE", certificate),
            ("TLS_CERTIFICATE", certificate),
            ("TLS_KEY", &self.key),
        ]
    }

    /// Exchanges the workloads between a client of a peer and our server.
    pub(super) fn with_their_client(&self, peer: &Runner, kind: &str) -> Result<()> {
        let (server, url) = self.serve(kind, &["--compress", "--any-origin"])?;
        peer.run_client(self.folder, "{}", &url, &self.environment())?;
        drop(server);
        Ok(())
    }

    /// Exchanges the workloads between our client and a server of a peer.
    pub(super) fn with_their_server(&self, url: &str) -> Result<()> {
        let connector = Connector::new().tls(certificate::client()?);
        for workload in [workload::similar(), workload::mixed()] {
            client::exchange(connector.clone(), url, &Compression::default(), &workload)?;
        }
        Ok(())
    }

    /// Sends a request for a WebSocket with curl.
    pub(super) fn with_curl(&self) -> Result<()> {
        let (_server, url) = self.serve("--mio", &[])?;
        let fields = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--http1.1", "--no-buffer", "--max-time", "1", "--cacert"])
            .arg(&self.certificate)
            .args(fields.iter().flat_map(|field| ["--header", field]))
            .args(["--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
            .arg(url.replacen("wss", "https", 1))
            .output()?;
        // curl waits for more after the head, until its time is up
        let head = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(head.starts_with("http/1.1 101 "), "curl received {head:?}: {errors}");
        let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==").to_ascii_lowercase();
        ensure!(head.contains(&accept), "curl received {head:?}");
        Ok(())
    }

    /// Sends a request and frames with `openssl s_client`, and checks what it receives.
    pub(super) fn with_openssl_client(&self) -> Result<()> {
        let (_server, url) = self.serve("--mio", &[])?;
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-alpn", "http/1.1", "-connect", &address(&url)?]);
        command.arg("-CAfile").arg(&self.certificate);
        let mut process = Openssl::start(&mut command)?;
        process.write(REQUEST)?;
        let received = process.read_until(|received| received.ends_with(REPLY))?;
        ensure!(received.starts_with(b"HTTP/1.1 101 "), "received {:?}", String::from_utf8_lossy(&received));
        Ok(())
    }

    /// Connects our client to `openssl s_server`, and exchanges a message.
    pub(super) fn with_openssl_server(&self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-naccept", "1", "-accept", &address.to_string()]);
        command.arg("-cert").arg(&self.certificate).arg("-key").arg(&self.key);
        let mut process = Openssl::start(&mut command)?;
        let client = thread::spawn(move || exchange_hello(address));
        let request = process.read_until(|received| received.ends_with(b"\r\n\r\n"))?;
        let request = String::from_utf8_lossy(&request);
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_key(key.context("no key")?);
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        process.write(format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes())?;
        process.write(REPLY)?;
        client.join().expect("the client does not panic")
    }

    /// Starts our server. Returns it and its URL.
    fn serve(&self, kind: &str, options: &[&str]) -> Result<(Process, String)> {
        let mut command = Command::new(self.command);
        command.args(["serve", "127.0.0.1:0", kind]).args(options);
        command.arg("--tls-cert").arg(&self.certificate).arg("--tls-key").arg(&self.key);
        let server = Process::start(&mut command)?;
        let url = server.line()?.rsplit(' ').next().unwrap_or_default().to_owned();
        ensure!(url.starts_with("wss://"), "the server printed {url:?} instead of its URL");
        Ok((server, format!("{url}/")))
    }
}

/// Returns whether a program is on this machine.
pub(super) fn has(program: &str) -> bool {
    succeeds(Command::new(program).arg(if program == "openssl" { "version" } else { "--version" }))
}

/// Returns whether every peer is required.
pub(super) fn are_required() -> bool {
    env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Receives "Hello" and a Close frame with our client.
fn exchange_hello(address: SocketAddr) -> Result<()> {
    let connector = Connector::new().tls(certificate::client()?);
    let deadline = Instant::now() + LIMIT;
    let mut ws = loop {
        match connector.connect(&format!("wss://{address}/")) {
            Ok(ws) => break ws,
            // openssl does not listen yet
            Err(error) if Instant::now() < deadline && !error.is_permanent() => {
                thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(error.into()),
        }
    };
    let mut messages = Vec::new();
    while let Some(event) = ws.read()? {
        match event.into_owned() {
            Event::Message(message) => messages.push(message),
            Event::CloseReceived(frame) => {
                ensure!(frame.code == CloseCode::NORMAL, "{frame:?}");
                break;
            }
            _ => {}
        }
    }
    ensure!(messages == [Message::from("Hello")], "received {messages:?}");
    Ok(())
}

fn address(url: &str) -> Result<String> {
    let address = url.strip_prefix("wss://").and_then(|address| address.strip_suffix('/'));
    Ok(address.with_context(|| format!("{url:?} is no URL"))?.to_owned())
}

/// A running `openssl`, which is killed when dropped.
struct Openssl(Child);

impl Openssl {
    fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Ok(Self(started.context("cannot start openssl")?))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.0.stdin.as_mut().context("stdin is piped")?;
        stdin.write_all(bytes)?;
        Ok(stdin.flush()?)
    }

    /// Reads from its standard output until what was received is complete.
    fn read_until(&mut self, is_complete: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut stdout = BufReader::new(self.0.stdout.as_mut().context("stdout is piped")?);
        let mut received = Vec::new();
        while !is_complete(&received) {
            let bytes = stdout.fill_buf()?;
            if bytes.is_empty() {
                bail!("openssl has ended; received {:?}", String::from_utf8_lossy(&received));
            }
            received.extend_from_slice(bytes);
            let count = bytes.len();
            stdout.consume(count);
        }
        Ok(received)
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
