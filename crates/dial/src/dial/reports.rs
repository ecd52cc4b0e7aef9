//! The reports of the driver: what happened to a lookup, an attempt, the transport or the opening handshake.

use std::io;
use std::net::SocketAddr;

use bytes::Buf;
use sansocket::{Response, TimeoutKind};
use sansocket_drive::Error;

use super::{Dial, State};
use crate::action::{Action, AttemptId, LookupId, TlsPeer};
use crate::error::{DialError, refusal};
use crate::proxy::{Proxy, ProxyScheme};
use crate::proxy_fault::ProxyFault;
use crate::race::interleaved;
use crate::redirect::{self, RedirectError};
use crate::target::Target;

impl Dial {
    /// Reports some addresses of a lookup whose others follow, such as those of IPv6 before those of IPv4. IPv4
    /// addresses alone are held back for 50 ms (RFC 8305 section 3). [`resolved`](Self::resolved) ends the lookup.
    pub fn resolved_some(&mut self, lookup: LookupId, some: impl IntoIterator<Item = SocketAddr>) {
        match &mut self.state {
            State::ServerLookup { lookup: current, addresses } if *current == lookup => addresses.extend(some),
            State::Racing { lookup: Some(current), race } if *current == lookup => race.add(some),
            _ => {}
        }
    }

