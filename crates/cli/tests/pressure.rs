//! `sansocket serve` while an output is not read, or the system has no more threads or descriptors.

#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::{CloseCode, Connector, Event, WebSocket};
use support::{Running, SERVERS, TIMEOUT, lines, terminate, with_each_server};

type Client = WebSocket<TcpStream>;

/// The interval at which to poll a process, for which no wait has a timeout.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A long request target, near the largest size of a request.
fn long_target() -> String {
    "x".repeat(15_000)
}

#[test]
fn an_unread_stdout_delays_no_connection() {
    with_each_server(|kind| {
        let mut server = Server::start(Command::new(env!("CARGO_BIN_EXE_sansocket")), kind, Stdio::null());
        let mut witness = server.connect("/");
        // The lines exceed what the pipe holds.
        for number in 0..300 {
            let mut client = server.connect(&format!("/{number}{}", long_target()));
            assert_echo(&mut client, "Hello");
        }
        assert_echo(&mut witness, "still there?");
        terminate(server.child.id());
        assert_going_away(witness);
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn dropped_lines_are_counted_and_reported() {
    const REQUESTS: usize = 2000;
    const THREADS: usize = 4;
    with_each_server(|kind| {
        let mut server = Server::start(Command::new(env!("CARGO_BIN_EXE_sansocket")), kind, Stdio::null());
        let address = server.address;
        let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long_target());
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..REQUESTS / THREADS).for_each(|_| ask(address, &request)));
            }
        });

        let lines = lines(server.stdout.take().unwrap());
        let next = || lines.recv_timeout(TIMEOUT).expect("a line");
        let (mut written, mut dropped) = (0, 0);
        while written + dropped < REQUESTS {
            let line = next();
            if let Some((count, _)) = line.split_once(" lines were dropped: stdout is not read fast enough") {
                assert!(written > 0 && written < REQUESTS, "{line}");
                dropped += count.parse::<usize>().unwrap();
            } else {
                assert!(line.len() < 1024, "{} bytes: {line}", line.len());
                let (target, end) = line.split_once('…').expect("a cut");
                assert!(target.contains(" refused: GET /xxx"), "{line}");
                let hidden = long_target().len() - target.matches('x').count();
                assert_eq!(end, format!(" ({hidden} bytes cut) is not a WebSocket request: answered 426"));
                written += 1;
            }
        }
        assert!(dropped > 0 && written > 0 && written + dropped == REQUESTS, "{written} written, {dropped} dropped");
        // From now on, the lines are complete.
        drop(server.connect("/late"));
        assert!(next().ends_with(" opened: /late"));
        assert!(next().contains(" closed: 1006, not clean, 0 messages"));
        terminate(server.child.id());
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn an_unread_stderr_delays_no_connection() {
    with_each_server(|kind| {
        let (stderr, full) = full_pipe();
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 32 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sansocket")]);
        let server = Server::start(shell, kind, full);

        let mut witness = server.connect("/");
        assert_echo(&mut witness, "Hello");
        let crowd: Vec<_> = (0..64).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        // The last descriptor is in use, so the server cannot accept the rest of the crowd.
        server.wait_for_descriptor(31);
        assert_echo(&mut witness, "still there?");
        drop(crowd);

        // The notes arrive as soon as they can be written.
        let lines = lines(stderr);
        let mut notes =
            std::iter::repeat_with(|| lines.recv_timeout(TIMEOUT).expect("a note")).filter(|x| !x.is_empty());
        let note = notes.next().unwrap();
        assert!(note.starts_with("cannot accept connections for now: "), "{note}");
        assert_eq!(notes.next().unwrap(), "accepting connections again");
        assert_echo(&mut server.connect("/"), "welcome back");
    });
}

