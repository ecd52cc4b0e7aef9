//! The traits that the participants implement.

use crate::CompressionSettings;

/// A server over a transport `T` that has agreed to compress.
pub trait Compressing<T> {
    /// Creates a server after the opening handshake.
    fn new(settings: CompressionSettings, transport: T) -> Self;

    /// Sends a binary message, and writes it to the last byte.
    fn send(&mut self, message: &[u8]);
}

/// A server that can also receive.
pub trait Inflating<T>: Compressing<T> {
    /// Receives `count` messages, the last of which ends a read. Calls `each` with each whole payload.
    fn receive(&mut self, count: usize, each: impl FnMut(&[u8]));
}
