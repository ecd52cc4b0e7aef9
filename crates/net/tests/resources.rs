//! The cost of connections: descriptors, threads and memory. Each test runs in another process, which sets limits and
//! counts.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sansocket_net::{
    Acceptor, Close, CloseCode, Config, Connector, Error, HttpResponse, Incoming, Listener, Message, WebSocket,
};
use support::*;

#[path = "../examples/blocking_echo_server.rs"]
#[allow(dead_code, reason = "the example has its own `main`")]
mod blocking_echo_server;

const IS_CHILD: &str = "SANSOCKET_TEST_CHILD";

/// Makes the allocator return freed memory at once. Otherwise the memory that it keeps depends on how many threads
/// happened to run at a time.
const KEEP_NOTHING: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=16384:glibc.malloc.trim_threshold=0:\
     glibc.pthread.stack_cache_size=0",
);

/// Returns the command that runs this test in another process, with this limit on descriptors.
fn child(test: &str, descriptors: usize) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n \"$1\" && exec \"$0\" --exact \"$2\" --nocapture"])
        .args([env::current_exe().unwrap().to_str().unwrap(), &descriptors.to_string(), test])
        .envs([(IS_CHILD, "1"), KEEP_NOTHING]);
    command
}

/// Runs a test in another process.
fn assert_passes(child: &mut Command) {
    let test = child.output().unwrap();
    let output = String::from_utf8_lossy(&test.stdout).into_owned() + &String::from_utf8_lossy(&test.stderr);
    assert!(test.status.success() && output.contains("1 passed"), "{output}");
}

fn is_child() -> bool {
    env::var_os(IS_CHILD).is_some()
}

/// Counts the open descriptors.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the resident memory, in KiB.
fn resident_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// No client gets 101 and then the end of TCP because the server has run out of descriptors.
#[test]
fn at_the_descriptor_limit_every_accepted_client_is_served() {
    at_the_descriptor_limit("at_the_descriptor_limit_every_accepted_client_is_served", serve_split);
}

#[test]
fn at_the_descriptor_limit_the_echo_server_of_the_examples_continues() {
    let name = "at_the_descriptor_limit_the_echo_server_of_the_examples_continues";
    at_the_descriptor_limit(name, blocking_echo_server::serve);
}

/// Connects twice as many clients at once as the server has descriptors. All are served in turn.
fn at_the_descriptor_limit(test: &'static str, serve: fn(&Listener)) {
    const CLIENTS: usize = 100;
    if is_child() {
        let (listener, address) = listen();
        println!("\nlistening on {address}");
        return serve(&listener);
    }
    bounded(move || {
        let mut server = child(test, CLIENTS / 2).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address: SocketAddr =
            lines.find_map(|line| line.strip_prefix("listening on ").map(|address| address.parse().unwrap())).unwrap();
        let mut streams: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(REQUEST.as_bytes()).unwrap();
        }
        // The first clients are served while the others wait to be accepted.
        for stream in &mut streams {
            assert!(read_head(stream).starts_with("HTTP/1.1 101 "));
            stream.write_all(HELLO).unwrap();
            let mut echo = [0; 7];
            stream.read_exact(&mut echo).expect("a client that got 101 is served");
            assert_eq!(&echo, b"\x81\x05Hello");
            stream.shutdown(Shutdown::Both).unwrap();
        }
        server.kill().unwrap();
        server.wait().unwrap();
    });
}

/// Accepts, and echoes over split connections.
fn serve_split(listener: &Listener) {
    for incoming in listener.incoming().flatten() {
        thread::spawn(move || -> Result<(), Error> {
            let (mut reader, writer) = incoming.accept()?.split()?;
            while let Some(event) = reader.read()? {
                if let sansocket_net::Event::Message(message) = event {
                    writer.send(message)?;
                }
            }
            Ok(())
        });
    }
}

