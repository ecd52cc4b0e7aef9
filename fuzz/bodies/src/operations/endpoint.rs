//! A `WebSocket` or a `Connection`, whose methods of the same name do the same.

use std::sync::Arc;

use sansocket::bytes::Bytes;
use sansocket::{
    Accept, AnswerError, CloseCode, Config, Connection, EncodedMessage, Error, Event, HttpResponse, Input, Instant,
    Message, MessageKind, Output, ReadyState, Role, Scratch, SendError, TransportAction, WebSocket,
};

use crate::drive::{self, NOW};
use crate::response;

/// Calls the method of the same name.
macro_rules! either {
    ($endpoint:expr, $it:ident => $call:expr) => {
        match $endpoint {
            Self::WebSocket($it) => $call,
            Self::Connection($it) => $call,
        }
    };
}

#[derive(Debug)]
pub(super) enum Endpoint {
    WebSocket(Box<WebSocket>),
    Connection(Box<Connection>),
}

type Received<'b> = Result<Option<Event<'b>>, Error>;

impl Endpoint {
    pub(super) fn new(role: Role, is_web_socket: bool, config: Config) -> Self {
        match (is_web_socket, role) {
            (true, Role::Server) => Self::WebSocket(Box::new(WebSocket::server(config, NOW))),
            (true, Role::Client) => Self::WebSocket(Box::new(response::client(config))),
            (false, role) => Self::Connection(Box::new(drive::connection(role, &Arc::new(config)))),
        }
    }

    pub(super) fn is_web_socket(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    pub(super) fn receive<'b>(&mut self, input: &mut Input<'b>, now: Instant) -> Received<'b> {
        either!(self, it => it.receive(input, now))
    }

    pub(super) fn receive_eof(&mut self, now: Instant) -> Received<'static> {
        either!(self, it => it.receive_eof(now))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Received<'static> {
        either!(self, it => it.handle_timeout(now))
    }

    pub(super) fn attach_scratch(&mut self, memory: &mut Scratch) {
        either!(self, it => it.attach_scratch(memory));
    }

    pub(super) fn detach_scratch(&mut self, memory: &mut Scratch) {
        either!(self, it => it.detach_scratch(memory));
    }

    pub(super) fn recycle(&mut self, message: Message<'_>) {
        either!(self, it => it.recycle(message));
    }

    pub(super) fn send<'m>(&mut self, message: Message<'m>) -> Result<(), SendError<Message<'m>>> {
        either!(self, it => it.send(message))
    }

    pub(super) fn send_shared(&mut self, kind: MessageKind, payload: Bytes) -> Result<(), SendError<Bytes>> {
        either!(self, it => it.send_shared(kind, payload))
    }

    pub(super) fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        either!(self, it => it.send_encoded(message))
    }

    pub(super) fn send_fragment(&mut self, kind: MessageKind, payload: &[u8], last: bool) -> Result<(), SendError> {
        either!(self, it => it.send_fragment(kind, payload, last))
    }

    pub(super) fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        either!(self, it => it.ping(payload))
    }

    pub(super) fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        either!(self, it => it.pong(payload))
    }

    pub(super) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        either!(self, it => it.close(code, reason, now))
    }

    /// Accepts a request. A `Connection` has none.
    pub(super) fn accept(&mut self, accept: Accept, now: Instant) -> Result<(), AnswerError> {
        match self {
            Self::WebSocket(it) => it.accept(accept, now),
            Self::Connection(_) => Err(AnswerError::NoRequest),
        }
    }

    /// Responds to a request.
    pub(super) fn respond(&mut self, reject: HttpResponse, now: Instant) -> Result<(), AnswerError> {
        match self {
            Self::WebSocket(it) => it.respond(reject, now),
            Self::Connection(_) => Err(AnswerError::NoRequest),
        }
    }

    pub(super) fn write_lost(&mut self, now: Instant) {
        either!(self, it => it.write_lost(now));
    }

    pub(super) fn progress(&mut self, now: Instant) {
        either!(self, it => it.progress(now));
    }

    pub(super) fn abort(&mut self, now: Instant) {
        either!(self, it => it.abort(now));
    }

    pub(super) fn has_pending_event(&self) -> bool {
        either!(self, it => it.has_pending_event())
    }

    pub(super) fn output(&mut self) -> &mut Output {
        either!(self, it => it.output())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        either!(self, it => it.poll_timeout())
    }

    pub(super) fn transport(&self) -> TransportAction {
        either!(self, it => it.transport())
    }

    pub(super) fn wants_read(&self) -> bool {
        either!(self, it => it.wants_read())
    }

    pub(super) fn ready_state(&self) -> ReadyState {
        either!(self, it => it.ready_state())
    }

    pub(super) fn buffered_amount(&self) -> usize {
        either!(self, it => it.buffered_amount())
    }

    pub(super) fn role(&self) -> Role {
        either!(self, it => it.role())
    }
}
