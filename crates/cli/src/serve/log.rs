//! What the server says on stdout: where it listens, and what becomes of each connection.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Instant;

use sansocket_net::Close;
use sansocket_net::sansocket::Request;

use crate::escape::Escaped;
use crate::exit::Once;

/// Lines on stdout. The server serves on if nobody reads them.
#[derive(Debug)]
pub(super) struct Log {
    is_quiet: bool,
    silenced: Once,
}

impl Log {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, silenced: Once::default() }
    }

    /// Whether nothing is said of connections.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    pub(super) fn always(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            self.silenced.note(|| format!("cannot write to stdout: {error}; serving on without it"));
        }
    }
}

/// What is told of one connection: that it opened and how it closed, or that it was refused.
#[derive(Debug)]
pub(super) struct Story {
    peer: SocketAddr,
    /// Until it is open.
    asked: Option<Asked>,
    /// Since when it is open.
    open_since: Option<Instant>,
    messages: u64,
    bytes: u64,
    error: Option<String>,
}

/// What the client asked for, and on whose behalf.
#[derive(Debug)]
struct Asked {
    method: String,
    target: String,
    origin: String,
}

impl Story {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, asked: None, open_since: None, messages: 0, bytes: 0, error: None }
    }

    /// The client asks for something.
    pub(super) fn asks(&mut self, request: &Request) {
        self.asked = Some(Asked {
            method: request.method().to_owned(),
            target: request.target().to_owned(),
            origin: request.origin().unwrap_or_default().to_owned(),
        });
    }

    pub(super) fn opens(&mut self, protocol: Option<&str>, log: &Log) {
        self.open_since = Some(Instant::now());
        let target = self.asked.take().map(|asked| asked.target).unwrap_or_default();
        let protocol = protocol.map(|protocol| format!(", subprotocol {protocol}")).unwrap_or_default();
        self.tell(log, format_args!("opened: {target}{protocol}"));
    }

    /// A message of so many bytes was sent back.
    pub(super) fn echoes(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// Something went wrong, which is told at the end.
    pub(super) fn fails(&mut self, error: &impl Display) {
        self.error = Some(error.to_string());
    }

    pub(super) fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    pub(super) fn closes(&self, close: Option<&Close>, log: &Log) {
        self.tell(log, Closed { story: self, close });
    }

    /// It asked for no WebSocket.
    pub(super) fn is_refused_plainly(&self, log: &Log) {
        self.refuse(log, "asks for no WebSocket: told 426");
    }

    /// It came from a page of another origin.
    pub(super) fn is_forbidden(&self, log: &Log) {
        let origin = self.asked.as_ref().map_or("", |asked| &asked.origin);
        self.refuse(log, &format!("from a page of {origin}: told 403 (--any-origin lets it in)"));
    }

    /// It never opened, for this reason.
    pub(super) fn is_refused(&self, error: &impl Display, log: &Log) {
        match self.asked {
            Some(_) => self.refuse(log, &error.to_string()),
            None => self.tell(log, format_args!("refused: {error}")),
        }
    }

    fn refuse(&self, log: &Log, why: &str) {
        let asked = self.asked.as_ref().map(|Asked { method, target, .. }| format!("{method} {target} "));
        self.tell(log, format_args!("refused: {}{why}", asked.unwrap_or_default()));
    }

    fn tell(&self, log: &Log, what: impl Display) {
        if !log.is_quiet() {
            log.always(&format!("{} {}", self.peer, Escaped::new(&what.to_string())));
        }
    }
}

/// How a connection ended that was open, and what it did.
struct Closed<'a> {
    story: &'a Story,
    close: Option<&'a Close>,
}

impl Display for Closed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.close {
            Some(close) => {
                write!(f, "closed: {}, {}", close.code, if close.was_clean { "clean" } else { "not clean" })?;
                if !close.reason.is_empty() {
                    write!(f, ", {:?}", close.reason)?;
                }
            }
            None => write!(f, "closed: not clean")?,
        }
        let Story { messages, bytes, ref error, open_since, .. } = *self.story;
        if let Some(error) = error {
            write!(f, ", {error}")?;
        }
        let plural = if messages == 1 { "" } else { "s" };
        let seconds = open_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        write!(f, ", {messages} message{plural} echoed ({bytes} bytes) in {seconds:.3} s")
    }
}