#[test]
fn an_unread_stderr_does_not_delay_the_end() {
    with_each_server(|kind| {
        let (_stderr, full) = full_pipe();
        let mut server = Server::start(Command::new(env!("CARGO_BIN_EXE_sansocket")), kind, full);
        // The server reports the connection of a client that does not answer.
        let _silent = server.connect("/");
        terminate(server.child.id());
        assert_eq!(server.end(), 0);
    });
}

/// Neither a signal nor the end of the server needs a new thread.
#[test]
fn without_threads_the_server_serves_and_ends() {
    const CLIENTS: usize = 100;
    with_each_server(|kind| {
        let user = Unprivileged::new();
        let server = Running::spawn(user.command().args(["serve", "127.0.0.1:0", "--quiet", kind]));
        let address = server.listening();
        let url = format!("ws://{address}/");
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(&url)).collect();
        clients.iter_mut().for_each(|client| assert_echo(client, "Hello"));

        user.forbid_threads(server.id());
        clients.iter_mut().for_each(|client| assert_echo(client, "still there?"));
        if kind == "--blocking" {
            // This connection needs a thread.
            let _mute = TcpStream::connect(address).unwrap();
            let note = server.stderr_line();
            assert!(note.starts_with("cannot accept connections for now: "), "{note}");
        }
        terminate(server.id());
        clients.into_iter().for_each(assert_going_away);
        let ended = server.end();
        assert_eq!((ended.code(), &ended.stdout[..], &ended.stderr[..]), (0, &[][..], &[][..]));
    });
}

#[test]
fn a_server_starts_with_all_of_its_threads_or_not_at_all() {
    let user = Unprivileged::new();
    for kind in SERVERS {
        let mut failures = 0;
        for limit in 1..=8 {
            let command =
                format!("ulimit -u {limit} 2>/dev/null || ulimit -p {limit}; exec \"$0\" serve 127.0.0.1:0 {kind}");
            let server = Running::spawn(user.shell(&command));
            match server.try_stdout_line() {
                Some(line) => {
                    assert!(line.starts_with("listening on "), "{line}");
                    terminate(server.id());
                    let ended = server.end();
                    assert_eq!((ended.code(), &ended.stderr[..]), (0, &[][..]), "{kind}, {limit} threads: {ended:?}");
                }
                None => {
                    failures += 1;
                    let ended = server.end();
                    let [line] = &ended.stderr[..] else { panic!("{kind}, {limit} threads: not one line: {ended:#?}") };
                    assert!(line.starts_with("error: cannot "), "{kind}, {limit} threads: {line}");
                    assert_eq!(ended.code(), 1, "{kind}, {limit} threads: {line}");
                }
            }
        }
        assert!(failures > 3, "{kind}: the limit has no effect");
    }
}

#[test]
fn without_threads_the_client_fails_in_one_line() {
    let (_server, address) = Running::serve(&[]);
    let user = Unprivileged::new();
    for limit in 1..=3 {
        let command =
            format!("ulimit -u {limit} 2>/dev/null || ulimit -p {limit}; exec \"$0\" connect ws://{address}/");
        let ended = Running::spawn(user.shell(&command)).end();
        let [_opened, line] = &ended.stderr[..] else { panic!("{limit} threads: not two lines: {ended:#?}") };
        assert!(line.starts_with("error: cannot "), "{limit} threads: {line}");
        assert_eq!(ended.code(), 1);
    }
}

