//! Server: an echo server as a process, under another program's eyes if need be, and what the kernel knows of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::program::Program;
use crate::workspace;

/// How long a server may take until it listens, valgrind included.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end, and those that watch it to write down what they saw.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A running echo server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The server itself: the child, or the child's.
    pid: Pid,
    address: SocketAddr,
    /// What it says on standard error.
    log: PathBuf,
}

impl Server {
    /// Starts a server at a port that the system chooses, and waits until it listens.
    ///
    /// `prefix` is a command that runs it, with the command's arguments; or nothing.
    pub(crate) fn start(program: &Program, prefix: &[OsString]) -> Result<Self> {
        let dir = workspace::target()?.join("measure");
        fs::create_dir_all(&dir)?;
        let log = dir.join("server.log");

        let server = program.path().as_os_str().to_owned();
        let words: Vec<_> = prefix.iter().cloned().chain([server]).collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", words[0].display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        // From here on dropping it ends it.
        let pid = Pid::from_child(&child);
        let mut server = Self { child, pid, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        server.address = server.wait_until_it_listens(&first_line(stdout))?;
        server.pid = traced(pid).unwrap_or(pid);
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end, and waits until it has, and whoever runs it as well.
    pub(crate) fn end(mut self) -> Result<()> {
        self.check()?;
        kill_process(self.pid, Signal::TERM)?;
        let deadline = Instant::now() + END_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the server does not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Explains a failure by the server's end, if that is what happened.
    pub(crate) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        // It may have closed its sockets a moment before it is gone.
        thread::sleep(Duration::from_millis(50));
        match self.check() {
            Ok(()) => error,
            Err(ended) => error.context(ended),
        }
    }

    /// The processor time that it has taken, in user space and in the kernel.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        // The second field is a name in parentheses, which may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = |field: usize| fields.split_whitespace().nth(field - 3).and_then(|field| field.parse::<u64>().ok());
        // proc(5): utime is field 14, stime field 15.
        let ticks = ticks(14).zip(ticks(15)).map(|(user, system)| user + system).context("cannot read its stat")?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Its resident memory, in bytes: every page, exactly, where `VmRSS` is up to date only within some pages.
    pub(crate) fn resident(&self) -> Result<u64> {
        let rollup = self.proc("smaps_rollup")?;
        let kilobytes = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB"))
            .and_then(|number| number.trim().parse::<u64>().ok());
        Ok(kilobytes.context("cannot read its smaps_rollup")? * 1024)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    fn wait_until_it_listens(&mut self, line: &Receiver<String>) -> Result<SocketAddr> {
        let Ok(line) = line.recv_timeout(START_LIMIT) else {
            thread::sleep(Duration::from_millis(50));
            self.check()?;
            bail!("the server does not say where it listens");
        };
        address_in(&line).ok_or_else(|| anyhow!("the server says {line:?} and not where it listens"))
    }

    /// An error, with its last words, if it has ended.
    fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let words = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        bail!("the server ended with {status}; it said last: {} ({})", words.trim(), self.log.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The server first: what runs it may not take it along.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The first line, when it comes. The rest is read as well, so that the server can go on writing.
fn first_line(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.try_send(line);
        }
    });
    receiver
}

/// The address that a line ends in, which may be a URL's.
fn address_in(line: &str) -> Option<SocketAddr> {
    let word = line.split_whitespace().next_back()?;
    word.trim_start_matches("ws://").trim_end_matches('/').parse().ok()
}

/// The only child of a process: strace stays, and has the server for a child; taskset and valgrind become the server.
fn traced(parent: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_last_word() {
        for (line, address) in [
            ("listening at ws://127.0.0.1:9001", Some("127.0.0.1:9001")),
            ("listening on 127.0.0.1:9001", Some("127.0.0.1:9001")),
            ("ws://127.0.0.1:9001/", Some("127.0.0.1:9001")),
            ("listening", None),
            ("", None),
        ] {
            assert_eq!(address_in(line), address.map(|address| address.parse().unwrap()), "{line}");
        }
    }
}
