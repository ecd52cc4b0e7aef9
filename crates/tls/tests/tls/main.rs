//! TLS between our endpoints, and with rustls' buffered connections as foreign peers. Only the public interface is used.

#[path = "../authority/mod.rs"]
mod authority;
mod certificates;
mod configuration;
mod endpoint;
mod ends;
mod floods;
mod records;
mod resumption;
mod support;
mod websocket;
mod wrong_protocol;
