//! HTTP/1.1, RFC 9112: converts bytes to the head of a request or response, or to a body, and heads to bytes. Decides
//! nothing about header fields: [`negotiation`](super::negotiation) does.
//!
//! Used by [`opening`](crate::opening). Depends on data, the types of the negotiation and the errors of the
//! [handshake](super).

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