/// A server whose outputs only the test reads.
struct Server {
    child: Child,
    address: SocketAddr,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    fn start(mut command: Command, kind: &str, stderr: impl Into<Stdio>) -> Self {
        command.args(["serve", "127.0.0.1:0", kind]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        // The buffer is small, so that it does not take the lines of the test.
        let mut stdout = BufReader::with_capacity(64, child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ws://").expect("an address").parse().unwrap();
        Self { child, address, stdout: Some(stdout) }
    }

    fn connect(&self, target: &str) -> Client {
        connect(&format!("ws://{}{target}", self.address))
    }

    /// Waits until the server has a file with this descriptor.
    fn wait_for_descriptor(&self, descriptor: u32) {
        let path = format!("/proc/{}/fd/{descriptor}", self.child.id());
        let deadline = Instant::now() + TIMEOUT;
        while fs::symlink_metadata(&path).is_err() {
            assert!(Instant::now() < deadline, "the descriptor {descriptor} is not in use");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits for the end, for [`TIMEOUT`] at most. Returns the exit status.
    fn end(&mut self) -> i32 {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("not ended by a signal");
            }
            assert!(Instant::now() < deadline, "the server does not end");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user without privileges, because the limit on processes does not apply to root. The tests need not run as root.
struct Unprivileged {
    /// `Some` if this process is root.
    root: Option<AsRoot>,
}

struct AsRoot {
    /// The binary where every user may execute it.
    binary: PathBuf,
    uid: u32,
}

impl Unprivileged {
    fn new() -> Self {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self { root: None };
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let binary = std::env::temp_dir().join(format!("sansocket-test-{id}-{number}"));
        // Another process copies it: if a thread of this one forks meanwhile, the child has no file open for writing,
        // which would keep the binary from being executed.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sansocket")).arg(&binary).status();
        assert!(copied.expect("cp runs").success());
        fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
        // The limit counts all processes of a user, so each test needs another user.
        Self { root: Some(AsRoot { binary, uid: 20_000 + (id * 16 + number) % 40_000 }) }
    }

    fn command(&self) -> Command {
        match &self.root {
            None => Command::new(env!("CARGO_BIN_EXE_sansocket")),
            Some(root) => as_user(&root.binary, root.uid),
        }
    }

    /// A shell command, whose `$0` is the binary.
    fn shell(&self, command: &str) -> Command {
        let (mut shell, binary) = match &self.root {
            None => (Command::new("sh"), PathBuf::from(env!("CARGO_BIN_EXE_sansocket"))),
            Some(root) => (as_user("sh", root.uid), root.binary.clone()),
        };
        shell.args(["-c", command]).arg(binary);
        shell
    }

    /// Keeps a running process from starting another thread.
    fn forbid_threads(&self, id: u32) {
        let mut prlimit = match &self.root {
            None => Command::new("prlimit"),
            Some(root) => as_user("prlimit", root.uid),
        };
        assert!(prlimit.args(["--nproc=1", "--pid", &id.to_string()]).status().expect("prlimit runs").success());
    }
}

fn as_user(program: impl AsRef<OsStr>, uid: u32) -> Command {
    let mut command = Command::new(program);
    command.uid(uid).current_dir("/");
    command
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        if let Some(root) = &self.root {
            let _ = fs::remove_file(&root.binary);
        }
    }
}

/// Returns a pipe that accepts no more bytes. It is full of empty lines.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let error = std::iter::repeat_with(|| writer.write_all(&[b'\n'; 4096])).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    // The setting belongs to the pipe, not to the descriptor, so the server would have it too.
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer.into())
}

fn connect(url: &str) -> Client {
    let client = Connector::new().connect(url).unwrap();
    client.stream().set_read_timeout(Some(TIMEOUT)).unwrap();
    client
}

fn assert_echo(client: &mut Client, message: &str) {
    client.send(message).unwrap();
    match client.read().unwrap() {
        Some(Event::Message(echo)) => assert_eq!(echo.as_text(), Some(message)),
        other => panic!("{other:?} instead of {message:?}"),
    }
}

fn assert_going_away(mut client: Client) {
    // An error, such as a timeout, fails the test.
    let close = client.events().map(Result::unwrap).find_map(|event| match event {
        Event::Close(close) => Some(close),
        _ => None,
    });
    let close = close.expect("a Close event");
    assert_eq!((close.code, close.was_clean), (CloseCode::GOING_AWAY, true), "{close:?}");
}

/// Sends a request and waits for the answer.
fn ask(address: SocketAddr, request: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 426");
}
