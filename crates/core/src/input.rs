//! A cursor over the caller's bytes.

use core::{fmt, mem};

/// Bytes that arrived, lent by the caller: `receive` takes them from the front until none are left.
///
/// The bytes are unmasked where they lie, and an event that `receive` returns may borrow them (`'b`), never the
/// connection. What `receive` has taken must not be given again.
///
/// ```
/// use sansocket::Input;
///
/// let mut buffer = *b"read from a socket";
/// let input = Input::new(&mut buffer);
/// assert_eq!(input.remaining(), b"read from a socket");
/// ```
pub struct Input<'b> {
    bytes: &'b mut [u8],
}

impl<'b> Input<'b> {
    /// Bytes as they came from the transport, in order.
    #[inline]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes not taken yet.
    #[inline]
    pub const fn remaining(&self) -> &[u8] {
        self.bytes
    }

    /// Whether every byte has been taken.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes up to `count` bytes from the front.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> &'b mut [u8] {
        let bytes = mem::take(&mut self.bytes);
        let (taken, rest) = bytes.split_at_mut(count.min(bytes.len()));
        self.bytes = rest;
        taken
    }

    /// Takes and forgets all that is left.
    pub(crate) fn discard(&mut self) {
        self.bytes = &mut [];
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("remaining", &self.bytes.len()).finish()
    }
}
