//! `sansocket serve`: an echo server, a thread for each connection.

mod guests;

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::sansocket::AnswerError;
use sansocket_net::{Accept, Close, Error, Event, Incoming, Listener, OriginPolicy, WebSocket, default_config};

use crate::exit::{self, Exit, Failure, Once, OneLine};
use crate::interrupt;
use guests::Guests;

/// What a connection's thread needs is little: its messages are on the heap.
const STACK: usize = 128 * 1024;
/// How long to wait before the next `accept` when the system has no more files, threads or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Run an echo server: every message goes back to where it came from
///
/// Prints one line when a connection opens and one when it has closed. Any path is served, and the first subprotocol
/// offered is selected. Ctrl-C (or SIGTERM) closes every connection with code 1001 and ends with status 0; a second one ends at once.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to listen; port 0 lets the system choose one
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9001")]
    address: String,

    /// Let web pages of any origin connect, not only those of this host and port
    #[arg(long)]
    any_origin: bool,

    /// Print no lines about connections
    #[arg(short, long)]
    quiet: bool,
}

/// Serves until Ctrl-C.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let listener = Listener::bind(&args.address).map_err(|error| cannot_listen(&args.address, &error))?;
    let address = listener.local_addr().map_err(|error| cannot_listen(&args.address, &error))?;
    let (interrupted, interrupt) = mpsc::channel();
    interrupt::on_first(move || {
        // Unless the main thread is gone, and the process with it.
        let _ = interrupted.send(());
    })?;

    let log = Log { is_quiet: args.quiet, silenced: Once::default() };
    let policy = if args.any_origin { OriginPolicy::Any } else { OriginPolicy::SameOrigin };
    let server = Arc::new(Server { policy, guests: Guests::default(), log });
    server.log.always(&format!("listening on ws://{address}"));
    thread::spawn({
        let server = Arc::clone(&server);
        move || accept_all(&listener, &server)
    });

    // The handler holds the other end for as long as the process lives.
    let _ = interrupt.recv();
    server.farewell();
    Ok(Exit::Clean)
}

fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there: end it, or choose another port (0: any)",
        ErrorKind::AddrNotAvailable => "the address is not one of this machine's",
        ErrorKind::PermissionDenied => "ports below 1024 may be reserved",
        _ => "an address looks like 127.0.0.1:9001",
    };
    Failure::new(Exit::Failed, format_args!("cannot listen on {address}: {error}; {advice}"))
}

#[derive(Debug)]
struct Server {
    policy: OriginPolicy,
    guests: Guests,
    log: Log,
}

/// Accepts connections for ever. What goes wrong with one must not end the others.
fn accept_all(listener: &Listener, server: &Arc<Server>) {
    let trouble = Once::default();
    loop {
        let accepted = listener.accept().and_then(|incoming| {
            let server = Arc::clone(server);
            // A connection that gets no thread is dropped, which ends its TCP.
            thread::Builder::new().stack_size(STACK).spawn(move || server.serve(incoming))
        });
        match accepted {
            Ok(_) => {
                if trouble.settle() {
                    exit::note("accepting connections again");
                }
            }
            // Gone before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                trouble.note(|| format!("cannot accept connections for now: {error}"));
                thread::sleep(BACK_OFF);
            }
        }
    }
}

impl Server {
    /// One connection, from its first byte to its last.
    fn serve(&self, incoming: Incoming) {
        let Ok(peer) = incoming.stream().peer_addr() else { return };
        match self.accept(incoming, peer) {
            Ok(ws) => self.echo(ws, peer),
            Err(refusal) => self.log.connection(peer, &format!("refused: {refusal}")),
        }
    }

    fn accept(&self, mut incoming: Incoming, peer: SocketAddr) -> Result<WebSocket<TcpStream>, String> {
        let is_plain = incoming.is_plain().map_err(|error| error.to_string())?;
        let request = incoming.request().map_err(|error| error.to_string())?;
        let asked = format!("{} {}", request.method(), request.target());
        let target = request.target().to_owned();
        let origin = request.origin().unwrap_or_default().to_owned();
        let accept = match request.protocols().next() {
            Some(protocol) => Accept::new(self.policy.clone()).protocol(protocol),
            None => Accept::new(self.policy.clone()),
        };
        let ws = incoming.accept_with(accept).map_err(|error| match error {
            _ if is_plain => format!("{asked} asks for no WebSocket: told 426"),
            Error::Answer(AnswerError::OriginForbidden) => {
                format!("{asked} from a page of {origin}: told 403 (--any-origin lets it in)")
            }
            error => format!("{asked}: {error}"),
        })?;
        let protocol = ws.protocol().map(|protocol| format!(", subprotocol {protocol}"));
        self.log.connection(peer, &format!("opened: {target}{}", protocol.unwrap_or_default()));
        Ok(ws)
    }

    fn echo(&self, ws: WebSocket<TcpStream>, peer: SocketAddr) {
        let (mut reader, writer) = match ws.split() {
            Ok(halves) => halves,
            Err(error) => return self.log.connection(peer, &format!("dropped: {error}")),
        };
        let _guest = self.guests.enter(writer.clone());
        let mut tally = Tally::new();
        loop {
            match reader.read() {
                Ok(Some(Event::Message(message))) => {
                    tally.count(message.len());
                    // Why it could not be sent, if it could not, `read` tells.
                    let _ = writer.send(message);
                }
                Ok(Some(Event::Close(close))) => tally.close = Some(close),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => tally.error = Some(error),
            }
        }
        self.log.connection(peer, &tally.to_string());
    }

    /// Closes every connection, and gives them the time that the closing handshake may take.
    fn farewell(&self) {
        let left = self.guests.close_all(default_config().closing_timeout);
        if left > 0 {
            exit::note(&format!("{left} of the connections did not close in time and were dropped"));
        }
    }
}

/// What one connection did.
#[derive(Debug)]
struct Tally {
    since: Instant,
    messages: u64,
    bytes: u64,
    close: Option<Close>,
    error: Option<Error>,
}

impl Tally {
    fn new() -> Self {
        Self { since: Instant::now(), messages: 0, bytes: 0, close: None, error: None }
    }

    fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.close {
            Some(close) => {
                write!(f, "closed: {}, {}", close.code, if close.was_clean { "clean" } else { "not clean" })?;
                if !close.reason.is_empty() {
                    write!(f, ", {:?}", close.reason)?;
                }
            }
            None => write!(f, "closed: not clean")?,
        }
        if let Some(error) = &self.error {
            write!(f, ", {error}")?;
        }
        let seconds = self.since.elapsed().as_secs_f64();
        write!(f, ", {} echoed ({} bytes) in {seconds:.3} s", plural(self.messages), self.bytes)
    }
}

fn plural(messages: u64) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

/// Lines on stdout. The server serves on if nobody reads them.
#[derive(Debug)]
struct Log {
    is_quiet: bool,
    silenced: Once,
}

impl Log {
    fn connection(&self, peer: SocketAddr, text: &str) {
        if !self.is_quiet {
            self.always(&format!("{peer} {}", OneLine(text)));
        }
    }

    fn always(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            self.silenced.note(|| format!("cannot write to stdout: {error}; serving on without it"));
        }
    }
}
