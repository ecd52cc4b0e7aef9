//! `sansocket serve`: an echo server, which runs on event loops or with a thread for each connection.
//!
//! This file holds what both kinds of server share, so that they behave alike: the arguments, the answer to a request, and
//! the end of the server. `log` and `session_log` write the log.
//!
//! A server starts every thread that its log and its end need before it listens. At the limit on processes it still logs,
//! handles signals and closes its connections.

mod blocking;
mod event_loops;
mod line_queue;
mod log;
mod session_log;
mod sessions;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sansocket_net::sansocket::{OriginFault, Request};
use sansocket_net::{Accept, Close, Config, OriginPolicy};

use crate::exit::{self, Exit, Failure};
use crate::interrupt::Interrupt;
use log::Log;
use session_log::SessionLog;

/// The time that shutdown takes beyond the deadlines of the connections: connections are closed one by one, and their ends
/// are logged.
const GRACE: Duration = Duration::from_millis(750);

/// Run an echo server: every message goes back to where it came from
///
/// Prints one line when a connection opens and one when it has closed. If stdout is not read fast enough, lines are
/// dropped, and their number is printed. Any path is served, and the first subprotocol offered is selected. Ctrl-C (or
/// SIGTERM) closes every connection with code 1001 and ends with status 0. A client that does not answer, or reads its
/// echoes too slowly, delays the end by 7 seconds at most. A second Ctrl-C ends at once.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to listen; port 0 lets the system choose one
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9001")]
    address: String,

    /// Let web pages of any origin connect, not only those of this host and port
    #[arg(long)]
    any_origin: bool,

    /// Let web pages of this origin connect, such as https://example.com, instead of those of this host and port; may
    /// be repeated
    #[arg(long = "origin", value_name = "ORIGIN", conflicts_with = "any_origin")]
    origins: Vec<String>,

    /// Print no lines about connections
    #[arg(short, long)]
    quiet: bool,

    /// Serve from event loops, over mio: the default
    #[arg(long)]
    mio: bool,

    /// How many event loops, each in a thread of its own with its share of the connections: 1 to 1024
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,

    /// Serve each connection with a thread of its own, over std::net
    #[arg(long, conflicts_with_all = ["mio", "threads"])]
    blocking: bool,
}

/// Serves until the first signal.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let server = Arc::new(Server::start(args)?);
    let interrupt = Interrupt::install()?;
    let outcome = if args.blocking {
        blocking::serve(&args.address, &server, interrupt)
    } else {
        event_loops::serve(&args.address, args.threads, &server, interrupt)
    };
    match outcome {
        Ok(()) => {
            server.finish();
            Ok(Exit::Clean)
        }
        Err(failure) if server.log.flush() => Err(failure),
        // Nothing reads stderr: to write the message there would block.
        Err(failure) => Ok(failure.exit),
    }
}

/// Returns the origins whose pages may connect.
fn policy(args: &Args) -> Result<OriginPolicy, Failure> {
    match &args.origins[..] {
        _ if args.any_origin => Ok(OriginPolicy::Any),
        [] => Ok(OriginPolicy::SameOrigin),
        origins => OriginPolicy::any_of(origins).map_err(|error| match error.fault() {
            // The error itself names the type of the library.
            OriginFault::Any => Failure::new(Exit::Failed, "--origin '*': use --any-origin to let any page connect"),
            _ => Failure::new(Exit::Failed, format_args!("--origin: {error}")),
        }),
    }
}

fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "; another program listens there: end it, or choose another port (0: any)",
        ErrorKind::AddrNotAvailable => "; the address is not one of this machine's",
        ErrorKind::WouldBlock => "; the limit on processes and threads (ulimit -u) may be reached",
        ErrorKind::PermissionDenied => "; ports below 1024 may be reserved",
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
fn shutdown_timeout() -> Duration {
    let closing_timeout = Config::default().closing_timeout;
    // A connection looks for progress four times per `closing_timeout`, so its deadline is late by up to a quarter.
    closing_timeout + closing_timeout / 4 + GRACE
}

/// The state that both kinds of server share.
#[derive(Debug)]
struct Server {
    policy: OriginPolicy,
    log: Log,
    /// Whether accepting fails, which has been reported.
    accept_fails: AtomicBool,
    open: AtomicUsize,
    is_ending: AtomicBool,
    /// The number of connections that ended without a closing handshake while the server was ending.
    unclosed: AtomicUsize,
    finish: std::sync::Once,
}

impl Server {
    /// Starts the log.
    fn start(args: &Args) -> Result<Self, Failure> {
        Ok(Self {
            policy: policy(args)?,
            log: Log::start(args.quiet)?,
            accept_fails: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            unclosed: AtomicUsize::new(0),
            finish: std::sync::Once::new(),
        })
    }

    fn note_listening(&self, address: SocketAddr) {
        self.log.write(&format_args!("listening on ws://{address}"));
    }

    /// Reports that accepting has failed, unless this has been reported. The server will try again.
    fn note_accept_error(&self, error: &io::Error) {
        if !self.accept_fails.swap(true, Ordering::Relaxed) {
            self.log.note(&format_args!("cannot accept connections for now: {error}"));
        }
    }

    /// Reports that accepting works again, if a failure has been reported.
    fn note_accepted(&self) {
        // The load avoids a write by each accepted connection.
        if self.accept_fails.load(Ordering::Relaxed) && self.accept_fails.swap(false, Ordering::Relaxed) {
            self.log.note(&"accepting connections again");
        }
    }

    /// Returns the answer to a request for a WebSocket.
    fn answer(&self, request: &Request) -> Accept {
        let accept = Accept::new().origin(self.policy.clone());
        match request.protocols().next() {
            Some(protocol) => accept.protocol(protocol),
            None => accept,
        }
    }

    /// Counts a connection that has opened.
    fn session_opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs and counts the end of a connection that was open. A quiet server has no `session`.
    fn session_ended(&self, session: Option<&SessionLog>, close: Option<&Close>) {
        if let Some(session) = session {
            session.log_close(close, &self.log);
        }
        if !close.is_some_and(|close| close.was_clean) && self.is_ending.load(Ordering::Relaxed) {
            self.unclosed.fetch_add(1, Ordering::Relaxed);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Begins to count the connections that end without a closing handshake.
    fn begin_shutdown(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Reports how many connections had no closing handshake, counting those that are still open, and flushes the log.
    /// The process ends next. If two threads call this, the second one waits for the first.
    fn finish(&self) {
        self.finish.call_once(|| {
            match self.unclosed.load(Ordering::Relaxed) + self.open.load(Ordering::Relaxed) {
                0 => {}
                1 => self.log.note(&"1 connection was dropped: there was no closing handshake in time"),
                many => self
                    .log
                    .note(&format_args!("{many} connections were dropped: there was no closing handshake in time")),
            }
            self.log.flush();
        });
    }
}
