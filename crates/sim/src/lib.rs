//! The core of sansocket, simulated: two endpoints, or one and an adversary, joined by a network and a clock that exist
//! only here. A seed, or the bytes of a fuzzer, make every choice, so that every run can be had again.
//!
//! ```
//! use sansocket_sim::{Choices, Trace, run};
//!
//! run(&mut Choices::from_seed(1), Trace::silent());
//! ```
//!
//! Each end is driven as a correct driver does it (`endpoint.rs`), over links with latency, cuts, stalls and losses
//! (`network.rs`), by an application that sends anything at any moment (`application.rs`). Beside it runs a model
//! (`model.rs`, `reading.rs`, `writing.rs`), slow and obvious, written from RFC 6455 and not from the core; after every
//! step all that can be seen of the core is compared with it, and every byte that leaves is read and accounted for.

mod adversary;
mod application;
mod choices;
mod content;
mod endpoint;
mod model;
mod network;
mod reading;
mod run;
mod seeds;
mod settings;
mod trace;
mod witness;
mod writing;

pub use choices::Choices;
pub use endpoint::Meter;
pub use run::{Outcome, run, run_metered};
pub use seeds::{Summary, run_seeds};
pub use trace::Trace;
