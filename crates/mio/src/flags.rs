//! Flags: the state of a socket, one bit each, so that one comparison tests several.

use std::ops::BitOr;

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// mio watches for bytes to read.
    pub(crate) const WATCHES_READING: Self = Self(1 << 0);
    /// mio watches for room to write.
    pub(crate) const WATCHES_WRITING: Self = Self(1 << 1);
    /// TCP is not connected yet.
    pub(crate) const CONNECTING: Self = Self(1 << 2);
    /// mio has reported that the connection is broken.
    pub(crate) const LOST: Self = Self(1 << 3);
    /// There may be bytes to read.
    pub(crate) const MAY_READ: Self = Self(1 << 4);
    /// The peer has ended the stream: reading goes on until it returns the end.
    pub(crate) const HUNG_UP: Self = Self(1 << 5);
    /// The driver has asked to close TCP, so that dropping the socket does not abort the connection.
    pub(crate) const CLOSED: Self = Self(1 << 6);
    /// Reading is held back until the congestion ends.
    pub(crate) const HELD: Self = Self(1 << 7);
    /// The last flush left output pending.
    pub(crate) const LEFTOVER: Self = Self(1 << 8);
    /// The kernel takes no more for now.
    pub(crate) const WRITE_BLOCKED: Self = Self(1 << 9);
    /// The peer sends many small frames, so that a turn reads once, into a part of the buffer.
    pub(crate) const FLOODS: Self = Self(1 << 10);
    /// The application has paused reading.
    pub(crate) const PAUSED: Self = Self(1 << 11);
    /// Bytes were read and not received: before reading was paused, or before the socket was made.
    pub(crate) const UNRECEIVED: Self = Self(1 << 12);
    /// More was sent than the high-water mark allows, and has not fallen to the low-water mark.
    pub(crate) const CONGESTED: Self = Self(1 << 13);
    /// A report to the handler that something was not sent is pending.
    pub(crate) const UNSENT: Self = Self(1 << 14);

    pub(crate) const NONE: Self = Self(0);
    /// Either of these keeps output from being written.
    pub(crate) const NO_WRITING: Self = Self::WRITE_BLOCKED.and(Self::CONNECTING);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether any of these flags is set.
    #[inline]
    pub(crate) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// Returns those of these flags that are set.
    #[inline]
    pub(crate) const fn among(self, these: Self) -> Self {
        Self(self.0 & these.0)
    }

    /// Sets these flags. Returns whether any of them was not set.
    #[inline]
    pub(crate) fn insert(&mut self, these: Self) -> bool {
        let is_new = self.among(these) != these;
        self.0 |= these.0;
        is_new
    }

    #[inline]
    pub(crate) fn remove(&mut self, these: Self) {
        self.0 &= !these.0;
    }

    #[inline]
    pub(crate) fn set(&mut self, these: Self, is_so: bool) {
        self.remove(these);
        if is_so {
            self.0 |= these.0;
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}
