//! The load generator: the members in one loop of epoll.
//!
//! It knows every byte that a member receives, and compares in large reads. So it takes a small part of the server's
//! time, and never slows the server down.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use sansocket_mio::mio::Interest;

use super::burst::Burst;
use super::member::Member;
use crate::echo::{Cell, StopAfter, Tally};
use crate::raw::{EDGES, Poller};

/// The member that publishes. It receives its messages as the others do.
const PUBLISHER: usize = 0;
/// The size of the buffer for reads, in bytes: more than most bursts.
const BUFFER_SIZE: usize = 256 << 10;

/// Members of a fan-out server, which close when it is dropped.
#[derive(Debug)]
pub(crate) struct Generator {
    poller: Poller,
    buffer: Vec<u8>,
    members: Vec<Member>,
    burst: Burst,
    /// The number of bytes of the burst that the publisher has written.
    written: usize,
}

impl Generator {
    /// Opens the connections of a cell.
    pub(crate) fn connect(address: SocketAddr, cell: Cell) -> Result<Self> {
        let burst = Burst::new(cell.payload.0, cell.in_flight)?;
        let poller = Poller::new()?;
        let mut members = Vec::with_capacity(cell.connections);
        for index in 0..cell.connections {
            let mut member = Member::connect(address).with_context(|| format!("member {index}"))?;
            let interest = if index == PUBLISHER { EDGES } else { Interest::READABLE };
            poller.add(member.source(), index, interest)?;
            members.push(member);
        }
        Ok(Self { poller, buffer: vec![0; BUFFER_SIZE], members, burst, written: 0 })
    }

    /// Publishes bursts, each when all members have received the one before. A latency is the time from publishing to
    /// the last arrival at any member.
    pub(crate) fn run(&mut self, stop: StopAfter) -> Result<Tally> {
        let start = Instant::now();
        let mut tally = Tally::new()?;
        loop {
            let published_at = Instant::now();
            self.deliver_burst()?;
            tally.messages += (self.members.len() * self.burst.messages()) as u64;
            tally.elapsed = start.elapsed();
            tally.add_latency(published_at.elapsed());
            if stop.is_reached(&tally) {
                return Ok(tally);
            }
        }
    }

    /// Publishes the next burst, and waits until all members have received it.
    fn deliver_burst(&mut self) -> Result<()> {
        self.burst.advance();
        self.members.iter_mut().for_each(Member::begin);
        self.written = 0;
        self.publish()?;
        let mut incomplete = self.members.len();
        while incomplete > 0 {
            let mut can_write = false;
            for (index, is_writable) in self.poller.poll()? {
                can_write |= index == PUBLISHER && is_writable;
                let received = self.members[index].receive(&mut self.buffer, &self.burst);
                incomplete -= usize::from(received.with_context(|| format!("member {index}"))?);
            }
            if can_write {
                self.publish()?;
            }
        }
        Ok(())
    }

    /// Writes the rest of the burst: all of it at once, unless the socket's buffer is too small.
    fn publish(&mut self) -> Result<()> {
        while self.written < self.burst.published().len() {
            match self.members[PUBLISHER].write(&self.burst.published()[self.written..])? {
                0 => break,
                count => self.written += count,
            }
        }
        Ok(())
    }
}
