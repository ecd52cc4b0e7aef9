//! An entry in the table of connections.

use sansocket_drive::{Armed, Driver};

use crate::socket::Socket;

/// Instead of the number of a listener: the loop itself has connected.
pub(crate) const NO_LISTENER: u16 = u16::MAX;

/// All that an idle connection costs.
pub(crate) struct Entry<D> {
    pub(crate) socket: Socket,
    pub(crate) armed: Armed,
    pub(crate) generation: u32,
    /// The number of the listener that accepted it, or [`NO_LISTENER`].
    pub(crate) listener: u16,
    pub(crate) is_dirty: bool,
    pub(crate) is_again: bool,
    /// The application's.
    pub(crate) data: D,
}

impl<D> Entry<D> {
    pub(crate) fn new(socket: Socket, generation: u32, listener: u16, data: D) -> Self {
        Self { socket, armed: Armed::default(), generation, listener, is_dirty: false, is_again: false, data }
    }

    /// Whether nothing is to be done for it, nor noted.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket.is_quiet() && !self.needs_arming()
    }

    #[inline(always)]
    pub(crate) fn needs_arming(&self) -> bool {
        self.socket.poll_timeout().is_some_and(|deadline| self.armed.is_later_than(deadline))
    }
}

// Without the driver, to which a log adds a pointer: the feature `tracing` may be enabled for `sansocket-drive` alone.
const _: () = assert!(size_of::<Entry<()>>() - size_of::<Driver>() <= 48);
