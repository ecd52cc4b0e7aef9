//! Runs in which an allocator counts: memory is bounded by what has come, never by what a peer claims.

use allocation_counter::measure;
use sansocket_sim::{Choices, Trace, run_metered};

#[test]
fn receiving_takes_no_more_memory_than_what_has_come_accounts_for() {
    for seed in 0..3_000 {
        run_metered(&mut Choices::from_seed(seed), Trace::silent(), |call| measure(call).bytes_max);
    }
}
