//! A cursor over the caller's bytes.

use core::{fmt, mem};

use crate::unread::Unread;

/// Bytes that arrived, lent by the caller: `receive` takes them from the front until none are left.
///
/// The bytes are unmasked where they lie, and an event that `receive` returns may borrow them (`'b`), never the
/// connection. What `receive` has taken must not be given again.
///
/// Bytes that are left when the input is dropped are lost, and the connection misreads those that follow. In debug
/// builds (with the feature `std`), the drop of such an input panics, unless the thread is panicking already or the
/// buffer is [refillable](Self::refillable). An early return needs [`discard`](Self::discard).
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
    capacity: usize,
    missing: usize,
    unread: Unread,
}

impl<'b> Input<'b> {
    /// Lends bytes as they came from the transport, in order.
    #[inline]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self::refillable(bytes, 0)
    }

    /// Lends bytes in a buffer that takes `capacity` bytes in all, to whose end more can be read: for drivers that have
    /// a buffer for each connection.
    ///
    /// A message that has not arrived whole, but so far fits the buffer with the heads of its frames, is then not
    /// taken: `receive` returns `None` though bytes [remain](Self::remaining). Pass the same bytes again, unchanged,
    /// with new bytes appended: bytes that are passed are a sign of life. So a message that fits is lent, and needs no
    /// memory of its own. (One between whose fragments comes a control frame, or a fragment without payload, does need
    /// it, and from there on everything of it is taken.) The head of a frame between messages is left as well, if it is
    /// cut. Nothing is left once the connection is closing, nor where messages are delivered in
    /// [chunks](crate::Delivery::Chunks).
    ///
    /// Text is validated when it is whole, where it would otherwise fail with its first wrong byte. To give what
    /// remains as [`new`](Self::new), which takes it, is allowed at any time, such as when nothing more has arrived. At
    /// the end of the stream it can be dropped.
    ///
    /// ```
    /// use sansocket::{Config, Connection, Event, Input, Instant};
    ///
    /// # fn read(reads: &mut impl Iterator<Item = &'static [u8]>, to: &mut [u8]) -> usize {
    /// #     reads.next().map_or(0, |bytes| { to[..bytes.len()].copy_from_slice(bytes); bytes.len() })
    /// # }
    /// # let mut transport = [&[0x82, 0x85, 1, 2, 3, 4, b'H'][..], &[b'e', b'l', b'l', b'o', 0x89]].into_iter();
    /// let mut server = Connection::server(Config::default(), Instant::EPOCH);
    /// let (mut buffer, mut filled) = ([0; 4096], 0);
    /// loop {
    ///     let count = read(&mut transport, &mut buffer[filled..]);
    ///     if count == 0 {
    ///         break;
    ///     }
    ///     filled += count;
    ///     let mut input = Input::refillable(&mut buffer[..filled], 4096);
    ///     while let Some(event) = server.receive(&mut input, Instant::EPOCH)? {
    ///         println!("{event:?}");
    ///     }
    ///     let left = input.remaining().len();
    ///     buffer.copy_within(filled - left..filled, 0);
    ///     filled = left;
    /// }
    /// # Ok::<(), sansocket::Error>(())
    /// ```
    #[inline]
    pub const fn refillable(bytes: &'b mut [u8], capacity: usize) -> Self {
        let unread = Unread::new(if capacity == 0 { bytes.len() } else { 0 });
        Self { bytes, capacity, missing: 0, unread }
    }

    /// Returns the bytes not taken yet.
    #[inline]
    pub const fn remaining(&self) -> &[u8] {
        self.bytes
    }

    /// Returns how many bytes may belong to the message that was left in a [refillable](Self::refillable) buffer,
    /// beyond those that remain, else 0: what it lacks, or the head that is cut; if more fragments are to come, as many
    /// as the buffer has room for. To read no more than that spares moving the beginning of the next message.
    #[inline]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Returns whether every byte has been taken.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes not taken yet, to be unmasked where they are.
    #[inline]
    pub(crate) const fn remaining_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Whether anything can be left in the caller's buffer.
    #[inline]
    pub(crate) const fn is_refillable(&self) -> bool {
        self.capacity > 0
    }

    /// Whether the caller's buffer has room for so many bytes.
    #[inline]
    pub(crate) const fn takes(&self, count: u64) -> bool {
        count <= self.capacity as u64
    }

    /// Leaves what remains, the beginning of `count` bytes, if those fit the caller's buffer.
    #[inline]
    pub(crate) fn leave(&mut self, count: u64) -> bool {
        let fits = self.takes(count);
        if fits {
            self.missing = (count as usize).saturating_sub(self.bytes.len());
        }
        fits
    }

    /// The same for the beginning of `count` bytes or more.
    pub(crate) fn leave_open(&mut self, count: u64) -> bool {
        let fits = self.takes(count);
        if fits {
            self.missing = self.capacity.saturating_sub(self.bytes.len());
        }
        fits
    }

    /// Forgets what was said to be missing: it is to be said anew.
    pub(crate) fn look_again(&mut self) {
        self.missing = 0;
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

    /// Discards the bytes that are left: the connection is given up, or they will be given again, in another input.
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
        (self.capacity, self.missing) = (0, 0);
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("remaining", &self.bytes.len()).finish()
    }
}
