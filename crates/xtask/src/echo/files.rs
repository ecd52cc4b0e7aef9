//! The limit on open files, which every connection counts against at both of its ends.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a process has open beside its connections, and some to spare.
const OTHERS: usize = 64;

/// Sees to it that this process, and each that it starts, may have this many connections.
pub(crate) fn allow_connections(connections: usize) -> Result<()> {
    let files = (connections + OTHERS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    ensure!(
        maximum.is_none_or(|maximum| maximum >= files),
        "{files} files must be open at once, and the system allows {} a process: ask for fewer connections, or raise \
         the limit (ulimit -n)",
        maximum.unwrap_or_default()
    );
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).context("cannot raise the limit on files")
}
