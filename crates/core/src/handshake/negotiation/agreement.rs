//! What an opening handshake agreed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::handshake::Extension;

/// What both ends of a connection agreed on in the opening handshake: a subprotocol (RFC 6455 section 1.9) and
/// extensions (section 9), or neither.
///
/// ```
/// use sansocket::{Agreement, Config, Connection, Instant};
///
/// let agreement = Agreement::new().with_protocol("chat");
/// let connection = Connection::server(Config::default(), Instant::EPOCH).with_agreement(agreement);
/// assert_eq!(connection.protocol(), Some("chat"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Agreement {
    pub(crate) protocol: Option<String>,
    pub(crate) extensions: Vec<Extension>,
}

impl Agreement {
    /// Creates an agreement on nothing.
    pub const fn new() -> Self {
        Self { protocol: None, extensions: Vec::new() }
    }

    /// Adds the subprotocol that the server selected.
    #[must_use]
    pub fn with_protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }

    /// Returns the subprotocol that the server selected.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Returns the extensions in use.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Returns whether nothing was agreed on.
    pub const fn is_empty(&self) -> bool {
        self.protocol.is_none() && self.extensions.is_empty()
    }
}
