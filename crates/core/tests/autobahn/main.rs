//! Replays the frames that the Autobahn testsuite sent in cases that passed: conformance without the suite.
//!
//! `testdata/autobahn/README.md` explains how the records were made, and their format. The expected replies come from
//! the suite, and the tests decode replies without the code under test.

mod echo;
mod frame;
mod record;

use rand_chacha::ChaCha8Rng;
use sansocket::Role;
use sansocket::rand_core::{Rng, SeedableRng};

use echo::{End, Outcome};
use frame::{CLOSE, Reply};
use record::{Case, Ending};

const BOTH: [Role; 2] = [Role::Client, Role::Server];

/// Up to this many bytes a case is small: it is replayed byte by byte too.
const SMALL: usize = 4 * 1024;

/// Up to this many bytes a case is replayed in many pieces.
const MIDDLING: usize = 2 * 1024 * 1024;

#[test]
fn small_cases_to_a_client() {
    replay(Role::Client, |size| size <= SMALL);
}

#[test]
fn small_cases_to_a_server() {
    replay(Role::Server, |size| size <= SMALL);
}

#[test]
fn large_cases_to_a_client() {
    replay(Role::Client, |size| size > SMALL);
}

#[test]
fn large_cases_to_a_server() {
    replay(Role::Server, |size| size > SMALL);
}

/// The suite closes only after it has received the replies.
#[test]
fn replies_do_not_depend_on_the_close_frame() {
    for role in BOTH {
        for case in record::read(role) {
            let wire = case.wire_before_close();
            if wire.len() > MIDDLING || matches!(case.ending, Ending::Fails(_)) {
                continue;
            }
            let Outcome { output, end } = echo::run(role, [&*wire]);
            let name = format!("{} to a {role:?}, without the Close frame", case.id);
            compare(&name, &frame::read_replies(role, &output), &case.replies);
            assert_eq!(end, End::Lost, "{name}: the end");
        }
    }
}

/// The cases of the groups that RFC 6455 decides.
#[test]
fn every_case_is_recorded_for_both_roles() {
    let counts = [16, 11, 7, 10, 20, 145, 37, 0, 54, 1];
    for role in BOTH {
        let cases = record::read(role);
        for (group, count) in (1..).zip(counts) {
            let prefix = format!("{group}.");
            let found = cases.iter().filter(|case| case.id.starts_with(&prefix)).count();
            assert_eq!(found, count, "{role:?}: cases {prefix}*");
        }
    }
}

/// Replays the cases whose size in bytes `is_wanted`.
fn replay(role: Role, is_wanted: impl Fn(usize) -> bool) {
    let mut rng = ChaCha8Rng::seed_from_u64(6455);
    for case in record::read(role) {
        let wire = case.wire();
        if !is_wanted(wire.len()) {
            continue;
        }
        check(role, &case, "whole", [&*wire]);
        check(role, &case, "in a few pieces", pieces(&mut rng, &wire, wire.len() / 4));
        if wire.len() <= MIDDLING {
            check(role, &case, "in many pieces", pieces(&mut rng, &wire, wire.len().min(2048)));
        }
        if wire.len() <= SMALL {
            check(role, &case, "in pieces of a few bytes", pieces(&mut rng, &wire, 8));
            check(role, &case, "byte by byte", wire.chunks(1));
        }
    }
}

/// Cuts bytes in pieces of random sizes up to `max`.
fn pieces<'a>(rng: &mut ChaCha8Rng, mut bytes: &'a [u8], max: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let size = 1 + rng.next_u32() as usize % max.max(1);
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Passes the pieces to an echo endpoint, and compares its replies and its end with the record.
#[track_caller]
fn check<'a>(role: Role, case: &Case, how: &str, pieces: impl IntoIterator<Item = &'a [u8]>) {
    let name = format!("{} to a {role:?}, {how}", case.id);
    let Outcome { output, end } = echo::run(role, pieces);
    let mut replies = frame::read_replies(role, &output);
    let close = replies.pop_if(|last| last.opcode == CLOSE).unwrap_or_else(|| panic!("{name}: no Close frame"));
    compare(&name, &replies, &case.replies);

    let (Ending::Fails(expected) | Ending::Answers(expected)) = case.ending;
    let code = close.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    assert_eq!(code, expected, "{name}: the status code");
    assert!(code.is_none_or(|code| case.permitted.contains(&code)), "{name}: the suite does not permit {code:?}");
    // 5.5.1: a Close that answers another echoes its status code.
    let is_answer = matches!(case.ending, Ending::Answers(_)) && code == case.close_sent();
    let expected = if is_answer { End::Closed { code } } else { End::Failed { code } };
    assert_eq!(end, expected, "{name}: the end");
}

/// Compares replies. Prints only the beginning of those that differ.
#[track_caller]
fn compare(name: &str, replies: &[Reply], expected: &[Reply]) {
    for (index, (reply, expected)) in replies.iter().zip(expected).enumerate() {
        assert!(reply == expected, "{name}: reply {index} is {reply}, not {expected}");
    }
    assert_eq!(replies.len(), expected.len(), "{name}: the number of replies before the Close frame");
}
