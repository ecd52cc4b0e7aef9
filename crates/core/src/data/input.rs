//! A cursor over the caller's bytes.

use core::{fmt, mem};

/// Bytes that arrived, lent by the caller. `receive` takes them from the front until none are left.
///
/// `receive` unmasks the bytes where they lie. The events that it returns may borrow them (`'b`), never the connection.
/// Bytes that `receive` has taken must not be passed again.
///
/// Bytes that are left when the input is dropped are lost, and the connection misreads those that follow. In debug
/// builds (with the feature `std`), dropping such an input panics, unless the thread is panicking already. An early
/// return needs [`discard`](Self::discard).
///
/// ```
/// use sansocket::{Config, Connection, Event, Input, Instant};
///
/// let mut server = Connection::server(Config::default(), Instant::EPOCH);
/// let mut buffer = [0x89, 0x80, 1, 2, 3, 4, 0x8a, 0x80, 1, 2, 3, 4]; // a Ping and a Pong, from a socket
/// let mut input = Input::new(&mut buffer);
/// while let Some(event) = server.receive(&mut input, Instant::EPOCH)? {
///     println!("{event:?}, {} bytes left", input.remaining().len());
/// }
/// # Ok::<(), sansocket::Error>(())
/// ```
#[must_use = "pass it to `receive` until that returns `Ok(None)`"]
pub struct Input<'b> {
    bytes: &'b mut [u8],
    unread: Unread,
}

impl<'b> Input<'b> {
    /// Creates an input from bytes as they came from the transport, in order.
    #[inline]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        let unread = Unread::new(bytes.len());
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

    /// Discards the bytes that are left: because the connection is given up, or because they will be passed again in
    /// another input.
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

/// Panics in debug builds if an input is dropped with bytes left.
///
/// This is a field of the input instead of `Drop for Input`, so that the bytes are borrowed until the last use of the
/// input, and not until the end of its scope.
#[cfg(all(debug_assertions, feature = "std"))]
#[derive(Debug)]
struct Unread(usize);

#[cfg(all(debug_assertions, feature = "std"))]
impl Unread {
    const fn new(count: usize) -> Self {
        Self(count)
    }

    const fn take(&mut self, count: usize) {
        self.0 = self.0.saturating_sub(count);
    }
}

#[cfg(all(debug_assertions, feature = "std"))]
impl Drop for Unread {
    fn drop(&mut self) {
        assert!(
            self.0 == 0 || std::thread::panicking(),
            "an `Input` was dropped with {} bytes left: call `receive` until it returns `Ok(None)`, or `discard` it",
            self.0
        );
    }
}

#[cfg(not(all(debug_assertions, feature = "std")))]
#[derive(Debug)]
struct Unread;

#[cfg(not(all(debug_assertions, feature = "std")))]
impl Unread {
    #[inline(always)]
    const fn new(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    const fn take(&mut self, _: usize) {}
}
