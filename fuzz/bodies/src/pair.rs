//! `pair`: two endpoints, or one and an adversary, over a simulated network and clock. The bytes determine every
//! choice: limits and timers, the actions of the applications, and how the network cuts, delays and loses bytes. The
//! models of `sansocket-sim` check every call and every byte.

use sansocket_sim::{Choices, Trace};

/// Input: choices, mostly of one byte each. After the last byte every choice is zero.
pub fn run(data: &[u8]) {
    sansocket_sim::run(&mut Choices::from_bytes(data), Trace::silent());
}
