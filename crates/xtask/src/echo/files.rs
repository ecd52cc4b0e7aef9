//! The limit on open files: each connection takes one at both of its ends.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The open files of a process besides its connections, with some reserve.
const OTHERS: usize = 64;

/// Raises the limit so that this process, and each that it starts, can have this many connections.
pub(crate) fn allow_connections(connections: usize) -> Result<()> {
    let files = (connections + OTHERS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    ensure!(
        maximum.is_none_or(|maximum| maximum >= files),
        "{files} open files are needed, and the system allows {} per process: use fewer connections, or raise the \
         limit (ulimit -n)",
        maximum.unwrap_or_default()
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).context("cannot raise the limit on files")
}
