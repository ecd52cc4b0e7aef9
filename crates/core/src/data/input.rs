//! A cursor over the caller's bytes.

use core::{fmt, mem};

/// Received bytes in a buffer of the caller. `receive` takes them from the front, and unmasks them in place.
///
/// The events that `receive` returns may borrow the bytes (`'b`), never the connection. Never pass taken bytes again.
///
/// If an input is dropped before all bytes are taken, the rest is lost, and the connection misreads the bytes that
/// follow. In debug builds (with the feature `std`), dropping such an input panics, unless the thread is panicking
/// already. Call [`discard`](Self::discard) before an early return.
///
/// ```
/// use sansocket::{Config, Connection, Event, Input, Instant};
///
/// let mut server = Connection::server(Config::default(), Instant::EPOCH);
/// let mut buffer = [0x89, 0x80, 1, 2, 3, 4, 0x8a, 0x80, 1, 2, 3, 4]; // a Ping and a Pong, from a socket
/// let mut input = Input::new(&mut buffer);
/// while let Some(event) = server.receive(&mut input, Instant::EPOCH)? {
///     println!("{event:?}, {} bytes remain", input.remaining().len());
/// }
/// # Ok::<(), sansocket::Error>(())
/// ```
#[must_use = "pass it to `receive` until that returns `Ok(None)`"]
pub struct Input<'b> {
    bytes: &'b mut [u8],
    unread: UnreadCheck,
}

impl<'b> Input<'b> {
    /// Creates an input from bytes of the transport, in the order in which they arrived.
    #[inline]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        let unread = UnreadCheck::new(bytes.len());
        Self { bytes, unread }
    }

    /// Returns the bytes not taken yet.
    #[inline]
    pub const fn remaining(&self) -> &[u8] {
        self.bytes
    }

    /// Returns whether every byte has been taken.
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
        self.unread.take(taken.len());
        taken
    }

    /// Discards the remaining bytes: because the caller drops the connection, or passes them again in another input.
    ///
    /// ```
    /// use sansocket::Input;
    ///
    /// let mut buffer = *b"read from a socket";
    /// let mut input = Input::new(&mut buffer);
    /// assert_eq!(input.remaining(), b"read from a socket");
    /// input.discard();
    /// assert!(input.is_empty());
    /// ```
    pub fn discard(&mut self) {
        self.take(usize::MAX);
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("remaining", &self.bytes.len()).finish()
    }
}

/// Panics in debug builds if an input is dropped before all bytes are taken.
///
/// A field instead of `Drop for Input`, so that the bytes are borrowed until the last use of the input, and not until
/// the end of its scope.
#[cfg(all(debug_assertions, feature = "std"))]
#[derive(Debug)]
struct UnreadCheck(usize);

#[cfg(all(debug_assertions, feature = "std"))]
impl UnreadCheck {
    const fn new(count: usize) -> Self {
        Self(count)
    }

    const fn take(&mut self, count: usize) {
        self.0 = self.0.saturating_sub(count);
    }
}

#[cfg(all(debug_assertions, feature = "std"))]
impl Drop for UnreadCheck {
    fn drop(&mut self) {
        assert!(
            self.0 == 0 || std::thread::panicking(),
            "an `Input` was dropped with {} bytes unread: call `receive` until it returns `Ok(None)`, or `discard` it",
            self.0
        );
    }
}

#[cfg(not(all(debug_assertions, feature = "std")))]
#[derive(Debug)]
struct UnreadCheck;

#[cfg(not(all(debug_assertions, feature = "std")))]
impl UnreadCheck {
    #[inline(always)]
    const fn new(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    const fn take(&mut self, _: usize) {}
}
