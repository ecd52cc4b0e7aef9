//! Measures the memory of runs: it is in proportion to the bytes received, never to a length that a peer claims.

use allocation_counter::measure;
use sansocket_sim::{Choices, Trace, run_metered};

#[test]
fn memory_is_bounded_by_the_bytes_received() {
    for seed in 0..3_000 {
        run_metered(&mut Choices::from_seed(seed), Trace::silent(), |call| measure(call).bytes_max);
    }
}
