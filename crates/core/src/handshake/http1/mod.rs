//! HTTP/1.1, RFC 9112: bytes become the head of a request or a response, and back. Decides nothing about header fields:
//! [`negotiation`](super::negotiation) does.

mod body;
mod client;
mod encode;
mod head;
mod not_http;
mod request;
mod response;
mod server;

pub(crate) use client::Client;
pub(crate) use encode::encode_response;
pub use not_http::NotHttp;
pub(crate) use server::Server;
