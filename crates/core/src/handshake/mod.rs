//! The opening handshake, RFC 6455 section 4, in two halves: [`negotiation`] decides about header fields, [`http1`]
//! converts bytes to heads and back. Nothing outside this folder knows that HTTP exists.

mod client_request;
mod ended;
mod error;
mod extension;
mod field_list;
mod http1;
mod malformed;
mod negotiation;
mod open;
mod origin;
mod response;
mod syntax;
mod unopened;

pub use client_request::{ClientRequest, RequestError, RequestTemplate};
pub use error::HandshakeError;
pub use extension::Extension;
pub use http1::NotHttp;
pub use malformed::{MalformedResponse, ResponseFault};
pub use negotiation::{
    Accept, Acceptance, Agreement, AnswerError, Headers, HttpResponse, HttpVersion, OpeningHandshake, Request,
    accept_key, generate_key,
};
pub use open::Open;
pub use origin::{OriginError, OriginFault, OriginPolicy, Origins};
pub use response::Response;

pub(crate) use syntax::is_token_byte;
pub(crate) use unopened::{Step, Unopened};

use http1::{Client, Server, encode_response};
