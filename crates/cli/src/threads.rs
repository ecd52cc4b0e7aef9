//! Threads that the command needs for as long as it runs.

use std::thread;

use crate::exit::{Exit, Failure};

/// Starts a thread.
///
/// # Errors
///
/// The system has no room for another thread. The command starts all of these threads first, so that it fails before it
/// has any connection.
pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map(drop).map_err(|error| {
        let advice = "the limit on processes and threads (ulimit -u) may be reached";
        Failure::new(Exit::Failed, format_args!("cannot start the {name} thread: {error}; {advice}"))
    })
}
