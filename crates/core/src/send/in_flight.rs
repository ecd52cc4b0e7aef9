//! Counts the bytes that the driver has taken and not yet reported as delivered, and which of them are payload.

use alloc::collections::VecDeque;

/// The counts of bytes in flight, in order.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    runs: VecDeque<Run>,
    len: usize,
    /// The number of bytes up to the end of a keepalive Ping in flight; 0 without one.
    keepalive: usize,
}

/// A number of framing bytes, and of the payload bytes that follow.
#[derive(Debug)]
struct Run {
    framing: usize,
    payload: usize,
    /// The application bytes of a compressed frame that ends with the run.
    inflated: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn has_keepalive(&self) -> bool {
        self.keepalive > 0
    }

    /// Adds `framing` bytes that are followed by `payload` bytes.
    pub(crate) fn push(&mut self, framing: usize, payload: usize) {
        self.len += framing + payload;
        match self.runs.back_mut().filter(|last| last.inflated == 0) {
            Some(last) if framing == 0 => last.payload += payload,
            Some(last) if last.payload == 0 => {
                last.framing += framing;
                last.payload = payload;
            }
            _ => self.runs.push_back(Run { framing, payload, inflated: 0 }),
        }
    }

    /// Records that the byte added last is the last byte of a compressed frame with this many application bytes.
    pub(crate) fn note_inflated(&mut self, inflated: usize) {
        if let Some(last) = self.runs.back_mut() {
            last.inflated = inflated;
        }
    }

    /// Records that the byte added last is the last byte of a keepalive Ping.
    pub(crate) fn note_keepalive(&mut self) {
        self.keepalive = self.len;
    }

    /// Removes up to `count` bytes, and returns how many of them were payload. A compressed frame counts with its
    /// application bytes, once its last byte is removed.
    pub(crate) fn deliver(&mut self, count: usize) -> usize {
        let count = count.min(self.len);
        self.len -= count;
        self.keepalive = self.keepalive.saturating_sub(count);
        let (mut remaining, mut delivered) = (count, 0);
        while let Some(run) = self.runs.front_mut() {
            let framing = remaining.min(run.framing);
            let payload = (remaining - framing).min(run.payload);
            run.framing -= framing;
            run.payload -= payload;
            remaining -= framing + payload;
            delivered += payload;
            if run.framing + run.payload > 0 {
                break;
            }
            delivered += run.inflated;
            self.runs.pop_front();
        }
        delivered
    }
}
