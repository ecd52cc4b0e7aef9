//! `sansocket serve`: an echo server, which runs on event loops or with a thread for each connection.
//!
//! A server starts every thread that its log and its end need before it listens. At the limit on processes it still
//! logs, handles signals and closes its connections.

mod blocking;
mod event_loops;
mod line_queue;
mod log;
mod server;
mod session_log;
mod sessions;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;

use sansocket_net::OriginPolicy;
use sansocket_net::sansocket::OriginFault;

use crate::compression::CompressionArgs;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use server::Server;
#[cfg(feature = "tls")]
use tls::TlsArgs;

/// Run an echo server, which sends every message back to its sender
///
/// Prints one line when a connection opens and one when it has closed. If stdout is not read fast enough, lines are
/// dropped, and their number is printed. Any path is served, and the first subprotocol offered is selected.
///
/// Ctrl-C (or SIGTERM) closes every connection with code 1001 and ends the server with status 0. A client that does not
/// answer, or reads its echoes too slowly, delays the end by 7 seconds at most. A second Ctrl-C ends the server at
/// once.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The address to listen on; port 0 lets the system choose one
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9001")]
    address: String,

    /// Let web pages of any origin connect, not only those of this host and port
    #[arg(long)]
    any_origin: bool,

    /// Let web pages of this origin connect, such as https://example.com, instead of those of this host and port; may
    /// be repeated
    #[arg(long = "origin", value_name = "ORIGIN", conflicts_with = "any_origin")]
    origins: Vec<String>,

    #[command(flatten)]
    compression: CompressionArgs,

    /// Print no lines about connections
    #[arg(short, long)]
    quiet: bool,

    /// Serve all connections from event loops, over mio (the default)
    #[arg(long)]
    mio: bool,

    /// The number of event loops, 1 to 1024; each has a thread and an even share of the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,

    /// Serve each connection from a separate thread, over std::net
    #[arg(long, conflicts_with_all = ["mio", "threads"])]
    blocking: bool,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: TlsArgs,
}

/// Serves until the first signal.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let server = Server::start(policy(args)?, args.compression.config(), args.quiet)?;
    #[cfg(feature = "tls")]
    let server = server.with_tls(args.tls.config(&args.address)?);
    let server = Arc::new(server);
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
        // Nothing reads stderr, so writing the message would block.
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
