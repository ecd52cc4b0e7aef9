//! The client's opening handshake, RFC 6455 section 4.1.

use alloc::boxed::Box;
use alloc::sync::Arc;

use rand_core::CryptoRng;

use crate::closing::{Timer, Timers};
use crate::connection::Connection;
use crate::data::{Config, Input, Instant};
use crate::error::{Error, TimeoutKind};
use crate::handshake::{
    Body, ClientRequest, ExpectedResponse, HandshakeError, Open, RequestError, Response, ResponseReader,
    encode_request, generate_key,
};
use crate::send::{Masking, Output};

/// A client that awaits the response.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) config: Arc<Config>,
    masking: Masking,
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    expected: ExpectedResponse,
    stage: Stage,
    /// Nothing more can be written.
    is_write_lost: bool,
}

#[derive(Debug)]
enum Stage {
    AwaitingHead(ResponseReader),
    /// The head of a response other than 101 has been read.
    AwaitingBody {
        response: Response,
        body: Body,
    },
    Ended,
}

impl Client {
    pub(crate) fn new(
        request: ClientRequest,
        config: Arc<Config>,
        mut rng: impl CryptoRng + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, RequestError> {
        #[cfg(feature = "deflate")]
        let request = request.with_compression(config.compression.as_ref());
        request.check()?;
        let key = generate_key(&mut rng);
        let mut timers = Timers::new(now);
        timers.set(Timer::Opening, config.opening_timeout);
        let mut output = Output::default();
        output.push_head(|bytes| encode_request(bytes, &request, &key));
        Ok(Self {
            config,
            masking: Masking::Client(Box::new(rng)),
            output,
            timers,
            expected: ExpectedResponse::new(&request, &key),
            stage: Stage::AwaitingHead(ResponseReader::default()),
            is_write_lost: false,
        })
    }

    /// Takes the bytes of the response. After a 101, the rest of the input is frames (4.1).
    pub(crate) fn receive(&mut self, input: &mut Input<'_>) -> Result<Option<(Connection, Open)>, HandshakeError> {
        loop {
            let reader = match &mut self.stage {
                Stage::AwaitingHead(reader) => reader,
                Stage::AwaitingBody { body, .. } => {
                    return if body.receive(input) { Err(self.end_of_response()) } else { Ok(None) };
                }
                Stage::Ended => return Ok(None),
            };
            let Some(response) = reader.read(input, &self.config)? else { return Ok(None) };
            match response.status() {
                101 => return self.open(response).map(Some),
                // RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
                // response"
                100..200 => reader.restart(),
                status => {
                    let body = Body::new(status, response.headers(), self.config.max_head_size);
                    self.stage = Stage::AwaitingBody { response, body };
                }
            }
        }
    }

    /// Records that nothing more can be written. Drops the rest of the request; the response may give the reason.
    pub(crate) fn lose_write(&mut self) {
        self.output.abandon();
        self.is_write_lost = true;
    }

    /// Ends the handshake, because the body or the transport has ended or a deadline has passed. Returns the error.
    pub(crate) fn end_of_response(&mut self) -> HandshakeError {
        match core::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::AwaitingBody { response, body } => {
                HandshakeError::Refused(Box::new(response.with_body(body.into_bytes())))
            }
            Stage::AwaitingHead(reader) => {
                reader.not_http().map_or(HandshakeError::UnexpectedEof, HandshakeError::ResponseNotHttp)
            }
            Stage::Ended => HandshakeError::UnexpectedEof,
        }
    }

    /// Handles the deadline. Returns the error that ends the handshake, if it has come.
    pub(crate) fn handle_timeout(&mut self) -> Option<Error> {
        self.timers.pop_expired().map(|_| match self.end_of_response() {
            error @ (HandshakeError::Refused(_) | HandshakeError::ResponseNotHttp(_)) => error.into(),
            _ => TimeoutKind::Opening.into(),
        })
    }

    /// Checks the response, and opens the connection.
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
