//! Generator: clients that send messages to an echo server and check what comes back, all in one event loop.

use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use sansocket_mio::sansocket::Delivery;
use sansocket_mio::{Chunk, Close, Config, Connection, ConnectionId, Error, EventLoop, Handler, Open, Options};

use super::cell::Cell;

/// How many connections are being opened at a time. A server with the usual backlog of 128 refuses none of them.
const OPENING: usize = 64;
/// How long nothing may come back.
const SILENCE: Duration = Duration::from_secs(30);
/// Latencies are kept between these, in nanoseconds, to three digits.
const LATENCIES: (u64, u64) = (100, 60_000_000_000);

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
    /// Until this time has passed. What is under way then is waited for.
    Elapsed(Duration),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Tally {
    /// How many messages.
    pub(crate) messages: u64,
    /// From the first message sent to the last that came back.
    pub(crate) elapsed: Duration,
    /// For each message, from when it was sent until its echo was there; in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Generator {
    /// Opens the connections of a cell.
    pub(crate) fn connect(address: SocketAddr, cell: Cell) -> Result<Self> {
        let mut config = Config::default();
        // Nothing is assembled, and no Ping disturbs the count.
        config.delivery = Delivery::Chunks;
        config.keepalive = sansocket_mio::Keepalive::Off;
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
        let start = Instant::now();
        let Self { event_loop, cell } = self;
        let clients = event_loop.handler();
        let payload = Rc::clone(&clients.payload);
        let ids: Vec<_> = clients.all.iter().map(|client| client.id).collect();
        clients.begin(start, until);
        for id in ids {
            let mut connection = event_loop.connections().get(id).context("a connection is gone")?;
            send(&mut connection, &payload, cell.in_flight)?;
        }
        let mut messages = 0;
        let mut deadline = start + SILENCE;
        while self.clients().busy > 0 {
            self.turn(deadline)?;
            if mem::replace(&mut messages, self.clients().tally.messages) != messages {
                deadline = Instant::now() + SILENCE;
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
        ensure!(Instant::now() < deadline, "the server has not answered for {} s", SILENCE.as_secs());
        Ok(())
    }

    fn clients(&mut self) -> &mut Clients {
        self.event_loop.handler()
    }
}

impl Tally {
    fn new() -> Result<Self> {
        let latencies = Histogram::new_with_bounds(LATENCIES.0, LATENCIES.1, 3)?;
        Ok(Self { messages: 0, elapsed: Duration::ZERO, latencies })
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
    /// When to stop, if the rounds do not say so.
    end: Option<Instant>,
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
    sent_at: Instant,
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
            end: None,
            tally: Tally::new()?,
            failure: None,
        })
    }

    fn add(&mut self, id: ConnectionId) {
        debug_assert_eq!(id.index(), self.all.len());
        self.all.push(Client { id, rounds: 0, awaited: 0, received: 0, sent_at: Instant::now() });
    }

    /// Every client is about to send for the first time.
    fn begin(&mut self, now: Instant, until: Until) {
        let at_once = (self.all.len() * self.in_flight) as u64;
        let (rounds, end) = match until {
            Until::Messages(messages) => (messages.div_ceil(at_once).max(1), None),
            Until::Elapsed(duration) => (u64::MAX, Some(now + duration)),
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
        ensure!(expected == Some(&*chunk.payload), "an echo is not what was sent");
        client.received = end;
        if !chunk.last {
            return Ok(());
        }
        ensure!(end == self.payload.len(), "an echo of {end} bytes of {}", self.payload.len());
        ensure!(client.awaited > 0, "an echo of nothing");
        client.received = 0;
        client.awaited -= 1;
        let now = Instant::now();
        self.tally.messages += 1;
        self.tally.latencies.saturating_record((now - client.sent_at).as_nanos() as u64);
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

    fn on_close(&mut self, _: &mut Connection<'_, Self>, close: Close) {
        self.fail(anyhow!("the server closed a connection with {}", close.code));
    }
}

/// Sends a message this many times. All leave in one system call, if the kernel takes so much.
fn send(connection: &mut Connection<'_, Clients>, payload: &[u8], times: usize) -> Result<()> {
    for _ in 0..times {
        connection.send(payload).map_err(|error| error.map(drop)).context("cannot send")?;
    }
    Ok(())
}
