//! ReadBuffer: the buffer into which sockets read.

use std::fmt;

use sansocket_drive::LayerScratch;

/// The buffer into which sockets read. Any number of sockets may share one.
pub struct ReadBuffer {
    pub(crate) bytes: Box<[u8]>,
    /// Receives the plaintext of TLS; without TLS, it stays empty.
    pub(crate) scratch: LayerScratch,
}

impl ReadBuffer {
    /// Creates a buffer of a size in bytes, at least 1. A message that lies whole in it is passed on without a copy; a
    /// longer message is assembled.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { bytes: vec![0; size.max(1)].into(), scratch: LayerScratch::new() }
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("size", &self.bytes.len()).finish_non_exhaustive()
    }
}
