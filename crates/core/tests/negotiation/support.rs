//! Helpers that the tables share.

use bytes::Buf;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use sansocket::{HttpResponse, HttpVersion, Instant, WebSocket};

pub(crate) const NOW: Instant = Instant::from_nanos(1_000);
/// The key of RFC 6455 section 1.3, and the answer to it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) type Fields = Vec<(&'static str, &'static str)>;

/// Returns these fields without those of the name, and with others at the end.
pub(crate) fn replaced(usual: &Fields, name: &str, with: &[(&'static str, &'static str)]) -> Fields {
    let others = usual.iter().copied().filter(|(other, _)| !other.eq_ignore_ascii_case(name));
    others.chain(with.iter().copied()).collect()
}

pub(crate) fn rng() -> ChaCha12Rng {
    ChaCha12Rng::from_seed([7; 32])
}

pub(crate) fn output(ws: &mut WebSocket) -> Vec<u8> {
    let output = ws.output();
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// Returns the head with this start line and these fields.
pub(crate) fn head(start: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{start}\r\n{fields}\r\n").into_bytes()
}

/// Returns a response as HTTP/1.1 writes it, made from its accessors.
pub(crate) fn written(response: &HttpResponse) -> String {
    let fields = response.fields(HttpVersion::Http11).unwrap().map(|(name, value)| format!("{name}: {value}\r\n"));
    let fields: String = fields.collect();
    let body = String::from_utf8_lossy(response.content());
    format!("HTTP/1.1 {} {}\r\n{fields}\r\n{body}", response.status(), response.reason_phrase())
}
