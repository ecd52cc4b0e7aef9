//! The opening handshake, RFC 6455 section 4: requests and responses, header fields, key and answer to it, client and
//! server. Nothing outside this folder knows that HTTP exists.

mod answer;
mod body;
mod client;
mod client_request;
mod ended;
mod error;
mod extension;
mod field_list;
mod head;
mod headers;
mod key;
mod malformed;
mod not_http;
mod open;
mod origin;
mod parts;
mod request;
mod response;
mod server;
mod syntax;
mod unopened;

pub use answer::{Accept, AnswerError, HttpResponse};
pub use client_request::{ClientRequest, RequestError, RequestTemplate};
pub use error::HandshakeError;
pub use extension::Extension;
pub use headers::Headers;
pub use malformed::{MalformedResponse, ResponseFault};
pub use not_http::NotHttp;
pub use open::Open;
pub use origin::{OriginError, OriginFault, OriginPolicy, Origins};
pub use request::Request;
pub use response::Response;

pub(crate) use open::Agreement;
pub(crate) use syntax::is_token_byte;
pub(crate) use unopened::{Step, Unopened};

use answer::refusal;
use client::Client;
use server::Server;
