//! Counts the instructions of a server with valgrind's callgrind.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::clients::receive_messages;
use crate::echo::{Cell, Program};
use crate::workspace;

/// An environment variable and its value: glibc does not copy with `rep movsb`. It would copy 2 KiB and more with it,
/// and every byte would count as an instruction and outweigh all others.
pub(crate) const NO_REP_MOVSB: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS");

/// Receives this many messages, or a few more, from a server. Returns how many, the instructions in user space from
/// start to exit, and the file with the profile.
pub(super) fn count(program: &Program, cell: Cell, messages: u64) -> Result<(u64, u64, PathBuf)> {
    let (messages, text, file) = profile(program, cell, messages, &[])?;
    let total = total(&text).with_context(|| format!("no total in {}", file.display()))?;
    Ok((messages, total, file))
}

/// Makes a server echo this many messages, or a few more, with further options of callgrind. Returns how many, the
/// profile, and its file.
pub(super) fn profile(
    program: &Program,
    cell: Cell,
    messages: u64,
    options: &[&str],
) -> Result<(u64, String, PathBuf)> {
    let Cell { payload, connections, in_flight } = cell;
    let workload = program.workload().to_string().replace([' ', ',', '(', ')'], "-");
    let name = format!("callgrind.{workload}.{}.{connections}.{in_flight}.out", payload.0);
    let file = workspace::target()?.join("measure").join(name);
    let mut out = "--callgrind-out-file=".to_owned();
    out.push_str(file.to_str().context("the path of the target folder is not UTF-8")?);
    let variable = format!("{}={}", NO_REP_MOVSB.0, NO_REP_MOVSB.1);
    let fixed = ["env", &variable, "valgrind", "--quiet", "--tool=callgrind", "--cache-sim=no", &out];
    let prefix: Vec<_> = fixed.iter().chain(options).map(Into::into).collect();
    let messages = receive_messages(program, &prefix, cell, messages)?;

    let text = fs::read_to_string(&file).with_context(|| format!("valgrind wrote no {}", file.display()))?;
    Ok((messages, text, file))
}

/// Parses the total in the last line of a file of callgrind.
pub(crate) fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_parsed() {
        assert_eq!(total("events: Ir\nfn=(1)\n5 3\n\ntotals: 11970132\n"), Some(11_970_132));
        assert_eq!(total("events: Ir\n"), None);
    }
}
