//! `dial`: a [`Dial`] receives reports in any order, true or not. It does not panic, uses one of its running attempts,
//! never asks for nothing, ends for good after an error, and prints no credentials. A proxy's answer has the same
//! outcome in any pieces. Texts of URLs are parsed without a panic, and are printed as they are parsed.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use sansocket::{HandshakeError, HttpVersion, Instant, RequestTemplate, Response};
use sansocket_dial::{
    Action, AttemptId, Destination, Dial, DialError, DialOptions, LookupId, NoProxy, Proxy, ProxyRules, Target,
};
use sansocket_drive::Error;

const URLS: [&str; 8] = [
    "ws://example.com/a",
    "wss://user:hunter2@example.com/a",
    "ws://192.0.2.1/a",
    "wss://[2001:db8::1]/a",
    "ws+unix:/run/s:/a",
    "ws://user:hunter2@localhost/a",
    "wss://example.com:8443/a",
    "ws://example.com:1/a",
];

const PROXIES: [&str; 8] = [
    "",
    "",
    "http://192.0.2.9",
    "https://user:hunter2@proxy.example",
    "socks5://192.0.2.9",
    "socks5h://user:hunter2@proxy.example",
    "http://user:hunter2@proxy.example",
    "socks5h://192.0.2.9",
];

const LOCATIONS: [&str; 8] = [
    "/b",
    "http://example.com/c",
    "https://user:hunter2@example.com/d",
    "ws://192.0.2.1/e",
    "//localhost/f",
    "g#h",
    "ftp://example.com/",
    "http://[",
];

/// The most actions between two reports: those of 64 attempts, and a few others.
const ACTIONS_MAX: usize = 300;

/// Input: a choice, and then the answer of a proxy, the text of URLs, or choices of options and reports.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    match u.arbitrary::<u8>()? % 4 {
        0 => split(u),
        1 => {
            parse(&String::from_utf8_lossy(u.bytes(u.len())?));
            Ok(())
        }
        _ => reports(u),
    }
}

/// Checks that an answer has the same outcome whole and in two pieces.
fn split(u: &mut Unstructured<'_>) -> Result<()> {
    let proxy = PROXIES[2 + usize::from(u.arbitrary::<u8>()? % 6)];
    let cut = usize::from(u.arbitrary::<u16>()?);
    let answer = u.bytes(u.len())?;
    let (first, second) = answer.split_at(cut.min(answer.len()));
    assert_eq!(outcome(proxy, &[answer]), outcome(proxy, &[first, second]), "{}", answer.escape_ascii());
    Ok(())
}

