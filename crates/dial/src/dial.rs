//! `Dial`: one attempt to reach a server, from a URL to the opening handshake and past its redirects.
//!
//! This file has the state, the next action, and what begins each phase. `dial/reports.rs` has the reports of the
//! driver, `race.rs` orders the attempts to connect, and `tunnel.rs` speaks with proxies.

mod reports;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sansocket::{ClientRequest, Instant, RequestTemplate};

use crate::action::{Action, AttemptId, Endpoint, LookupId, Opening, StartTls, TlsPeer, ToWrite};
use crate::destination::Destination;
use crate::error::{DialError, FailedLayer};
use crate::options::DialOptions;
use crate::proxy::{Proxy, ProxyScheme};
use crate::proxy_fault::ProxyFault;
use crate::race::{Race, RaceStep};
use crate::target::Target;
use crate::tunnel::Tunnel;

/// One attempt to reach a server: a state machine that asks for actions and receives reports about them.
///
/// The methods come in three kinds. [`next_action`](Self::next_action) returns what to do. The reports say what
/// happened: [`resolved`](Self::resolved), [`connected`](Self::connected), [`received`](Self::received) and so on. The
/// rest are queries. The driver calls `next_action` after each report, and again until it returns an action that waits:
/// [`Action::Wait`], [`Action::Read`], or an [`Action::Write`] that the transport does not take.
///
/// The crate's documentation has a complete driver.
#[derive(Debug)]
pub struct Dial {
    options: Arc<DialOptions>,
    target: Target,
    template: RequestTemplate,
    /// Whether `connect_to` and `host` apply: no redirect has led to another origin.
    is_first_origin: bool,
    /// The targets that were requested before, in order.
    previous: Vec<Target>,
    route: Route,
    state: State,
    /// What to do next. A [`Action::Write`] stays at the front until all of its bytes are written.
    actions: VecDeque<Action>,
    /// Why dialing failed, until `next_action` returns it.
    failure: Option<DialError>,
    last_id: u32,
    started: Instant,
    opening_timeout: Duration,
}

/// The way to the current target.
#[derive(Debug)]
struct Route {
    proxy: Option<Proxy>,
    /// Where the connection or the tunnel leads.
    destination: Destination,
    /// With `socks5`: the addresses of the destination that are untried.
    server_addresses: VecDeque<SocketAddr>,
    /// With a proxy: its address that was reached.
    proxy_address: Option<SocketAddr>,
    /// The attempt whose transport is in use.
    attempt_in_use: Option<AttemptId>,
    /// Bytes that the proxy sent behind its answer.
    leftover: Bytes,
}

/// The phase of dialing, in order.
#[derive(Debug)]
enum State {
    /// With `socks5`: the lookup of the server's name. The proxy is connected to afterwards.
    ServerLookup {
        lookup: LookupId,
        addresses: Vec<SocketAddr>,
    },
    /// TCP, to the server or the proxy, and the lookup of the name, if there is one.
    Racing {
        lookup: Option<LookupId>,
        race: Race,
    },
    UnixSocket {
        attempt: AttemptId,
    },
    Tunnel(Tunnel),
    Tls(TlsPeer),
    Opening,
    Ended,
}

impl Dial {
    /// Begins to connect to a target. `template` has the subprotocols and header fields of the request. The credentials
    /// of the target become `Authorization: Basic`, unless the template has that field. `opening_timeout` covers
    /// everything from `now` to the end of the opening handshake, and is usually
    /// [`Config::opening_timeout`](sansocket::Config::opening_timeout).
    ///
    /// # Errors
    ///
    /// The request is not valid ([`DialError::Request`]), or the proxy for this URI comes from a variable that is not
    /// valid ([`DialError::ProxyVariable`]).
    pub fn new(
        target: Target,
        template: RequestTemplate,
        options: impl Into<Arc<DialOptions>>,
        opening_timeout: Duration,
        now: Instant,
    ) -> Result<Self, DialError> {
        let mut dial = Self {
            options: options.into(),
            route: Route::to(target.destination()),
            template: target.authorize(template),
            target,
            is_first_origin: true,
            previous: Vec::new(),
            state: State::Ended,
            actions: VecDeque::new(),
            failure: None,
            last_id: 0,
            started: now,
            opening_timeout,
        };
        dial.request().check()?;
        dial.begin_route()?;
        Ok(dial)
    }

