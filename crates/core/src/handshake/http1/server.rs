//! The server's opening handshake, RFC 6455 section 4.2: the request, and the application's answer.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::encode::encode_acceptance;
use super::head::{HeadFault, HeadReader};
use super::request;
use crate::config::Config;
use crate::connection::Connection;
use crate::event::Event;
use crate::handshake::{Accept, Agreement, AnswerError, HandshakeError, HttpResponse, OpeningHandshake, Request};
use crate::input::Input;
use crate::limit::{LimitExceeded, Subject};
use crate::output::Output;
use crate::sender::Masking;
use crate::timer::{Timer, Timers};

/// A server that waits for a request, or for its application to answer it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    /// Empty: a server that has something to say has answered.
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    stage: Stage,
    /// Whether the answer has no body, whatever its header fields say of one.
    pub(crate) answers_head: bool,
}

#[derive(Debug)]
enum Stage {
    Head(HeadReader),
    /// The application is to answer an opening handshake.
    Asked {
        handshake: OpeningHandshake,
        /// Frames that came too early.
        early: Vec<u8>,
    },
    /// The application is to answer a request that asks for no WebSocket.
    AskedPlainly {
        /// The client has sent its FIN, and may still read the answer.
        has_eof: bool,
    },
}

impl Server {
    pub(crate) fn new(config: Arc<Config>, mut timers: Timers) -> Self {
        timers.set(Timer::Opening, config.opening_timeout);
        let stage = Stage::Head(HeadReader::default());
        Self { config, output: Output::default(), timers, stage, answers_head: false }
    }

    /// Takes bytes of the request, or what follows it.
    pub(crate) fn receive(&mut self, input: &mut Input<'_>) -> Result<Option<Event<'static>>, HandshakeError> {
        match &mut self.stage {
            Stage::Head(reader) => {
                let request = read_request(reader, input, &self.config);
                // what is refused may be no request that could be asked for its method
                self.answers_head = reader.asks_for_head();
                let Some(request) = request? else { return Ok(None) };
                self.answers_head = request.headers().has_method("HEAD");
                let Some(handshake) = request.check()? else {
                    self.stage = Stage::AskedPlainly { has_eof: false };
                    return Ok(Some(Event::HttpRequest(request)));
                };
                self.stage = Stage::Asked { handshake, early: Vec::new() };
                Ok(Some(Event::Request(request)))
            }
            Stage::Asked { early, .. } => {
                let part = input.take(usize::MAX);
                if early.len().saturating_add(part.len()) > self.config.max_head_size {
                    return Err(LimitExceeded::at(Subject::EarlyFrames, self.config.max_head_size).into());
                }
                early.extend_from_slice(part);
                Ok(None)
            }
            Stage::AskedPlainly { .. } => {
                input.discard();
                Ok(None)
            }
        }
    }

    /// Records the client's FIN. Only a request that asks for no WebSocket can still be answered.
    pub(crate) fn receive_eof(&mut self) -> Result<(), HandshakeError> {
        let Stage::AskedPlainly { has_eof } = &mut self.stage else { return Err(HandshakeError::UnexpectedEof) };
        *has_eof = true;
        Ok(())
    }

    pub(crate) fn has_eof(&self) -> bool {
        matches!(self.stage, Stage::AskedPlainly { has_eof: true })
    }

    /// The connection that the application has accepted, what was agreed, and the frames that came before.
    pub(crate) fn accept(&mut self, answer: &Accept) -> Result<(Connection, Agreement, Vec<u8>), AnswerError> {
        let (handshake, early) = match &mut self.stage {
            Stage::Head(_) => return Err(AnswerError::NoRequest),
            Stage::AskedPlainly { .. } => return Err(AnswerError::NotWebSocket),
            Stage::Asked { handshake, early } => (handshake, early),
        };
        let acceptance = handshake.accept(answer)?;
        let output = core::mem::take(&mut self.output).with_head(encode_acceptance(acceptance));
        let connection = Connection::new(Masking::Server, self.config.clone(), output, self.timers.now());
        Ok((connection, acceptance.agreement(), core::mem::take(early)))
    }

    /// Whether a request waits for the application's answer.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.stage, Stage::Asked { .. } | Stage::AskedPlainly { .. })
    }

    /// The answer that time has run out: to a client that has not asked yet, or to one that got no answer.
    pub(crate) fn late_answer(&self) -> HttpResponse {
        if self.is_asked() {
            HttpResponse::from_protocol(503, "no answer was found in time")
        } else {
            HttpResponse::from_protocol(408, "the request did not come in time")
        }
    }
}

/// The request, once its head is complete.
fn read_request(
    reader: &mut HeadReader,
    input: &mut Input<'_>,
    config: &Config,
) -> Result<Option<Request>, HandshakeError> {
    // most come in one piece, which httparse looks through faster than we could find the end; but once only
    if reader.is_empty()
        && let Some((request, size)) = request::find(input.remaining(), config)
    {
        input.take(size);
        return Ok(Some(request));
    }
    let Some(head) = reader.read(input, config).map_err(|fault| head_error(fault, config))? else { return Ok(None) };
    request::parse(&head, reader.header_lines()).map(Some)
}

fn head_error(fault: HeadFault, config: &Config) -> HandshakeError {
    match fault {
        HeadFault::NotHttp => HandshakeError::RequestNotHttp,
        HeadFault::BareLineFeed => HandshakeError::RequestMalformed,
        HeadFault::TooLong => LimitExceeded::at(Subject::RequestHead, config.max_head_size).into(),
        HeadFault::LinesTooMany => LimitExceeded::at(Subject::RequestLines, config.max_header_lines).into(),
    }
}
