//! Runs the real binary with bounded waits, and kills it when its test ends.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::{Close, Event, WebSocket};

/// The longest wait for anything that the test itself does not time: enough for a busy machine, and short for a hang.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The kinds of server, as arguments.
pub(crate) const SERVERS: [&str; 2] = ["--mio", "--blocking"];

/// Runs a test with each kind of server at the same time. The thread of a failed test has the kind's name.
pub(crate) fn with_each_server(test: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for kind in SERVERS {
            let test = || test(kind);
            thread::Builder::new().name(kind.to_owned()).spawn_scoped(scope, test).expect("a thread starts");
        }
    });
}

/// Runs a test's body. Fails if it takes longer than `limit`.
pub(crate) fn bounded(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    ended.recv_timeout(limit).expect("ends in time and without a panic");
}

/// A running `sansocket`. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// The status and the remaining output of a `sansocket` that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The lines that the test has not read before.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_sansocket")).args(arguments))
    }

    /// Starts a program that executes the binary. Its last argument is the binary's path.
    pub(crate) fn start_through(program: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(arguments).arg(env!("CARGO_BIN_EXE_sansocket")))
    }

    pub(crate) fn spawn(command: impl std::borrow::BorrowMut<Command>) -> Self {
        let mut command = command;
        let mut child = command
            .borrow_mut()
            // Even with this variable set, a failure is one line and no backtrace.
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdin = child.stdin.take();
        let stdout = lines(child.stdout.take().expect("stdout is piped"));
        let stderr = lines(child.stderr.take().expect("stderr is piped"));
        Self { child, stdin, stdout, stderr }
    }

    /// Starts an echo server on a port that the system chooses. Returns it and its address.
    pub(crate) fn serve(arguments: &[&str]) -> (Self, SocketAddr) {
        let server = Self::start(&[&["serve", "127.0.0.1:0"], arguments].concat());
        let address = server.listening();
        (server, address)
    }

    /// Reads the address from the first line of a server.
    pub(crate) fn listening(&self) -> SocketAddr {
        let line = self.stdout_line();
        let address = line.strip_prefix("listening on ws://").unwrap_or_else(|| panic!("not listening: {line}"));
        address.parse().expect("an address")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").expect("the binary reads its stdin");
    }

    pub(crate) fn end_stdin(&mut self) {
        self.stdin = None;
    }

    /// Returns the stdin of the process, so that another thread can write to it.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// Returns the next line of stdout.
    pub(crate) fn stdout_line(&self) -> String {
        self.stdout.recv_timeout(TIMEOUT).expect("a line on stdout")
    }

    /// Returns the next line of stdout, or `None` at its end.
    pub(crate) fn try_stdout_line(&self) -> Option<String> {
        match self.stdout.recv_timeout(TIMEOUT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line on stdout nor its end"),
        }
    }

    /// Returns the next line of stderr.
    pub(crate) fn stderr_line(&self) -> String {
        self.stderr.recv_timeout(TIMEOUT).expect("a line on stderr")
    }

    /// Returns the next line of stdout that contains `text`, and drops those before it.
    pub(crate) fn stdout_line_with(&self, text: &str) -> String {
        std::iter::repeat_with(|| self.stdout_line()).find(|line| line.contains(text)).expect("endless")
    }

    pub(crate) fn interrupt(&self) {
        interrupt(self.id());
    }

    /// Waits until the process has ended, for [`TIMEOUT`] at most.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + TIMEOUT;
        let stdout = rest(&self.stdout, deadline);
        let stderr = rest(&self.stderr, deadline);
        // Both pipes have ended, so the process has ended or is about to.
        let status = self.child.wait().expect("it is our child");
        Ended { status, stdout, stderr }
    }
}

/// Sends SIGINT, as Ctrl-C does.
pub(crate) fn interrupt(id: u32) {
    signal("-INT", id);
}

/// Sends SIGTERM.
pub(crate) fn terminate(id: u32) {
    signal("-TERM", id);
}

fn signal(signal: &str, id: u32) {
    let kill = Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(kill.expect("kill runs").success(), "cannot send {signal}");
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }
}

/// Reads lines in a thread.
pub(crate) fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn rest(lines: &Receiver<String>, deadline: Instant) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => panic!("the process does not end; its output so far: {rest:#?}"),
        }
    }
}

/// Reads to the end of the connection. Returns the Close event.
pub(crate) fn last(ws: &mut WebSocket<TcpStream>) -> Option<Close> {
    ws.events().filter_map(Result::ok).find_map(|event| match event {
        Event::Close(close) => Some(close),
        _ => None,
    })
}
