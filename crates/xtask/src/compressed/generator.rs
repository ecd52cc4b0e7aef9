//! The load generator: all clients in one loop of epoll.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};

use super::checker::Checkers;
use super::client::Client;
use super::messages::Messages;
use crate::echo::{Cell, Compression, StopAfter, Tally};
use crate::raw::{EDGES, Poller};

/// The size of the buffer for reads, in bytes: more than the echoes of most batches.
const BUFFER_SIZE: usize = 256 << 10;

/// Connections to an echo server that compresses, which close when it is dropped.
#[derive(Debug)]
pub(crate) struct Generator {
    poller: Poller,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    messages: Messages,
    checkers: Checkers,
    in_flight: usize,
}

impl Generator {
    /// Opens the connections of a cell.
    pub(crate) fn connect(address: SocketAddr, cell: Cell, compression: Compression) -> Result<Self> {
        let messages = Messages::new(cell, compression)?;
        let poller = Poller::new()?;
        let mut clients = Vec::with_capacity(cell.connections);
        for index in 0..cell.connections {
            let client = Client::connect(address, compression, index == 0);
            let mut client = client.with_context(|| format!("connection {index}"))?;
            poller.add(client.source(), index, EDGES)?;
            clients.push(client);
        }
        Ok(Self {
            poller,
            buffer: vec![0; BUFFER_SIZE],
            clients,
            messages,
            checkers: Checkers::new(compression.takeover),
            in_flight: cell.in_flight,
        })
    }

    /// Sends over all connections, and waits for all echoes.
    pub(crate) fn run(&mut self, stop: StopAfter) -> Result<Tally> {
        let start = Instant::now();
        let mut tally = Tally::new()?;
        let Self { poller, buffer, clients, messages, checkers, in_flight } = self;
        let at_once = (clients.len() * *in_flight) as u64;
        let (rounds, end) = match stop {
            StopAfter::Messages(messages) => (messages.div_ceil(at_once).max(1), None),
            StopAfter::Elapsed(duration) => (u64::MAX, Some(start + duration)),
        };
        for client in &mut *clients {
            client.send(messages, *in_flight, start)?;
        }
        // the rounds that remain for each client
        let mut rounds = vec![rounds - 1; clients.len()];
        let mut busy = clients.len();
        while busy > 0 {
            for (index, is_writable) in poller.poll()? {
                let client = &mut clients[index];
                if client.is_complete() {
                    continue;
                }
                if is_writable {
                    client.write(messages)?;
                }
                let received = client.receive(buffer, messages, checkers, &mut tally);
                received.with_context(|| format!("connection {index}"))?;
                if !client.is_complete() {
                    continue;
                }
                let now = Instant::now();
                if rounds[index] == 0 || end.is_some_and(|end| end <= now) {
                    busy -= 1;
                } else {
                    rounds[index] -= 1;
                    client.send(messages, *in_flight, now)?;
                }
            }
        }
        Ok(Tally { elapsed: start.elapsed(), ..tally })
    }
}
