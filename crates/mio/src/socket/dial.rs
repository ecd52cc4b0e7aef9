//! How a socket connects: a client dials, performs the opening handshake, follows redirects, and connects again.

use std::io;
use std::sync::Arc;

use mio::{Registry, Token};
use sansocket_connect::{Dialing, Lookup, Opens, Progress, ResolvedLookup};
use sansocket_dial::{DialError, Target};
use sansocket_drive::sansocket::{Config, Instant, WebSocket};
use sansocket_drive::{Driver, with_keepalive};

use super::Socket;
use super::client::{Client, Reconnection};
use super::flags::Flags;
use crate::Error;
use crate::connector::Connector;
use sansocket_connect::PLAIN;

impl Socket {
    /// Begins to connect, as a client. [`drive`](Self::drive) goes on. [`Config::opening_timeout`] covers everything,
    /// from `now` to the end of the opening handshake.
    ///
    /// 1. After each call of `drive` and [`ready`](Self::ready), as long as the connection is not open, the owner does
    ///    the lookups that [`take_lookup`](Self::take_lookup) returns.
    /// 2. If the connection cannot be made, no event occurs. At [`NextStep::End`](super::NextStep::End),
    ///    [`take_dial_error`](Self::take_dial_error) returns the reason.
    /// 3. With a [`ReconnectPolicy`](sansocket_dial::ReconnectPolicy), the owner first calls
    ///    [`reconnect`](Self::reconnect) at [`NextStep::End`](super::NextStep::End).
    ///
    /// Without a [`Config`] in the connector, the default applies, with keepalive.
    ///
    /// # Errors
    ///
    /// The caller is at fault: the request, a proxy's URL or the configuration of TLS is not valid. Or the system has no
    /// random numbers.
    pub fn connect(connector: &Connector, target: Target, now: Instant) -> Result<Self, DialError> {
        Self::connect_or_default(connector, target, None, now)
    }

    /// Begins to connect with a default for the [`Config`].
    pub(crate) fn connect_or_default(
        connector: &Connector,
        target: Target,
        default_config: Option<&Arc<Config>>,
        now: Instant,
    ) -> Result<Self, DialError> {
        let config = connector.config.as_ref().or(default_config).map(Arc::clone).unwrap_or_default();
        let client = Client::new(connector, target, with_keepalive(config), now)?;
        let driver = Driver::with_layer(client.unconnected(now)?, PLAIN);
        let mut socket = Self { driver, rare: None, stream: None, flags: Flags::CONNECTING | Flags::OUTPUT_PENDING };
        socket.rare().client = Some(client);
        Ok(socket)
    }

    /// Takes a lookup that the owner has to do, without blocking its loop. [`resolved`](Self::resolved) reports the
    /// result.
    pub fn take_lookup(&mut self) -> Option<Lookup> {
        if !self.is_connecting() {
            return None;
        }
        self.dialing()?.take_lookup()
    }

    /// Reports the result of a lookup. Call [`drive`](Self::drive) afterwards. A result that is no longer of interest is
    /// ignored.
    pub fn resolved(&mut self, resolved: ResolvedLookup) {
        if let Some(dialing) = self.dialing() {
            dialing.resolved(resolved);
        }
    }

    /// Returns why the connection was not made, at [`NextStep::End`](super::NextStep::End). `None` if it was open, if
    /// the owner ended the attempt, and for servers.
    pub fn take_dial_error(&mut self) -> Option<DialError> {
        self.client()?.take_failure()
    }

    /// Begins to connect again, at [`NextStep::End`](super::NextStep::End), if the [`Connector`] has a
    /// [`ReconnectPolicy`](sansocket_dial::ReconnectPolicy). Returns `None` if it has none, if the policy ends, or if
    /// the failure is permanent: then drop the socket. The owner should not call it if it has closed the connection
    /// itself.
    pub fn reconnect(&mut self, now: Instant) -> Option<Reconnection> {
        let (reconnection, ws) = self.client()?.reconnect(now)?;
        self.disconnect(ws);
        Some(reconnection)
    }

    /// Connects no more: the application has ended the connection.
    pub(crate) fn cancel_reconnection(&mut self) {
        if let Some(client) = self.client() {
            client.cancel_reconnection();
        }
    }

