//! What both kinds of server share, so that they behave alike: the answer to a request, and the end of the server.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use sansocket_net::sansocket::Request;
use sansocket_net::{Accept, Close, Config, OriginPolicy};

use super::log::Log;
use super::session_log::SessionLog;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::exit::{self, Exit, Failure};

/// The time that shutdown takes beyond the deadlines of the connections: they are closed one by one, and logged.
const GRACE: Duration = Duration::from_millis(750);

/// The state that both kinds of server share.
#[derive(Debug)]
pub(super) struct Server {
    policy: OriginPolicy,
    /// The configuration of every connection.
    pub(super) config: Arc<Config>,
    pub(super) log: Log,
    /// Whether accepting fails, which has been reported.
    accept_fails: AtomicBool,
    open: AtomicUsize,
    is_ending: AtomicBool,
    /// The number of connections that ended without a closing handshake while the server was ending.
    unclosed: AtomicUsize,
    finish: Once,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

impl Server {
    /// Starts the threads of the log.
    pub(super) fn start(policy: OriginPolicy, config: Config, is_quiet: bool) -> Result<Self, Failure> {
        let (config, log, finish) = (Arc::new(config), Log::start(is_quiet)?, Once::new());
        let (accept_fails, open, is_ending, unclosed) = Default::default();
        Ok(Self {
            policy,
            config,
            log,
            accept_fails,
            open,
            is_ending,
            unclosed,
            finish,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    pub(super) fn note_listening(&self, address: SocketAddr) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            self.log.write(&format_args!("listening on wss://{address}"));
            if let Some(fingerprint) = &tls.fingerprint {
                let hex: Vec<_> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
                self.log.write(&format_args!("self-signed certificate, SHA-256 fingerprint {}", hex.join(":")));
            }
            return;
        }
        self.log.write(&format_args!("listening on ws://{address}"));
    }

    /// Reports that accepting has failed, unless this has been reported. The server will try again.
    pub(super) fn note_accept_error(&self, error: &io::Error) {
        if !self.accept_fails.swap(true, Ordering::Relaxed) {
            self.log.note(&format_args!("cannot accept connections for now: {error}"));
        }
    }

    /// Reports that accepting works again, if a failure has been reported.
    pub(super) fn note_accepted(&self) {
        // The load avoids a write by each accepted connection.
        if self.accept_fails.load(Ordering::Relaxed) && self.accept_fails.swap(false, Ordering::Relaxed) {
            self.log.note(&"accepting connections again");
        }
    }

    /// Returns the answer to a request for a WebSocket.
    pub(super) fn answer(&self, request: &Request) -> Accept {
        let accept = Accept::new().origin(self.policy.clone());
        match request.protocols().next() {
            Some(protocol) => accept.protocol(protocol),
            None => accept,
        }
    }

    /// Counts a connection that has opened.
    pub(super) fn session_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs and counts the end of a connection that was open. A quiet server has no `session`.
    pub(super) fn session_ended(&self, session: Option<&SessionLog>, close: Option<&Close>) {
        if let Some(session) = session {
            session.log_close(close, &self.log);
        }
        if !close.is_some_and(|close| close.was_clean) && self.is_ending.load(Ordering::Relaxed) {
            self.unclosed.fetch_add(1, Ordering::Relaxed);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Begins to count the connections that end without a closing handshake.
    pub(super) fn begin_shutdown(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Logs the number of connections without a closing handshake, including open ones, and flushes the log.
    /// The process ends next. If two threads call this, the second one waits for the first.
    pub(super) fn finish(&self) {
        self.finish.call_once(|| {
            let count = self.unclosed.load(Ordering::Relaxed) + self.open.load(Ordering::Relaxed);
            if count > 0 {
                let subject = if count == 1 { "connection was" } else { "connections were" };
                self.log.note(&format_args!("{count} {subject} dropped: there was no closing handshake in time"));
            }
            self.log.flush();
        });
    }
}

/// Turns an error of binding `address` into the message of the command.
pub(super) fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            "; another program listens there: end it, or choose another port (0 lets the system choose)"
        }
        ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        ErrorKind::WouldBlock => "; the limit on processes and threads (ulimit -u) may be reached",
        ErrorKind::PermissionDenied => "; ports below 1024 may need privileges",
        // The address could not be parsed.
        ErrorKind::InvalidInput if error.raw_os_error().is_none() => "; an address looks like 127.0.0.1:9001",
        // The name could not be resolved.
        _ if error.raw_os_error().is_none() => "; check the name",
        _ => "",
    };
    let address = exit::quoted_if_empty(address);
    Failure::new(Exit::Failed, format_args!("cannot listen on {address}: {error}{advice}"))
}

/// Returns the time that the connections have to close. Afterwards the process ends, whether they have or not.
pub(super) fn shutdown_timeout() -> Duration {
    let closing_timeout = Config::default().closing_timeout;
    // A connection looks for progress four times per `closing_timeout`, so its deadline is late by up to a quarter.
    closing_timeout + closing_timeout / 4 + GRACE
}
