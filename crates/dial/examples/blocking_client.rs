//! A blocking client over `std::net` and threads: connects to the `ws` URL in its first argument, through the proxies
//! of the environment and past redirects. `dial` is the whole driver.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sansocket::{Config, Event, Input, RequestTemplate, WebSocket};
use sansocket_dial::{Action, AttemptId, Dial, DialError, DialOptions, Endpoint, LookupId, Opening, ProxyRules};
use sansocket_drive::{Clock, masking_keys};

/// What the threads report.
enum Report {
    Resolved(LookupId, io::Result<Vec<SocketAddr>>),
    Connected(AttemptId, io::Result<TcpStream>),
}

/// Connects, and performs the opening handshake.
fn dial(dial: &mut Dial, clock: Clock) -> Result<(TcpStream, WebSocket), DialError> {
    let (sender, reports) = mpsc::channel();
    let mut connected: HashMap<AttemptId, TcpStream> = HashMap::new();
    let mut transport: Option<TcpStream> = None;
    loop {
        match (dial.next_action(clock.now())?, &mut transport) {
            (Action::Resolve { lookup, destination }, _) => {
                let sender = sender.clone();
                thread::spawn(move || {
                    let addresses = (destination.host(), destination.port()).to_socket_addrs();
                    sender.send(Report::Resolved(lookup, addresses.map(Iterator::collect)))
                });
            }
            (Action::Connect { attempt, endpoint: Endpoint::Tcp(address) }, _) => {
                let (sender, limit) = (sender.clone(), clock.until(dial.deadline()));
                thread::spawn(move || {
                    sender.send(Report::Connected(attempt, TcpStream::connect_timeout(&address, limit)))
                });
            }
            (Action::Connect { attempt, endpoint: Endpoint::Unix(_) }, _) => {
                dial.connect_failed(attempt, io::ErrorKind::Unsupported.into());
            }
            // the dial ignores what the thread reports later
            (Action::Abandon(_), _) => transport = None,
            (Action::Use(attempt), _) => (transport, connected) = (connected.remove(&attempt), HashMap::new()),
            (Action::Wait { until }, _) => match reports.recv_timeout(clock.until(until)) {
                Ok(Report::Resolved(lookup, result)) => dial.resolved(lookup, result),
                Ok(Report::Connected(attempt, Ok(stream))) => {
                    connected.insert(attempt, stream);
                    dial.connected(attempt);
                }
                Ok(Report::Connected(attempt, Err(error))) => dial.connect_failed(attempt, error),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            },
            (Action::Write(to_write), Some(stream)) => match stream.write(&to_write.bytes) {
                Ok(count) => dial.written(count),
                Err(error) => dial.transport_failed(error),
            },
            (Action::Read { until }, Some(stream)) => {
                let mut buffer = [0; 4096];
                // zero is no timeout
                let limit = clock.until(until).max(Duration::from_millis(1));
                match stream.set_read_timeout(Some(limit)).and_then(|()| stream.read(&mut buffer)) {
                    Ok(0) => dial.eof(),
                    Ok(count) => dial.received(&buffer[..count]),
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Err(error) => dial.transport_failed(error),
                }
            }
            // an adapter with TLS wraps the transport here, and reports it with `tls_started`
            (Action::StartTls(_), _) => return Err(DialError::TlsNotBuiltIn),
            (Action::Open(opening), Some(stream)) => match open(*opening, stream, clock) {
                Ok(ws) => return transport.map(|stream| (stream, ws)).ok_or(DialError::Ended),
                Err(error) => {
                    transport = None;
                    dial.opening_failed(error);
                }
            },
            (Action::Write(_) | Action::Read { .. } | Action::Open(_), None) => return Err(DialError::Ended),
        }
    }
}

/// Performs the opening handshake. A complete driver is in `sansocket-drive`.
fn open(opening: Opening, stream: &mut TcpStream, clock: Clock) -> Result<WebSocket, sansocket_drive::Error> {
    // with `started` as the time, the opening timeout covers everything since dialing began
    let mut ws = WebSocket::client(opening.request, Config::default(), masking_keys()?, opening.started)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    stream.write_all(&ws.output().take_bytes(usize::MAX))?;
    let mut received = opening.leftover.to_vec();
    loop {
        let mut input = Input::new(&mut received);
        while let Some(event) = ws.receive(&mut input, clock.now())? {
            if let Event::Open(_) = event {
                return Ok(ws);
            }
        }
        received = vec![0; 4096];
        let count = stream.read(&mut received)?;
        received.truncate(count);
        if count == 0 {
            while ws.receive_eof(clock.now())?.is_some() {}
        }
    }
}

fn main() {
    let connected = std::env::args().nth(1).ok_or("usage: blocking_client URL".into()).and_then(|url| connect(&url));
    if let Err(error) = connected {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn connect(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let proxies = ProxyRules::from_environment(|name| std::env::var(name).ok());
    let options = DialOptions::default().proxies(proxies).max_redirects(5);
    let clock = Clock::of_process();
    let timeout = Config::default().opening_timeout;
    let mut attempt = Dial::new(url.parse()?, RequestTemplate::new(), options, timeout, clock.now())?;
    let (stream, _) = dial(&mut attempt, clock)?;
    println!("connected to {} at {}", attempt.target(), stream.peer_addr()?);
    Ok(())
}
