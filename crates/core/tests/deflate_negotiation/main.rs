//! The negotiation of permessage-deflate, RFC 7692 sections 5 and 7, in both roles. "Deflate" with a number cites a line
//! of `tests/DEFLATE.md`: 1 to 22 are about servers, 23 to 32 about clients.
//!
//! Every case runs three times, and must end alike: as bytes of HTTP/1.1 at a `WebSocket`, as a request of HTTP/1.1 that
//! another library reads, and as an extended CONNECT of HTTP/2 (Deflate 22).

mod answers;
mod errors;
mod offers;
mod refused_offers;
mod settings;
mod support;
