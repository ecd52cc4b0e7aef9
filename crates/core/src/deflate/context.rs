//! What a connection keeps between messages: the agreement and, for a direction with context takeover, a history.

use alloc::boxed::Box;
use core::fmt;

use super::codecs::Codecs;
use super::history::History;
use super::token::Token;
use crate::data::{PermessageDeflate, Role, WindowBits};

/// The permessage-deflate of a connection.
pub(crate) struct Deflate {
    agreement: PermessageDeflate,
    role: Role,
    /// `None` unless a message was compressed with context takeover, or without a scratch.
    contexts: Option<Box<Contexts>>,
}

#[derive(Default)]
struct Contexts {
    sent: Context,
    received: Context,
    /// The codecs of a connection whose driver attaches no scratch.
    codecs: Option<Box<Codecs>>,
}

/// The state of one direction with context takeover.
#[derive(Default)]
pub(crate) struct Context {
    pub(crate) history: History,
    /// The token of the codec that is primed with the history, unless another connection has used it since.
    pub(crate) token: Option<Token>,
}

/// One direction of a connection, and the codecs.
pub(crate) struct Direction<'a> {
    /// The agreed window of the direction.
    pub(crate) window_bits: WindowBits,
    /// `None` without context takeover.
    pub(crate) context: Option<&'a mut Context>,
    /// The codecs of the scratch, or the connection's own.
    pub(crate) codecs: &'a mut Codecs,
}

impl Deflate {
    pub(crate) const fn new(agreement: PermessageDeflate, role: Role) -> Self {
        Self { agreement, role, contexts: None }
    }

    pub(crate) const fn agreement(&self) -> PermessageDeflate {
        self.agreement
    }

    /// Returns the direction of the data that this end sends.
    pub(crate) fn sent<'a>(&'a mut self, scratch: Option<&'a mut Codecs>) -> Direction<'a> {
        self.direction(true, scratch)
    }

    /// Returns the direction of the data that this end receives.
    pub(crate) fn received<'a>(&'a mut self, scratch: Option<&'a mut Codecs>) -> Direction<'a> {
        self.direction(false, scratch)
    }

    fn direction<'a>(&'a mut self, is_sent: bool, scratch: Option<&'a mut Codecs>) -> Direction<'a> {
        let agreement = &self.agreement;
        let (window_bits, no_takeover) = if is_sent == (self.role == Role::Client) {
            (agreement.client_max_window_bits, agreement.client_no_context_takeover)
        } else {
            (agreement.server_max_window_bits, agreement.server_no_context_takeover)
        };
        if no_takeover && let Some(codecs) = scratch {
            return Direction { window_bits, context: None, codecs };
        }
        let contexts = &mut **self.contexts.get_or_insert_default();
        let (own, context) = (&mut contexts.codecs, if is_sent { &mut contexts.sent } else { &mut contexts.received });
        let codecs = match scratch {
            Some(codecs) => codecs,
            None => own.get_or_insert_with(|| Box::new(Codecs::new())),
        };
        Direction { window_bits, context: (!no_takeover).then_some(context), codecs }
    }
}

/// Omits the histories.
impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agreement.fmt(f)
    }
}
