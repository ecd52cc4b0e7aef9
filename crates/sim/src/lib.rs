//! Connections of sansocket, simulated: two endpoints, or one and an adversary, joined by a network and a clock that
//! exist only here. A seed, or the bytes of a fuzzer, make every choice, so that every run can be repeated.
//!
//! ```
//! use sansocket_sim::{Choices, Trace, run};
//!
//! run(&mut Choices::from_seed(1), Trace::silent());
//! ```
//!
//! * **What runs.** Each endpoint runs [`sansocket_drive::Driver`], the code that the adapters run (`engine.rs`), with
//!   or without a layer that stands in for TLS (`layer.rs`). Its owner reports what the transport did and obeys
//!   `next_action`, and does nothing else (`endpoint.rs`, `transfers.rs`): it writes what the driver holds, or takes
//!   bytes and reports them as delivered later; it knows what the peer has acknowledged, or does not; it may read
//!   slowly, or refill its buffer.
//! * **What happens to it.** The network has bounded buffers, latency, late acknowledgements and stalls; it is cut,
//!   reset, or half-closed at any byte, fails on write alone, and loses what it has accepted (`network.rs`, `pipe.rs`).
//!   The application sends anything at any moment (`application.rs`). The adversary sends anything, drips, floods, is
//!   silent, and reads a byte at a time or nothing (`adversary.rs`).
//! * **What must hold.** The model (`model.rs`, `reading.rs`, `writing.rs`) says what an endpoint must be told, show
//!   and send. It is slow and obvious, and written from RFC 6455 and the tables of the closing handshake, not from the
//!   core. It knows no timer: `goals.rs` states what time must not do to a connection that makes progress, and must do
//!   to one that makes none. `witness.rs` compares both with what can be seen after every step, and `run.rs` with what
//!   has come of the run: each transport was closed, nothing spun, every accepted message has arrived unless something
//!   prevented it.

mod adversary;
mod application;
mod choices;
mod content;
mod endpoint;
mod engine;
mod goals;
mod layer;
mod model;
mod network;
mod pipe;
mod reading;
mod run;
mod seeds;
mod settings;
mod trace;
mod transfers;
mod witness;
mod writing;

pub use choices::Choices;
pub use endpoint::Meter;
pub use run::{Outcome, run, run_metered};
pub use seeds::{Summary, run_seeds};
pub use trace::Trace;
