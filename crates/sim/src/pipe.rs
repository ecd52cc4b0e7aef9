//! One direction of a simulated TCP connection: send buffer, latency, receive buffer, acknowledgements, stalls, FIN and
//! faults.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::choices::Choices;
use crate::settings::MILLISECOND;

/// Bytes on their way from a writer to a reader.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Nanoseconds from one end to the other.
    pub(crate) latency: u64,
    /// The delay between the arrival of bytes and their acknowledgement, in nanoseconds.
    ack_delay: u64,
    /// The duration of a stall, in nanoseconds. Zero means no stalls.
    stall: u64,
    /// The maximum number of outstanding bytes.
    send_capacity: usize,
    /// The maximum number of bytes that have arrived and are unread.
    pub(crate) receive_capacity: usize,
    /// Bytes in flight, with the time from which they can arrive.
    sent: VecDeque<(u64, Vec<u8>)>,
    arrived: Vec<u8>,
    /// Acknowledgements in flight: the time of arrival, and the number of bytes.
    acks: VecDeque<(u64, usize)>,
    /// Bytes accepted and not acknowledged.
    outstanding: usize,
    /// When the latest acknowledgement arrived.
    pub(crate) acked_at: u64,
    /// When the end of the stream can arrive.
    fin: Option<u64>,
    stalled_until: u64,
    /// The number of bytes to accept before a fault, and the fault.
    fault: Option<(usize, Fault)>,
    /// Further bytes are accepted and dropped.
    is_dropping: bool,
}

/// A failure in the middle of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both ends see a reset.
    Reset,
    /// Further bytes are lost, and no end sees an error.
    Silence,
    /// The reader sees the end of the stream, although the writer did not shut down.
    Fin,
    /// Writing fails, while the other direction continues.
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
            is_dropping: false,
        }
    }

    /// Returns the smaller of the two buffers' sizes.
    pub(crate) fn capacity(&self) -> usize {
        self.send_capacity.min(self.receive_capacity)
    }

    /// Returns whether bytes that fit the receive buffer arrive, and are acknowledged, within half a second.
    pub(crate) fn is_prompt(&self) -> bool {
        self.fault.is_none() && self.stall <= 50 * MILLISECOND
    }

    /// Returns how many bytes the send buffer can accept.
    pub(crate) fn room(&self) -> usize {
        self.send_capacity - self.outstanding.min(self.send_capacity)
    }

    /// Returns whether the operating system reports the writer as writable: when a third of the send buffer is free.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() >= self.send_capacity.div_ceil(3)
    }

    /// Returns the number of bytes accepted and not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Accepts as many bytes as fit. Returns how many, and the fault that occurs now, if any.
    pub(crate) fn write(&mut self, bytes: &[u8], now: u64, choices: &mut Choices<'_>) -> (usize, Option<Fault>) {
        let mut count = bytes.len().min(self.room());
        let mut fault = None;
        if let Some((remaining, how)) = &mut self.fault {
            if *remaining < count {
                (count, fault) = (*remaining, Some(*how));
            } else {
                *remaining -= count;
            }
        }
        if self.stall > 0 && choices.once_in(12) {
            self.stalled_until = now + self.stall;
        }
        self.outstanding += count;
        if !self.is_dropping && count > 0 {
            self.sent.push_back((now + self.latency, bytes[..count].to_vec()));
        }
        match fault {
            Some(Fault::Fin) => {
                self.shut(now);
                self.is_dropping = true;
            }
            Some(Fault::Silence) => self.is_dropping = true,
            _ => {}
        }
        if fault.is_some() {
            self.fault = None;
        }
        (count, fault)
    }

    /// Shuts down the direction: the FIN follows the accepted bytes.
    pub(crate) fn shut(&mut self, now: u64) {
        if !self.is_dropping {
            self.fin.get_or_insert(now + self.latency);
        }
    }

    /// Drops everything written from now on, the FIN included.
    pub(crate) fn drop_all(&mut self) {
        self.is_dropping = true;
    }

    /// Drops the bytes in flight, and everything written from now on.
    pub(crate) fn cut(&mut self) {
        self.sent.clear();
        self.is_dropping = true;
    }

    /// Drops the bytes that have arrived and are unread.
    pub(crate) fn drop_arrived(&mut self) {
        self.arrived.clear();
    }

    /// Moves bytes that are due into the receive buffer, as far as they fit, and receives acknowledgements. Returns how
    /// many bytes arrived.
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

    /// Takes the first `count` of the bytes that have arrived.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        self.arrived.drain(..count).collect()
    }

    /// Returns whether the reader is at the end of the stream.
    pub(crate) fn is_at_end(&self, now: u64) -> bool {
        let has_fin = self.fin.is_some_and(|at| at.max(self.stalled_until) <= now);
        has_fin && self.arrived.is_empty() && self.sent.is_empty()
    }

    /// Returns the time of the next arrival.
    pub(crate) fn next_moment(&self, now: u64) -> Option<u64> {
        let arrival = self.sent.front().map(|(at, _)| (*at).max(self.stalled_until));
        let fin = self.fin.map(|at| at.max(self.stalled_until));
        let ack = self.acks.front().map(|(at, _)| *at);
        [arrival, fin, ack].into_iter().flatten().filter(|at| *at > now).min()
    }
}
