//! The clients of echo servers that compress (permessage-deflate, RFC 7692), for the tasks that measure: `cost`, `idle`
//! and `load` with `--compress`.
//!
//! The clients send frames that were compressed before, in a cycle, and inflate only some of the echoes: so they take a
//! small part of the server's time. They compress and inflate with zlib-rs alone.

mod cells;
mod checker;
mod client;
mod generator;
mod messages;
#[cfg(test)]
mod tests;

pub(crate) use cells::{Options, cells};
pub(crate) use generator::Generator;
