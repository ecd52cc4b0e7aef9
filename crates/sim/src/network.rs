//! One direction of a TCP connection, simulated: latency, a bounded buffer, stalls, the FIN, and ways to be lost.

use std::collections::VecDeque;

use crate::choices::Choices;
use crate::settings::MILLISECOND;

/// Bytes on their way from one end to the other.
#[derive(Debug)]
pub(crate) struct Link {
    /// Nanoseconds from one end to the other.
    latency: u64,
    /// How many bytes fit between the writer and the reader.
    pub(crate) capacity: usize,
    in_flight: VecDeque<(u64, Vec<u8>)>,
    /// What the reader can read now.
    arrived: Vec<u8>,
    /// When the end of the stream arrives.
    fin: Option<u64>,
    /// No byte moves until then.
    stalled_until: u64,
    /// After how many more bytes the link breaks, and how.
    breaks: Option<(usize, Break)>,
    /// The link swallows what is written: it is broken, and the writer is not told.
    is_deaf: bool,
    /// The reader is gone: what is written comes back as a reset.
    reader_is_gone: bool,
}

/// How a link breaks in the middle of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Both ends are told that the connection was reset.
    Reset,
    /// Nobody is told anything, and nothing arrives any more.
    Silence,
    /// The reader sees an end of stream that the writer never asked for.
    Fin,
}

impl Link {
    pub(crate) fn new(choices: &mut Choices<'_>, can_break: bool) -> Self {
        let latency = choices.pick(&[1, 0, 5, 40]) * MILLISECOND + choices.below(1000) as u64;
        let capacity = choices.pick(&[1 << 17, 1 << 14, 1 << 17, 5000, 300]);
        let breaks = (can_break && choices.once_in(6)).then(|| {
            let how = choices.pick(&[Break::Reset, Break::Silence, Break::Fin]);
            let after = choices.pick(&[0, 100, 300, 1000, 10_000]);
            (choices.below(after + 200), how)
        });
        Self {
            latency,
            capacity,
            in_flight: VecDeque::new(),
            arrived: Vec::new(),
            fin: None,
            stalled_until: 0,
            breaks,
            is_deaf: false,
            reader_is_gone: false,
        }
    }

    /// How many bytes the transport would take now.
    pub(crate) fn room(&self, now: u64) -> usize {
        if self.stalled_until > now {
            return 0;
        }
        let held: usize = self.in_flight.iter().map(|(_, bytes)| bytes.len()).sum();
        self.capacity.saturating_sub(held + self.arrived.len())
    }

    /// Takes bytes from the writer. Says how the link broke, if it did.
    pub(crate) fn write(&mut self, bytes: &[u8], now: u64) -> Option<Break> {
        if self.reader_is_gone {
            return Some(Break::Reset);
        }
        if self.is_deaf || self.fin.is_some() {
            return None;
        }
        let (count, broke) = match &mut self.breaks {
            Some((left, how)) if *left < bytes.len() => (*left, Some(*how)),
            Some((left, _)) => {
                *left -= bytes.len();
                (bytes.len(), None)
            }
            None => (bytes.len(), None),
        };
        if count > 0 {
            self.in_flight.push_back((now + self.latency, bytes[..count].to_vec()));
        }
        match broke {
            Some(Break::Fin) => self.shut(now),
            Some(_) => self.is_deaf = true,
            None => {}
        }
        if broke.is_some() {
            self.breaks = None;
        }
        broke
    }

    /// The writer will write no more.
    pub(crate) fn shut(&mut self, now: u64) {
        if !self.is_deaf {
            self.fin.get_or_insert(now + self.latency);
        }
    }

    /// The reader has closed its socket, or was told that the connection is lost.
    pub(crate) fn leave(&mut self) {
        self.reader_is_gone = true;
        self.in_flight.clear();
        self.arrived.clear();
    }

    /// No byte moves for a while.
    pub(crate) fn stall(&mut self, until: u64) {
        self.stalled_until = until;
    }

    /// Lets arrive what is due.
    pub(crate) fn advance(&mut self, now: u64) {
        while let Some((at, bytes)) = self.in_flight.front()
            && *at <= now
        {
            self.arrived.extend_from_slice(bytes);
            self.in_flight.pop_front();
        }
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
        self.arrived.is_empty() && self.in_flight.is_empty() && self.fin.is_some_and(|at| at <= now)
    }

    /// When something next happens here by itself.
    pub(crate) fn next(&self, now: u64) -> Option<u64> {
        let moments = [self.in_flight.front().map(|(at, _)| *at), self.fin, Some(self.stalled_until)];
        moments.into_iter().flatten().filter(|at| *at > now).min()
    }

    pub(crate) fn latency(&self) -> u64 {
        self.latency
    }
}
