//! The transitions of a WebSocket that is not open, and the server's opening handshake, RFC 6455 section 4.2.

use alloc::boxed::Box;
use alloc::sync::Arc;

use rand_core::CryptoRng;

use super::client::Client;
use super::failed::FailedHandshake;
use crate::closing::{Timer, Timers};
use crate::connection::Connection;
use crate::data::{
    CloseCode, Config, Input, Instant, LimitExceeded, ReadyState, Role, SendError, Subject, TransportAction,
};
use crate::error::{Error, TimeoutKind};
use crate::event::Event;
use crate::handshake::{
    Accept, Agreement, AnswerError, ClientRequest, EarlyFrames, HandshakeError, HttpResponse, Open, OpeningHandshake,
    RequestError, RequestReader, encode_acceptance, encode_response,
};
use crate::send::{Masking, Output, check_close};

/// A WebSocket that is not open.
#[derive(Debug)]
pub(crate) enum Handshaking {
    /// Boxed to keep every connection small.
    Client(Box<Client>),
    Server(Server),
    Failed(FailedHandshake),
}

/// The result of [`Handshaking::receive`].
pub(crate) enum Step {
    Event(Option<Event<'static>>),
    Opened(Connection, Open),
}

impl Handshaking {
    pub(crate) fn client(
        request: ClientRequest,
        config: Arc<Config>,
        rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        Client::new(request, config, rng, now).map(Box::new).map(Self::Client)
    }

    pub(crate) fn server(config: Arc<Config>, now: Instant) -> Self {
        Self::Server(Server::new(config, now))
    }

    pub(crate) fn receive(&mut self, input: &mut Input<'_>, now: Instant) -> Result<Step, Error> {
        self.advance(now);
        let received = match self {
            Self::Client(client) => client.receive(input).map(|opened| match opened {
                Some((connection, open)) => Step::Opened(connection, open),
                None => Step::Event(None),
            }),
            Self::Server(server) => server.receive(input).map(Step::Event),
            Self::Failed(failed) => {
                input.discard();
                return failed.outcome().map(|()| Step::Event(None));
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
            Self::Failed(failed) => failed.receive_eof(),
        }
    }

    /// Records that nothing more can be written. A client keeps reading, since the response may give the reason. A
    /// server, which cannot answer any more, fails.
    pub(crate) fn write_lost(&mut self, now: Instant) {
        self.advance(now);
        match self {
            Self::Client(client) => client.lose_write(),
            Self::Server(_) => {
                let error = HandshakeError::UnexpectedEof.into();
                self.abandon(Some(error), TransportAction::Abort);
                if let Self::Failed(failed) = self {
                    failed.defer_error();
                }
            }
            Self::Failed(failed) => failed.write_lost(),
        }
    }

    pub(crate) fn progress(&mut self, now: Instant) {
        self.advance(now);
        if let Self::Failed(failed) = self {
            failed.progress();
        }
    }

    pub(crate) fn abort(&mut self, now: Instant) {
        self.advance(now);
        match self {
            Self::Failed(failed) => failed.end(TransportAction::Abort),
            _ => self.abandon(None, TransportAction::Abort),
        }
    }

    /// Returns whether an error is pending that no call has returned.
    pub(crate) fn has_pending_event(&self) -> bool {
        matches!(self, Self::Failed(failed) if failed.is_error_pending)
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
                let response = server.timeout_response();
                self.finish(&response, Some(error.clone()));
                Err(error)
            }
            Self::Failed(failed) => {
                failed.handle_timeout();
                Ok(())
            }
        }
    }

    /// Accepts the request. Returns the connection, the agreement, and the frames that have arrived.
    pub(crate) fn accept(
        &mut self,
        accept: &Accept,
        now: Instant,
    ) -> Result<(Connection, Agreement, Option<Box<EarlyFrames>>), AnswerError> {
        let Self::Server(server) = self else { return Err(AnswerError::NoRequest) };
        server.timers.advance(now);
        let accepted = server.accept(accept);
        if let Err(error) = &accepted
            && let Some(response) = error.response()
        {
            self.finish(&response, None);
        }
        accepted
    }

