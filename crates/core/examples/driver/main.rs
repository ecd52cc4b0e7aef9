//! An echo server over `std::net` and poll(2), one connection at a time: a complete driver of the core.
//!
//! Run `cargo run -p sansocket --example driver -- 127.0.0.1:9001`. The driver is in `drive.rs`; the crate's guide
//! explains its five parts. The driver of `sansocket-drive` is shorter, and also tracks the bytes that a slow reader
//! acknowledges.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the example does the IO that the core does not"
)]

mod drive;

use std::env;
use std::net::TcpListener;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on ws://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        stream.and_then(|stream| drive::drive(&stream)).unwrap_or_else(|error| eprintln!("{error}"));
    }
    Ok(())
}
