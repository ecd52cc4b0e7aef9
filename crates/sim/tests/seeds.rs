//! A few thousand runs, and the same source of choices twice.

use sansocket_sim::{Choices, Outcome, Trace, run, run_seeds};

#[test]
fn the_core_does_what_the_model_does() {
    let summary = run_seeds(0..4_000);
    assert!(summary.failures.is_empty(), "{summary}");
    assert_eq!(summary.runs, 4_000);
}

/// Nothing follows the last seed, least of all the first.
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

/// A run that never opens, or never ends well, finds little: most must do both, and some must fail.
#[test]
fn the_runs_come_to_all_kinds_of_ends() {
    let outcomes: Vec<_> = (0..1_000).map(|seed| run(&mut Choices::from_seed(seed), Trace::silent())).collect();
    let count = |what: fn(&Outcome) -> usize| outcomes.iter().map(what).sum::<usize>();
    let (opened, told) = (count(|outcome| outcome.opened), count(|outcome| outcome.told));
    let (failed, messages) = (count(|outcome| outcome.failed), count(|outcome| outcome.messages));
    let given_up = count(|outcome| outcome.given_up);
    assert!(opened > 850 && told > 430, "{opened} opened, {told} were told of the end");
    assert!(given_up > 100, "{given_up} met a deadline of the closing handshake");
    assert!(failed > 100 && messages > 2_000, "{failed} failed, {messages} messages");
}
