//! Section 5.4: fragmented messages, and frames between the fragments.

use proptest::collection::vec;
use proptest::prelude::*;
use sansocket::{Config, ProtocolError};

use crate::support::*;

fn begin_text(payload: &str) -> Frame {
    Frame::text(payload).fin(false)
}

fn middle(payload: &str) -> Frame {
    Frame::continuation(payload).fin(false)
}

#[test]
fn fragments_make_one_message() {
    let ends = Frame::continuation("c");
    check_both(&[begin_text("a"), middle("b"), ends.clone()], &[text("abc")], Ok(()));
    check_both(&[Frame::binary("a").fin(false), middle("b"), ends], &[binary("abc")], Ok(()));
}

#[test]
fn a_message_without_its_last_fragment_is_not_delivered() {
    check_both(&[begin_text("a"), middle("b")], &[], Ok(()));
}

/// Conformance 34, section 5.4: "control frames MAY be injected in the middle of a fragmented message".
#[test]
fn control_frames_come_between_fragments() {
    let frames = [
        begin_text("a"),
        Frame::ping("1"),
        middle("b"),
        Frame::pong("2"),
        Frame::ping(""),
        middle(""),
        Frame::ping([0xFF; 125]),
        Frame::continuation("c"),
    ];
    let events = [ping("1"), pong("2"), ping(""), ping([0xFF; 125]), text("abc")];
    check_both(&frames, &events, Ok(()));
}

/// The receiver validates and appends short fragments in batches. It still reports the first error.
#[test]
fn the_first_error_among_short_fragments_is_reported() {
    let invalid = || Frame::continuation([0xE2, 0x28]).fin(false);
    let errors = [
        (middle("b").rsv(4), ProtocolError::ReservedBitSet),
        (Frame::new(0x3, ""), ProtocolError::OpCodeReserved),
        (Frame::text("b"), ProtocolError::ContinuationMissing),
    ];
    for (frame, error) in errors {
        let valid = [begin_text("a"), middle("€"), Frame::continuation([0xE2]).fin(false)];
        check_both(&[&valid[..], &[frame.clone(), invalid()]].concat(), &[], Err(error));
        check_both(&[&valid[..], &[invalid(), frame]].concat(), &[], Err(ProtocolError::Utf8Invalid));
    }
    let valid = [begin_text("a"), middle("€"), Frame::continuation([0xE2]).fin(false)];
    let too_long = middle("").claiming(1 << 40);
    let limit = ("max_message_size", 16 << 20, (1 << 40) + 5);
    check_limit(&Config::default(), &[&valid[..], &[too_long.clone(), invalid()]].concat(), &[], limit);
    check_both(&[&valid[..], &[invalid(), too_long]].concat(), &[], Err(ProtocolError::Utf8Invalid));
    for (control, event) in [(Frame::ping("1"), ping("1")), (Frame::pong("2"), pong("2"))] {
        let after = [begin_text("a"), middle("b"), control.clone(), invalid()];
        check_both(&after, &[event], Err(ProtocolError::Utf8Invalid));
        let before = [begin_text("a"), middle("b"), invalid(), control];
        check_both(&before, &[], Err(ProtocolError::Utf8Invalid));
    }
    let closing = [begin_text("a"), invalid(), Frame::close(1000, "")];
    check_both(&closing, &[], Err(ProtocolError::Utf8Invalid));
}

/// The same with more fragments than fit in a batch, and invalid text in any of them.
#[test]
fn invalid_text_among_many_short_fragments_is_the_first_error() {
    for bad in [0, 1, 170, 171, 172, 341, 342, 398, 399] {
        let fragment = |number| if number == bad { &[b'a', 0xFF, b'b'][..] } else { b"abc" };
        let mut frames = vec![begin_text("")];
        frames.extend((0..400).map(|number| Frame::continuation(fragment(number)).fin(false)));
        frames.push(Frame::new(0x3, ""));
        check_both(&frames, &[], Err(ProtocolError::Utf8Invalid));
    }
}

