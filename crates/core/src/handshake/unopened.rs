//! A WebSocket that is not open: in its opening handshake, as client or as server, or at the end of one that failed.
//! All transitions between these live here.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use crate::closing::CloseCode;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, TimeoutKind};
use crate::event::{Event, ReadyState, Role, TransportAction};
use crate::input::Input;
use crate::output::Output;
use crate::send_error::SendError;
use crate::sender::check_close;
use crate::time::Instant;
use crate::timer::Timers;

use super::ended::Ended;
use super::{
    Accept, Agreement, AnswerError, Client, ClientRequest, HandshakeError, HttpResponse, Open, RequestError, Server,
    encode_response,
};

/// A WebSocket before it opens, or instead.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// Boxed so that it does not make every connection larger.
    Client(Box<Client>),
    Server(Server),
    Ended(Ended),
}

/// What bytes from the peer have led to.
pub(crate) enum Step {
    Event(Option<Event<'static>>),
    Opened(Connection, Open),
}

impl Unopened {
    pub(crate) fn client(
        request: &ClientRequest,
        config: Arc<Config>,
        rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        Client::new(request, config, rng, now).map(Box::new).map(Self::Client)
    }

    pub(crate) fn server(config: Arc<Config>, now: Instant) -> Self {
        Self::Server(Server::new(config, Timers::new(now)))
    }

    pub(crate) fn receive(&mut self, input: &mut Input<'_>, now: Instant) -> Result<Step, Error> {
        self.advance(now);
        let received = match self {
            Self::Client(client) => client.receive(input).map(|opened| match opened {
                Some((connection, open)) => Step::Opened(connection, open),
                None => Step::Event(None),
            }),
            Self::Server(server) => server.receive(input).map(Step::Event),
            Self::Ended(ended) => {
                input.discard();
                return ended.outcome().map(|()| Step::Event(None));
            }
        };
        received.map_err(|error| self.fail(input, error))
    }

    pub(crate) fn receive_eof(&mut self, now: Instant) -> Result<(), Error> {
        self.advance(now);
        match self {
            Self::Client(client) => {
                let error = client.end_of_response();
                Err(self.abandon_with(error))
            }
            Self::Server(server) => server.receive_eof().map_err(|error| self.abandon_with(error)),
            Self::Ended(ended) => ended.receive_eof(),
        }
    }

    /// A client may still read why its request was refused. A server that cannot answer has failed.
    pub(crate) fn write_lost(&mut self, now: Instant) {
        self.advance(now);
        match self {
            Self::Client(client) => client.lose_write(),
            Self::Server(_) => {
                let error = HandshakeError::UnexpectedEof.into();
                self.abandon(Some(error), TransportAction::Abort);
                if let Self::Ended(ended) = self {
                    ended.leave_untold();
                }
            }
            Self::Ended(ended) => ended.write_lost(),
        }
    }

    pub(crate) fn progress(&mut self, now: Instant) {
        self.advance(now);
        if let Self::Ended(ended) = self {
            ended.progress();
        }
    }

    pub(crate) fn abort(&mut self, now: Instant) {
        self.advance(now);
        match self {
            Self::Ended(ended) => ended.end(TransportAction::Abort),
            _ => self.abandon(None, TransportAction::Abort),
        }
    }

    /// Whether an error has not been returned by any call.
    pub(crate) fn has_pending_event(&self) -> bool {
        matches!(self, Self::Ended(ended) if ended.is_untold())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.advance(now);
        match self {
            Self::Client(client) => match client.handle_timeout() {
                Some(error) => Err(self.abandon_with(error)),
                None => Ok(()),
            },
            Self::Server(server) => {
                if server.timers.pop_expired().is_none() {
                    return Ok(());
                }
                let error = Error::from(TimeoutKind::Opening);
                let answer = server.late_answer();
                self.answer(&answer, Some(error.clone()));
                Err(error)
            }
            Self::Ended(ended) => {
                ended.handle_timeout();
                Ok(())
            }
        }
    }

