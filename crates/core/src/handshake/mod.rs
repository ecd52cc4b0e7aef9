//! The opening handshake, RFC 6455 section 4, as data: [`negotiation`] checks and chooses header fields, [`http1`]
//! converts the bytes of HTTP/1.1 to heads and bodies, and heads to bytes. [`opening`](crate::opening), which has the
//! output, the timers and the transitions, uses both.
//!
//! Depends on `data` only. `error`, `event`, `connection` and `websocket` use only its types.

#[cfg(feature = "deflate")]
mod compression_fault;
mod error;
mod http1;
mod malformed;
mod negotiation;
mod pending_open;

#[cfg(feature = "deflate")]
pub use compression_fault::CompressionFault;
pub use error::HandshakeError;
pub use http1::NotHttp;
pub use malformed::{MalformedResponse, ResponseFault};
pub use negotiation::{
    Accept, Acceptance, Agreement, AnswerError, ClientRequest, Extension, Headers, HttpResponse, HttpVersion, Open,
    OpeningHandshake, OriginError, OriginFault, OriginPolicy, Origins, Request, RequestError, RequestTemplate,
    Response, accept_key, generate_key,
};

pub(crate) use http1::{Body, RequestReader, ResponseReader, encode_acceptance, encode_request, encode_response};
pub(crate) use negotiation::ExpectedResponse;
pub(crate) use pending_open::{EarlyFrames, OpenStage, PendingOpen};
