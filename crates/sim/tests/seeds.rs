//! A few thousand runs, and the same source of choices twice.

use sansocket_sim::{Choices, Trace, run, run_seeds};

#[test]
fn the_core_does_what_the_model_does() {
    let summary = run_seeds(0..4_000);
    assert!(summary.failures.is_empty(), "{summary}");
    assert_eq!(summary.runs, 4_000);
}

#[test]
fn any_bytes_make_a_run_that_ends() {
    run(&mut Choices::from_bytes(&[]), Trace::silent());
    for first in 0..=255 {
        let bytes: Vec<u8> = (0_u32..400).map(|at| (at.wrapping_mul(at + 7) >> 3) as u8 ^ first).collect();
        run(&mut Choices::from_bytes(&bytes), Trace::silent());
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..100 {
        let steps = [(); 2].map(|()| run(&mut Choices::from_seed(seed), Trace::silent()));
        assert_eq!(steps[0], steps[1], "seed {seed}");
    }
}