/// The echo server of the examples, which is written like the one of the README.
#[test]
fn without_threads_clients_are_dropped_and_the_server_continues() {
    const NAME: &str = "without_threads_clients_are_dropped_and_the_server_continues";
    if is_child() {
        let (listener, address) = listen();
        println!("\nlistening on {address}");
        return blocking_echo_server::serve(&listener);
    }
    bounded(|| {
        let mut server = Unprivileged::start(NAME);
        let address = server.address;
        let mut first = connect(address);
        let limit = server.thread_limit();
        server.limit_threads("1");
        let mut refused = TcpStream::connect(address).unwrap();
        // The server may have dropped the client already. The client reads the end of TCP, or a reset.
        let _ = refused.write_all(REQUEST.as_bytes());
        assert!(refused.read(&mut [0]).map_or(true, |count| count == 0));
        let error = server.next_error();
        assert!(error.contains("os error 11"), "{error}");
        // The server serves the client that it has, and others when there are threads again.
        assert_echo(&mut first);
        server.limit_threads(&limit);
        assert_echo(&mut connect(address));
        assert_echo(&mut first);
    });
}

fn assert_echo(ws: &mut WebSocket) {
    ws.send("Hello").unwrap();
    assert_eq!(message(ws), Message::from("Hello"));
}

/// A test in another process, of a user without privileges: the limit on threads does not apply to root.
struct Unprivileged {
    process: Child,
    address: SocketAddr,
    errors: Lines<BufReader<ChildStderr>>,
    /// A copy of the test's binary that every user may execute.
    copy: PathBuf,
}

impl Unprivileged {
    fn start(test: &str) -> Self {
        let copy = env::temp_dir().join(format!("sansocket-net-test-{}", std::process::id()));
        // `cp` copies it: if this process did, a child that is forked meanwhile would have it open for writing.
        let copied = Command::new("cp").arg(env::current_exe().unwrap()).arg(&copy).status();
        assert!(copied.unwrap().success());
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        let mut command = as_unprivileged(&copy);
        command.args(["--exact", test, "--nocapture"]).env(IS_CHILD, "1");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.parse().unwrap())).unwrap();
        let errors = BufReader::new(process.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.for_each(drop));
        Self { process, address, errors, copy }
    }

    /// Returns the limit on the user's threads.
    fn thread_limit(&self) -> String {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.process.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    /// Sets the soft limit: the user could not raise the hard limit again.
    fn limit_threads(&self, limit: &str) {
        let mut prlimit = as_unprivileged("prlimit");
        let status = prlimit.arg(format!("--nproc={limit}:")).args(["--pid", &self.process.id().to_string()]).status();
        assert!(status.expect("prlimit runs").success());
    }

    /// Returns the next line that the process writes to stderr.
    fn next_error(&mut self) -> String {
        self.errors.next().unwrap().unwrap()
    }
}

fn as_unprivileged(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(20_000 + std::process::id() % 40_000);
    }
    command
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.copy);
    }
}

/// Neither a current nor a later call of `accept` needs a descriptor to end.
#[test]
fn a_stop_ends_accept_without_free_descriptors() {
    const NAME: &str = "a_stop_ends_accept_without_free_descriptors";
    if !is_child() {
        return assert_passes(&mut child(NAME, 64));
    }
    bounded(|| {
        let (listener, address) = listen();
        let (stopper, listener) = (listener.stopper(), Arc::new(listener));
        let (errors, failures) = mpsc::channel();
        let mut clients: Vec<_> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
        let files: Vec<_> = std::iter::repeat_with(|| fs::File::open("/dev/null")).map_while(Result::ok).collect();
        let threads = [(); 3].map(|()| {
            let (listener, errors) = (Arc::clone(&listener), errors.clone());
            spawn(move || {
                for incoming in listener.incoming() {
                    errors.send(incoming.map(drop).unwrap_err()).unwrap();
                }
            })
        });
        let started = Instant::now();
        assert!(failures.recv_timeout(BOUND).unwrap().to_string().contains("os error 24"));
        // Each thread pauses after a failure: the loops do not spin.
        for _ in 0..6 {
            failures.recv_timeout(BOUND).unwrap();
        }
        assert!(started.elapsed() >= Duration::from_millis(100));
        stopper.stop();
        threads.into_iter().for_each(Task::join);
        assert!(listener.accept().unwrap().is_none());
        drop(files);
        clients.clear();
    });
}

/// A source of choices, the same in each run.
struct Choices(u64);

