//! One direction of a simulated transport.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// The step of simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(10);
const TICKS_PER_SECOND: usize = 100;

/// A kernel buffer, from which the peer reads at some rate.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Bytes per second that the peer reads.
    pub(crate) rate: usize,
    capacity: usize,
    kernel: VecDeque<u8>,
    /// Bytes that the peer may read in this tick, and hundredths of a byte beyond them.
    allowance: usize,
    fraction: usize,
    /// Writes fail like this.
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) is_shut_down: bool,
    pub(crate) is_reset: bool,
    /// Bytes accepted in total.
    pub(crate) accepted: usize,
}

impl Pipe {
    /// The kernels of both ends hold `capacity` bytes that the peer has not read.
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

    /// A peer that reads everything at once.
    pub(crate) fn fast() -> Self {
        Self::new(1000 * 1024 * 1024, 1024 * 1024)
    }

    pub(crate) fn begin_tick(&mut self) {
        self.fraction += self.rate;
        self.allowance = self.fraction / TICKS_PER_SECOND;
        self.fraction %= TICKS_PER_SECOND;
    }

    /// Like write(2) on a socket that does not block.
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

    /// How many bytes a write would take.
    fn room(&self) -> usize {
        (self.capacity + self.allowance).saturating_sub(self.kernel.len())
    }

    /// Whether a write would not block.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() > 0 || self.write_error.is_some() || self.is_reset
    }

    /// The peer reads up to `max` bytes.
    pub(crate) fn read(&mut self, max: usize) -> Vec<u8> {
        let count = self.allowance.min(self.kernel.len()).min(max);
        let (front, back) = self.kernel.as_slices();
        let (front, back) = (&front[..count.min(front.len())], &back[..count.saturating_sub(front.len())]);
        let bytes = [front, back].concat();
        self.kernel.drain(..count);
        bytes
    }

    /// Whether the peer has read everything, and nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_shut_down && self.kernel.is_empty()
    }

    /// Drops what the kernel holds, at either end's reset.
    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
        self.kernel.clear();
    }

    /// Bytes that the peer has not acknowledged.
    pub(crate) fn outstanding(&self) -> usize {
        self.kernel.len()
    }
}