    /// Returns the connection, what was agreed on, and what has come of its frames.
    pub(crate) fn accept(
        &mut self,
        accept: &Accept,
        now: Instant,
    ) -> Result<(Connection, Agreement, Vec<u8>), AnswerError> {
        let Self::Server(server) = self else { return Err(AnswerError::NoRequest) };
        server.timers.advance(now);
        let accepted = server.accept(accept);
        if let Err(error) = &accepted
            && let Some(response) = error.response()
        {
            self.answer(&response, None);
        }
        accepted
    }

    pub(crate) fn respond(&mut self, response: &HttpResponse, now: Instant) -> Result<(), AnswerError> {
        match self {
            Self::Server(server) if server.is_asked() => server.timers.advance(now),
            _ => return Err(AnswerError::NoRequest),
        }
        response.check()?;
        self.answer(response, None);
        Ok(())
    }

    /// Gives up. The code and the reason leave in no frame, but are checked as if the connection were open: the
    /// application need not know whether it is.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        if let Self::Ended(_) = self {
            return Ok(());
        }
        check_close(code, reason)?;
        match self {
            Self::Server(server) if server.is_asked() => {
                server.timers.advance(now);
                self.answer(&HttpResponse::from_protocol(503, "this server is closing"), None);
            }
            _ => self.abandon(None, TransportAction::Close),
        }
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn output(&mut self) -> &mut Output {
        match self {
            Self::Client(client) => &mut client.output,
            Self::Server(server) => &mut server.output,
            Self::Ended(ended) => &mut ended.output,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.timers.next(),
            Self::Server(server) => server.timers.next(),
            Self::Ended(ended) => ended.poll_timeout(),
        }
    }

    pub(crate) fn transport(&self) -> TransportAction {
        match self {
            Self::Client(_) | Self::Server(_) => TransportAction::Open,
            Self::Ended(ended) => ended.transport(),
        }
    }

    pub(crate) fn wants_read(&self) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Server(server) => !server.is_asked(),
            Self::Ended(ended) => ended.wants_read(),
        }
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self {
            Self::Client(_) | Self::Server(_) => ReadyState::Connecting,
            Self::Ended(ended) => ended.ready_state(),
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Client(_) => Role::Client,
            Self::Server(_) => Role::Server,
            Self::Ended(ended) => ended.role,
        }
    }

    /// Takes a reading of the clock.
    fn advance(&mut self, now: Instant) {
        match self {
            Self::Client(client) => client.timers.advance(now),
            Self::Server(server) => server.timers.advance(now),
            Self::Ended(ended) => ended.timers.advance(now),
        }
    }

    /// The opening handshake has failed.
    fn fail(&mut self, input: &mut Input<'_>, error: HandshakeError) -> Error {
        input.discard();
        match (&self, error.response()) {
            (Self::Server(_), Some(answer)) => {
                let error = Error::from(error);
                self.answer(&answer, Some(error.clone()));
                error
            }
            _ => self.abandon_with(error),
        }
    }

    /// Ends the opening handshake with a response.
    fn answer(&mut self, answer: &HttpResponse, error: Option<Error>) {
        if let Self::Server(server) = self {
            let response = encode_response(answer, server.answers_head);
            let output = core::mem::take(&mut server.output).with_head(response);
            let mut ended = Ended::answered(output, error, &server.config, server.timers.now());
            if server.has_eof() {
                ended.note_eof();
            }
            *self = Self::Ended(ended);
        }
    }

    /// Ends the opening handshake without a word (RFC 6455 section 7.1.7: no Close frame, the connection is not open).
    fn abandon(&mut self, error: Option<Error>, action: TransportAction) {
        let (role, output) = (self.role(), core::mem::take(self.output()));
        let config = match self {
            Self::Client(client) => &client.config,
            Self::Server(server) => &server.config,
            Self::Ended(_) => return,
        };
        *self = Self::Ended(Ended::abandoned(role, output, error, action, config));
    }

    fn abandon_with(&mut self, error: impl Into<Error>) -> Error {
        let error = error.into();
        self.abandon(Some(error.clone()), TransportAction::Close);
        error
    }
}
