//! The layer between a transport and the core: none, or a protocol such as TLS.

use std::fmt;
use std::io;

use sansocket::Output;

/// A protocol between the transport and the core, such as TLS. It does no IO.
///
/// The driver passes received bytes to it ([`open`](Self::open)) and takes the bytes to write from it
/// ([`pending`](Self::pending), [`advance`](Self::advance)). The driver asks for more only when all of those were
/// written, so that back-pressure reaches the core, and the bytes in flight are bounded.
pub trait Layer: fmt::Debug {
    /// Returns whether the layer passes all bytes through unchanged. The driver then calls none of its other methods.
    /// The answer never changes.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        false
    }

    /// Consumes received bytes and returns plaintext, in place or in `scratch`. The layer keeps an incomplete record,
    /// and plaintext that `scratch` has no room for ([`holds_plaintext`](Self::holds_plaintext)).
    ///
    /// # Errors
    ///
    /// The peer broke the layer's protocol. [`pending`](Self::pending) holds the alert. The driver passes no more
    /// bytes.
    fn open<'b>(&mut self, received: &'b mut [u8], scratch: &'b mut LayerScratch) -> io::Result<&'b mut [u8]>;

    /// Returns whether [`open`](Self::open) can return plaintext or an error without more received bytes. False after
    /// it has returned an error.
    fn holds_plaintext(&self) -> bool;

    /// Returns whether the peer has ended its direction within the layer, such as by close_notify.
    fn has_received_close(&self) -> bool;

    /// Checks whether the transport's stream may end now. The driver does not ask if the peer's Close frame has arrived:
    /// bytes that are missing after it mean nothing.
    ///
    /// # Errors
    ///
    /// The peer has not ended its direction within the layer: the stream is truncated.
    fn check_eof(&self) -> io::Result<()> {
        Ok(())
    }

    /// Takes bytes of the output ([`Output::take_bytes`]) and turns them into pending bytes; also adds the layer's own
    /// messages. Called only while nothing is pending. Takes no output before the layer's own handshake is complete.
    fn seal(&mut self, output: &mut Output);

    /// Adds the layer's close message, such as close_notify, to the pending bytes. Called once, before the sending
    /// direction ends: when all output is delivered, or when the connection is over.
    fn close(&mut self);

    /// Returns the bytes to write to the transport.
    fn pending(&self) -> &[u8];

    /// Removes `count` pending bytes, which the transport has taken. Returns how many bytes of output they delivered.
    fn advance(&mut self, count: usize) -> usize;
}

/// No layer: the core's bytes go to the transport unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Layer for Plain {
    #[inline(always)]
    fn is_plain(&self) -> bool {
        true
    }

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

/// The scratch buffer in which a layer returns plaintext. Any number of connections may use it, one after the other.
#[derive(Default)]
pub struct LayerScratch {
    plaintext: Vec<u8>,
}

impl LayerScratch {
    /// Creates an empty buffer, which grows with use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the buffer that a layer writes plaintext to. It may hold the bytes of an earlier call.
    pub fn plaintext(&mut self) -> &mut Vec<u8> {
        &mut self.plaintext
    }
}

impl fmt::Debug for LayerScratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerScratch").finish_non_exhaustive()
    }
}
