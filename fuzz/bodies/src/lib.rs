//! The bodies of the fuzz targets: one module per target, whose `run` takes any bytes and panics if a guarantee is
//! broken.
//!
//! `cargo fuzz` calls them with generated inputs, `tests/corpus.rs` with the committed ones. An input begins with a few
//! choices (roles, limits, cuts), followed by the bytes to receive, so wire data is a useful seed. An input of `pair`
//! consists of choices only. The key exchange of TLS is random, so the ciphertext of `tls_layer` differs between runs.
//!
//! The other modules hold what the targets compare with: an encoder and decoder of frames (`wire`), a receiver
//! (`model`) and a parser of HTTP (`http`). They are slow and obvious, and use no code of the core.

pub mod deflate;
pub mod delivery;
pub mod dial;
pub mod differential;
mod drive;
pub mod driver;
pub mod frame_header;
mod http;
pub mod inflate;
mod limits;
mod model;
pub mod negotiate;
pub mod operations;
mod outbox;
pub mod pair;
pub mod receive;
pub mod request;
pub mod response;
pub mod seeds;
pub mod tls_layer;
pub mod uri;
pub mod utf8;
mod wire;

/// A target: its name, which is also that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 16] = [
    ("deflate", deflate::run),
    ("delivery", delivery::run),
    ("dial", dial::run),
    ("differential", differential::run),
    ("driver", driver::run),
    ("frame_header", frame_header::run),
    ("inflate", inflate::run),
    ("negotiate", negotiate::run),
    ("operations", operations::run),
    ("pair", pair::run),
    ("receive", receive::run),
    ("request", request::run),
    ("response", response::run),
    ("tls_layer", tls_layer::run),
    ("uri", uri::run),
    ("utf8", utf8::run),
];
