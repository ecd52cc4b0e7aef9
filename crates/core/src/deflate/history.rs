//! The last bytes of the data that a connection sent or received: the state of a DEFLATE stream between messages.

use alloc::vec::Vec;

/// The last bytes of all messages in one direction. Grows with use, up to `max` bytes.
#[derive(Default)]
pub(crate) struct History(Vec<u8>);

impl History {
    /// Appends data, and keeps the last `max` bytes.
    pub(crate) fn append(&mut self, data: &[u8], max: usize) {
        let Self(bytes) = self;
        let data = data.get(data.len().saturating_sub(max)..).unwrap_or_default();
        let excess = (bytes.len() + data.len()).saturating_sub(max);
        bytes.drain(..excess.min(bytes.len()));
        let needed = bytes.len() + data.len();
        if bytes.capacity() < needed {
            // doubling beyond `max` would waste memory in each connection
            let capacity = needed.next_power_of_two().min(max.max(needed));
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(data);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the bytes, of which the last one is the latest.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
