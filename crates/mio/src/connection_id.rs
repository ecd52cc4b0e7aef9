//! The identifiers of connections.

use std::fmt;

/// Identifies a connection of an event loop, or of several that run together: [`Threads`](crate::Threads). Once the
/// connection has ended, the identifier refers to no connection, even if a new connection has the same index.
///
/// An identifier is valid for the loop that it comes from, for the loops that run with it, and for their
/// [`Handle`](crate::Handle). Loops that do not run together give the same identifiers to different connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) thread: u16,
}

impl ConnectionId {
    /// Returns a number that no other connection of the same loop has while this one exists. Numbers are small, so that
    /// they can index an array.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Returns the number of the connection's loop among those that run together.
    pub const fn thread(self) -> usize {
        self.thread as usize
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({}.{}.{})", self.thread, self.index, self.generation)
    }
}
