//! Dialing: does what a [`Dial`] asks for, with non-blocking streams, until the opening handshake can begin.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use sansocket_dial::{Action, AttemptId, Dial, DialError, Endpoint, Opening, StartTls, Target};
use sansocket_drive::masking_keys;
use sansocket_drive::sansocket::{Config, Instant, WebSocket};
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};

use super::dial_tls::DialTls;
use super::lookup::{Lookup, ResolvedLookup};
use crate::connector::Connector;
use crate::security::Security;

/// A client that is not connected yet.
pub(super) struct Dialing {
    dial: Dial,
    connector: Arc<Connector>,
    config: Arc<Config>,
    /// Lookups that the owner of the socket has to do.
    lookups: Vec<Lookup>,
    attempts: Vec<Attempt>,
    /// The transport that is used, until the opening handshake begins.
    transport: Option<Attempt>,
    tls: DialTls,
    /// When to advance without an event.
    until: Instant,
}

/// A stream that is connecting or connected.
struct Attempt {
    id: AttemptId,
    stream: TcpStream,
    is_registered: bool,
    is_connected: bool,
}

/// The result of [`Dialing::advance`].
pub(super) enum Progress {
    Waits,
    /// The opening handshake can begin.
    Opens(Box<Opens>),
}

/// What the opening handshake needs.
pub(super) struct Opens {
    pub(super) ws: WebSocket,
    pub(super) security: Security,
    pub(super) stream: TcpStream,
    /// Whether the stream is registered for reading and writing.
    pub(super) is_registered: bool,
    /// The first bytes that the WebSocket receives. Usually empty.
    pub(super) received: Vec<u8>,
}

impl Dialing {
    pub(super) fn new(
        connector: Arc<Connector>,
        target: Target,
        config: Arc<Config>,
        now: Instant,
    ) -> Result<Self, DialError> {
        if target.uri().is_secure() && !DialTls::IS_BUILT_IN {
            return Err(DialError::TlsNotBuiltIn);
        }
        let template = connector.template.clone();
        let dial = Dial::new(target, template, Arc::clone(&connector.dial), config.opening_timeout, now)?;
        Ok(Self {
            dial,
            connector,
            config,
            lookups: Vec::new(),
            attempts: Vec::new(),
            transport: None,
            tls: DialTls::default(),
            until: now,
        })
    }

    /// Returns when to call [`advance`](Self::advance) without an event.
    pub(super) const fn poll_timeout(&self) -> Instant {
        self.until
    }

    /// Takes the next lookup that the owner has to do.
    pub(super) fn take_lookup(&mut self) -> Option<Lookup> {
        self.lookups.pop()
    }

    /// Reports the result of a lookup.
    pub(super) fn resolved(&mut self, resolved: ResolvedLookup) {
        self.dial.resolved(resolved.id, resolved.addresses);
    }

    /// Reports that the opening handshake failed. [`advance`](Self::advance) follows.
    pub(super) fn opening_failed(&mut self, error: crate::Error, security: &Security) {
        match DialTls::failure_of_opening(error, security) {
            Ok((error, is_permanent)) => self.dial.tls_failed(error, is_permanent),
            Err(error) => self.dial.opening_failed(error),
        }
    }