    pub(crate) fn respond(&mut self, response: &HttpResponse, now: Instant) -> Result<(), AnswerError> {
        match self {
            Self::Server(server) if server.has_pending_request() => server.timers.advance(now),
            _ => return Err(AnswerError::NoRequest),
        }
        response.check()?;
        self.finish(response, None);
        Ok(())
    }

    /// Ends the opening handshake. Checks code and reason as for an open connection, though no frame carries them, so
    /// that the application need not know the state.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str, now: Instant) -> Result<(), SendError> {
        if let Self::Failed(_) = self {
            return Ok(());
        }
        check_close(code, reason)?;
        match self {
            Self::Server(server) if server.has_pending_request() => {
                server.timers.advance(now);
                self.finish(&HttpResponse::from_protocol(503, "this server is closing"), None);
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
            Self::Failed(failed) => &mut failed.output,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.timers.next(),
            Self::Server(server) => server.timers.next(),
            Self::Failed(failed) => failed.poll_timeout(),
        }
    }

    pub(crate) fn transport(&self) -> TransportAction {
        match self {
            Self::Client(_) | Self::Server(_) => TransportAction::Open,
            Self::Failed(failed) => failed.transport(),
        }
    }

    pub(crate) fn wants_read(&self) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Server(server) => !server.has_pending_request(),
            Self::Failed(failed) => failed.wants_read(),
        }
    }

    pub(crate) fn ready_state(&self) -> ReadyState {
        match self {
            Self::Client(_) | Self::Server(_) => ReadyState::Connecting,
            Self::Failed(failed) => failed.ready_state(),
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Client(_) => Role::Client,
            Self::Server(_) => Role::Server,
            Self::Failed(failed) => failed.role,
        }
    }

    /// Records the time.
    fn advance(&mut self, now: Instant) {
        match self {
            Self::Client(client) => client.timers.advance(now),
            Self::Server(server) => server.timers.advance(now),
            Self::Failed(failed) => failed.timers.advance(now),
        }
    }

    /// Ends the opening handshake because the peer broke a rule or exceeded a limit.
    fn fail(&mut self, input: &mut Input<'_>, error: HandshakeError) -> Error {
        input.discard();
        match (&self, error.response()) {
            (Self::Server(_), Some(response)) => {
                let error = Error::from(error);
                self.finish(&response, Some(error.clone()));
                error
            }
            _ => self.abandon_with(error),
        }
    }

    /// Ends the opening handshake with a response.
    fn finish(&mut self, response: &HttpResponse, error: Option<Error>) {
        if let Self::Server(server) = self {
            let (mut output, is_method_head) = (core::mem::take(&mut server.output), server.is_method_head());
            output.push_head(|bytes| encode_response(bytes, response, is_method_head));
            let mut failed = FailedHandshake::with_response(output, error, &server.config, server.timers.now());
            if matches!(server.stage, Stage::HttpRequestPending { has_eof: true, .. }) {
                failed.note_eof();
            }
            *self = Self::Failed(failed);
        }
    }

    /// Ends the opening handshake without a response or Close frame (RFC 6455 section 7.1.7).
    fn abandon(&mut self, error: Option<Error>, action: TransportAction) {
        let (role, output) = (self.role(), core::mem::take(self.output()));
        let config = match self {
            Self::Client(client) => &client.config,
            Self::Server(server) => &server.config,
            Self::Failed(_) => return,
        };
        *self = Self::Failed(FailedHandshake::without_response(role, output, error, action, config));
    }

    /// Ends the opening handshake with this error, and returns it.
    fn abandon_with(&mut self, error: impl Into<Error>) -> Error {
        let error = error.into();
        self.abandon(Some(error.clone()), TransportAction::Close);
        error
    }
}

/// A server that awaits a request, or the application's answer.
#[derive(Debug)]
pub(crate) struct Server {
    config: Arc<Config>,
    /// Empty until the request is answered.
    output: Output,
    timers: Timers,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    AwaitingHead(RequestReader),
    /// An opening handshake that the application has not answered.
    HandshakePending {
        handshake: OpeningHandshake,
        /// Frames that arrived before the answer.
        early: Option<Box<EarlyFrames>>,
    },
    /// A request that does not ask for a WebSocket, or breaks a rule, and that is not answered.
    HttpRequestPending {
        /// The method is HEAD: the response is sent without its body.
        is_method_head: bool,
        /// The client has sent its FIN, and may still read the answer.
        has_eof: bool,
    },
}

