//! The load generator: the members in one loop of epoll.
//!
//! It knows every byte that a member receives, and compares in large reads. So it takes a small part of the server's
//! time, and never slows the server down.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sansocket_mio::mio::{Events, Interest, Poll, Token};

use super::burst::Burst;
use super::member::Member;
use crate::echo::{Cell, SILENCE_MAX, StopAfter, Tally};

/// The member that publishes. It receives its messages as the others do.
const PUBLISHER: usize = 0;
/// The size of the buffer for reads, in bytes: more than most bursts.
const BUFFER_SIZE: usize = 256 << 10;
/// The maximum number of events of a poll.
const EVENTS_MAX: usize = 1024;
/// How long the generator polls without sleeping. While it sleeps, each write of the server has to wake it, which takes
/// processor time of the server that a member on another machine would not cost.
const SPIN: Duration = Duration::from_millis(1);

/// Members of a fan-out server, which close when it is dropped.
#[derive(Debug)]
pub(crate) struct Generator {
    poll: Poll,
    events: Events,
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
        let poll = Poll::new()?;
        let mut members = Vec::with_capacity(cell.connections);
        for index in 0..cell.connections {
            let mut member = Member::connect(address).with_context(|| format!("member {index}"))?;
            let interest =
                if index == PUBLISHER { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            poll.registry().register(member.source(), Token(index), interest)?;
            members.push(member);
        }
        let (events, buffer) = (Events::with_capacity(EVENTS_MAX), vec![0; BUFFER_SIZE]);
        Ok(Self { poll, events, buffer, members, burst, written: 0 })
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
            self.poll()?;
            let mut can_write = false;
            for event in &self.events {
                let Token(index) = event.token();
                can_write |= index == PUBLISHER && event.is_writable();
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

    /// Waits for events.
    fn poll(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut timeout = Duration::ZERO;
        loop {
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ if !self.events.is_empty() => return Ok(()),
                _ => {}
            }
            let elapsed = start.elapsed();
            ensure!(elapsed < SILENCE_MAX, "no message has arrived for {} s", SILENCE_MAX.as_secs());
            if elapsed > SPIN {
                timeout = SILENCE_MAX - elapsed;
            }
        }
    }
}
