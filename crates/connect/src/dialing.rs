//! Dialing: does what a [`Dial`] asks for, with non-blocking streams, until the opening handshake can begin.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use sansocket_dial::{Action, AttemptId, Dial, DialError, Endpoint, FailedLayer, Opening, StartTls, Target};
use sansocket_drive::sansocket::{Config, Error as PeerError, Instant, WebSocket};
use sansocket_drive::{Error, masking_keys};
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};

use crate::dial_tls::{DialTls, OpeningFailure};
use crate::lookup::{Lookup, ResolvedLookup};
use crate::security::Security;
use crate::settings::Settings;

/// How long to wait before the next attempt to connect to a Unix socket whose backlog is full: the system reports no
/// readiness.
const BUSY_RETRY: Duration = Duration::from_millis(20);

/// A client that dials: it has a [`Dial`] and the streams of its attempts. The owner keeps it until the connection is
/// open, since the opening handshake may lead to another server.
pub struct Dialing {
    dial: Dial,
    settings: Arc<Settings>,
    config: Arc<Config>,
    /// Lookups that the owner of the socket has to do.
    lookups: Vec<Lookup>,
    attempts: Vec<Attempt>,
    /// The Unix socket to try again, because its backlog was full.
    busy: Option<(AttemptId, PathBuf)>,
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
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an owner must handle each of these")]
pub enum Progress {
    /// Nothing can be done for now.
    Waits,
    /// The opening handshake can begin.
    Opens(Box<Opens>),
}

/// What the opening handshake needs.
#[non_exhaustive]
pub struct Opens {
    /// The connection, whose opening timeout runs since dialing began.
    pub ws: WebSocket,
    /// The layer between the connection and the stream.
    pub security: Security,
    /// The connected stream, which does not block.
    pub stream: TcpStream,
    /// Whether the stream is registered for reading and writing.
    pub is_registered: bool,
    /// The first bytes that the stream has returned. Usually empty.
    pub received: Vec<u8>,
}

impl Dialing {
    /// Begins to connect to a target. [`Config::opening_timeout`] covers everything, from `now` to the end of the opening
    /// handshake.
    ///
    /// # Errors
    ///
    /// The caller is at fault: the request, a proxy's URL or the configuration of TLS is not valid.
    pub fn new(settings: Arc<Settings>, target: Target, config: Arc<Config>, now: Instant) -> Result<Self, DialError> {
        if target.uri().is_secure() && !DialTls::IS_BUILT_IN {
            return Err(DialError::TlsNotBuiltIn);
        }
        let template = settings.template.clone();
        let dial = Dial::new(target, template, Arc::clone(&settings.dial), config.opening_timeout, now)?;
        Ok(Self {
            dial,
            settings,
            config,
            lookups: Vec::new(),
            attempts: Vec::new(),
            busy: None,
            transport: None,
            tls: DialTls::default(),
            until: now,
        })
    }

    /// Returns when to call [`advance`](Self::advance) without an event.
    pub const fn poll_timeout(&self) -> Instant {
        self.until
    }

    /// Takes the next lookup that the owner has to do.
    pub fn take_lookup(&mut self) -> Option<Lookup> {
        self.lookups.pop()
    }

    /// Reports the result of a lookup.
    pub fn resolved(&mut self, resolved: ResolvedLookup) {
        self.dial.resolved(resolved.id, resolved.addresses);
    }

    /// Reports that the opening handshake failed. `security` is the layer of its connection.
    /// [`advance`](Self::advance) follows.
    pub fn opening_failed(&mut self, error: Error, security: &Security) {
        match DialTls::failure_of_opening(error, security) {
            OpeningFailure::Tls { error, is_permanent } => self.dial.tls_failed(error, is_permanent),
            OpeningFailure::TlsTimedOut => self.dial.tls_timed_out(),
            OpeningFailure::Opening(error) => self.dial.opening_failed(error),
        }
    }

    /// Returns the error of an opening handshake over a stream that the caller has connected to `host`.
    /// `opening_timeout` is that of the connection.
    pub fn error_without_dial(host: &str, error: Error, security: &Security, opening_timeout: Duration) -> DialError {
        let timed_out = |layer| DialError::TimedOut { layer, limit: opening_timeout };
        match DialTls::failure_of_opening(error, security) {
            OpeningFailure::Tls { error, is_permanent } => {
                DialError::Tls { host: host.to_owned(), error, is_permanent }
            }
            OpeningFailure::TlsTimedOut => timed_out(FailedLayer::Tls),
            OpeningFailure::Opening(Error::Peer(PeerError::Timeout(_))) => timed_out(FailedLayer::Http),
            OpeningFailure::Opening(error) => DialError::Opening(error),
        }
    }

    /// Registers the streams that are not registered yet, for reading and writing, with the same token.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        for attempt in self.attempts.iter_mut().chain(&mut self.transport).filter(|attempt| !attempt.is_registered) {
            attempt.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
            attempt.is_registered = true;
        }
        Ok(())
    }

    /// Removes the streams from a registry.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        let attempts = self.attempts.iter_mut().chain(&mut self.transport).filter(|attempt| attempt.is_registered);
        attempts.into_iter().try_for_each(|attempt| {
            attempt.is_registered = false;
            attempt.stream.deregister(registry)
        })
    }

    /// Forgets that the streams were registered.
    pub fn forget_registration(&mut self) {
        self.attempts.iter_mut().chain(&mut self.transport).for_each(|attempt| attempt.is_registered = false);
    }

    /// Goes on as far as possible without waiting.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    pub fn advance(&mut self, now: Instant) -> Result<Progress, DialError> {
        self.report_attempts();
        if let Some((attempt, path)) = self.busy.take() {
            self.connect(attempt, Endpoint::Unix(path));
        }
        loop {
            let waits_until = match self.dial.next_action(now)? {
                Action::Resolve { lookup, destination } => {
                    self.look_up(Lookup::new(lookup, destination, self.settings.resolver.clone()));
                    None
                }
                Action::Connect { attempt, endpoint } => {
                    self.connect(attempt, endpoint);
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
                Action::Wait { until } if self.busy.is_some() => Some(until.min(now + BUSY_RETRY)),
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
        let known = self.settings.addresses.as_ref().filter(|_| lookup.host() == uri.host());
        match known {
            Some(addresses) => self.dial.resolved(lookup.id(), Ok(addresses.to_vec())),
            None => self.lookups.push(lookup),
        }
    }

    fn connect(&mut self, id: AttemptId, endpoint: Endpoint) {
        let connected = match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(address).map(|stream| (stream, false)),
            // a Unix socket is connected at once, fails, or has a full backlog
            Endpoint::Unix(path) => match connect_unix(&path) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.busy = Some((id, path));
                    return;
                }
                connected => connected.map(|stream| (stream, true)),
            },
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
        match self.tls.start(&self.settings, start) {
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
        let security = std::mem::take(&mut self.tls).into_layer();
        let received = leftover.into();
        Ok(Progress::Opens(Box::new(Opens { ws, security, stream, is_registered, received })))
    }
}

impl fmt::Debug for Dialing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialing").field("target", self.dial.target()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opens").field("stream", &self.stream).finish_non_exhaustive()
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
