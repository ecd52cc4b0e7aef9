//! A child process that prints lines: the command `sansocket`, a script, or a browser.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The longest wait for a line, which a script's own limit precedes.
const LIMIT: Duration = Duration::from_secs(70);

/// A running process, which is killed when dropped. Its stdin is open until then: servers end with it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    /// Starts a process, whose standard error is that of this process.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Ends with the process, or once nothing receives.
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, lines, name })
    }

    /// Returns the next line of its standard output.
    pub(super) fn line(&self) -> Result<String> {
        let line = self.lines.recv_timeout(LIMIT).ok();
        line.with_context(|| format!("{} has ended, or has printed nothing for {} s", self.name, LIMIT.as_secs()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
