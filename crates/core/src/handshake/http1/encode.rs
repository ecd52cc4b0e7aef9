//! Encodes heads as bytes, RFC 9112 sections 3 to 5, with the fields of the negotiation.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::handshake::{Acceptance, ClientRequest, HttpResponse, HttpVersion};

/// Encodes the head of the request with this key. The URI and the fields were checked: none can end a line early.
pub(crate) fn encode_request(request: &ClientRequest, key: &str) -> Vec<u8> {
    let mut head = begin(["GET ", request.uri().resource_name(), " HTTP/1.1\r\n"]);
    request.checked_fields(key).for_each(|(name, value)| append_field(&mut head, name, value.as_bytes()));
    finish(head)
}

/// Encodes the head that accepts an opening handshake.
pub(crate) fn encode_acceptance(acceptance: Acceptance<'_>) -> Vec<u8> {
    let mut head = begin(["HTTP/1.1 101 Switching Protocols\r\n"]);
    acceptance.byte_fields().for_each(|(name, value)| append_field(&mut head, name, value));
    finish(head)
}

/// Encodes a response, without its body if the method of the request is HEAD.
pub(crate) fn encode_response(response: &HttpResponse, is_method_head: bool) -> Vec<u8> {
    let status: String = response.status().to_string();
    let mut head = begin(["HTTP/1.1 ", &status, " ", response.reason_phrase(), "\r\n"]);
    response
        .checked_fields(HttpVersion::Http11)
        .for_each(|(name, value)| append_field(&mut head, name, value.as_bytes()));
    let mut bytes = finish(head);
    if !is_method_head {
        bytes.extend_from_slice(response.content());
    }
    bytes
}

fn begin<const N: usize>(parts: [&str; N]) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    for part in parts {
        head.extend_from_slice(part.as_bytes());
    }
    head
}

fn append_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn finish(mut head: Vec<u8>) -> Vec<u8> {
    head.extend_from_slice(b"\r\n");
    head
}