    /// Returns the number of the current attempt to connect since the beginning or the last stable connection. It is 1
    /// without a [`ReconnectPolicy`](sansocket_dial::ReconnectPolicy).
    pub fn attempt(&self) -> u32 {
        let client = self.rare.as_ref().and_then(|rare| rare.client.as_ref());
        client.map_or(1, Client::attempt)
    }

    /// Returns whether the socket is a client without a transport.
    #[inline]
    pub(crate) fn is_connecting(&self) -> bool {
        self.flags.intersects(Flags::CONNECTING)
    }

    /// Returns whether the socket is a client that is not open yet.
    pub(super) fn is_dialing(&self) -> bool {
        let client = self.rare.as_ref().and_then(|rare| rare.client.as_ref());
        client.is_some_and(Client::is_dialing)
    }

    /// Returns when a client without a transport must go on.
    #[cold]
    pub(super) fn dial_timeout(&self) -> Option<Instant> {
        self.rare.as_ref()?.client.as_ref()?.poll_timeout()
    }

    /// Goes on with connecting, as far as possible without waiting.
    #[cold]
    pub(super) fn advance_dial(&mut self, now: Instant) {
        let Some(client) = self.client() else { return };
        match client.advance(now) {
            Ok(Progress::Waits) => {}
            Ok(Progress::Opens(opens)) => self.begin_opening(*opens),
            Err(error) => {
                self.driver.log_failure(&error);
                self.driver.websocket_mut().abort(now);
                if let Some(client) = self.client() {
                    client.end(error);
                }
            }
        }
    }

    /// Notes that the connection is open.
    #[cold]
    pub(super) fn finish_dialing(&mut self, now: Instant) {
        let Some(client) = self.client() else { return };
        if !client.opened(now) {
            self.rare().client = None;
            self.release_rare();
        }
    }

    /// Handles a failure of the connection if it is not open yet: follows a redirect, or ends the dial. Returns the
    /// error if it is none of a client that is dialing.
    #[cold]
    pub(super) fn opening_failed(&mut self, error: Error, now: Instant) -> Option<Error> {
        let Self { driver, rare, .. } = self;
        let client = rare.as_mut().and_then(|rare| rare.client.as_mut());
        let Some(client) = client else { return Some(error) };
        let Some(dialing) = client.dialing() else { return Some(error) };
        dialing.opening_failed(error, driver.layer());
        let result = dialing.advance(now).and_then(|progress| Ok((progress, client.unconnected(now)?)));
        match result {
            Ok((progress, ws)) => {
                self.disconnect(ws);
                if let Progress::Opens(opens) = progress {
                    self.begin_opening(*opens);
                }
            }
            // the driver ends the transport, which may have to take an alert
            Err(error) => client.end(error),
        }
        None
    }

    /// Registers the streams of a client that is dialing.
    pub(super) fn register_dial(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.dialing().map_or(Ok(()), |dialing| dialing.register(registry, token))
    }

    pub(super) fn deregister_dial(&mut self, registry: &Registry) -> io::Result<()> {
        self.dialing().map_or(Ok(()), |dialing| dialing.deregister(registry))
    }

    pub(super) fn forget_registration_of_dial(&mut self) {
        if let Some(dialing) = self.dialing() {
            dialing.forget_registration();
        }
    }

    fn client(&mut self) -> Option<&mut Client> {
        self.rare.as_mut()?.client.as_mut()
    }

    fn dialing(&mut self) -> Option<&mut Dialing> {
        self.client()?.dialing()
    }

    /// Drops the transport.
    fn disconnect(&mut self, ws: WebSocket) {
        self.driver.restart(ws, PLAIN);
        self.stream = None;
        self.rare().unreceived.clear();
        self.flags = Flags::CONNECTING | Flags::OUTPUT_PENDING;
    }

    /// Begins the opening handshake.
    fn begin_opening(&mut self, opens: Opens) {
        let Opens { ws, security, stream, is_registered, received, .. } = opens;
        self.driver.restart(ws, security);
        // if the server is already gone, reading its response reports it
        let _ = stream.set_nodelay(true);
        self.stream = Some(stream);
        self.flags = self.flags.intersection(Flags::PAUSED) | Flags::OUTPUT_PENDING | Flags::MAY_READ;
        if is_registered {
            self.flags.insert(Flags::WATCHES_READING | Flags::WATCHES_WRITING);
        }
        if !received.is_empty() {
            self.keep_unreceived(received.as_slice().into());
        }
        self.log_peer();
    }
}
