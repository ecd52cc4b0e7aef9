//! What an opening handshake agreed.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Extension, Response};

/// The connection is open: what its opening handshake agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Boxed so that it does not make every event larger.
    inner: Box<Inner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    agreement: Agreement,
    response: Option<Response>,
}

/// What both ends hold to from now on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Agreement {
    pub(crate) protocol: Option<String>,
    pub(crate) extensions: Vec<Extension>,
}

impl Open {
    pub(crate) fn new(agreement: Agreement, response: Option<Response>) -> Self {
        Self { inner: Box::new(Inner { agreement, response }) }
    }

    pub(crate) fn agreement(&self) -> &Agreement {
        &self.inner.agreement
    }

    /// The subprotocol that the server selected (RFC 6455 section 1.9).
    pub fn protocol(&self) -> Option<&str> {
        self.inner.agreement.protocol.as_deref()
    }

    /// The extensions in use (RFC 6455 section 9).
    pub fn extensions(&self) -> &[Extension] {
        &self.inner.agreement.extensions
    }

    /// Client: the head of the server's response, 101.
    pub fn response(&self) -> Option<&Response> {
        self.inner.response.as_ref()
    }
}
