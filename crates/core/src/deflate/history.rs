//! The last bytes of the data that a connection sent or received: the state of a DEFLATE stream between messages.

use alloc::collections::VecDeque;

/// The last bytes of all messages in one direction. Grows with use, up to `max` bytes. A ring, so that a short message
/// moves no other bytes.
#[derive(Default)]
pub(crate) struct History(VecDeque<u8>);

impl History {
    /// Appends data, and keeps the last `max` bytes.
    pub(crate) fn append(&mut self, data: &[u8], max: usize) {
        let Self(bytes) = self;
        let data = data.get(data.len().saturating_sub(max)..).unwrap_or_default();
        let excess = (bytes.len() + data.len()).saturating_sub(max);
        bytes.drain(..excess.min(bytes.len()));
        let needed = bytes.len() + data.len();
        if bytes.capacity() < needed {
            // From a quarter of `max` on, all of it at once: the buffers that a connection outgrows would remain unused
            // between those of other connections, and take 1 KB for each.
            let capacity = if 4 * needed < max { 2 * needed } else { max };
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend(data);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes in two parts, of which the last byte is the latest.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        let (first, second) = self.0.as_slices();
        [first, second]
    }
}
