//! The load generator: clients in one event loop that send messages to an echo server and check the echoes.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use sansocket_mio::sansocket::Delivery;
use sansocket_mio::tls::ClientTls;
use sansocket_mio::{
    Chunk, Close, Config, Connection, ConnectionId, Connections, Connector, DialError, Error, EventLoop, Handler, Open,
    Options, Target,
};

use super::cell::Cell;
use super::tally::{SILENCE_MAX, StopAfter, Tally};

/// The maximum number of connections in the opening handshake: less than the usual backlog of a server, which is 128.
const OPENING_MAX: usize = 64;

/// Connections to an echo server, which close when it is dropped.
#[derive(Debug)]
pub(crate) struct Generator {
    event_loop: EventLoop<Clients>,
    cell: Cell,
}

impl Generator {
    /// Opens the connections of a cell.
    pub(crate) fn connect(address: SocketAddr, cell: Cell) -> Result<Self> {
        Self::connect_to(&format!("ws://{address}"), &Connector::new(), cell)
    }

    /// Opens the connections of a cell over TLS, to a server with any certificate.
    pub(crate) fn connect_tls(address: SocketAddr, cell: Cell) -> Result<Self> {
        let tls = ClientTls::builder().dangerous_accept_any_certificate().build()?;
        Self::connect_to(&format!("wss://{address}"), &Connector::new().tls(tls), cell)
    }

    fn connect_to(url: &str, connector: &Connector, cell: Cell) -> Result<Self> {
        let mut config = Config::default();
        // The clients assemble no messages, and no Ping affects the counts.
        config.delivery = Delivery::Chunks;
        config.keepalive = sansocket_mio::Keepalive::Off;
        config.opening_timeout = SILENCE_MAX;
        // Each message is one frame, and the output holds all messages that are sent at once.
        config.max_sent_frame_payload = cell.payload.0.try_into().unwrap_or(config.max_sent_frame_payload);
        config.max_buffered_amount = config.max_buffered_amount.max(2 * cell.payload.0 * cell.in_flight);
        let options = Options::new().config(config);
        let mut generator = Self { event_loop: EventLoop::with_options(Clients::new(cell)?, &options)?, cell };

        let target: Target = url.parse()?;
        let mut open = 0;
        let mut deadline = Instant::now() + SILENCE_MAX;
        while open < cell.connections {
            for _ in generator.clients().all.len()..cell.connections.min(open + OPENING_MAX) {
                let begun = generator.event_loop.connect_with(connector, target.clone(), ());
                let id = begun.with_context(|| format!("cannot connect to {url}"))?;
                generator.clients().add(id);
            }
            generator.turn(deadline)?;
            if mem::replace(&mut open, generator.clients().open) != open {
                deadline = Instant::now() + SILENCE_MAX;
            }
        }
        Ok(generator)
    }

    /// Sends over all connections, and waits for all echoes.
    pub(crate) fn run(&mut self, stop: StopAfter) -> Result<Tally> {
        let start = Instant::now();
        let Self { event_loop, cell } = self;
        let clients = event_loop.handler();
        let payload = Arc::clone(&clients.payload);
        let ids: Vec<_> = clients.all.iter().map(|client| client.id).collect();
        clients.begin(start, stop);
        for id in ids {
            let mut connection = event_loop.connections().get(id).context("a connection has closed")?;
            send(&mut connection, &payload, cell.in_flight)?;
        }
        let mut messages = 0;
        let mut deadline = start + SILENCE_MAX;
        while self.clients().busy > 0 {
            self.turn(deadline)?;
            if mem::replace(&mut messages, self.clients().tally.messages) != messages {
                deadline = Instant::now() + SILENCE_MAX;
            }
        }
        let tally = mem::replace(&mut self.clients().tally, Tally::new()?);
        Ok(Tally { elapsed: start.elapsed(), ..tally })
    }

    fn turn(&mut self, deadline: Instant) -> Result<()> {
        self.event_loop.turn(Some(deadline.saturating_duration_since(Instant::now())))?;
        if let Some(failure) = self.clients().failure.take() {
            return Err(failure);
        }
        ensure!(Instant::now() < deadline, "the server has not answered for {} s", SILENCE_MAX.as_secs());
        Ok(())
    }

    fn clients(&mut self) -> &mut Clients {
        self.event_loop.handler()
    }
}

