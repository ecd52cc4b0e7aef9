//! The client's opening handshake, RFC 6455 section 4.1: what the response must be.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::body::Body;
use super::error::found;
use super::head::{HeadFault, HeadReader};
use super::malformed::{MalformedResponse, ResponseFault};
use super::not_http::ResponseStart;
use super::open::{Agreement, Open};
use super::syntax::{Single, lists, single};
use super::{ClientRequest, Extension, HandshakeError, Headers, RequestError, Response, extension, key};
use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, TimeoutKind};
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

/// What a response is held against.
#[derive(Debug)]
struct Expected {
    accept: [u8; key::ACCEPT_SIZE],
    protocols: Vec<String>,
    /// The names of the extensions offered.
    extensions: Vec<&'static str>,
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
        let key = key::generate(&mut rng);
        let expected =
            Expected { accept: key::accept(&key), protocols: request.protocols().to_vec(), extensions: Vec::new() };
        let mut timers = Timers::new(now);
        timers.set(Timer::Opening, config.opening_timeout);
        Ok(Self {
            config,
            masking: Masking::Client(Box::new(rng)),
            output: Output::default().with_head(request.encode(&key)),
            timers,
            expected,
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
            let (response, is_http11) = Response::parse(&head, reader.header_lines())?;
            match response.status() {
                101 if !is_http11 => return Err(malformed(MalformedResponse::of_version(&head))),
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
        let agreement = self.expected.check(response.headers())?;
        let masking = core::mem::replace(&mut self.masking, Masking::Server);
        let output = core::mem::take(&mut self.output);
        let mut connection = Connection::new(masking, self.config.clone(), output, self.timers.now());
        if self.is_write_lost {
            connection.write_lost(self.timers.now());
        }
        Ok((connection, Open::new(agreement, Some(response))))
    }
}

impl Expected {
    /// 4.1, "the client MUST validate the server's response as follows", from item 2 on.
    fn check(&self, headers: &Headers) -> Result<Agreement, HandshakeError> {
        // item 2: "an ASCII case-insensitive match for the value "websocket"", and no other
        if !matches!(single(headers, "Upgrade"), Single::Value(value) if value.eq_ignore_ascii_case("websocket")) {
            return Err(HandshakeError::ResponseUpgradeInvalid(found(headers, "Upgrade")));
        }
        // item 3: a token among others, in any case
        if !lists(headers, "Connection", "Upgrade") {
            return Err(HandshakeError::ResponseConnectionWithoutUpgrade(found(headers, "Connection")));
        }
        // item 4: "ignoring any leading and trailing whitespace", but not case
        match single(headers, "Sec-WebSocket-Accept") {
            Single::Missing => return Err(HandshakeError::AcceptMissing),
            Single::Repeated => return Err(HandshakeError::AcceptRepeated),
            Single::Value(accept) if accept.as_bytes() == self.accept => {}
            Single::Value(accept) => return Err(HandshakeError::AcceptMismatch(accept.into())),
        }
        let extensions = self.check_extensions(headers)?;
        // item 6: a subprotocol that was not offered fails the connection; none is a choice of the server's
        let protocol = match single(headers, "Sec-WebSocket-Protocol") {
            Single::Missing => None,
            Single::Repeated => return Err(HandshakeError::ResponseProtocolRepeated),
            Single::Value(protocol) => match self.protocols.iter().find(|offered| *offered == protocol) {
                Some(protocol) => Some(protocol.clone()),
                None => return Err(HandshakeError::ProtocolNotOffered(protocol.into())),
            },
        };
        Ok(Agreement { protocol, extensions })
    }

    /// item 5: an extension that was not offered fails the connection.
    fn check_extensions(&self, headers: &Headers) -> Result<Vec<Extension>, HandshakeError> {
        let field = match single(headers, "Sec-WebSocket-Extensions") {
            Single::Missing => return Ok(Vec::new()),
            Single::Repeated => return Err(HandshakeError::ResponseExtensionsRepeated),
            Single::Value(field) => field,
        };
        let malformed = || HandshakeError::ResponseExtensionsMalformed(field.into());
        let mut extensions: Vec<Extension> = Vec::new();
        for extension in extension::parse([field].into_iter()) {
            let extension = extension.map_err(|_| malformed())?;
            let is_offered = self.extensions.contains(&extension.name.as_str());
            if !is_offered || extensions.iter().any(|agreed| agreed.name == extension.name) {
                return Err(HandshakeError::ExtensionNotOffered(extension.name.into()));
            }
            extensions.push(extension);
        }
        if extensions.is_empty() { Err(malformed()) } else { Ok(extensions) }
    }
}

fn malformed(response: MalformedResponse) -> HandshakeError {
    HandshakeError::ResponseMalformed(Box::new(response))
}

fn head_error(fault: HeadFault, head: &[u8], config: &Config) -> HandshakeError {
    match fault {
        // `ResponseStart` has refused every first byte that the reader would refuse, except a bare LF.
        HeadFault::BareLineFeed | HeadFault::NotHttp => {
            malformed(MalformedResponse::at_end(ResponseFault::BareLineFeed, head))
        }
        HeadFault::TooLong => LimitExceeded::at(Subject::ResponseHead, config.max_head_size).into(),
        HeadFault::LinesTooMany => LimitExceeded::at(Subject::ResponseLines, config.max_header_lines).into(),
    }
}
