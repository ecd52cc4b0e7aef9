//! RFC 6455 sections 3 and 4, through the public interface alone: one module per topic. "Conformance" with a number
//! cites a line of `tests/CONFORMANCE.md`.

mod captures;
mod ends;
mod extensions;
mod injection;
mod limits;
mod malformed;
mod origin;
mod plain;
mod redaction;
mod refusals;
mod request;
mod response;
mod splits;
mod subprotocols;
mod support;
mod uri;
mod websocket;
