//! HTTP/1.1, RFC 9112: converts bytes to the head of a request or response, or to a body, and heads to bytes. It does
//! not check the header fields: [`negotiation`](super::negotiation) does.
//!
//! [`opening`](crate::opening) uses the readers and encoders. Depends on `data`, and on the types of the negotiation
//! and the errors of the [handshake](super).

mod body;
mod encode;
mod head;
mod not_http;
mod request;
mod response;

pub use not_http::NotHttp;

pub(crate) use body::Body;
pub(crate) use encode::{encode_acceptance, encode_request, encode_response};
pub(crate) use request::RequestReader;
pub(crate) use response::ResponseReader;
