//! Racing the addresses of a host (RFC 8305, "Happy Eyeballs"): which address to try next, and when.
//!
//! It does not know what the transport is for, and leaves the order within each family to the system's resolver (RFC
//! 6724).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sansocket::Instant;

use crate::action::AttemptId;
use crate::failed_attempt::FailedAttempt;
use crate::options::DialOptions;

/// RFC 8305 section 8, "Resolution Delay": how long IPv4 addresses alone are held back for IPv6 addresses.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The most addresses of a host that are tried. The rest is ignored.
pub(crate) const MAX_ADDRESSES: usize = 64;

/// The attempts to connect to the addresses of one host.
#[derive(Debug, Default)]
pub(crate) struct Race {
    ipv6: VecDeque<SocketAddr>,
    ipv4: VecDeque<SocketAddr>,
    /// Every address so far: resolvers repeat some.
    known: Vec<SocketAddr>,
    /// Whether the next attempt prefers IPv6; `None` before the first address.
    prefers_ipv6: Option<bool>,
    hold: Hold,
    is_lookup_complete: bool,
    running: Vec<Attempt>,
    failures: Vec<FailedAttempt>,
    /// When the next attempt may start; `None`: at once.
    next_start: Option<Instant>,
}

/// Whether IPv4 addresses are held back because IPv6 addresses may follow.
#[derive(Debug, Default)]
enum Hold {
    #[default]
    No,
    Begins,
    Until(Instant),
}

/// An attempt whose outcome is open.
#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    address: SocketAddr,
    deadline: Instant,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum RaceStep {
    Start(AttemptId, SocketAddr),
    Abandon(AttemptId),
    /// Nothing, until a report, or until this instant.
    Wait(Option<Instant>),
    /// Every attempt failed. There is none if the lookup returned no address.
    Lost(Vec<FailedAttempt>),
}

impl Race {
    /// Creates a race of addresses that need no lookup.
    pub(crate) fn of_address(address: SocketAddr) -> Self {
        let mut race = Self::default();
        race.add([address]);
        race.complete_lookup();
        race
    }

    /// Adds addresses, in the order of the resolver.
    pub(crate) fn add(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            if self.known.len() == MAX_ADDRESSES || self.known.contains(&address) {
                continue;
            }
            self.known.push(address);
            // 4: begin with the family of the resolver's first address
            self.prefers_ipv6.get_or_insert(address.is_ipv6());
            if address.is_ipv6() { &mut self.ipv6 } else { &mut self.ipv4 }.push_back(address);
        }
        // 3: IPv4 addresses alone are held back for a short time; IPv6 addresses that arrive in this time go first
        let has_ipv6 = self.known.iter().any(SocketAddr::is_ipv6);
        match self.hold {
            Hold::No if !has_ipv6 && self.running.is_empty() && self.failures.is_empty() => self.hold = Hold::Begins,
            Hold::Begins | Hold::Until(_) if has_ipv6 => {
                self.prefers_ipv6 = Some(true);
                self.hold = Hold::No;
            }
            _ => {}
        }
    }

    /// Records that no further address follows.
    pub(crate) fn complete_lookup(&mut self) {
        self.is_lookup_complete = true;
        self.hold = Hold::No;
    }

    /// Records that an attempt failed: the next one may start at once. Ignores an attempt that is not running.
    pub(crate) fn fail(&mut self, id: AttemptId, error: io::Error) {
        if let Some(address) = self.remove(id) {
            self.failures.push(FailedAttempt { address, error });
            self.next_start = None;
        }
    }

    /// Records that an attempt won. Returns its address, or `None` if the attempt is not running.
    pub(crate) fn win(&mut self, id: AttemptId) -> Option<SocketAddr> {
        self.remove(id)
    }

    /// Returns whether the lookup has returned an address.
    pub(crate) fn has_addresses(&self) -> bool {
        !self.known.is_empty()
    }

    /// Returns what to do next.
    pub(crate) fn next_step(&mut self, now: Instant, options: &DialOptions, ids: &mut u32) -> RaceStep {
        if let Some(attempt) = self.running.iter().find(|attempt| attempt.deadline <= now) {
            let id = attempt.id;
            self.fail(id, timed_out(options.connect_timeout));
            return RaceStep::Abandon(id);
        }
        let hold = self.hold_until(now);
        let is_start_due = self.next_start.is_none_or(|start| start <= now) && hold.is_none();
        if let Some(address) = is_start_due.then(|| self.next_address()).flatten() {
            let id = AttemptId::next(ids);
            self.running.push(Attempt { id, address, deadline: now + options.connect_timeout });
            self.next_start = Some(now + options.attempt_delay);
            return RaceStep::Start(id, address);
        }
        let has_untried = !(self.ipv6.is_empty() && self.ipv4.is_empty());
        if self.is_lookup_complete && self.running.is_empty() && !has_untried {
            return RaceStep::Lost(std::mem::take(&mut self.failures));
        }
        let start = if has_untried { hold.max(self.next_start) } else { None };
        RaceStep::Wait(self.running.iter().map(|attempt| attempt.deadline).chain(start).min())
    }

    /// Ends the race because the opening timeout, `limit`, has passed. Returns all attempts: those that failed before, and
    /// the running ones, which time out now.
    pub(crate) fn time_out(mut self, limit: Duration) -> Vec<FailedAttempt> {
        let open = self.running.drain(..).map(|Attempt { address, .. }| address);
        let open = open.map(|address| FailedAttempt { address, error: timed_out(limit) });
        self.failures.into_iter().chain(open).collect()
    }

    /// Returns until when no attempt may start because IPv6 addresses may follow.
    fn hold_until(&mut self, now: Instant) -> Option<Instant> {
        if matches!(self.hold, Hold::Begins) {
            self.hold = Hold::Until(now + RESOLUTION_DELAY);
        }
        match self.hold {
            Hold::Until(until) if until > now => Some(until),
            _ => None,
        }
    }

    /// Takes the next address. 4: the families alternate as long as both have addresses.
    fn next_address(&mut self) -> Option<SocketAddr> {
        let (preferred, other) = match self.prefers_ipv6? {
            true => (&mut self.ipv6, &mut self.ipv4),
            false => (&mut self.ipv4, &mut self.ipv6),
        };
        let address = preferred.pop_front().or_else(|| other.pop_front())?;
        self.prefers_ipv6 = Some(!address.is_ipv6());
        Some(address)
    }

    fn remove(&mut self, id: AttemptId) -> Option<SocketAddr> {
        let index = self.running.iter().position(|attempt| attempt.id == id)?;
        Some(self.running.remove(index).address)
    }
}

/// Returns addresses in the order of attempts.
pub(crate) fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let mut race = Race::default();
    race.add(addresses);
    std::iter::from_fn(|| race.next_address()).collect()
}

fn timed_out(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"))
}
