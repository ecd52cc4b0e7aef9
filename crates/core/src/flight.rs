//! Bytes that the driver has taken and not yet reported as delivered: how many, and which of them are payload.

use alloc::collections::VecDeque;

/// The bytes in flight, in order.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    runs: VecDeque<Run>,
    len: usize,
    /// Bytes up to the end of a Ping of keepalive; 0 without one.
    keepalive: usize,
}

/// Framing, and the payload that follows it.
#[derive(Debug)]
struct Run {
    framing: usize,
    payload: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether a Ping of keepalive is among the bytes.
    pub(crate) fn has_keepalive(&self) -> bool {
        self.keepalive > 0
    }

    /// Adds bytes: framing first, then payload.
    pub(crate) fn push(&mut self, framing: usize, payload: usize) {
        self.len += framing + payload;
        match self.runs.back_mut() {
            Some(last) if framing == 0 => last.payload += payload,
            Some(last) if last.payload == 0 => {
                last.framing += framing;
                last.payload = payload;
            }
            _ => self.runs.push_back(Run { framing, payload }),
        }
    }

    /// The last byte added is the last of a Ping of keepalive.
    pub(crate) fn note_keepalive(&mut self) {
        self.keepalive = self.len;
    }

    /// Removes up to `count` bytes; returns how many of them were payload.
    pub(crate) fn deliver(&mut self, count: usize) -> usize {
        let count = count.min(self.len);
        self.len -= count;
        self.keepalive = self.keepalive.saturating_sub(count);
        let (mut left, mut delivered) = (count, 0);
        while let Some(run) = self.runs.front_mut() {
            let framing = left.min(run.framing);
            let payload = (left - framing).min(run.payload);
            run.framing -= framing;
            run.payload -= payload;
            left -= framing + payload;
            delivered += payload;
            if run.framing + run.payload > 0 {
                break;
            }
            self.runs.pop_front();
        }
        delivered
    }
}
