//! Encodes heads as bytes, RFC 9112 sections 3 to 5, with the fields of the negotiation.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::handshake::{Acceptance, ClientRequest, HttpResponse, HttpVersion};

/// The size of most heads, in bytes.
const HEAD_SIZE: usize = 192;

/// Appends the head of the request with this key. The URI and the fields were checked: none can end a line early.
pub(crate) fn encode_request(to: &mut Vec<u8>, request: &ClientRequest, key: &str) {
    begin(to, ["GET ", request.uri().resource_name(), " HTTP/1.1\r\n"]);
    request.checked_fields(key).for_each(|(name, value)| append_field(to, name, value.as_bytes()));
    finish(to);
}

/// Appends the head that accepts an opening handshake.
pub(crate) fn encode_acceptance(to: &mut Vec<u8>, acceptance: &Acceptance<'_>) {
    begin(to, ["HTTP/1.1 101 Switching Protocols\r\n"]);
    acceptance.byte_fields().for_each(|(name, value)| append_field(to, name, value));
    finish(to);
}

/// Appends a response, without its body if the method of the request is HEAD.
pub(crate) fn encode_response(to: &mut Vec<u8>, response: &HttpResponse, is_method_head: bool) {
    let status: String = response.status().to_string();
    begin(to, ["HTTP/1.1 ", &status, " ", response.reason_phrase(), "\r\n"]);
    response.checked_fields(HttpVersion::Http11).for_each(|(name, value)| append_field(to, name, value.as_bytes()));
    finish(to);
    if !is_method_head {
        to.extend_from_slice(response.content());
    }
}

fn begin<const N: usize>(to: &mut Vec<u8>, parts: [&str; N]) {
    to.reserve(HEAD_SIZE);
    for part in parts {
        to.extend_from_slice(part.as_bytes());
    }
}

fn append_field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        to.extend_from_slice(part);
    }
}

fn finish(to: &mut Vec<u8>) {
    to.extend_from_slice(b"\r\n");
}
