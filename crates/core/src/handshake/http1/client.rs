//! The client's opening handshake, RFC 6455 section 4.1: what the response must be.

use alloc::boxed::Box;
use alloc::sync::Arc;

use rand_core::CryptoRng;

use super::body::Body;
use super::encode::encode_request;
use super::head::{HeadFault, HeadReader};
use super::not_http::ResponseStart;
use super::response;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, TimeoutKind};
use crate::handshake::negotiation::Expected;
use crate::handshake::{
    ClientRequest, HandshakeError, HttpVersion, MalformedResponse, Open, RequestError, Response, ResponseFault,
    generate_key,
};
use crate::input::Input;
use crate::limit::{LimitExceeded, Subject};
use crate::output::Output;
use crate::sender::Masking;
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A client that has asked and waits for the answer.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) config: Arc<Config>,
    masking: Masking,
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    expected: Expected,
    stage: Stage,
    /// The first bytes of the head that is awaited.
    start: ResponseStart,
    /// Nothing more can be written.
    is_write_lost: bool,
}

#[derive(Debug)]
enum Stage {
    Head(HeadReader),
    /// Behind the head of a response other than 101.
    Refused {
        response: Response,
        body: Body,
    },
    Over,
}

impl Client {
    pub(crate) fn new(
        request: &ClientRequest,
        config: Arc<Config>,
        mut rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        request.check()?;
        let key = generate_key(&mut rng);
        let mut timers = Timers::new(now);
        timers.set(Timer::Opening, config.opening_timeout);
        Ok(Self {
            config,
            masking: Masking::Client(Box::new(rng)),
            output: Output::default().with_head(encode_request(request, &key)),
            timers,
            expected: Expected::new(request, &key),
            stage: Stage::Head(HeadReader::default()),
            start: ResponseStart::default(),
            is_write_lost: false,
        })
    }

    /// Takes bytes of the response. What is left of the input after a 101 are frames (4.1).
    pub(crate) fn receive(&mut self, input: &mut Input<'_>) -> Result<Option<(Connection, Open)>, HandshakeError> {
        loop {
            let reader = match &mut self.stage {
                Stage::Head(reader) => reader,
                Stage::Refused { body, .. } => {
                    return if body.receive(input) { Err(self.end_of_response()) } else { Ok(None) };
                }
                Stage::Over => return Ok(None),
            };
            let room = self.config.max_head_size.saturating_sub(reader.size());
            let may_be_http = self.start.examine(input.remaining(), room).map_err(HandshakeError::ResponseNotHttp)?;
            if !may_be_http {
                input.discard();
                return Ok(None);
            }
            let head = match reader.read(input, &self.config) {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(None),
                Err(fault) => return Err(head_error(fault, reader.received(), &self.config)),
            };
            let response = response::parse(&head, reader.header_lines())?;
            match response.status() {
                101 if response.version() != HttpVersion::Http11 => {
                    return Err(MalformedResponse::of_version(&head).into());
                }
                101 => return self.open(response).map(Some),
                // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
                // response"
                100..200 => {
                    reader.restart();
                    self.start = ResponseStart::default();
                }
                status => {
                    let body = Body::new(status, response.headers(), self.config.max_head_size);
                    self.stage = Stage::Refused { response, body };
                }
            }
        }
    }

    /// Records that nothing more can be written, and drops the rest of the request. The response may say why.
    pub(crate) fn lose_write(&mut self) {
        self.output.abandon();
        self.is_write_lost = true;
    }

    /// The transport has ended, or must.
    pub(crate) fn end_of_response(&mut self) -> HandshakeError {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Refused { response, body } => {
                HandshakeError::Refused(Box::new(response.with_body(body.into_bytes())))
            }
            Stage::Head(_) | Stage::Over => {
                self.start.not_http().map_or(HandshakeError::UnexpectedEof, HandshakeError::ResponseNotHttp)
            }
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self) -> Option<Error> {
        self.timers.pop_expired().map(|_| match self.end_of_response() {
            error @ (HandshakeError::Refused(_) | HandshakeError::ResponseNotHttp(_)) => error.into(),
            _ => TimeoutKind::Opening.into(),
        })
    }

    fn open(&mut self, response: Response) -> Result<(Connection, Open), HandshakeError> {
        let agreement = self.expected.check(&response)?;
        let masking = core::mem::replace(&mut self.masking, Masking::Server);
        let output = core::mem::take(&mut self.output);
        let mut connection = Connection::new(masking, self.config.clone(), output, self.timers.now());
        if self.is_write_lost {
            connection.write_lost(self.timers.now());
        }
        Ok((connection, Open::new(agreement, Some(response))))
    }
}

fn head_error(fault: HeadFault, head: &[u8], config: &Config) -> HandshakeError {
    match fault {
        // `ResponseStart` has refused every first byte that the reader would refuse, except a bare LF.
        HeadFault::BareLineFeed | HeadFault::NotHttp => {
            MalformedResponse::at_end(ResponseFault::BareLineFeed, head).into()
        }
        HeadFault::TooLong => LimitExceeded::at(Subject::ResponseHead, config.max_head_size).into(),
        HeadFault::LinesTooMany => LimitExceeded::at(Subject::ResponseLines, config.max_header_lines).into(),
    }
}