impl Choices {
    fn next(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

#[test]
fn connections_broken_at_either_end_leak_nothing() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 4;
    if !is_child() {
        return assert_passes(&mut child("connections_broken_at_either_end_leak_nothing", 1024));
    }
    bounded(|| {
        let count: usize = env::var("SANSOCKET_TEST_CONNECTIONS").map_or(6_000, |count| count.parse().unwrap());
        let (listener, address) = listen_with(
            Acceptor::new()
                .config(Config::default().opening_timeout(SHORT).closing_timeout(SHORT).closing_limit(SHORT * 2)),
        );
        let ended = Arc::new(AtomicUsize::new(0));
        thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                for (number, incoming) in listener.incoming().enumerate() {
                    let (incoming, ended) = (incoming.unwrap(), Arc::clone(&ended));
                    thread::spawn(move || {
                        // An error is one of the ways in which a connection breaks.
                        let _ = break_server(incoming, &mut Choices(number as u64));
                        ended.fetch_add(1, Ordering::SeqCst);
                    });
                }
            }
        });
        let mut rounds = Vec::new();
        for round in 1..=ROUNDS {
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    scope.spawn(move || {
                        let mut choices = Choices((thread * 10 + round) as u64);
                        (0..count / ROUNDS / THREADS).for_each(|_| break_client(address, &mut choices));
                    });
                }
            });
            let started = Instant::now();
            while ended.load(Ordering::SeqCst) < count / ROUNDS / THREADS * THREADS * round {
                assert!(started.elapsed() < BOUND, "{} connections have ended", ended.load(Ordering::SeqCst));
                thread::sleep(Duration::from_millis(10));
            }
            rounds.push((descriptors(), resident_memory()));
        }
        println!("descriptors and KiB after each of {ROUNDS} rounds of {count} connections: {rounds:?}");
        let [first, .., last] = rounds[..] else { panic!("{rounds:?}") };
        assert_eq!(last.0, first.0, "descriptors");
        // Less than 171 bytes for each connection.
        assert!(last.1 < first.1 + count / 8, "from {} to {} KiB: {rounds:?}", first.1, last.1);
    });
}

/// Uses a server's connection in one of several ways, and drops it.
fn break_server(mut incoming: Incoming, choices: &mut Choices) -> Result<Option<Close>, Error> {
    let choice = choices.next(8);
    match choice {
        0 => return Ok(None),
        1 => return incoming.request().map(|_| None),
        2 => return incoming.respond(HttpResponse::new(404)).map(|()| None),
        _ => {}
    }
    let mut ws = incoming.accept()?;
    ws.send(vec![7; 100_000])?;
    match choice {
        3 => Ok(None),
        4 => ws.finish().map(Some),
        5 => ws.read().map(|_| None),
        6 => {
            let (_reader, writer) = ws.split()?;
            writer.close(CloseCode::GOING_AWAY, "")?;
            Ok(None)
        }
        _ => {
            let (reader, writer) = ws.split()?;
            let sending = thread::spawn(move || writer.send(vec![7; 1_000_000]));
            let close = reader.finish();
            let _ = sending.join();
            close.map(Some)
        }
    }
}

/// Uses a client's connection in one of several ways, and drops it.
fn break_client(address: SocketAddr, choices: &mut Choices) {
    let choice = choices.next(10);
    if choice > 6 {
        let Ok(ws) = Connector::new().connect(&url(address)) else { return };
        return use_client(ws, choice);
    }
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let part = choices.next(REQUEST.len() as u64) as usize;
    let request = if choice == 1 { &REQUEST[..part] } else { REQUEST };
    if choice == 0 || stream.write_all(request.as_bytes()).is_err() {
        return;
    }
    let mut buffer = vec![0; part + 1];
    let _ = match choice {
        2 => stream.shutdown(Shutdown::Write).and_then(|()| stream.read_to_end(&mut buffer).map(drop)),
        // Drops the stream with bytes unread: a reset.
        3 => stream.read(&mut buffer).map(drop),
        4 => stream.write_all(&HELLO[..part % HELLO.len()]),
        5 => stream.write_all(CLOSE).and_then(|()| stream.read_to_end(&mut buffer).map(drop)),
        6 => stream.write_all(&[0xff; 100]).and_then(|()| stream.read_to_end(&mut buffer).map(drop)),
        _ => Ok(()),
    };
}

fn use_client(mut ws: WebSocket, choice: u64) {
    match choice {
        7 => _ = ws.send("Hello"),
        8 => _ = ws.read(),
        _ => _ = ws.finish(),
    }
}
