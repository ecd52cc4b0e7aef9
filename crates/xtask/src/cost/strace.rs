//! Counts the system calls of a server with strace.

use std::fs;
use std::ops::{Div, Sub};

use anyhow::{Context, Result, ensure};

use crate::clients::receive_messages;
use crate::echo::{Cell, Program};
use crate::workspace;

/// Numbers of system calls by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) reads: f64,
    pub(super) writes: f64,
    pub(super) waits: f64,
    pub(super) others: f64,
}

/// Receives this many messages, or a few more, from a server. Returns how many, and the system calls of all its threads
/// from start to exit.
pub(super) fn count(program: &Program, cell: Cell, messages: u64) -> Result<(u64, Calls)> {
    let file = workspace::target()?.join("measure/strace.out");
    let arguments = ["strace", "-f", "-c", "-o"].map(Into::into);
    let prefix: Vec<_> = arguments.into_iter().chain([file.clone().into_os_string()]).collect();
    let messages = receive_messages(program, &prefix, cell, messages)?;

    let text = fs::read_to_string(&file).with_context(|| format!("strace wrote no {}", file.display()))?;
    let calls = Calls::parse(&text);
    ensure!(calls != Calls::default(), "strace counted nothing; see {}", file.display());
    Ok((messages, calls))
}

impl Calls {
    /// Parses the table of `strace -c`: a line per system call, with its number in the fourth column and its name in
    /// the last.
    fn parse(text: &str) -> Self {
        let mut calls = Self::default();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let number = words.get(3).and_then(|word| word.parse::<u32>().ok());
            let (Some(number), Some(&name)) = (number, words.last()) else { continue };
            let sum = match name {
                "total" => continue,
                "read" | "readv" | "recvfrom" | "recvmsg" => &mut calls.reads,
                "write" | "writev" | "sendto" | "sendmsg" => &mut calls.writes,
                "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => &mut calls.waits,
                _ => &mut calls.others,
            };
            *sum += f64::from(number);
        }
        calls
    }
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            reads: self.reads - less.reads,
            writes: self.writes - less.writes,
            waits: self.waits - less.waits,
            others: self.others - less.others,
        }
    }
}

impl Div<f64> for Calls {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self { reads: self.reads / by, writes: self.writes / by, waits: self.waits / by, others: self.others / by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_parsed() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300           3       100           write
 20.00    0.000100           1       103         2 recvfrom
 10.00    0.000050           1        50           epoll_wait
  5.00    0.000025           5         5           mmap
  0.00    0.000000           0         1         1 access
------ ----------- ----------- --------- --------- ----------------
100.00    0.000475           2       259         3 total
";
        let calls = Calls { reads: 103.0, writes: 100.0, waits: 50.0, others: 6.0 };
        assert_eq!(Calls::parse(text), calls);
        let more = Calls { reads: 203.0, ..calls };
        assert_eq!((more - calls) / 100.0, Calls { reads: 1.0, ..Calls::default() });
    }
}
