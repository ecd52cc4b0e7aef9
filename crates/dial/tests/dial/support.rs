//! A simulated world: names, addresses, proxies and a clock, and a driver that logs what it does.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use sansocket::{HandshakeError, HttpVersion, Instant, RequestTemplate, Response};
use sansocket_dial::{Action, AttemptId, Dial, DialError, DialOptions, Endpoint, Opening, TlsPeer};
use sansocket_drive::Error;

pub(crate) const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The outcome of an attempt to connect, and when it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Connects(Duration),
    Refuses(Duration),
    Silent,
}

/// What the driver finds. Names that are not listed cannot be looked up; addresses that are not listed connect at once.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) names: Vec<(&'static str, &'static [&'static str])>,
    pub(crate) addresses: Vec<(SocketAddr, Outcome)>,
    /// For each connection, the bytes that the proxy sends.
    pub(crate) proxy: Vec<Vec<u8>>,
    /// The sizes of the pieces in which these bytes arrive; the last one repeats. Empty: all at once.
    pub(crate) pieces: Vec<usize>,
    /// Whether the proxy keeps the connection open when it has sent its bytes.
    pub(crate) is_proxy_silent: bool,
}

/// What happened: one line for each action, with the time in milliseconds.
pub(crate) type Log = Vec<String>;

struct Running {
    attempt: AttemptId,
    endpoint: Endpoint,
    outcome: Option<(Instant, bool)>,
}

/// Does what the dial asks for until it asks for the opening handshake, or fails.
pub(crate) fn run(dial: &mut Dial, world: &World) -> (Log, Result<Opening, DialError>) {
    let mut log = Log::new();
    let result = drive(dial, world, &mut log);
    (log, result)
}

fn drive(dial: &mut Dial, world: &World, log: &mut Log) -> Result<Opening, DialError> {
    let mut now = Instant::EPOCH;
    let mut running: Vec<Running> = Vec::new();
    let mut used = None;
    let mut connections = 0;
    let (mut sent, mut piece) = (0, 0);
    for _ in 0..100_000 {
        let action = dial.next_action(now)?;
        let time = now.as_nanos() as f64 / 1e6;
        match action {
            Action::Resolve { lookup, destination } => {
                log.push(format!("{time} resolve {destination}"));
                let name = destination.to_string();
                let found = world.names.iter().find(|(other, _)| *other == name);
                dial.resolved(lookup, found.map(|(_, list)| addresses(list)).ok_or(ErrorKind::NotFound.into()));
            }
            Action::Connect { attempt, endpoint } => {
                log.push(match &endpoint {
                    Endpoint::Tcp(address) => format!("{time} connect {address}"),
                    Endpoint::Unix(path) => format!("{time} connect {}", path.display()),
                });
                let outcome = world.addresses.iter().find(|(other, _)| endpoint == Endpoint::Tcp(*other));
                let outcome = match outcome.map_or(Outcome::Connects(Duration::ZERO), |(_, outcome)| *outcome) {
                    Outcome::Connects(after) => Some((now + after, true)),
                    Outcome::Refuses(after) => Some((now + after, false)),
                    Outcome::Silent => None,
                };
                running.push(Running { attempt, endpoint, outcome });
            }
            Action::Abandon(attempt) => {
                let index = running.iter().position(|running| running.attempt == attempt);
                match index {
                    Some(index) => log.push(format!("{time} abandon {}", name(&running.remove(index).endpoint))),
                    None => {
                        assert_eq!(used.take(), Some(attempt), "an attempt is abandoned only once");
                        log.push(format!("{time} abandon the transport"));
                    }
                }
            }
            Action::Use(attempt) => {
                let index = running.iter().position(|running| running.attempt == attempt).expect("the attempt runs");
                log.push(format!("{time} use {}", name(&running[index].endpoint)));
                running.clear();
                (used, sent, piece) = (Some(attempt), 0, 0);
                connections += 1;
            }
            Action::Write(to_write) => {
                assert!(!to_write.bytes.is_empty());
                // a transport that delivers single bytes takes single bytes
                let is_bytewise = world.pieces == [1];
                let count = if is_bytewise { 1 } else { to_write.bytes.len() };
                if !is_bytewise {
                    log.push(format!("{time} write {}", to_write.bytes.escape_ascii()));
                }
                dial.written(count);
            }
            Action::Read { until } => {
                let bytes = world.proxy.get(connections - 1).map_or(&[][..], |bytes| &bytes[sent..]);
                let size = world.pieces.get(piece).or(world.pieces.last()).copied().unwrap_or(usize::MAX);
                let size = size.clamp(1, bytes.len().max(1));
                if bytes.is_empty() && world.is_proxy_silent {
                    now = until;
                } else if bytes.is_empty() {
                    dial.eof();
                } else {
                    dial.received(&bytes[..size]);
                    (sent, piece) = (sent + size, piece + 1);
                }
            }
            Action::StartTls(start) => {
                let peer = if start.peer == TlsPeer::Proxy { "proxy" } else { "server" };
                log.push(format!("{time} tls {peer} {}", start.server_name));
                dial.tls_started();
            }
            Action::Open(opening) => return Ok(*opening),
            Action::Wait { until } => {
                let next = running.iter().filter_map(|running| running.outcome.map(|(at, _)| at)).min();
                let Some(at) = next.filter(|&at| at <= until) else {
                    assert!(until > now, "a wait must end in the future");
                    now = until;
                    continue;
                };
                now = now.max(at);
                let is_due = |running: &Running| running.outcome.is_some_and(|(due, _)| due <= now);
                let index = running.iter().position(is_due).expect("one is due");
                let Running { attempt, outcome, .. } = &mut running[index];
                match outcome.take() {
                    Some((_, true)) => dial.connected(*attempt),
                    _ => {
                        let attempt = running.remove(index).attempt;
                        dial.connect_failed(attempt, io::Error::new(ErrorKind::ConnectionRefused, "refused"));
                    }
                }
            }
        }
    }
    panic!("the dial does not end: {log:?}");
}

fn name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
    }
}

/// Begins to dial at the epoch, without additional header fields.
pub(crate) fn dial(url: &str, options: DialOptions) -> Dial {
    dial_with(url, RequestTemplate::new(), options)
}

/// Begins to dial at the epoch.
pub(crate) fn dial_with(url: &str, template: RequestTemplate, options: DialOptions) -> Dial {
    Dial::new(url.parse().unwrap(), template, options, OPENING_TIMEOUT, Instant::EPOCH).unwrap()
}

/// Parses socket addresses.
pub(crate) fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

/// Returns the error of an opening handshake that the server refused.
pub(crate) fn refused(status: u16, fields: &[(&str, &str)]) -> Error {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let response = Response::from_parts(status, HttpVersion::Http11, fields).unwrap();
    Error::Peer(HandshakeError::Refused(response.into()).into())
}

/// Returns the names and values of the request's header fields, except those of the opening handshake.
pub(crate) fn headers(opening: &Opening) -> Vec<(String, String)> {
    let fields = opening.request.fields("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    let is_fixed = |name: &str| matches!(name, "Upgrade" | "Connection") || name.starts_with("Sec-WebSocket-");
    let fields = fields.filter(|(name, _)| !is_fixed(name));
    fields.map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}