/// The clients: the handler of the event loop.
#[derive(Debug)]
struct Clients {
    /// The payload of every message.
    payload: Arc<[u8]>,
    in_flight: usize,
    /// The clients by the index of their connection: none closes, so the indices have no gaps.
    all: Vec<Client>,
    /// The number of open connections.
    open: usize,
    /// The number of clients that wait for echoes.
    busy: usize,
    /// When to stop, if the number of rounds is unlimited.
    end: Option<Instant>,
    tally: Tally,
    failure: Option<anyhow::Error>,
}

/// One connection.
#[derive(Debug)]
struct Client {
    id: ConnectionId,
    /// The number of rounds that remain.
    rounds: u64,
    /// The number of echoes that it waits for.
    awaited: usize,
    /// The number of bytes received of the current echo.
    received: usize,
    sent_at: Instant,
}

impl Clients {
    fn new(cell: Cell) -> Result<Self> {
        // Bytes of a multiplicative hash: a repetition could hide faults of masking or buffers.
        let byte = |index: usize| ((index as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8;
        Ok(Self {
            payload: (0..cell.payload.0).map(byte).collect(),
            in_flight: cell.in_flight,
            all: Vec::with_capacity(cell.connections),
            open: 0,
            busy: 0,
            end: None,
            tally: Tally::new()?,
            failure: None,
        })
    }

    fn add(&mut self, id: ConnectionId) {
        debug_assert_eq!(id.index(), self.all.len());
        self.all.push(Client { id, rounds: 0, awaited: 0, received: 0, sent_at: Instant::now() });
    }

    /// Prepares every client for a run.
    fn begin(&mut self, now: Instant, stop: StopAfter) {
        let at_once = (self.all.len() * self.in_flight) as u64;
        let (rounds, end) = match stop {
            StopAfter::Messages(messages) => (messages.div_ceil(at_once).max(1), None),
            StopAfter::Elapsed(duration) => (u64::MAX, Some(now + duration)),
        };
        self.end = end;
        self.busy = self.all.len();
        for client in &mut self.all {
            client.rounds = rounds - 1;
            (client.awaited, client.sent_at) = (self.in_flight, now);
        }
    }

    fn receive(&mut self, connection: &mut Connection<'_, Self>, chunk: &Chunk<'_>) -> Result<()> {
        let client = &mut self.all[connection.id().index()];
        let end = client.received + chunk.payload.len();
        let expected = self.payload.get(client.received..end);
        ensure!(expected == Some(&*chunk.payload), "an echo differs from the message");
        client.received = end;
        if !chunk.last {
            return Ok(());
        }
        ensure!(end == self.payload.len(), "an echo has {end} bytes instead of {}", self.payload.len());
        ensure!(client.awaited > 0, "an echo without a message");
        client.received = 0;
        client.awaited -= 1;
        let now = Instant::now();
        self.tally.messages += 1;
        self.tally.add_latency(now - client.sent_at);
        if client.awaited > 0 {
            return Ok(());
        }
        if client.rounds == 0 || self.end.is_some_and(|end| end <= now) {
            self.busy -= 1;
            return Ok(());
        }
        client.rounds -= 1;
        (client.awaited, client.sent_at) = (self.in_flight, now);
        send(connection, &self.payload, self.in_flight)
    }

    fn fail(&mut self, failure: anyhow::Error) {
        self.failure.get_or_insert(failure);
    }
}

impl Handler for Clients {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, _: &mut Connection<'_, Self>, _: Open) {
        self.open += 1;
    }

    fn on_chunk(&mut self, connection: &mut Connection<'_, Self>, chunk: Chunk<'_>) {
        if let Err(failure) = self.receive(connection, &chunk) {
            self.fail(failure);
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        self.fail(anyhow!(error).context("a connection failed"));
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, (): (), error: DialError) {
        self.fail(anyhow!(error).context("a connection failed"));
    }

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        self.fail(anyhow!("the server closed a connection with {}", close.code));
    }
}

/// Sends a message this many times. If they fit the socket's buffer, one system call writes all of them.
fn send(connection: &mut Connection<'_, Clients>, payload: &[u8], times: usize) -> Result<()> {
    for _ in 0..times {
        connection.send(payload).map_err(|error| error.map(drop)).context("cannot send")?;
    }
    Ok(())
}
