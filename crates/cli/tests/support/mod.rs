//! The real binary, run with bounded waits and ended when a test is.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::{Close, Event, WebSocket};

/// How long anything may take that is not timed by a test itself: long for a busy machine, short for a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The kinds of server, as arguments.
pub(crate) const SERVERS: [&str; 2] = ["--mio", "--blocking"];

/// Runs a test with each kind of server, all at once; who fails has the kind's name.
pub(crate) fn with_each_server(test: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for kind in SERVERS {
            let test = || test(kind);
            thread::Builder::new().name(kind.to_owned()).spawn_scoped(scope, test).expect("a thread starts");
        }
    });
}

/// Runs a test's body; fails if it takes longer.
pub(crate) fn bounded(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    ended.recv_timeout(limit).expect("ends in time and without a panic");
}

/// A `sansocket` that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// What a `sansocket` that ended has left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What nobody read while it ran.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_sansocket")).args(arguments))
    }

    /// Another program, told the binary's path after its own arguments, that becomes the binary.
    pub(crate) fn start_through(program: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(arguments).arg(env!("CARGO_BIN_EXE_sansocket")))
    }

    pub(crate) fn spawn(command: impl std::borrow::BorrowMut<Command>) -> Self {
        let mut command = command;
        let mut child = command
            .borrow_mut()
            // Whoever sets it must still get one line, not a backtrace.
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

    /// An echo server on a port of its own choosing, and its address.
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

    /// Returns its stdin, for another thread to write to.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// The next line of stdout.
    pub(crate) fn stdout_line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).expect("a line on stdout")
    }

    /// The next line of stdout; `None` if stdout has ended.
    pub(crate) fn try_stdout_line(&self) -> Option<String> {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line on stdout nor its end"),
        }
    }

    /// The next line of stderr.
    pub(crate) fn stderr_line(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).expect("a line on stderr")
    }

    /// The next line of stdout that holds `text`; those before it are dropped.
    pub(crate) fn stdout_line_with(&self, text: &str) -> String {
        std::iter::repeat_with(|| self.stdout_line()).find(|line| line.contains(text)).expect("endless")
    }

    pub(crate) fn interrupt(&self) {
        interrupt(self.id());
    }

    /// Waits for its end, for [`PATIENCE`] at most.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let stdout = rest(&self.stdout, deadline);
        let stderr = rest(&self.stderr, deadline);
        // Both pipes have ended, and so has the process, or it is about to.
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
        // Either fails only if it has ended.
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
            Err(RecvTimeoutError::Timeout) => panic!("it does not end; so far it said {rest:#?}"),
        }
    }
}

/// Reads to the end.
pub(crate) fn last(ws: &mut WebSocket<TcpStream>) -> Option<Close> {
    ws.events().filter_map(Result::ok).find_map(|event| match event {
        Event::Close(close) => Some(close),
        _ => None,
    })
}
