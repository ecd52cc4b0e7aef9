//! Flags: the state of a socket, one bit each, so that one comparison tests several.

use std::ops::BitOr;

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// mio watches for bytes to read.
    pub(super) const WATCHES_READING: Self = Self(1 << 0);
    /// mio watches for room to write.
    pub(super) const WATCHES_WRITING: Self = Self(1 << 1);
    /// The socket is a client without a transport: it dials, or waits to connect again.
    pub(super) const CONNECTING: Self = Self(1 << 2);
    /// mio has reported that the connection is broken.
    pub(super) const LOST: Self = Self(1 << 3);
    /// There may be bytes to read.
    pub(super) const MAY_READ: Self = Self(1 << 4);
    /// The peer has ended the stream: reading goes on until it returns the end.
    pub(super) const HUNG_UP: Self = Self(1 << 5);
    /// The driver has asked to close TCP, so that dropping the socket does not abort the connection.
    pub(super) const CLOSED: Self = Self(1 << 6);
    /// Reading is held back until the congestion ends.
    pub(super) const HELD_BACK: Self = Self(1 << 7);
    /// The last flush left output pending.
    pub(super) const OUTPUT_PENDING: Self = Self(1 << 8);
    /// The kernel takes no more for now.
    pub(super) const WRITE_BLOCKED: Self = Self(1 << 9);
    /// The peer floods the connection with small frames: a turn reads once, into a part of the buffer.
    pub(super) const FLOODS: Self = Self(1 << 10);
    /// The application has paused reading.
    pub(super) const PAUSED: Self = Self(1 << 11);
    /// The socket keeps bytes that were read before a pause, or before the socket was made, and that the core has not
    /// received.
    pub(super) const UNRECEIVED: Self = Self(1 << 12);
    /// Pending output has exceeded the high-water mark, and has not fallen to the low-water mark since.
    pub(super) const CONGESTED: Self = Self(1 << 13);
    /// A report to the handler that something was not sent is pending.
    pub(super) const UNSENT: Self = Self(1 << 14);

    pub(super) const NONE: Self = Self(0);
    /// While any of these is set, output is not written.
    pub(super) const BLOCKS_WRITING: Self = Self::WRITE_BLOCKED.union(Self::CONNECTING);
    /// While any of these is set, an open connection is not read.
    pub(super) const STOPS_READING: Self = Self::HELD_BACK.union(Self::PAUSED);

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether any of these flags is set.
    #[inline]
    pub(super) const fn intersects(self, these: Self) -> bool {
        self.0 & these.0 != 0
    }

    /// Returns those of these flags that are set.
    #[inline]
    pub(super) const fn intersection(self, these: Self) -> Self {
        Self(self.0 & these.0)
    }

    /// Sets these flags. Returns whether any of them was not set.
    #[inline]
    pub(super) fn insert(&mut self, these: Self) -> bool {
        let is_new = self.intersection(these) != these;
        self.0 |= these.0;
        is_new
    }

    #[inline]
    pub(super) fn remove(&mut self, these: Self) {
        self.0 &= !these.0;
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}
