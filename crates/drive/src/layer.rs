//! What lies between a transport and the core: nothing, or TLS.

use std::fmt;
use std::io;

use sansocket::Output;

/// A protocol between the transport and the core, such as TLS. It does no IO.
///
/// The driver gives it received bytes ([`open`](Self::open)) and takes from it the bytes to write
/// ([`pending`](Self::pending), [`advance`](Self::advance)). It asks for more only when all of those were written, so
/// that back-pressure reaches the core, and the bytes in flight are bounded.
pub trait Layer: fmt::Debug {
    /// Whether the layer passes all bytes through unchanged; then the driver calls none of its methods.
    const IS_PLAIN: bool = false;

    /// Consumes received bytes and returns plaintext, in place or in `scratch`. The layer keeps an incomplete record,
    /// and plaintext that `scratch` has no room for ([`holds_plaintext`](Self::holds_plaintext)).
    ///
    /// # Errors
    ///
    /// The peer broke the layer's protocol. [`pending`](Self::pending) holds the alert for it. No more bytes are
    /// received.
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]>;

    /// Whether [`open`](Self::open) has plaintext or an error to return though no more bytes are received. False after
    /// it has returned an error.
    fn holds_plaintext(&self) -> bool;

    /// Whether the peer has ended its direction within the layer, such as by close_notify.
    fn has_received_close(&self) -> bool;

    /// Takes bytes of the output ([`Output::take_bytes`]) and turns them into pending bytes; also adds what the layer
    /// itself has to send. Called only while nothing is pending. Takes no output before the layer's own handshake is
    /// complete.
    fn seal(&mut self, output: &mut Output);

    /// Adds the layer's close message, such as close_notify, to the pending bytes. Called once, when all output was
    /// delivered.
    fn close(&mut self);

    /// The bytes to write to the transport.
    fn pending(&self) -> &[u8];

    /// The transport took `count` of the pending bytes. Returns how many bytes of output were delivered with them.
    fn advance(&mut self, count: usize) -> usize;
}

/// No layer: the core's bytes are the transport's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Layer for Plain {
    const IS_PLAIN: bool = true;

    #[inline]
    fn open<'b>(&mut self, received: &'b mut [u8], _: &'b mut LayerScratch) -> io::Result<&'b mut [u8]> {
        Ok(received)
    }

    fn holds_plaintext(&self) -> bool {
        false
    }

    fn has_received_close(&self) -> bool {
        false
    }

    fn seal(&mut self, _: &mut Output) {}

    fn close(&mut self) {}

    fn pending(&self) -> &[u8] {
        &[]
    }

    fn advance(&mut self, _: usize) -> usize {
        0
    }
}

/// Memory in which a layer returns plaintext. One serves any number of connections, one after the other.
#[derive(Default)]
pub struct LayerScratch {
    plaintext: Vec<u8>,
}

impl LayerScratch {
    /// Creates empty memory, which grows with use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the memory that a layer writes plaintext to. It may hold the bytes of an earlier call.
    pub fn plaintext(&mut self) -> &mut Vec<u8> {
        &mut self.plaintext
    }
}

impl fmt::Debug for LayerScratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerScratch").finish_non_exhaustive()
    }
}
