//! Sending compressed messages: RFC 7692 sections 6.1 and 7.2.1. "Deflate N" cites the list of requirements.

mod buffered;
mod choice;
mod encoded;
mod examples;
mod fragments;
mod isolation;
mod memory;
mod order;
#[expect(dead_code, unreachable_pub, reason = "the simulation and the fuzz targets use the same file")]
#[path = "../../../sim/src/strict_inflater.rs"]
mod strict_inflater;
mod support;
mod windows;
