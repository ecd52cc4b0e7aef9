//! The log lines of one connection: it opened and closed, or it was refused.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Instant;

use sansocket_net::Close;
use sansocket_net::sansocket::Request;

use super::log::Log;
use crate::compression::Agreed;
use crate::escape::Escaped;

/// The largest numbers of bytes shown of parts of a request. Together they leave room in a line for the answer.
const MAX_METHOD: usize = 32;
const MAX_TARGET: usize = 512;
const MAX_ORIGIN: usize = 256;

/// The data that the log lines of one connection need.
#[derive(Debug)]
pub(super) struct SessionLog {
    peer: SocketAddr,
    /// `None` before the request has arrived, and once the connection is open.
    request: Option<RequestSummary>,
    /// When the connection opened.
    opened_at: Option<Instant>,
    messages: u64,
    bytes: u64,
    error: Option<String>,
}

/// The parts of a request that the log shows, escaped and truncated.
#[derive(Debug)]
struct RequestSummary {
    method: String,
    target: String,
    origin: String,
}

impl SessionLog {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, request: None, opened_at: None, messages: 0, bytes: 0, error: None }
    }

    /// Keeps the parts of the request that the log shows.
    pub(super) fn set_request(&mut self, request: &Request) {
        self.request = Some(RequestSummary {
            method: Escaped::truncated(request.method(), MAX_METHOD).to_string(),
            target: Escaped::truncated(request.target(), MAX_TARGET).to_string(),
            origin: Escaped::truncated(request.origin().unwrap_or_default(), MAX_ORIGIN).to_string(),
        });
    }

    /// Logs that the connection has opened.
    pub(super) fn log_open(&mut self, agreed: &Agreed<'_>, log: &Log) {
        self.opened_at = Some(Instant::now());
        let target = self.request.take().map(|request| request.target).unwrap_or_default();
        self.write(log, format_args!("opened: {target}{agreed}"));
    }

    /// Counts a message of `bytes` bytes that was sent back.
    pub(super) fn count_echo(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// Keeps an error for the line that `log_close` writes.
    pub(super) fn set_error(&mut self, error: &impl Display) {
        self.error = Some(error.to_string());
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened_at.is_some()
    }

    /// Logs that the connection, which was open, has ended.
    pub(super) fn log_close(&self, close: Option<&Close>, log: &Log) {
        self.write(log, CloseSummary { session: self, close });
    }

    /// Logs an HTTP request that did not ask for a WebSocket.
    pub(super) fn log_http_request(&self, log: &Log) {
        self.log_refused_request(log, "is not a WebSocket request: answered 426");
    }

    /// Logs a request that the origin policy refused.
    pub(super) fn log_forbidden_origin(&self, log: &Log) {
        let origin = self.request.as_ref().map_or("", |request| &request.origin);
        let reason = format!("from a page of {origin}: answered 403 (--origin or --any-origin permits it)");
        self.log_refused_request(log, &reason);
    }

    /// Logs that the opening handshake failed.
    pub(super) fn log_failed_handshake(&self, error: &impl Display, log: &Log) {
        match self.request {
            Some(_) => self.log_refused_request(log, &error.to_string()),
            None => self.write(log, format_args!("refused: {error}")),
        }
    }

    fn log_refused_request(&self, log: &Log, reason: &str) {
        let request = self.request.as_ref().map(|RequestSummary { method, target, .. }| format!("{method} {target} "));
        self.write(log, format_args!("refused: {}{reason}", request.unwrap_or_default()));
    }

    fn write(&self, log: &Log, text: impl Display) {
        if !log.is_quiet() {
            log.write(&format_args!("{} {text}", self.peer));
        }
    }
}

/// Displays how an open connection ended, and what it carried.
struct CloseSummary<'a> {
    session: &'a SessionLog,
    close: Option<&'a Close>,
}

impl Display for CloseSummary<'_> {
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
        let SessionLog { messages, bytes, ref error, opened_at, .. } = *self.session;
        if let Some(error) = error {
            write!(f, ", {error}")?;
        }
        let plural = if messages == 1 { "" } else { "s" };
        let seconds = opened_at.map_or(0.0, |opened_at| opened_at.elapsed().as_secs_f64());
        write!(f, ", {messages} message{plural} echoed ({bytes} bytes) in {seconds:.3} s")
    }
}
