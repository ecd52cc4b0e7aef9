//! `pair`: two endpoints, or one and an adversary, joined by a simulated network and clock. The bytes make every
//! choice: of limits and timers, of what the applications do, of how the network cuts, delays and loses. The model of
//! `sansocket-sim` watches every call and every byte.

use sansocket_sim::{Choices, Trace};

/// Choices, mostly of one byte each; when they have run out, the plainest.
pub fn run(data: &[u8]) {
    sansocket_sim::run(&mut Choices::from_bytes(data), Trace::silent());
}
