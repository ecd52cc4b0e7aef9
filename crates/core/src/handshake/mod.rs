//! The opening handshake, RFC 6455 section 4, in two halves: [`negotiation`] decides about header fields, [`http1`]
//! converts bytes to heads and back. Nothing outside this folder knows that HTTP exists.

mod ended;
mod error;
mod http1;
mod malformed;
mod negotiation;
mod open;
mod syntax;
mod unopened;

pub use error::HandshakeError;
pub use http1::NotHttp;
pub use malformed::{MalformedResponse, ResponseFault};
pub use negotiation::{
    Accept, Acceptance, Agreement, AnswerError, ClientRequest, Extension, Headers, HttpResponse, HttpVersion,
    OpeningHandshake, OriginError, OriginFault, OriginPolicy, Origins, Request, RequestError, RequestTemplate,
    Response, accept_key, generate_key,
};
pub use open::Open;

pub(crate) use syntax::is_token_byte;
pub(crate) use unopened::{Step, Unopened};

use http1::{Client, Server, encode_response};
