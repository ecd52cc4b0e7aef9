//! Runs every input of every corpus, and every seed, on stable: what fuzzing has found stays fixed.

use std::fs;
use std::path::{Path, PathBuf};

use sansocket_fuzz_bodies::{TARGETS, seeds};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Runs an input, and prints it if it fails.
fn run(target: &str, name: &str, input: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(each, _)| *each == target).unwrap();
    if let Err(panic) = std::panic::catch_unwind(|| body(input)) {
        eprintln!("target {target}, input {name}: {}", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_corpus_is_replayed() {
    for (target, _) in TARGETS {
        let entries = fs::read_dir(folder("fuzz/corpus").join(target)).unwrap();
        let mut count = 0;
        for path in entries.map(|entry| entry.unwrap().path()) {
            run(target, &path.display().to_string(), &fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
    }
}

#[test]
fn the_seeds_are_replayed() {
    let seeds = seeds::from(&folder("testdata")).unwrap();
    assert!(seeds.len() > 200, "{}", seeds.len());
    for (index, (target, input)) in seeds.iter().enumerate() {
        run(target, &format!("seed {index}"), input);
    }
}

/// Inputs of one repeated byte, some of which end in the middle of the choices.
#[test]
fn uniform_inputs_are_replayed() {
    for (target, _) in TARGETS {
        for byte in [0x00, 0x01, 0x7E, 0x81, 0xFF] {
            for length in [0, 1, 2, 3, 10, 11, 30, 100, 1_000] {
                run(target, &format!("{length} times {byte}"), &vec![byte; length]);
            }
        }
    }
}

/// Every target has a binary.
#[test]
fn every_target_can_be_fuzzed() {
    for (target, _) in TARGETS {
        let source = folder("fuzz/fuzz_targets").join(target).with_extension("rs");
        assert!(fs::read_to_string(&source).unwrap().contains(&format!("{target}::run(data)")), "{target}");
    }
    assert_eq!(fs::read_dir(folder("fuzz/fuzz_targets")).unwrap().count(), TARGETS.len());
}