    /// Registers the streams that are not registered yet.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        for attempt in self.attempts.iter_mut().chain(&mut self.transport).filter(|attempt| !attempt.is_registered) {
            attempt.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
            attempt.is_registered = true;
        }
        Ok(())
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        let attempts = self.attempts.iter_mut().chain(&mut self.transport).filter(|attempt| attempt.is_registered);
        attempts.into_iter().try_for_each(|attempt| {
            attempt.is_registered = false;
            attempt.stream.deregister(registry)
        })
    }

    /// Forgets that the streams were registered.
    pub(super) fn forget_registration(&mut self) {
        self.attempts.iter_mut().chain(&mut self.transport).for_each(|attempt| attempt.is_registered = false);
    }

    /// Goes on as far as possible without waiting.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Progress, DialError> {
        self.report_attempts();
        loop {
            let waits_until = match self.dial.next_action(now)? {
                Action::Resolve { lookup, destination } => {
                    self.look_up(Lookup::new(lookup, destination));
                    None
                }
                Action::Connect { attempt, endpoint } => {
                    self.connect(attempt, &endpoint);
                    None
                }
                Action::Abandon(id) => {
                    self.attempts.retain(|attempt| attempt.id != id);
                    self.abandon_transport();
                    None
                }
                Action::Use(id) => {
                    self.transport = self.attempts.drain(..).find(|attempt| attempt.id == id);
                    None
                }
                Action::StartTls(start) => {
                    self.start_tls(start)?;
                    None
                }
                Action::Open(opening) => return self.open(*opening),
                Action::Write(to_write) => (!self.write(&to_write.bytes)).then_some(to_write.until),
                Action::Read { until } => (!self.read()).then_some(until),
                Action::Wait { until } => (!self.continue_proxy_tls()).then_some(until),
            };
            if let Some(until) = waits_until {
                self.until = until;
                return Ok(Progress::Waits);
            }
        }
    }

    /// Leaves a lookup to the owner, unless the addresses are known.
    fn look_up(&mut self, lookup: Lookup) {
        let uri = self.dial.target().uri();
        let known = self.connector.addresses.as_ref().filter(|_| lookup.host() == uri.host());
        match known {
            Some(addresses) => self.dial.resolved(lookup.id(), Ok(addresses.to_vec())),
            None => self.lookups.push(lookup),
        }
    }

    fn connect(&mut self, id: AttemptId, endpoint: &Endpoint) {
        let connected = match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(*address).map(|stream| (stream, false)),
            // a Unix socket is connected at once, or fails
            Endpoint::Unix(path) => connect_unix(path).map(|stream| (stream, true)),
        };
        match connected {
            Ok((stream, is_connected)) => {
                self.attempts.push(Attempt { id, stream, is_registered: false, is_connected });
                if is_connected {
                    self.dial.connected(id);
                }
            }
            Err(error) => self.dial.connect_failed(id, error),
        }
    }

    /// Reports the attempts that have connected or failed since the last call.
    fn report_attempts(&mut self) {
        let dial = &mut self.dial;
        self.attempts.retain_mut(|attempt| match is_connected(&attempt.stream) {
            _ if attempt.is_connected => true,
            Ok(false) => true,
            Ok(true) => {
                attempt.is_connected = true;
                dial.connected(attempt.id);
                true
            }
            Err(error) => {
                dial.connect_failed(attempt.id, error);
                false
            }
        });
    }

    fn abandon_transport(&mut self) {
        self.transport = None;
        self.tls = DialTls::default();
    }

    /// Starts TLS. Its handshake with the server runs together with the opening handshake; that with a proxy comes
    /// first.
    fn start_tls(&mut self, start: StartTls) -> Result<(), DialError> {
        if !DialTls::IS_BUILT_IN {
            return Err(DialError::TlsNotBuiltIn);
        }
        match self.tls.start(&self.connector, start) {
            Ok(true) => self.dial.tls_started(),
            Ok(false) => {}
            Err(error) => self.report_failure(error),
        }
        Ok(())
    }

    /// Continues a TLS handshake with a proxy, if one has begun. Returns whether anything has changed.
    fn continue_proxy_tls(&mut self) -> bool {
        let Some(Attempt { stream, .. }) = &mut self.transport else { return false };
        match self.tls.continue_with_proxy(stream) {
            Ok(true) => self.dial.tls_started(),
            Ok(false) => return false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.report_failure(error),
        }
        true
    }

    /// Writes to the proxy. Returns false if the transport takes nothing for now.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(Attempt { stream, .. }) = &mut self.transport else { return false };
        match self.tls.write(stream, bytes) {
            Ok(count) => self.dial.written(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.report_failure(error),
        }
        true
    }

    /// Reads from the proxy. Returns false if nothing has arrived.
    fn read(&mut self) -> bool {
        let Some(Attempt { stream, .. }) = &mut self.transport else { return false };
        match self.tls.read(stream) {
            Ok(Some(bytes)) => self.dial.received(&bytes),
            Ok(None) => self.dial.eof(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.report_failure(error),
        }
        true
    }

    fn report_failure(&mut self, error: io::Error) {
        match DialTls::permanence(&error) {
            Some(is_permanent) => self.dial.tls_failed(error, is_permanent),
            None => self.dial.transport_failed(error),
        }
    }

    fn open(&mut self, opening: Opening) -> Result<Progress, DialError> {
        let Some(Attempt { stream, is_registered, .. }) = self.transport.take() else { return Err(DialError::Ended) };
        let Opening { request, leftover, started, .. } = opening;
        let keys = masking_keys().map_err(DialError::Local)?;
        let ws = WebSocket::client(request, Arc::clone(&self.config), keys, started)?;
        let (security, plaintext) = std::mem::take(&mut self.tls).into_layer();
        let received = if plaintext.is_empty() { leftover.into() } else { plaintext };
        Ok(Progress::Opens(Box::new(Opens { ws, security, stream, is_registered, received })))
    }
}

/// Returns whether TCP is connected.
///
/// # Errors
///
/// The attempt failed.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Connects to a Unix socket. A stream of mio is a descriptor, whatever the protocol: the event loop needs no second
/// type of stream.
#[cfg(unix)]
fn connect_unix(path: &Path) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(TcpStream::from_std(socket.into()))
}

#[cfg(not(unix))]
fn connect_unix(_: &Path) -> io::Result<TcpStream> {
    Err(ErrorKind::Unsupported.into())
}
