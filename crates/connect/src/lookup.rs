//! Lookups of host names, which block, and therefore run outside of the event loop.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sansocket_dial::{Destination, LookupId};

/// Looks up host names: the resolver of the system, or a function of the application.
#[derive(Clone, Default)]
pub struct NameResolver(Option<Arc<Resolve>>);

type Resolve = dyn Fn(&Destination) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl NameResolver {
    /// Uses a function, which returns addresses in the order of preference. It may block.
    pub fn new(resolve: impl Fn(&Destination) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(resolve)))
    }

    fn resolve(&self, destination: &Destination) -> io::Result<Vec<SocketAddr>> {
        let Some(resolve) = &self.0 else {
            return (destination.host(), destination.port()).to_socket_addrs().map(Iterator::collect);
        };
        // A panic would end the thread without a result, and the client would wait for the opening timeout.
        let result = catch_unwind(AssertUnwindSafe(|| resolve(destination)));
        result.unwrap_or_else(|_| Err(io::Error::other("the resolver of the application panicked")))
    }
}

impl fmt::Debug for NameResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "NameResolver(<function>)" } else { "NameResolver(<system>)" })
    }
}

/// A host name to look up for a client, in another thread than that of an event loop.
#[derive(Clone, Debug)]
pub struct Lookup {
    id: LookupId,
    destination: Destination,
    resolver: NameResolver,
}

/// The result of a [`Lookup`].
#[derive(Debug)]
pub struct ResolvedLookup {
    pub(crate) id: LookupId,
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

impl Lookup {
    pub(crate) const fn new(id: LookupId, destination: Destination, resolver: NameResolver) -> Self {
        Self { id, destination, resolver }
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

    /// Looks up the name with the resolver of the settings. Blocks as long as the resolver takes: call it in another
    /// thread than that of the event loop.
    pub fn resolve(self) -> ResolvedLookup {
        let addresses = self.resolver.resolve(&self.destination);
        self.complete(addresses)
    }

    /// Completes the lookup with the result of another resolver, in the order of preference.
    pub fn complete(self, addresses: io::Result<Vec<SocketAddr>>) -> ResolvedLookup {
        ResolvedLookup { id: self.id, addresses }
    }
}
