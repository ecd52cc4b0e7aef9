//! What the fuzz targets do: one module per target, each with `run`, which takes any bytes and panics if a promise is
//! broken.
//!
//! `cargo fuzz` calls them with whatever it makes up, `tests/corpus.rs` with what is committed. An input is a few
//! choices (roles, limits, where to cut) followed by the bytes themselves, so that wire data makes a seed as it is; in
//! `pair` it is choices alone.
//!
//! The modules that are not targets hold what the targets compare with: an encoder and a decoder of frames (`wire`), a
//! receiver (`model`) and a reader of HTTP (`http`), all of them slow, obvious, and without a line of the core's.

pub mod delivery;
pub mod differential;
mod drive;
pub mod driver;
pub mod frame_header;
mod http;
mod limits;
mod model;
pub mod operations;
mod outbox;
pub mod pair;
pub mod receive;
pub mod request;
pub mod response;
pub mod seeds;
pub mod uri;
pub mod utf8;
mod wire;

/// A target: its name, which is also that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("delivery", delivery::run),
    ("differential", differential::run),
    ("driver", driver::run),
    ("frame_header", frame_header::run),
    ("operations", operations::run),
    ("pair", pair::run),
    ("receive", receive::run),
    ("request", request::run),
    ("response", response::run),
    ("uri", uri::run),
    ("utf8", utf8::run),
];
