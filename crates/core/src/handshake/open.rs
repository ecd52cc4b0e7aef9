//! What an opening handshake agreed.

use alloc::boxed::Box;

use super::{Agreement, Extension, Response};

/// The connection is open: what its opening handshake agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Nothing where there is nothing to say. Boxed so that it does not make every event larger.
    inner: Option<Box<Inner>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    agreement: Agreement,
    response: Option<Response>,
}

impl Open {
    pub(crate) fn new(agreement: Agreement, response: Option<Response>) -> Self {
        let has_nothing = agreement.is_empty() && response.is_none();
        Self { inner: (!has_nothing).then(|| Box::new(Inner { agreement, response })) }
    }

    pub(crate) fn agreement(&self) -> Option<&Agreement> {
        self.inner.as_ref().map(|inner| &inner.agreement)
    }

    /// Returns the subprotocol that the server selected (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.agreement().and_then(Agreement::protocol)
    }

    /// Returns the extensions in use (RFC 6455 section 9).
    pub fn extensions(&self) -> &[Extension] {
        self.agreement().map_or(&[], Agreement::extensions)
    }

    /// Client: returns the head of the server's response, 101.
    pub fn response(&self) -> Option<&Response> {
        self.inner.as_ref().and_then(|inner| inner.response.as_ref())
    }
}
