//! The process of a server, started directly or by a measuring program, and its figures from `/proc`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::program::Program;
use crate::workspace;

/// The maximum time until a server listens, also under valgrind.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The maximum time until a server exits, and the measuring program has written its results.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A running server, which is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The process of the server: the child, or the child's child.
    pid: Pid,
    address: SocketAddr,
    /// The file with its standard error.
    log: PathBuf,
}

impl Server {
    /// Starts a server on a port that the system chooses, and waits until it listens.
    ///
    /// `prefix` is a command with arguments that runs the server, or empty.
    pub(crate) fn start(program: &Program, prefix: &[OsString]) -> Result<Self> {
        let dir = workspace::target()?.join("measure");
        fs::create_dir_all(&dir)?;
        let log = dir.join("server.log");

        let command: Vec<_> = prefix.iter().cloned().chain(program.command()).collect();
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", command[0].display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        // From here on, dropping it kills the process.
        let pid = Pid::from_child(&child);
        let mut server = Self { child, pid, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        server.address = server.wait_for_address(&first_line(stdout))?;
        server.pid = child_of(pid).unwrap_or(pid);
        Ok(server)
    }

    /// Returns the address on which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Terminates the server, and waits until it and the program that runs it have exited.
    pub(crate) fn end(mut self) -> Result<()> {
        self.check()?;
        kill_process(self.pid, Signal::TERM)?;
        let deadline = Instant::now() + END_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the server has not exited for {} s after SIGTERM", END_LIMIT.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Adds the server's exit to an error, if the server has exited.
    pub(crate) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        // The server closes its sockets a moment before it exits.
        thread::sleep(Duration::from_millis(50));
        match self.check() {
            Ok(()) => error,
            Err(ended) => error.context(ended),
        }
    }

    /// Returns the processor time of its threads, in user space and in the kernel. It is exact while the threads wait,
    /// unlike the times in `stat`, which are multiples of 10 ms.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let id = thread?.file_name();
            let times = self.proc(&format!("task/{}/schedstat", id.display()))?;
            // The first of three numbers: nanoseconds on a processor.
            let time = times.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
            sum += time.context("cannot parse the schedstat of the server")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Returns the processor times of its event loops: of the threads that `Threads` starts.
    pub(crate) fn loop_times(&self) -> Result<Vec<Duration>> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid))?;
        let mut times = Vec::new();
        for task in tasks {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with("sansocket ") {
                times.push(running_time(&task)?);
            }
        }
        ensure!(!times.is_empty(), "the server has no event loops of `Threads`");
        Ok(times)
    }

    /// Returns its resident memory, in bytes. It is exact, unlike `VmRSS`, which may be some pages behind.
    pub(crate) fn resident(&self) -> Result<u64> {
        let rollup = self.proc("smaps_rollup")?;
        let kilobytes = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB"))
            .and_then(|number| number.trim().parse::<u64>().ok());
        Ok(kilobytes.context("cannot parse the smaps_rollup of the server")? * 1024)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    fn wait_for_address(&mut self, line: &Receiver<String>) -> Result<SocketAddr> {
        let Ok(line) = line.recv_timeout(START_LIMIT) else {
            thread::sleep(Duration::from_millis(50));
            self.check()?;
            bail!("the server has not printed its address for {} s", START_LIMIT.as_secs());
        };
        address_in(&line).ok_or_else(|| anyhow!("the server printed {line:?} instead of its address"))
    }

    /// Returns an error with the last line of its log if it has exited.
    fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        bail!("the server exited with {status}; the last line of its log: {} ({})", last.trim(), self.log.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The server first: killing the program that runs it may leave it running.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns the processor time of a thread, by its folder in `/proc`.
pub(crate) fn running_time(task: &Path) -> Result<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).context("the kernel does not count the time of threads")?;
    let nanoseconds = text.split_whitespace().next().context("empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Returns a channel for the first line. A thread reads the other lines too, so that the server never blocks on
/// writing.
fn first_line(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.try_send(line);
        }
    });
    receiver
}

/// Parses the address at the end of a line, which may be a URL.
fn address_in(line: &str) -> Option<SocketAddr> {
    let word = line.split_whitespace().next_back()?;
    word.trim_start_matches("ws://").trim_end_matches('/').parse().ok()
}

/// Returns the child of a process. strace runs the server as its child; taskset and valgrind become the server.
fn child_of(parent: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_last_word() {
        for (line, address) in [
            ("listening on ws://127.0.0.1:9001", Some("127.0.0.1:9001")),
            ("listening on 127.0.0.1:9001", Some("127.0.0.1:9001")),
            ("ws://127.0.0.1:9001/", Some("127.0.0.1:9001")),
            ("listening", None),
            ("", None),
        ] {
            assert_eq!(address_in(line), address.map(|address| address.parse().unwrap()), "{line}");
        }
    }
}