    /// Returns what to do next. Call it after each report, when its deadline comes, and repeatedly until it returns an
    /// action that waits. Repeated calls are harmless.
    ///
    /// # Errors
    ///
    /// Why there is no connection. The driver then drops every transport and every attempt. Later calls return
    /// [`DialError::Ended`].
    pub fn next_action(&mut self, now: Instant) -> Result<Action, DialError> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let until = self.deadline();
        if now >= until && !matches!(self.state, State::Ended) {
            return Err(self.time_out());
        }
        match self.actions.front() {
            Some(Action::Write(to_write)) => {
                return Ok(Action::Write(ToWrite { bytes: to_write.bytes.clone(), until }));
            }
            Some(_) => return self.actions.pop_front().ok_or(DialError::Ended),
            None => {}
        }
        let state = &mut self.state;
        let State::Racing { race, .. } = state else {
            return match state {
                State::Tunnel(_) => Ok(Action::Read { until }),
                State::Ended => Err(DialError::Ended),
                _ => Ok(Action::Wait { until }),
            };
        };
        match race.next_step(now, &self.options, &mut self.last_id) {
            RaceStep::Start(attempt, address) => Ok(Action::Connect { attempt, endpoint: Endpoint::Tcp(address) }),
            RaceStep::Abandon(attempt) => Ok(Action::Abandon(attempt)),
            RaceStep::Wait(deadline) => Ok(Action::Wait { until: deadline.map_or(until, |other| other.min(until)) }),
            RaceStep::Lost(attempts) => {
                self.state = State::Ended;
                Err(self.server_or_proxy(DialError::Unreachable, ProxyFault::Unreachable, attempts))
            }
        }
    }

    /// Returns the target: that of the last redirect, or else the one that [`new`](Self::new) was passed.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Returns when [`next_action`](Self::next_action) fails because the opening timeout has passed.
    pub fn deadline(&self) -> Instant {
        self.started + self.opening_timeout
    }

    /// Begins to connect to the target.
    fn begin_route(&mut self) -> Result<(), DialError> {
        let connect_to = self.options.connect_to.as_ref().filter(|_| self.is_first_origin);
        self.route = Route::to(connect_to.cloned().unwrap_or_else(|| self.target.destination()));
        if let Some(path) = self.target.unix_path() {
            let attempt = AttemptId::next(&mut self.last_id);
            self.actions.push_back(Action::Connect { attempt, endpoint: Endpoint::Unix(path.to_owned()) });
            self.state = State::UnixSocket { attempt };
            return Ok(());
        }
        self.route.proxy = self.options.proxies.select(self.target.uri())?.cloned();
        let resolves_server = self.route.proxy.as_ref().is_some_and(|proxy| proxy.scheme() == ProxyScheme::Socks5)
            && self.route.destination.address().is_none();
        if resolves_server {
            let lookup = self.look_up(self.route.destination.clone());
            self.state = State::ServerLookup { lookup, addresses: Vec::new() };
        } else {
            self.connect();
        }
        Ok(())
    }

    /// Begins to connect to the server or the proxy.
    fn connect(&mut self) {
        let first_hop = self.route.proxy.as_ref().map_or(&self.route.destination, Proxy::destination).clone();
        let known = self.route.proxy_address.or_else(|| first_hop.address());
        self.state = match known {
            Some(address) => State::Racing { lookup: None, race: Race::of_address(address) },
            None => State::Racing { lookup: Some(self.look_up(first_hop)), race: Race::default() },
        };
    }

    fn look_up(&mut self, destination: Destination) -> LookupId {
        let lookup = LookupId::next(&mut self.last_id);
        self.actions.push_back(Action::Resolve { lookup, destination });
        lookup
    }

    fn start_tls(&mut self, peer: TlsPeer) {
        let server = self.target.uri().host();
        let server_name = match (peer, &self.route.proxy) {
            (TlsPeer::Proxy, Some(proxy)) => proxy.destination().host(),
            _ => server,
        };
        let start = StartTls {
            server_name: server_name.to_owned(),
            peer,
            leftover: std::mem::take(&mut self.route.leftover),
            until: self.deadline(),
        };
        self.actions.push_back(Action::StartTls(start));
        self.state = State::Tls(peer);
    }

    /// Begins to ask the proxy for a connection.
    fn start_tunnel(&mut self) {
        let Some(proxy) = &self.route.proxy else { return };
        let server_address = self.route.server_addresses.front().copied().map(Destination::from);
        let destination = server_address.as_ref().unwrap_or(&self.route.destination);
        let mut headers = self.template.headers();
        let user_agent = headers.find_map(|(name, value)| name.eq_ignore_ascii_case("User-Agent").then_some(value));
        let mut output = Vec::new();
        match Tunnel::new(proxy, destination, user_agent, &mut output) {
            Ok(tunnel) => {
                drop(headers);
                self.state = State::Tunnel(tunnel);
                self.write(output);
            }
            Err(fault) => {
                drop(headers);
                self.fail_proxy(fault);
            }
        }
    }

    /// Continues behind TCP and the proxy.
    fn finish_route(&mut self) {
        if self.target.uri().is_secure() { self.start_tls(TlsPeer::Server) } else { self.open() }
    }

    fn open(&mut self) {
        let leftover = std::mem::take(&mut self.route.leftover);
        let opening = Opening { request: self.request(), leftover, started: self.started };
        self.actions.push_back(Action::Open(Box::new(opening)));
        self.state = State::Opening;
    }

    fn request(&self) -> ClientRequest {
        let request = ClientRequest::from_template(self.target.uri().clone(), self.template.clone());
        match self.options.host.as_ref().filter(|_| self.is_first_origin) {
            Some(host) => request.host(host),
            None => request,
        }
    }

    fn use_target_credentials(&mut self) {
        if let Some(credentials) = self.target.credentials() {
            let template = std::mem::take(&mut self.template);
            self.template = template.header("Authorization", credentials.basic());
        }
    }

    fn write(&mut self, output: Vec<u8>) {
        if !output.is_empty() {
            let until = self.deadline();
            self.actions.push_back(Action::Write(ToWrite { bytes: output.into(), until }));
        }
    }

    fn fail(&mut self, error: DialError) {
        self.state = State::Ended;
        self.actions.clear();
        self.failure = Some(error);
    }

    fn fail_proxy(&mut self, fault: ProxyFault) {
        let error = self.proxy_error(fault);
        self.fail(error);
    }

    fn proxy_error(&self, fault: ProxyFault) -> DialError {
        let proxy = self.route.proxy.as_ref().map(Proxy::to_string).unwrap_or_default();
        DialError::Proxy { proxy, fault: Box::new(fault) }
    }

    /// Returns the error of reaching the server, or the proxy if there is one.
    fn server_or_proxy<T>(
        &self,
        server: impl FnOnce(T) -> DialError,
        proxy: impl FnOnce(T) -> ProxyFault,
        cause: T,
    ) -> DialError {
        if self.route.proxy.is_some() { self.proxy_error(proxy(cause)) } else { server(cause) }
    }

    /// Ends dialing, because the opening timeout has passed. Returns the error.
    fn time_out(&mut self) -> DialError {
        self.actions.clear();
        let limit = self.opening_timeout;
        let layer = match std::mem::replace(&mut self.state, State::Ended) {
            State::Racing { race, .. } => {
                let attempts = race.time_out(limit);
                if !attempts.is_empty() {
                    return self.server_or_proxy(DialError::Unreachable, ProxyFault::Unreachable, attempts);
                }
                if self.route.proxy.is_some() { FailedLayer::Proxy } else { FailedLayer::Name }
            }
            State::ServerLookup { .. } => FailedLayer::Name,
            State::UnixSocket { .. } => FailedLayer::UnixSocket,
            State::Tunnel(_) | State::Tls(TlsPeer::Proxy) => FailedLayer::Proxy,
            State::Tls(TlsPeer::Server) => FailedLayer::Tls,
            State::Opening | State::Ended => FailedLayer::Http,
        };
        DialError::TimedOut { layer, limit }
    }
}

impl Route {
    const fn to(destination: Destination) -> Self {
        Self {
            proxy: None,
            destination,
            server_addresses: VecDeque::new(),
            proxy_address: None,
            attempt_in_use: None,
            leftover: Bytes::new(),
        }
    }
}