/// Fragments of lengths around those that fit in a batch.
#[test]
fn short_and_long_fragments_mix() {
    for lengths in [[1, 511, 1], [255, 256, 257], [512, 1, 512], [513, 600, 2], [0, 3_000, 0], [64, 64, 5_000]] {
        let lengths = lengths.repeat(5);
        let message = "€uro".repeat(lengths.iter().sum::<usize>() / 6 + 1);
        let (mut frames, mut rest) = (vec![], message.as_bytes());
        for length in lengths {
            let (fragment, after) = rest.split_at(length);
            frames.push(Frame::continuation(fragment).fin(false));
            rest = after;
        }
        frames.push(Frame::continuation(rest));
        for (begin, event) in [(Frame::text(""), text(&*message)), (Frame::binary(""), binary(&message))] {
            check_both(&[&[begin.fin(false)], &frames[..]].concat(), &[event], Ok(()));
        }
    }
}

/// Conformance 35, section 5.4: no message to continue: at first, after a whole message, after the last fragment.
#[test]
fn a_continuation_without_a_message_is_refused() {
    let error = Err(ProtocolError::ContinuationUnexpected);
    for fin in [true, false] {
        for payload in ["", "x"] {
            let stray = Frame::continuation(payload).fin(fin);
            check_both(std::slice::from_ref(&stray), &[], error);
            check_both(&[Frame::ping(""), stray.clone()], &[ping("")], error);
            check_both(&[Frame::text("a"), stray.clone()], &[text("a")], error);
            check_both(&[begin_text("a"), Frame::continuation(""), stray], &[text("a")], error);
        }
    }
}

/// Conformance 35, section 5.4: "the fragments of one message MUST NOT be interleaved", even if the new message is
/// fragmented.
#[test]
fn a_message_inside_a_fragmented_one_is_refused() {
    for begun in [Frame::text("a"), Frame::binary("a"), Frame::text(""), Frame::binary("")] {
        for intruder in [Frame::text("b"), Frame::binary("b"), Frame::text(""), Frame::binary("")] {
            for fin in [true, false] {
                let begun = begun.clone().fin(false);
                let intruder = intruder.clone().fin(fin);
                let error = Err(ProtocolError::ContinuationMissing);
                check_both(&[begun.clone(), intruder.clone()], &[], error);
                check_both(&[begun, middle("c"), Frame::ping(""), intruder], &[ping("")], error);
            }
        }
    }
}

/// Conformance 36, section 5.4: empty fragments are valid in any place. Bandit's fix of CVE-2026-42786 refused them.
#[test]
fn empty_fragments_are_legal() {
    let empty = Frame::continuation("");
    check_both(&[Frame::text("")], &[text("")], Ok(()));
    check_both(&[Frame::binary("")], &[binary("")], Ok(()));
    check_both(&[begin_text(""), empty.clone()], &[text("")], Ok(()));
    check_both(&[begin_text(""), Frame::continuation("a")], &[text("a")], Ok(()));
    check_both(&[begin_text("a"), middle(""), middle(""), Frame::continuation("b")], &[text("ab")], Ok(()));
    check_both(&[begin_text("a"), empty.clone()], &[text("a")], Ok(()));
    check_both(&[Frame::binary("").fin(false), middle(""), empty], &[binary("")], Ok(()));
}

/// CVE-2026-42786, CVE-2026-65623 (bandit), RUSTSEC-2026-0258 (h2): empty fragments are counted.
#[test]
fn empty_fragments_in_a_row_are_bounded() {
    let config = Config::default();
    let limit = config.max_empty_fragments as usize;
    assert_eq!(limit, 1_000);
    let flood = |count: usize| [vec![begin_text("a")], vec![middle(""); count]].concat();

    let fine = [flood(limit), vec![Frame::continuation("")]].concat();
    check_both(&fine, &[text("a")], Ok(()));
    check_limit(&config, &flood(limit + 1), &[], ("max_empty_fragments", 1_000, 1_001));
    // an empty first fragment counts, and each message has a count of its own
    let all_empty = [vec![begin_text("")], vec![middle(""); limit]].concat();
    check_limit(&config, &all_empty, &[], ("max_empty_fragments", 1_000, 1_001));
    check_both(&[fine.clone(), fine].concat(), &[text("a"), text("a")], Ok(()));
}

/// Payload restarts the count, control frames do not.
#[test]
fn only_payload_interrupts_a_row_of_empty_fragments() {
    let mut config = Config::default();
    config.max_empty_fragments = 2;
    let row = [middle(""), middle("")];
    let interrupted = [&[begin_text("a")], &row[..], &[middle("b")], &row[..], &[Frame::continuation("c")]].concat();
    check_both_with(&config, &interrupted, &[text("abc")], Ok(()));

    let pinged = [&[begin_text("a")], &row[..], &[Frame::ping("")], &row[..1]].concat();
    check_limit(&config, &pinged, &[ping("")], ("max_empty_fragments", 2, 3));
}

