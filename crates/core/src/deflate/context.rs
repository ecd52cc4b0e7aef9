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
    /// How the peer's window ends, as far as a stream of messages for many receivers is concerned.
    pub(crate) stream: StreamEnd,
}

/// The end of a window: the last bytes of a stream. The default is a window that need not contain any.
#[derive(Clone, Copy, Default)]
pub(crate) struct StreamEnd {
    /// Identifies the place in the stream, behind the last byte of the window.
    pub(crate) token: Option<Token>,
    /// How many bytes at the end of the window are those of the stream before that place.
    pub(crate) len: usize,
}

impl Context {
    /// Returns the context after messages that ended with this history.
    pub(crate) fn new(history: &[u8]) -> Self {
        let mut context = Self::default();
        context.history.append(history, history.len());
        context
    }

    /// Appends data to the history. No codec is primed with it, and it belongs to no stream.
    pub(crate) fn append(&mut self, data: &[u8], max: usize) {
        self.history.append(data, max);
        self.token = None;
        self.stream = StreamEnd::default();
    }
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
        let (window_bits, has_takeover) = self.agreed(self.role);
        self.direction(true, window_bits, has_takeover, scratch)
    }

    /// Returns the direction of a message that this end sends in fragments. It has a context even without context
    /// takeover, because a fragment refers back to the fragments before it.
    pub(crate) fn sent_fragments<'a>(&'a mut self, scratch: Option<&'a mut Codecs>) -> Direction<'a> {
        let (window_bits, _) = self.agreed(self.role);
        self.direction(true, window_bits, true, scratch)
    }

    /// Frees the context of a fragmented message that is complete, if messages that this end sends do not refer to it.
    pub(crate) fn end_fragments(&mut self, keeps_context: bool) {
        if (keeps_context && self.agreed(self.role).1) || self.contexts.is_none() {
            return;
        }
        let contexts = self.contexts.get_or_insert_default();
        contexts.sent = Context::default();
        if contexts.codecs.is_none() && contexts.received.history.is_empty() {
            self.contexts = None;
        }
    }

    /// Returns the direction of the data that this end receives.
    pub(crate) fn received<'a>(&'a mut self, scratch: Option<&'a mut Codecs>) -> Direction<'a> {
        let peer = match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let (window_bits, has_takeover) = self.agreed(peer);
        self.direction(false, window_bits, has_takeover, scratch)
    }

    /// Returns the window of the data that `sender` sends, and whether it has context takeover.
    fn agreed(&self, sender: Role) -> (WindowBits, bool) {
        let agreement = &self.agreement;
        match sender {
            Role::Client => (agreement.client_max_window_bits, !agreement.client_no_context_takeover),
            Role::Server => (agreement.server_max_window_bits, !agreement.server_no_context_takeover),
        }
    }

    fn direction<'a>(
        &'a mut self,
        is_sent: bool,
        window_bits: WindowBits,
        has_context: bool,
        scratch: Option<&'a mut Codecs>,
    ) -> Direction<'a> {
        if !has_context && let Some(codecs) = scratch {
            return Direction { window_bits, context: None, codecs };
        }
        let Contexts { sent, received, codecs: own } = &mut **self.contexts.get_or_insert_default();
        let context = if is_sent { sent } else { received };
        let codecs = match scratch {
            Some(codecs) => codecs,
            None => own.get_or_insert_with(|| Box::new(Codecs::new())),
        };
        Direction { window_bits, context: has_context.then_some(context), codecs }
    }
}

/// Omits the histories.
impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.agreement.fmt(f)
    }
}