/// Returns how the conversation with a proxy ends that sends these pieces, and where the answer ends.
fn outcome(proxy: &str, pieces: &[&[u8]]) -> String {
    let options = DialOptions::default().proxies(ProxyRules::always(proxy.parse().expect("the URL of a proxy")));
    let mut dial = dial("ws://192.0.2.1/", options);
    let mut pieces = pieces.iter();
    for _ in 0..ACTIONS_MAX {
        match dial.next_action(Instant::EPOCH) {
            Ok(Action::Resolve { lookup, .. }) => dial.resolved(lookup, Ok(vec![address(0)])),
            Ok(Action::Connect { attempt, .. }) => dial.connected(attempt),
            Ok(Action::Write(to_write)) => dial.written(to_write.bytes.len()),
            Ok(Action::StartTls(_)) => dial.tls_started(),
            Ok(Action::Read { .. }) => match pieces.next() {
                Some(piece) => dial.received(piece),
                None => dial.eof(),
            },
            Ok(Action::Open(opening)) => {
                // pieces that were not read are still in the transport
                let rest = pieces.copied().flatten().copied();
                let rest: Vec<u8> = opening.leftover.iter().copied().chain(rest).collect();
                return format!("open, {}", rest.escape_ascii());
            }
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
    panic!("the conversation does not end");
}

fn parse(text: &str) {
    if let Ok(target) = text.parse::<Target>() {
        // the path of a Unix socket is printed for people
        assert!(target.unix_path().is_some() || target.to_string().parse::<Target>().is_ok(), "{text:?}");
    }
    if let Ok(proxy) = text.parse::<Proxy>() {
        assert_eq!(
            proxy.to_string().parse::<Proxy>().map(|again| again.to_string()),
            Ok(proxy.to_string()),
            "{text:?}"
        );
    }
    if let Ok(destination) = text.parse::<Destination>() {
        assert_eq!(destination.to_string().parse(), Ok(destination), "{text:?}");
    }
    let _ = NoProxy::new(text).matches("www.example.com") | NoProxy::new(text).matches("192.0.2.1");
}

/// Performs reports in any order.
fn reports(u: &mut Unstructured<'_>) -> Result<()> {
    let proxy = PROXIES[usize::from(u.arbitrary::<u8>()? % 8)];
    let rules =
        if proxy.is_empty() { ProxyRules::default() } else { ProxyRules::always(proxy.parse().expect("a URL")) };
    let options = DialOptions::default()
        .proxies(rules)
        .max_redirects(u.int_in_range(0..=3)?)
        .allow_insecure_redirects(u.arbitrary()?)
        .connect_timeout(Duration::from_millis(u.arbitrary::<u16>()?.into()))
        .attempt_delay(Duration::from_millis(u.arbitrary::<u8>()?.into()));
    let mut driver = Driver {
        dial: dial(URLS[usize::from(u.arbitrary::<u8>()? % 8)], options),
        now: Instant::EPOCH,
        lookups: Vec::new(),
        running: Vec::new(),
        used: None,
        is_opening: false,
        has_ended: false,
    };
    driver.obey();
    while !u.is_empty() {
        driver.report(u)?;
        driver.obey();
    }
    driver.now = driver.dial.deadline();
    driver.obey();
    assert!(driver.has_ended, "the deadline ends everything");
    Ok(())
}

/// A driver that does what it is asked to, and reports anything.
struct Driver {
    dial: Dial,
    now: Instant,
    lookups: Vec<LookupId>,
    running: Vec<AttemptId>,
    used: Option<AttemptId>,
    is_opening: bool,
    has_ended: bool,
}

impl Driver {
    fn report(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 16 {
            choice @ 0..=2 if !self.lookups.is_empty() => {
                let lookup = *u.choose(&self.lookups)?;
                let addresses: Vec<_> = u.bytes(usize::from(choice) * 2)?.iter().map(|&host| address(host)).collect();
                if u.arbitrary()? {
                    self.dial.resolved_some(lookup, addresses);
                } else {
                    self.dial.resolved(lookup, Ok(addresses));
                }
            }
            3 if !self.lookups.is_empty() => {
                let lookup = *u.choose(&self.lookups)?;
                self.dial.resolved(lookup, Err(ErrorKind::NotFound.into()));
            }
            4 | 5 if !self.running.is_empty() => self.dial.connected(*u.choose(&self.running)?),
            6 if !self.running.is_empty() => {
                let attempt = self.running.swap_remove(u.choose_index(self.running.len())?);
                self.dial.connect_failed(attempt, ErrorKind::ConnectionRefused.into());
            }
            7 => self.dial.written(u.arbitrary::<u8>()?.into()),
            8 | 9 => {
                let size = usize::from(u.arbitrary::<u8>()?).min(u.len());
                self.dial.received(u.bytes(size)?);
            }
            10 => self.dial.received(b"HTTP/1.1 200 OK\r\n\r\n"),
            11 => self.dial.tls_started(),
            12 => match u.arbitrary::<u8>()? % 4 {
                0 => self.dial.tls_failed(error(), u.arbitrary()?),
                1 => self.dial.transport_failed(error()),
                2 => self.dial.tls_timed_out(),
                _ => self.dial.eof(),
            },
            13 | 14 => {
                let location = LOCATIONS[usize::from(u.arbitrary::<u8>()? % 8)];
                let status = if u.arbitrary()? { 302 } else { u.int_in_range(100..=599)? };
                // a driver drops the transport of an opening handshake that failed
                if std::mem::take(&mut self.is_opening) {
                    self.used = None;
                }
                self.dial.opening_failed(refused(status, location));
            }
            _ => self.now = self.now + Duration::from_millis(u.arbitrary::<u16>()?.into()),
        }
        Ok(())
    }

    /// Does what the dial asks for until it waits.
    fn obey(&mut self) {
        for _ in 0..ACTIONS_MAX {
            let result = self.dial.next_action(self.now);
            check_secrets(&format!("{result:?} {:?}", self.dial));
            match result {
                Err(error) => {
                    assert!(!self.has_ended || matches!(error, DialError::Ended), "{error}");
                    check_secrets(&error.to_string());
                    self.has_ended = true;
                    return;
                }
                Ok(action) => {
                    assert!(!self.has_ended, "{action:?} after the end");
                    if self.perform(action) {
                        return;
                    }
                }
            }
        }
        panic!("the dial asks for too many actions: {:?}", self.dial);
    }

    /// Performs an action. Returns whether it waits.
    fn perform(&mut self, action: Action) -> bool {
        match action {
            Action::Resolve { lookup, .. } => self.lookups.push(lookup),
            Action::Connect { attempt, .. } => {
                assert_eq!(self.used, None, "the transport in use was not dropped");
                self.running.push(attempt);
            }
            Action::Abandon(attempt) => {
                if self.used == Some(attempt) {
                    self.used = None;
                } else {
                    self.running.retain(|other| *other != attempt);
                }
            }
            Action::Use(attempt) => {
                assert!(self.running.contains(&attempt), "an attempt is used that does not run");
                assert_eq!(self.used.replace(attempt), None, "two attempts are used");
                self.running.clear();
            }
            Action::Write(to_write) => {
                assert!(self.used.is_some() && !to_write.bytes.is_empty());
                return true;
            }
            Action::Read { until } => {
                assert!(self.used.is_some() && until > self.now);
                return true;
            }
            Action::StartTls(_) => assert!(self.used.is_some()),
            Action::Open(_) => {
                assert!(self.used.is_some());
                self.is_opening = true;
            }
            Action::Wait { until } => {
                assert!(until > self.now, "a wait without an end");
                return true;
            }
        }
        false
    }
}

fn dial(url: &str, options: DialOptions) -> Dial {
    let target = url.parse().expect("a URL");
    let template = RequestTemplate::new().header("Cookie", "hunter2").header("User-Agent", "agent/1");
    Dial::new(target, template, options, Duration::from_secs(10), Instant::EPOCH).expect("a valid request")
}

fn address(host: u8) -> SocketAddr {
    match host % 2 {
        0 => (Ipv4Addr::new(192, 0, 2, host), 80).into(),
        _ => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()), 80).into(),
    }
}

fn error() -> io::Error {
    ErrorKind::ConnectionReset.into()
}

fn refused(status: u16, location: &str) -> Error {
    let response = Response::from_parts(status, HttpVersion::Http11, [("Location", location)]).expect("a response");
    Error::Peer(HandshakeError::Refused(response.into()).into())
}

/// Checks that a text has neither the password nor its form in `Basic`.
fn check_secrets(text: &str) {
    assert!(!text.contains("hunter2") && !text.contains("dXNlcjpodW50ZXIy"), "{text}");
}
