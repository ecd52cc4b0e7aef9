//! Negotiation: what the header fields of an opening handshake decide, RFC 6455 section 4 and RFC 8441, whatever
//! version of HTTP carries them. Nothing here reads or writes a byte of HTTP/1.1: [`http1`](super::http1) does, and
//! asks the negotiation for every decision.

mod agreement;
mod answer;
mod check;
mod client_request;
mod expected;
mod extension;
mod field_list;
mod headers;
#[cfg(feature = "http")]
mod http_types;
mod key;
mod opening_handshake;
mod origin;
mod request;
mod response;
mod version;

pub use agreement::Agreement;
pub use answer::{Accept, AnswerError, HttpResponse};
pub use client_request::{ClientRequest, RequestError, RequestTemplate};
pub use extension::Extension;
pub use headers::Headers;
pub use key::{accept_key, generate_key};
pub use opening_handshake::{Acceptance, OpeningHandshake};
pub use origin::{OriginError, OriginFault, OriginPolicy, Origins};
pub use request::Request;
pub use response::Response;
pub use version::HttpVersion;

pub(crate) use expected::Expected;
pub(crate) use headers::Line;