/// CVE-2014-0193 (Netty), b4c287b38 (undici): the limit applies to the message, not to its fragments.
#[test]
fn the_size_of_a_message_is_added_up_over_its_fragments() {
    let mut config = Config::default();
    (config.max_frame_payload, config.max_message_size) = (Some(4), 10);
    let fragments = [begin_text("1234"), middle("5678"), Frame::ping("p")];
    let fits = [&fragments[..], &[middle("9"), middle("0"), Frame::continuation("")]].concat();
    check_both_with(&config, &fits, &[ping("p"), text("1234567890")], Ok(()));
    // the head of the frame that exceeds the limit is refused
    let exceeds = [&fragments[..], &[Frame::continuation("").claiming(3)]].concat();
    check_limit(&config, &exceeds, &[ping("p")], ("max_message_size", 10, 11));
    // the sum restarts with each message
    let twice = [begin_text("1234"), Frame::continuation("5678"), begin_text("1234"), Frame::continuation("567890")];
    let twice = [&twice[..3], &[middle("5678"), Frame::continuation("90")]].concat();
    check_both_with(&config, &twice, &[text("12345678"), text("1234567890")], Ok(()));
}

/// CVE-2014-0193: endless small fragments.
#[test]
fn endless_continuations_are_refused() {
    let mut config = Config::default();
    config.max_message_size = 5_000;
    let endless = [vec![begin_text("a")], vec![middle("b"); 6_000]].concat();
    check_limit(&config, &endless, &[], ("max_message_size", 5_000, 5_001));
}

/// CVE-2026-48779, ws#2329: fragments of one byte are valid. `memory/receive.rs` measures their memory.
#[test]
fn a_message_of_one_byte_fragments_arrives() {
    let expected = "x".repeat(5_000);
    let frames = [vec![begin_text("x")], vec![middle("x"); 4_998], vec![Frame::continuation("x")]].concat();
    check_both(&frames, &[text(expected)], Ok(()));
}

#[derive(Clone, Debug)]
enum Item {
    Control(bool, Vec<u8>),
    Message { is_text: bool, payload: String, cuts: Vec<usize>, between: Vec<Vec<u8>> },
}

fn items() -> impl Strategy<Value = Item> {
    let control = (any::<bool>(), vec(any::<u8>(), 0..=125)).prop_map(|(ping, payload)| Item::Control(ping, payload));
    let message = (any::<bool>(), ".{0,40}", vec(0..200_usize, 0..6), vec(vec(any::<u8>(), 0..4), 0..6));
    let message =
        message.prop_map(|(is_text, payload, cuts, between)| Item::Message { is_text, payload, cuts, between });
    prop_oneof![control, message]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Section 5.4: fragments, even those that cut a character, and Pings between them make no difference.
    #[test]
    fn any_messages_in_any_fragments_arrive(conversation in vec(items(), 0..8)) {
        let (mut frames, mut events) = (vec![], vec![]);
        for item in conversation {
            match item {
                Item::Control(true, payload) => {
                    frames.push(Frame::ping(&payload));
                    events.push(ping(payload));
                }
                Item::Control(false, payload) => {
                    frames.push(Frame::pong(&payload));
                    events.push(pong(payload));
                }
                Item::Message { is_text, payload, cuts, between } => {
                    let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (payload.len() + 1)).collect();
                    cuts.extend([0, payload.len()]);
                    cuts.sort_unstable();
                    let count = cuts.len() - 1;
                    for (index, cut) in cuts.windows(2).enumerate() {
                        let opcode = match (index, is_text) {
                            (0, true) => TEXT,
                            (0, false) => BINARY,
                            _ => CONTINUATION,
                        };
                        let fin = index + 1 == count;
                        frames.push(Frame::new(opcode, &payload.as_bytes()[cut[0]..cut[1]]).fin(fin));
                        if let Some(payload) = between.get(index).filter(|_| !fin) {
                            frames.push(Frame::ping(payload));
                            events.push(ping(payload));
                        }
                    }
                    events.push(if is_text { text(payload) } else { binary(payload) });
                }
            }
        }
        check_both(&frames, &events, Ok(()));
    }
}
