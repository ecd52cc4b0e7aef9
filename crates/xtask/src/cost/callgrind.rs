//! Instructions: an echo server under valgrind's callgrind.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::drive;
use crate::echo::{Cell, Program};
use crate::workspace;

/// Has a server echo this many messages, or a few more. Returns how many, what instructions its user space took from its
/// beginning to its end, and the file that tells where.
pub(super) fn count(program: &Program, cell: Cell, messages: u64) -> Result<(u64, u64, PathBuf)> {
    let name = format!("callgrind.{}.{}.{}.out", cell.payload.0, cell.connections, cell.in_flight);
    let file = workspace::target()?.join("measure").join(name);
    let mut out = "--callgrind-out-file=".to_owned();
    out.push_str(file.to_str().context("the name of the target folder is not text")?);
    let prefix = ["valgrind", "--quiet", "--tool=callgrind", "--cache-sim=no", &out].map(Into::into);
    let messages = drive(program, &prefix, cell, messages)?;

    let text = fs::read_to_string(&file).with_context(|| format!("valgrind left no {}", file.display()))?;
    let total = total(&text).with_context(|| format!("there is no total in {}", file.display()))?;
    Ok((messages, total, file))
}

/// The sum of a file of callgrind's, which is in its last line.
pub(crate) fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read() {
        assert_eq!(total("events: Ir\nfn=(1)\n5 3\n\ntotals: 11970132\n"), Some(11_970_132));
        assert_eq!(total("events: Ir\n"), None);
    }
}
