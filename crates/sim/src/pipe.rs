//! One direction of a TCP connection, simulated: a send buffer, latency, a receive buffer, acknowledgements, stalls,
//! the FIN, and the ways in which a direction fails.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::choices::Choices;
use crate::settings::MILLISECOND;

/// Bytes on their way from a writer to a reader.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Nanoseconds from one end to the other.
    pub(crate) latency: u64,
    /// How much later than the arrival an acknowledgement is sent, in nanoseconds.
    ack_delay: u64,
    /// How long a stall lasts, in nanoseconds. Zero: there are none.
    stall: u64,
    /// Bytes that may be outstanding.
    send_capacity: usize,
    /// Bytes that may have arrived and not been read.
    pub(crate) receive_capacity: usize,
    /// What was accepted and has not arrived, with the time at which it can arrive.
    sent: VecDeque<(u64, Vec<u8>)>,
    arrived: Vec<u8>,
    /// Acknowledgements on their way back: when they come, and of how many bytes.
    acks: VecDeque<(u64, usize)>,
    /// Bytes accepted and not acknowledged.
    outstanding: usize,
    /// When an acknowledgement came last.
    pub(crate) acked_at: u64,
    /// When the end of the stream can arrive.
    fin: Option<u64>,
    stalled_until: u64,
    /// After how many more accepted bytes the direction fails, and how.
    fault: Option<(usize, Fault)>,
    /// Nothing arrives any more, and the writer is not told.
    is_deaf: bool,
}

/// How a direction fails in the middle of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is reset, at both ends.
    Reset,
    /// Nothing arrives any more, and no end is told.
    Silence,
    /// The reader sees an end of stream that the writer never asked for.
    Fin,
    /// Writing fails, while reading from the other direction goes on.
    Write(ErrorKind),
}

impl Pipe {
    pub(crate) fn new(choices: &mut Choices<'_>, can_fail: bool) -> Self {
        let latency = choices.pick(&[1, 0, 5, 40]) * MILLISECOND + choices.below(1000) as u64;
        let fault = (can_fail && choices.once_in(5)).then(|| {
            let how = choices.pick(&[
                Fault::Reset,
                Fault::Silence,
                Fault::Fin,
                Fault::Write(ErrorKind::BrokenPipe),
                Fault::Write(ErrorKind::ConnectionReset),
                Fault::Write(ErrorKind::TimedOut),
            ]);
            let after = choices.pick(&[1000, 0, 300, 3000, 10_000]);
            (choices.below(after + 200), how)
        });
        Self {
            latency,
            ack_delay: choices.pick(&[0, 0, 1, 40]) * MILLISECOND,
            stall: choices.pick(&[0, 0, 0, 50, 0, 400, 2000]) * MILLISECOND,
            send_capacity: choices.pick(&[1 << 17, 1 << 14, 1 << 17, 5000, 300]),
            receive_capacity: choices.pick(&[1 << 17, 1 << 14, 1 << 17, 5000, 300]),
            sent: VecDeque::new(),
            arrived: Vec::new(),
            acks: VecDeque::new(),
            outstanding: 0,
            acked_at: 0,
            fin: None,
            stalled_until: 0,
            fault,
            is_deaf: false,
        }
    }

    /// The most bytes that fit between the writer and the reader.
    pub(crate) fn capacity(&self) -> usize {
        self.send_capacity.min(self.receive_capacity)
    }

    /// Whether bytes that the reader has room for arrive, and are acknowledged, within half a second.
    pub(crate) fn is_prompt(&self) -> bool {
        self.fault.is_none() && self.stall <= 50 * MILLISECOND
    }

    /// How many bytes the send buffer takes.
    pub(crate) fn room(&self) -> usize {
        self.send_capacity - self.outstanding.min(self.send_capacity)
    }

    /// Whether the operating system says that the writer can write: not before a large share of the buffer is free.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() >= self.send_capacity.div_ceil(3)
    }

    /// Bytes accepted and not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Accepts as many bytes as there is room for; returns how many, and how the direction fails if it does now.
    pub(crate) fn write(&mut self, bytes: &[u8], now: u64, choices: &mut Choices<'_>) -> (usize, Option<Fault>) {
        let mut count = bytes.len().min(self.room());
        let mut fault = None;
        if let Some((left, how)) = &mut self.fault {
            if *left < count {
                (count, fault) = (*left, Some(*how));
            } else {
                *left -= count;
            }
        }
        if self.stall > 0 && choices.once_in(12) {
            self.stalled_until = now + self.stall;
        }
        self.outstanding += count;
        if !self.is_deaf && count > 0 {
            self.sent.push_back((now + self.latency, bytes[..count].to_vec()));
        }
        match fault {
            Some(Fault::Fin) => {
                self.shut(now);
                self.is_deaf = true;
            }
            Some(Fault::Silence) => self.is_deaf = true,
            _ => {}
        }
        if fault.is_some() {
            self.fault = None;
        }
        (count, fault)
    }

    /// The writer will write no more.
    pub(crate) fn shut(&mut self, now: u64) {
        if !self.is_deaf {
            self.fin.get_or_insert(now + self.latency);
        }
    }

    /// Nothing follows what was accepted, not even the end of the stream.
    pub(crate) fn deafen(&mut self) {
        self.is_deaf = true;
    }

    /// What has not arrived is lost, and nothing follows.
    pub(crate) fn cut(&mut self) {
        self.sent.clear();
        self.is_deaf = true;
    }

    /// What has arrived and was not read is lost too.
    pub(crate) fn drop_arrived(&mut self) {
        self.arrived.clear();
    }

    /// Lets arrive what is due and fits the receive buffer, and the acknowledgements; returns how many bytes arrived.
    pub(crate) fn advance(&mut self, now: u64) -> usize {
        let mut count = 0;
        while self.stalled_until <= now
            && let Some((at, bytes)) = self.sent.front_mut()
            && *at <= now
        {
            let room = self.receive_capacity.saturating_sub(self.arrived.len());
            let step = bytes.len().min(room);
            if step == 0 {
                break;
            }
            self.arrived.extend(bytes.drain(..step));
            if bytes.is_empty() {
                self.sent.pop_front();
            }
            count += step;
            self.acks.push_back((now + self.latency + self.ack_delay, step));
        }
        while let Some((at, step)) = self.acks.front()
            && *at <= now
        {
            self.outstanding -= step;
            self.acked_at = *at;
            self.acks.pop_front();
        }
        count
    }

    pub(crate) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Takes the first of the bytes that have arrived.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        self.arrived.drain(..count).collect()
    }

    /// Whether the reader has read all that will ever come.
    pub(crate) fn is_at_end(&self, now: u64) -> bool {
        let has_fin = self.fin.is_some_and(|at| at.max(self.stalled_until) <= now);
        has_fin && self.arrived.is_empty() && self.sent.is_empty()
    }

    /// When something next happens here by itself.
    pub(crate) fn next(&self, now: u64) -> Option<u64> {
        let arrival = self.sent.front().map(|(at, _)| (*at).max(self.stalled_until));
        let fin = self.fin.map(|at| at.max(self.stalled_until));
        let ack = self.acks.front().map(|(at, _)| *at);
        [arrival, fin, ack].into_iter().flatten().filter(|at| *at > now).min()
    }
}
