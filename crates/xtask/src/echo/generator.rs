//! Generator: clients that send messages to an echo server and check what comes back, all in one event loop.

use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use sansocket_mio::sansocket::Delivery;
use sansocket_mio::{Chunk, Close, Connection, ConnectionId, Error, EventLoop, Handler, Open, Options, default_config};

use super::cell::Cell;

/// How many connections are being opened at a time. A server with the usual backlog of 128 refuses none of them.
const OPENING: usize = 64;
/// How long nothing may come back.
const SILENCE: Duration = Duration::from_secs(30);

/// Connections to an echo server, open as long as this lives.
#[derive(Debug)]
pub(crate) struct Generator {
    event_loop: EventLoop<Clients>,
    cell: Cell,
}

/// How long to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Until this many messages have come back; a few more, if they cannot be shared out evenly.
    Messages(u64),
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many messages.
    pub(crate) messages: u64,
}

impl Generator {
    /// Opens the connections of a cell.
    pub(crate) fn connect(address: SocketAddr, cell: Cell) -> Result<Self> {
        let mut config = default_config();
        // Nothing is assembled, and no Ping disturbs the count.
        config.delivery = Delivery::Chunks;
        config.ping_interval = None;
        config.opening_timeout = SILENCE;
        // One message, one frame; what is sent at once is taken.
        config.max_sent_frame_payload = cell.payload.0.try_into().unwrap_or(config.max_sent_frame_payload);
        config.max_buffered_amount = config.max_buffered_amount.max(2 * cell.payload.0 * cell.in_flight);
        let options = Options::new().config(config);
        let mut generator = Self { event_loop: EventLoop::with_options(Clients::new(cell)?, &options)?, cell };

        let url = format!("ws://{address}");
        let mut open = 0;
        let mut deadline = Instant::now() + SILENCE;
        while open < cell.connections {
            for _ in generator.clients().all.len()..cell.connections.min(open + OPENING) {
                let id = generator.event_loop.connect(&url).with_context(|| format!("cannot connect to {url}"))?;
                generator.clients().add(id);
            }
            generator.turn(deadline)?;
            if mem::replace(&mut open, generator.clients().open) != open {
                deadline = Instant::now() + SILENCE;
            }
        }
        Ok(generator)
    }

    /// Sends over all connections, and waits for everything to come back.
    pub(crate) fn run(&mut self, until: Until) -> Result<Tally> {
        let Self { event_loop, cell } = self;
        let clients = event_loop.handler();
        let payload = Rc::clone(&clients.payload);
        let ids: Vec<_> = clients.all.iter().map(|client| client.id).collect();
        clients.begin(until);
        for id in ids {
            let mut connection = event_loop.connections().get(id).context("a connection is gone")?;
            send(&mut connection, &payload, cell.in_flight)?;
        }
        let mut messages = 0;
        let mut deadline = Instant::now() + SILENCE;
        while self.clients().busy > 0 {
            self.turn(deadline)?;
            if mem::replace(&mut messages, self.clients().tally.messages) != messages {
                deadline = Instant::now() + SILENCE;
            }
        }
        Ok(mem::take(&mut self.clients().tally))
    }

    fn turn(&mut self, deadline: Instant) -> Result<()> {
        self.event_loop.turn(Some(deadline.saturating_duration_since(Instant::now())))?;
        if let Some(failure) = self.clients().failure.take() {
            return Err(failure);
        }
        ensure!(Instant::now() < deadline, "the server has not answered for {} s", SILENCE.as_secs());
        Ok(())
    }

    fn clients(&mut self) -> &mut Clients {
        self.event_loop.handler()
    }
}

/// What the connections are about: the handler of their event loop.
#[derive(Debug)]
struct Clients {
    /// What every message carries.
    payload: Rc<[u8]>,
    in_flight: usize,
    /// By their index in the loop: they were made one after the other, and none is ever gone.
    all: Vec<Client>,
    /// How many of them are open.
    open: usize,
    /// How many of them wait for something.
    busy: usize,
    tally: Tally,
    failure: Option<anyhow::Error>,
}

/// One connection.
#[derive(Debug)]
struct Client {
    id: ConnectionId,
    /// How many times it will send once more.
    rounds: u64,
    /// How many messages are to come back.
    awaited: usize,
    /// How much there is of the message that is coming back.
    received: usize,
}

impl Clients {
    fn new(cell: Cell) -> Result<Self> {
        // No repetition that a mask or a buffer might hide: bytes of a multiplicative hash.
        let byte = |index: usize| ((index as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8;
        Ok(Self {
            payload: (0..cell.payload.0).map(byte).collect(),
            in_flight: cell.in_flight,
            all: Vec::with_capacity(cell.connections),
            open: 0,
            busy: 0,
            tally: Tally::default(),
            failure: None,
        })
    }

    fn add(&mut self, id: ConnectionId) {
        debug_assert_eq!(id.index(), self.all.len());
        self.all.push(Client { id, rounds: 0, awaited: 0, received: 0 });
    }

    /// Every client is about to send for the first time.
    fn begin(&mut self, until: Until) {
        let at_once = (self.all.len() * self.in_flight) as u64;
        let Until::Messages(messages) = until;
        let rounds = messages.div_ceil(at_once).max(1);
        self.busy = self.all.len();
        for client in &mut self.all {
            client.rounds = rounds - 1;
            client.awaited = self.in_flight;
        }
    }

    fn receive(&mut self, connection: &mut Connection<'_>, chunk: &Chunk<'_>) -> Result<()> {
        let client = &mut self.all[connection.id().index()];
        let end = client.received + chunk.payload.len();
        let expected = self.payload.get(client.received..end);
        ensure!(expected == Some(&*chunk.payload), "an echo is not what was sent");
        client.received = end;
        if !chunk.last {
            return Ok(());
        }
        ensure!(end == self.payload.len(), "an echo of {end} bytes of {}", self.payload.len());
        ensure!(client.awaited > 0, "an echo of nothing");
        client.received = 0;
        client.awaited -= 1;
        self.tally.messages += 1;
        if client.awaited > 0 {
            return Ok(());
        }
        if client.rounds == 0 {
            self.busy -= 1;
            return Ok(());
        }
        client.rounds -= 1;
        client.awaited = self.in_flight;
        send(connection, &self.payload, self.in_flight)
    }

    fn fail(&mut self, failure: anyhow::Error) {
        self.failure.get_or_insert(failure);
    }
}

impl Handler for Clients {
    fn on_open(&mut self, _: &mut Connection<'_>, _: Open) {
        self.open += 1;
    }

    fn on_chunk(&mut self, connection: &mut Connection<'_>, chunk: Chunk<'_>) {
        if let Err(failure) = self.receive(connection, &chunk) {
            self.fail(failure);
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_>, error: Error) {
        self.fail(anyhow!(error).context("a connection failed"));
    }

    fn on_close(&mut self, _: &mut Connection<'_>, close: Close) {
        self.fail(anyhow!("the server closed a connection with {}", close.code));
    }
}

/// Sends a message this many times. All leave in one system call, if the kernel takes so much.
fn send(connection: &mut Connection<'_>, payload: &[u8], times: usize) -> Result<()> {
    for _ in 0..times {
        connection.send(payload).context("cannot send")?;
    }
    Ok(())
}
