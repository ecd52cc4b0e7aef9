//! Simulates connections of sansocket: two endpoints, or one and an adversary, with a simulated network and clock. A
//! seed or the bytes of a fuzzer determine every choice, so every run can be repeated.
//!
//! ```
//! use sansocket_sim::{Choices, Trace, run};
//!
//! run(&mut Choices::from_seed(1), Trace::silent());
//! ```
//!
//! * **Under test.** Each endpoint runs [`sansocket_drive::Driver`], the code that the adapters run (`engine.rs`), with
//!   or without a layer that stands in for TLS (`layer.rs`). One seed in 16 also has a run over TLS (`tapped_tls.rs`,
//!   `fixed_tls.rs`). The endpoint's owner reports what the transport did and performs `next_action`, and nothing else
//!   (`endpoint.rs`, `transfers.rs`). It writes the driver's output directly, or takes bytes and reports them as
//!   delivered later; it knows what the peer has acknowledged, or not; it may read slowly.
//! * **Environment.** The network has bounded buffers, latency, late acknowledgements and stalls. It can be cut, reset
//!   or half-closed at any byte, fail on write alone, and lose bytes that it has accepted (`network.rs`, `pipe.rs`).
//!   The application sends anything at any moment (`application.rs`, `actions.rs`). The adversary sends anything, sends
//!   single bytes, floods or is silent, and reads a byte at a time or nothing (`adversary.rs`).
//! * **Checks.** The models (`model.rs`, `receive_model.rs`, `send_model.rs`) predict what an endpoint delivers, shows
//!   and sends. They are slow and obvious, and written from RFC 6455 and the tables of the closing handshake, without
//!   code of the core. `deadline_model.rs` checks that no deadline ends a connection that makes progress, and that a
//!   connection without progress ends. `checks.rs` compares all of them with the endpoint after every step. `run.rs`
//!   checks the end of the run: each transport was closed, there was no busy loop, and every accepted message arrived
//!   unless something prevented it.
//! * **Compression.** The ends negotiate it with random settings, and each message chooses. The models inflate what an
//!   endpoint sends and receives with a strict inflater (`strict_inflater.rs`). How much a message shrinks, and when a
//!   message that inflates to too much is refused within a frame, is bounded; all else is predicted.
//! * **Groups.** A second run of each seed publishes messages to groups of connections, some of them slow, and checks
//!   that each member gets them in order (`groups.rs`).

mod actions;
mod adversary;
mod application;
mod checks;
mod choices;
mod content;
mod context;
mod deadline_model;
mod endpoint;
mod engine;
pub mod fixed_tls;
mod groups;
mod layer;
mod model;
mod network;
mod pipe;
mod receive_model;
mod run;
mod seeds;
mod send_model;
mod settings;
pub mod strict_inflater;
mod tapped_tls;
mod transfers;

pub use choices::Choices;
pub use context::{Meter, Trace};
pub use groups::run_groups;
pub use run::{Outcome, run, run_metered, run_over_tls};
pub use seeds::{Summary, run_seed, run_seeds};