impl Server {
    fn new(config: Arc<Config>, now: Instant) -> Self {
        let mut timers = Timers::new(now);
        timers.set(Timer::Opening, config.opening_timeout);
        let stage = Stage::AwaitingHead(RequestReader::default());
        Self { config, output: Output::default(), timers, stage }
    }

    /// Takes the bytes of the request, or the frames behind it.
    fn receive(&mut self, input: &mut Input<'_>) -> Result<Option<Event<'static>>, HandshakeError> {
        match &mut self.stage {
            Stage::AwaitingHead(reader) => {
                let Some(request) = reader.read(input, &self.config)? else { return Ok(None) };
                let is_method_head = request.headers().has_method("HEAD");
                self.stage = Stage::HttpRequestPending { is_method_head, has_eof: false };
                let Some(handshake) = request.check()? else { return Ok(Some(Event::HttpRequest(request))) };
                self.stage = Stage::HandshakePending { handshake, early: None };
                Ok(Some(Event::Request(request)))
            }
            Stage::HandshakePending { early, .. } => {
                let part = input.take(usize::MAX);
                let before = early.as_ref().map_or(0, |early| early.len());
                if before.saturating_add(part.len()) > self.config.max_head_size {
                    return Err(LimitExceeded::beyond(Subject::EarlyFrames, self.config.max_head_size).into());
                }
                match early {
                    Some(early) => early.append(part),
                    None => *early = EarlyFrames::new(part.to_vec()),
                }
                Ok(None)
            }
            Stage::HttpRequestPending { .. } => {
                input.discard();
                Ok(None)
            }
        }
    }

    /// Records the client's FIN. Fails unless a plain HTTP request is pending, which can still be answered.
    fn receive_eof(&mut self) -> Result<(), HandshakeError> {
        let Stage::HttpRequestPending { has_eof, .. } = &mut self.stage else {
            return Err(HandshakeError::UnexpectedEof);
        };
        *has_eof = true;
        Ok(())
    }

    /// Returns the accepted connection, the agreement, and the frames that have arrived.
    fn accept(&mut self, accept: &Accept) -> Result<(Connection, Agreement, Option<Box<EarlyFrames>>), AnswerError> {
        let (handshake, early) = match &mut self.stage {
            Stage::AwaitingHead(_) => return Err(AnswerError::NoRequest),
            Stage::HttpRequestPending { .. } => return Err(AnswerError::NotWebSocket),
            Stage::HandshakePending { handshake, early } => (handshake, early),
        };
        let acceptance = handshake.accept(accept)?;
        #[cfg(feature = "deflate")]
        let acceptance = acceptance.with_compression(self.config.compression.as_ref());
        let mut output = core::mem::take(&mut self.output);
        output.push_head(|bytes| encode_acceptance(bytes, &acceptance));
        let connection = Connection::new(Masking::Server, self.config.clone(), output, self.timers.now());
        Ok((connection, acceptance.agreement(), early.take()))
    }

    /// Returns whether the application has to answer a request.
    fn has_pending_request(&self) -> bool {
        matches!(self.stage, Stage::HandshakePending { .. } | Stage::HttpRequestPending { .. })
    }

    /// Returns whether the method is HEAD. The reader may know it of a request that cannot be parsed.
    fn is_method_head(&self) -> bool {
        match &self.stage {
            Stage::AwaitingHead(reader) => reader.is_method_head(),
            Stage::HandshakePending { .. } => false,
            Stage::HttpRequestPending { is_method_head, .. } => *is_method_head,
        }
    }

    /// Returns the response at the deadline: 503 if the application has not answered, 408 if the request is incomplete.
    fn timeout_response(&self) -> HttpResponse {
        if self.has_pending_request() {
            HttpResponse::from_protocol(503, "the application did not answer in time")
        } else {
            HttpResponse::from_protocol(408, "the request did not arrive in time")
        }
    }
}
