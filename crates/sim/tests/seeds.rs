//! Checks a few thousand runs, and that equal choices give equal runs.

use sansocket_sim::{Choices, Outcome, Trace, run, run_over_tls, run_seeds};

#[test]
fn endpoints_do_what_the_model_predicts() {
    let summary = run_seeds(0..4_000);
    assert!(summary.failures.is_empty(), "{summary}");
    assert_eq!(summary.runs, 4_000);
}

/// The counter of seeds does not wrap around after the last one.
#[test]
fn the_last_seeds_end() {
    let summary = run_seeds(u64::MAX - 100..u64::MAX);
    assert!(summary.failures.is_empty(), "{summary}");
    assert_eq!(summary.runs, 100);
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
        let outcomes = [(); 2].map(|()| run(&mut Choices::from_seed(seed), Trace::silent()));
        assert_eq!(outcomes[0], outcomes[1], "seed {seed}");
    }
}

/// The ciphertext differs, but nothing that is checked or counted.
#[test]
fn the_same_seed_gives_the_same_run_over_tls() {
    for seed in 0..100 {
        let outcomes = [(); 2].map(|()| run_over_tls(&mut Choices::from_seed(seed), Trace::silent()));
        assert_eq!(outcomes[0], outcomes[1], "seed {seed}");
    }
}

#[test]
fn runs_over_tls_end_in_all_ways() {
    let outcomes: Vec<_> = (0..500).map(|seed| run_over_tls(&mut Choices::from_seed(seed), Trace::silent())).collect();
    let count = |what: fn(&Outcome) -> usize| outcomes.iter().map(what).sum::<usize>();
    let (opened, got_close) = (count(|outcome| outcome.opened), count(|outcome| outcome.got_close));
    let (truncated, messages) = (count(|outcome| outcome.truncated), count(|outcome| outcome.messages));
    assert!(opened > 400 && got_close > 250, "{opened} opened, {got_close} received a Close frame");
    assert!(truncated > 50 && messages > 800, "{truncated} truncated, {messages} messages");
}

/// Most runs must open and close normally, and some must fail: other distributions find fewer faults.
#[test]
fn runs_end_in_all_ways() {
    let outcomes: Vec<_> = (0..1_000).map(|seed| run(&mut Choices::from_seed(seed), Trace::silent())).collect();
    let count = |what: fn(&Outcome) -> usize| outcomes.iter().map(what).sum::<usize>();
    let (opened, got_close) = (count(|outcome| outcome.opened), count(|outcome| outcome.got_close));
    let (failed, messages) = (count(|outcome| outcome.failed), count(|outcome| outcome.messages));
    let timed_out = count(|outcome| outcome.timed_out);
    assert!(opened > 850 && got_close > 400, "{opened} opened, {got_close} received a Close frame");
    assert!(timed_out > 100, "closing timed out at {timed_out}");
    assert!(failed > 100 && messages > 2_000, "{failed} failed, {messages} messages");
    let compressed = count(|outcome| outcome.compressed);
    assert!(compressed > 300, "{compressed} messages were compressed");
}
