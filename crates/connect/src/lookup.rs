//! Lookups of host names, which block, and therefore run outside of the event loop.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use sansocket_dial::{Destination, LookupId};

/// A host name to look up for a client, in another thread than that of an event loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    id: LookupId,
    destination: Destination,
}

/// The result of a [`Lookup`].
#[derive(Debug)]
pub struct ResolvedLookup {
    pub(crate) id: LookupId,
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

impl Lookup {
    pub(crate) const fn new(id: LookupId, destination: Destination) -> Self {
        Self { id, destination }
    }

    pub(crate) const fn id(&self) -> LookupId {
        self.id
    }

    /// Returns the name.
    pub fn host(&self) -> &str {
        self.destination.host()
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.destination.port()
    }

    /// Looks up the name in the system's resolver. Blocks as long as the resolver takes: call it in another thread than
    /// that of the event loop.
    pub fn resolve(self) -> ResolvedLookup {
        let addresses = (self.host(), self.port()).to_socket_addrs().map(Iterator::collect);
        self.complete(addresses)
    }

    /// Completes the lookup with the result of another resolver, in the order of preference.
    pub fn complete(self, addresses: io::Result<Vec<SocketAddr>>) -> ResolvedLookup {
        ResolvedLookup { id: self.id, addresses }
    }
}
