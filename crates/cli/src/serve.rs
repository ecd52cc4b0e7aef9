//! `sansocket serve`: an echo server, of two kinds: event loops, or a thread for each connection.
//!
//! Here is what both share, so that nobody can tell them apart by what they say: the arguments, who is let in, and how it
//! ends. The lines about connections are in `log`.

mod blocking;
mod event_loops;
mod guests;
mod log;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sansocket_net::sansocket::Request;
use sansocket_net::{Accept, Close, OriginPolicy, default_config};

use crate::exit::{self, Exit, Failure, Once};
use log::{Log, Story};

/// What closing may take beyond the closing timeout: the connections learn of it one after the other.
const GRACE: Duration = Duration::from_millis(500);

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

/// Serves until Ctrl-C.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let server = Arc::new(Server::new(args));
    if args.blocking {
        blocking::serve(&args.address, &server)?;
    } else {
        event_loops::serve(&args.address, args.threads, &server)?;
    }
    server.tell_dropped();
    Ok(Exit::Clean)
}

fn cannot_listen(address: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "; another program listens there: end it, or choose another port (0: any)",
        ErrorKind::AddrNotAvailable => "; the address is not one of this machine's",
        ErrorKind::PermissionDenied => "; ports below 1024 may be reserved",
        // The system has not even seen it.
        ErrorKind::InvalidInput if error.raw_os_error().is_none() => "; an address looks like 127.0.0.1:9001",
        // No address belongs to the name.
        _ if error.raw_os_error().is_none() => "; check the name",
        _ => "",
    };
    let address = exit::quoted_if_empty(address);
    Failure::new(Exit::Failed, format_args!("cannot listen on {address}: {error}{advice}"))
}

/// How long the connections have to close.
fn farewell() -> Duration {
    default_config().closing_timeout + GRACE
}

/// What both kinds of server share.
#[derive(Debug)]
struct Server {
    policy: OriginPolicy,
    log: Log,
    /// That it cannot accept has been said.
    trouble: Once,
    open: AtomicUsize,
    is_leaving: AtomicBool,
    /// Connections that ended without a closing handshake, once the server was leaving.
    dropped: AtomicUsize,
}

impl Server {
    fn new(args: &Args) -> Self {
        Self {
            policy: if args.any_origin { OriginPolicy::Any } else { OriginPolicy::SameOrigin },
            log: Log::new(args.quiet),
            trouble: Once::default(),
            open: AtomicUsize::new(0),
            is_leaving: AtomicBool::new(false),
            dropped: AtomicUsize::new(0),
        }
    }

    fn listens(&self, address: SocketAddr) {
        self.log.always(&format!("listening on ws://{address}"));
    }

    /// Accepting has failed. It will be tried again.
    fn cannot_accept(&self, error: &io::Error) {
        self.trouble.note(|| format!("cannot accept connections for now: {error}"));
    }

    /// A client has been accepted.
    fn accepts(&self) {
        if self.trouble.settle() {
            exit::note("accepting connections again");
        }
    }

    /// What a client is granted that asks for a WebSocket.
    fn answer(&self, request: &Request) -> Accept {
        let accept = Accept::new(self.policy.clone());
        match request.protocols().next() {
            Some(protocol) => accept.protocol(protocol),
            None => accept,
        }
    }

    /// A connection is open.
    fn opens(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was open has ended; there may be no story to tell of it.
    fn ends(&self, story: Option<&Story>, close: Option<&Close>) {
        if let Some(story) = story {
            story.closes(close, &self.log);
        }
        if !close.is_some_and(|close| close.was_clean) && self.is_leaving.load(Ordering::Relaxed) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// From now on whoever does not close in good order is counted.
    fn leaves(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// The process is about to end, and with it whoever is still there.
    fn tell_dropped(&self) {
        match self.dropped.load(Ordering::Relaxed) + self.open.load(Ordering::Relaxed) {
            0 => {}
            1 => exit::note("1 connection was dropped: there was no closing handshake in time"),
            many => exit::note(&format!("{many} connections were dropped: there was no closing handshake in time")),
        }
    }
}
