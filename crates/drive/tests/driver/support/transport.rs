//! One direction of a simulated transport.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// The step of simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(10);
const TICKS_PER_SECOND: usize = 100;

/// A kernel buffer, from which the peer reads at a given rate.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Bytes per second that the peer reads.
    pub(crate) rate: usize,
    capacity: usize,
    kernel: VecDeque<u8>,
    /// The bytes that the peer may read in this tick, and the hundredths of a byte carried over.
    allowance: usize,
    fraction: usize,
    /// If set, writes fail with this error.
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) is_shut_down: bool,
    pub(crate) is_reset: bool,
    /// The number of bytes accepted so far.
    pub(crate) accepted: usize,
}

impl Pipe {
    /// Creates a pipe whose kernels hold `capacity` bytes that the peer has not read.
    pub(crate) fn new(rate: usize, capacity: usize) -> Self {
        Self {
            rate,
            capacity,
            kernel: VecDeque::new(),
            allowance: 0,
            fraction: 0,
            write_error: None,
            is_shut_down: false,
            is_reset: false,
            accepted: 0,
        }
    }

    /// Creates a pipe whose peer reads everything at once.
    pub(crate) fn fast() -> Self {
        Self::new(1000 * 1024 * 1024, 1024 * 1024)
    }

    pub(crate) fn begin_tick(&mut self) {
        self.fraction += self.rate;
        self.allowance = self.fraction / TICKS_PER_SECOND;
        self.fraction %= TICKS_PER_SECOND;
    }

    /// Writes as write(2) does on a non-blocking socket.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.is_shut_down, "a write after the sending direction was closed");
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        if self.is_reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match bytes.len().min(self.room()) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                self.kernel.extend(&bytes[..count]);
                self.accepted += count;
                Ok(count)
            }
        }
    }

    /// Returns how many bytes a write would take.
    fn room(&self) -> usize {
        (self.capacity + self.allowance).saturating_sub(self.kernel.len())
    }

    /// Returns whether a write would not block.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() > 0 || self.write_error.is_some() || self.is_reset
    }

    /// Reads up to `max` bytes as the peer.
    pub(crate) fn read(&mut self, max: usize) -> Vec<u8> {
        let count = self.allowance.min(self.kernel.len()).min(max);
        let (front, back) = self.kernel.as_slices();
        let (front, back) = (&front[..count.min(front.len())], &back[..count.saturating_sub(front.len())]);
        let bytes = [front, back].concat();
        self.kernel.drain(..count);
        bytes
    }

    /// Returns whether the peer has read everything, and nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_shut_down && self.kernel.is_empty()
    }

    /// Drops what the kernel holds, at either end's reset.
    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
        self.kernel.clear();
    }

    /// Returns the number of bytes that the peer has not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.kernel.len()
    }
}