    /// Reports the result of a lookup, or the rest of it. The addresses are in the order of preference, as the system's
    /// resolver returns them; the first 64 are tried. A lookup that is no longer of interest is ignored.
    pub fn resolved(&mut self, lookup: LookupId, result: io::Result<Vec<SocketAddr>>) {
        let (rest, error) = match result {
            Ok(rest) => (rest, io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            Err(error) => (Vec::new(), error),
        };
        self.resolved_some(lookup, rest);
        match &mut self.state {
            State::ServerLookup { lookup: current, addresses } if *current == lookup => {
                if addresses.is_empty() {
                    let host = self.route.destination.host().to_owned();
                    return self.fail(DialError::Name { host, error });
                }
                self.route.server_addresses = interleaved(std::mem::take(addresses));
                self.connect();
            }
            State::Racing { lookup: Some(current), race } if *current == lookup => {
                if race.has_addresses() {
                    return race.complete_lookup();
                }
                let host = self.route.destination.host().to_owned();
                let name = |error| DialError::Name { host, error };
                let error = self.server_or_proxy(name, ProxyFault::NameUnresolved, error);
                self.fail(error);
            }
            _ => {}
        }
    }

    /// Reports that an attempt is connected. The first one wins: [`Action::Use`] follows. An attempt that was abandoned
    /// is ignored.
    pub fn connected(&mut self, attempt: AttemptId) {
        let address = match &mut self.state {
            State::Racing { race, .. } => race.win(attempt),
            State::UnixSocket { attempt: current } if *current == attempt => None,
            _ => return,
        };
        if address.is_none() && matches!(self.state, State::Racing { .. }) {
            return;
        }
        self.route.proxy_address = address;
        self.route.attempt_in_use = Some(attempt);
        self.actions.push_back(Action::Use(attempt));
        match self.route.proxy.as_ref().map(Proxy::scheme) {
            Some(ProxyScheme::Https) => self.start_tls(TlsPeer::Proxy),
            Some(_) => self.start_tunnel(),
            None => self.finish_route(),
        }
    }

    /// Reports that an attempt failed. An attempt that was abandoned is ignored.
    pub fn connect_failed(&mut self, attempt: AttemptId, error: io::Error) {
        match &mut self.state {
            State::Racing { race, .. } => race.fail(attempt, error),
            State::UnixSocket { attempt: current } if *current == attempt => {
                let path = self.target.unix_path().unwrap_or("".as_ref()).to_owned();
                self.fail(DialError::UnixSocket { path, error });
            }
            _ => {}
        }
    }

    /// Reports that the first `count` bytes of [`Action::Write`] were written.
    pub fn written(&mut self, count: usize) {
        if let Some(Action::Write(to_write)) = self.actions.front_mut() {
            to_write.bytes.advance(count.min(to_write.bytes.len()));
            if to_write.bytes.is_empty() {
                self.actions.pop_front();
            }
        }
    }

    /// Reports bytes that were read for [`Action::Read`]. All of them are taken.
    pub fn received(&mut self, bytes: &[u8]) {
        let State::Tunnel(tunnel) = &mut self.state else { return };
        let mut output = Vec::new();
        let result = tunnel.receive(bytes, &mut output);
        self.write(output);
        match result {
            Ok(None) => {}
            Ok(Some(leftover)) => {
                self.route.leftover = leftover;
                self.finish_route();
            }
            Err(fault) => self.tunnel_failed(fault),
        }
    }

    /// Reports the end of the stream.
    pub fn eof(&mut self) {
        match self.state {
            State::Tunnel(_) => self.fail_proxy(ProxyFault::Ended),
            _ => self.tls_failed(io::ErrorKind::UnexpectedEof.into(), false),
        }
    }

    /// Reports that reading or writing failed.
    pub fn transport_failed(&mut self, error: io::Error) {
        match self.state {
            State::Tunnel(_) => self.fail_proxy(ProxyFault::Io(error)),
            _ => self.tls_failed(error, false),
        }
    }

    /// Reports that TLS has started. An adapter whose layer performs the TLS handshake together with the first bytes
    /// may report it at once.
    pub fn tls_started(&mut self) {
        match self.state {
            State::Tls(TlsPeer::Proxy) => self.start_tunnel(),
            State::Tls(TlsPeer::Server) => self.open(),
            _ => {}
        }
    }

    /// Reports that TLS failed, during its handshake or later. `is_permanent` says that the next attempt would fail
    /// too, as with a certificate that is not trusted.
    pub fn tls_failed(&mut self, error: io::Error, is_permanent: bool) {
        match self.state {
            State::Tls(TlsPeer::Proxy) | State::Tunnel(_) => self.fail_proxy(ProxyFault::Tls { error, is_permanent }),
            State::Tls(TlsPeer::Server) | State::Opening => {
                let host = self.target.uri().host().to_owned();
                self.fail(DialError::Tls { host, error, is_permanent });
            }
            _ => {}
        }
    }

    /// Reports that the opening timeout has passed before TLS with the server was ready. An adapter whose layer
    /// performs the TLS handshake together with the first bytes learns this from the opening handshake.
    pub fn tls_timed_out(&mut self) {
        if matches!(self.state, State::Opening) {
            self.state = State::Tls(TlsPeer::Server);
            let error = self.time_out();
            self.fail(error);
        }
    }

    /// Reports that the opening handshake failed, after the driver has dropped the transport. Follows a redirect, if
    /// the options permit it: then [`next_action`](Self::next_action) begins to connect again.
    pub fn opening_failed(&mut self, error: Error) {
        if !matches!(self.state, State::Opening) {
            return;
        }
        match &error {
            Error::Peer(sansocket::Error::Timeout(TimeoutKind::Opening)) => {
                let error = self.time_out();
                self.fail(error);
            }
            error if self.options.max_redirects > 0 && refusal(error).is_some_and(is_redirect) => {
                let followed = refusal(error).map_or(Ok(()), |response| self.follow(response));
                followed.unwrap_or_else(|error| self.fail(error));
            }
            _ => self.fail(DialError::Opening(error)),
        }
    }

    /// Tries the next address of the server, if the proxy could not reach this one. The proxy's connection is of no
    /// further use then.
    fn tunnel_failed(&mut self, fault: ProxyFault) {
        let is_about_address = matches!(&fault, ProxyFault::SocksRefused(reply) if reply.is_about_address());
        self.route.server_addresses.pop_front();
        if !is_about_address || self.route.server_addresses.is_empty() {
            return self.fail_proxy(fault);
        }
        self.actions.clear();
        self.actions.extend(self.route.attempt_in_use.take().map(Action::Abandon));
        self.connect();
    }

    fn follow(&mut self, response: &Response) -> Result<(), DialError> {
        let next = redirect::follow(&self.target, response, self.options.allow_insecure_redirects)?;
        let location = next.to_string();
        let limit = self.options.max_redirects;
        let is_same_request = |other: &Target| other.to_string() == location;
        if is_same_request(&self.target) || self.previous.iter().any(is_same_request) {
            return Err(RedirectError::Loop { location }.into());
        }
        if self.previous.len() as u64 >= u64::from(limit) {
            return Err(RedirectError::TooMany { limit, location }.into());
        }
        if !next.is_same_origin(&self.target) {
            self.template = redirect::for_other_origin(std::mem::take(&mut self.template));
            self.is_first_origin = false;
        }
        self.previous.push(std::mem::replace(&mut self.target, next));
        self.use_target_credentials();
        self.begin_route()
    }
}

fn is_redirect(response: &Response) -> bool {
    redirect::is_redirect(response.status())
}
