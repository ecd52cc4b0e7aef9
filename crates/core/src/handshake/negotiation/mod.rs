//! The negotiation: checks and chooses the header fields of an opening handshake (RFC 6455 section 4, RFC 8441). It is
//! the same for every version of HTTP, and reads no bytes of HTTP/1.1: [`http1`](super::http1) does.
//!
//! `http1` and [`opening`](crate::opening) use it, and applications that read the opening handshake with another HTTP
//! library. Depends on `data` and the errors of the [handshake](super).

mod agreement;
mod answer;
mod client_request;
mod expected_response;
mod extension;
mod field_list;
mod headers;
#[cfg(feature = "http")]
mod http_types;
mod opening_handshake;
mod origin;
#[cfg(feature = "deflate")]
mod permessage_deflate;
mod request;
mod response;
mod values;
mod version;

pub use agreement::{Agreement, Open};
pub use answer::{Accept, AnswerError, HttpResponse};
pub use client_request::{ClientRequest, RequestError, RequestTemplate};
pub use extension::Extension;
pub use headers::Headers;
pub use opening_handshake::{Acceptance, OpeningHandshake};
pub use origin::{OriginError, OriginFault, OriginPolicy, Origins};
pub use request::Request;
pub use response::Response;
pub use values::{accept_key, generate_key};
pub use version::HttpVersion;

pub(crate) use expected_response::ExpectedResponse;
pub(crate) use values::elements;
