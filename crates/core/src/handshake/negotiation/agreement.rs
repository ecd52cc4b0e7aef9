//! The agreement of an opening handshake, and the content of the `Open` event that reports it.

use alloc::boxed::Box;
use alloc::string::String;

use super::Response;
#[cfg(feature = "deflate")]
use crate::data::PermessageDeflate;

/// The agreement of both endpoints in the opening handshake: a subprotocol (RFC 6455 section 1.9) and permessage-deflate
/// (RFC 7692), or neither.
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
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<PermessageDeflate>,
}

impl Agreement {
    /// Creates an empty agreement.
    pub const fn new() -> Self {
        Self {
            protocol: None,
            #[cfg(feature = "deflate")]
            compression: None,
        }
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

    /// Sets permessage-deflate, which both ends agreed.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn with_compression(mut self, compression: PermessageDeflate) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Returns what both ends agreed about permessage-deflate; `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    pub const fn compression(&self) -> Option<PermessageDeflate> {
        self.compression
    }

    /// Returns whether there is neither a subprotocol nor an extension.
    pub const fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.compression.is_some() {
            return false;
        }
        self.protocol.is_none()
    }
}

/// The content of [`Event::Open`](crate::Event::Open): the agreement, and the response that a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// `None` if the agreement is empty and there is no response. Boxed to keep every event small.
    inner: Option<Box<OpenInner>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenInner {
    agreement: Agreement,
    response: Option<Response>,
}

impl Open {
    pub(crate) fn new(agreement: Agreement, response: Option<Response>) -> Self {
        let is_empty = agreement.is_empty() && response.is_none();
        Self { inner: (!is_empty).then(|| Box::new(OpenInner { agreement, response })) }
    }

    pub(crate) fn agreement(&self) -> Option<&Agreement> {
        self.inner.as_ref().map(|inner| &inner.agreement)
    }

    /// Returns the subprotocol that the server selected (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.agreement().and_then(Agreement::protocol)
    }

    /// Returns what both ends agreed about permessage-deflate; `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<PermessageDeflate> {
        self.agreement().and_then(Agreement::compression)
    }

    /// Returns the head of the server's response, which is 101; `None` unless a client received it.
    pub fn response(&self) -> Option<&Response> {
        self.inner.as_ref().and_then(|inner| inner.response.as_ref())
    }
}
