//! A thousand connections at once, none of which may lose a message; then a thousand, half of which vanish.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sansocket_net::dial::DialOptions;
use sansocket_net::sansocket::Config;
use sansocket_net::{CloseCode, Connector, Event, WebSocket};
use support::{Running, SERVERS, bounded};

const THREADS: usize = 8;
const MESSAGES: usize = 100;
/// Many times the usual duration, even on a busy machine, so that only a hang exceeds it.
const LIMIT: Duration = Duration::from_secs(240);
/// How much more memory the server may hold after the second round than after the first, in KiB.
const GROWTH: u64 = 16 * 1024;

type Client = WebSocket<TcpStream>;

/// One test runs both kinds of server in turn, since each uses all cores and descriptors.
#[test]
fn a_thousand_clients_lose_nothing_even_if_others_vanish() {
    SERVERS.iter().for_each(|kind| bounded(LIMIT, move || check(kind)));
}

fn check(kind: &str) {
    let count = client_count();
    let started = Instant::now();
    let (server, address) = Running::serve(&[kind, "--quiet"]);

    in_threads(count, |number, many| {
        let mut clients: Vec<_> = (0..many).map(|_| connect(address)).collect();
        for round in 0..MESSAGES {
            echo(&mut clients, number, round);
        }
        clients.into_iter().for_each(close);
    });
    let after_first = resident(&server);

    in_threads(count, |number, many| {
        let mut clients: Vec<_> = (0..many).map(|_| connect(address)).collect();
        for round in 0..MESSAGES / 2 {
            echo(&mut clients, number, round);
        }
        // Half of them vanish without a Close frame, with a message in flight.
        for mut client in clients.split_off(many / 2) {
            client.send("Did you hear that?").unwrap();
            drop(client);
        }
        for round in MESSAGES / 2..MESSAGES {
            echo(&mut clients, number, round);
        }
        clients.into_iter().for_each(close);
    });

    let mut late = [connect(address)];
    echo(&mut late, 0, 0);
    // For --nocapture.
    eprintln!(
        "{kind}: {count} clients in {:?}; resident KiB: {after_first:?}, then {:?}",
        started.elapsed(),
        resident(&server)
    );
    if let (Some(before), Some(after)) = (after_first, settle(&server, after_first)) {
        assert!(after <= before + GROWTH, "{after} KiB resident; {before} KiB after the first round");
    }
    server.interrupt();
    late.into_iter().for_each(|mut late| while let Ok(Some(_)) = late.read() {});
    assert_eq!(server.end().code(), 0);
}

/// Returns the number of clients: 1000, or fewer if the limit on open files is low.
fn client_count() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    match files.and_then(|files| files.parse::<usize>().ok()) {
        Some(files) if files < 4000 => {
            let count = files.saturating_sub(100) / 4 / THREADS * THREADS;
            eprintln!("{count} clients: the limit on open files is {files}");
            count
        }
        _ => 1000,
    }
}

/// Runs `clients` in each thread, with the thread's number and its share of the clients.
fn in_threads(count: usize, clients: impl Fn(usize, usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let clients = &clients;
            scope.spawn(move || clients(number, count / THREADS));
        }
    });
}

fn connect(address: SocketAddr) -> Client {
    // A thousand connections at once take longer than a single one.
    let mut config = Config::default();
    config.opening_timeout = LIMIT;
    config.closing_timeout = LIMIT;
    let connector =
        Connector::new().config(config).dial(DialOptions::default().connect_timeout(LIMIT)).buffer_size(1024);
    connector.connect(&format!("ws://{address}/crowd")).unwrap()
}

/// Sends from all clients, then receives at all, so that the server serves all at once.
fn echo(clients: &mut [Client], thread: usize, round: usize) {
    let message = |number: usize| format!("client {thread}.{number}, message {round}");
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(message(number)).unwrap();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        // On a slow machine, the server's keepalive sends a Ping.
        let mut events = client.events().map(Result::unwrap).filter(|event| !matches!(event, Event::Ping(_)));
        match events.next() {
            Some(Event::Message(echo)) => assert_eq!(echo.as_text(), Some(message(number).as_str())),
            other => panic!("client {thread}.{number} got {other:?} instead of message {round}"),
        }
    }
}

fn close(mut client: Client) {
    client.close(CloseCode::NORMAL, "").unwrap();
    let last = client.events().map(Result::unwrap).last();
    assert!(matches!(&last, Some(Event::Close(close)) if close.was_clean), "{last:?}");
}

/// Returns the server's resident memory in KiB, if the system reports it.
fn resident(server: &Running) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Waits until the resident memory is as before, for 10 s at most: threads of vanished connections end with a delay.
fn settle(server: &Running, before: Option<u64>) -> Option<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = resident(server)?;
        if now <= before? + GROWTH || Instant::now() > deadline {
            return Some(now);
        }
        thread::sleep(Duration::from_millis(20));
    }
}
