//! The opening handshake, RFC 6455 section 4: requests and responses, header fields, key and answer to it, client and
//! server. Nothing outside this folder knows that HTTP exists.

mod answer;
mod body;
mod client;
mod client_request;
mod ended;
mod error;
mod extension;
mod head;
mod headers;
mod key;
mod open;
mod origin;
mod parts;
mod request;
mod response;
mod server;
mod syntax;
mod unopened;
mod version;

pub use answer::{Accept, AnswerError, HttpResponse};
pub use client_request::{ClientRequest, RequestError};
pub use error::HandshakeError;
pub use extension::Extension;
pub use headers::Headers;
pub use open::Open;
pub use origin::OriginPolicy;
pub use request::Request;
pub use response::Response;
pub use version::HttpVersion;

pub(crate) use open::Agreement;
pub(crate) use unopened::{Step, Unopened};

use answer::refusal;
use client::Client;
use server::Server;
