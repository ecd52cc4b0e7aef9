//! Receiving compressed messages: RFC 7692 sections 6 and 7.2.2. "Deflate N" cites the list of requirements.

#![cfg(not(miri))] // C zlib compresses the test data

mod advisories;
mod context;
mod differential;
mod frames;
mod isolation;
mod limits;
mod memory;
mod streams;
mod support;
mod text;
