//! Sections 5.6 and 8.1: the text of a message must be UTF-8 (RFC 3629), and fails at its first invalid byte.
//! Conformance 37.

use proptest::collection::vec;
use proptest::prelude::*;
use sansocket::{Config, Delivery, ProtocolError, Role};

use crate::support::*;

const INVALID: Result<(), ProtocolError> = Err(ProtocolError::Utf8Invalid);

/// Invalid sequences, and the number of bytes after which they are known to be invalid. Autobahn 6.4 to 6.21.
const INVALID_SEQUENCES: [(&[u8], usize); 48] = [
    // a continuation byte without a first byte
    (&[0x80], 1),
    (&[0xBF], 1),
    (&[0x80, 0xBF, 0x80], 1),
    // bytes that no character contains
    (&[0xC0], 1),
    (&[0xC1], 1),
    (&[0xF5], 1),
    (&[0xF8], 1),
    (&[0xFC], 1),
    (&[0xFE], 1),
    (&[0xFF], 1),
    (&[0xF8, 0x88, 0x80, 0x80, 0x80], 1),
    (&[0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], 1),
    // overlong: U+002F, U+0000, and the last character of each length
    (&[0xC0, 0xAF], 1),
    (&[0xC0, 0x80], 1),
    (&[0xC1, 0xBF], 1),
    (&[0xE0, 0x80, 0xAF], 2),
    (&[0xE0, 0x80, 0x80], 2),
    (&[0xE0, 0x9F, 0xBF], 2),
    (&[0xF0, 0x80, 0x80, 0xAF], 2),
    (&[0xF0, 0x80, 0x80, 0x80], 2),
    (&[0xF0, 0x8F, 0xBF, 0xBF], 2),
    // surrogates, alone and in pairs
    (&[0xED, 0xA0, 0x80], 2),
    (&[0xED, 0xAD, 0xBF], 2),
    (&[0xED, 0xAE, 0x80], 2),
    (&[0xED, 0xBF, 0xBF], 2),
    (&[0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], 2),
    // beyond U+10FFFF
    (&[0xF4, 0x90, 0x80, 0x80], 2),
    (&[0xF4, 0xBF, 0xBF, 0xBF], 2),
    (&[0xF7, 0xBF, 0xBF, 0xBF], 1),
    // a character that stops early, before ASCII
    (&[0xC2, 0x41], 2),
    (&[0xDF, 0x7F], 2),
    (&[0xE1, 0x41], 2),
    (&[0xE1, 0x80, 0x41], 3),
    (&[0xEF, 0xBF, 0x00], 3),
    (&[0xF1, 0x41], 2),
    (&[0xF1, 0x80, 0x41], 3),
    (&[0xF1, 0x80, 0x80, 0x41], 4),
    (&[0xF4, 0x8F, 0xBF, 0x7F], 4),
    // before another character
    (&[0xC2, 0xC2, 0x80], 2),
    (&[0xE1, 0xC2, 0x80], 2),
    (&[0xE1, 0x80, 0xE1, 0x80, 0x80], 3),
    (&[0xF1, 0xF1, 0x80, 0x80, 0x80], 2),
    (&[0xF1, 0x80, 0xC2, 0x80], 3),
    (&[0xF1, 0x80, 0x80, 0xF1, 0x80, 0x80, 0x80], 4),
    // before a byte that no character contains
    (&[0xC2, 0xC0], 2),
    (&[0xE1, 0x80, 0xFF], 3),
    (&[0xF1, 0x80, 0x80, 0xFE], 4),
    (&[0xF4, 0xFF], 2),
];

/// RFC 3629 section 3: the first and last characters of every length, and those beside the surrogates.
const BOUNDARIES: [(&[u8], char); 17] = [
    (&[0x00], '\0'),
    (&[0x7F], '\u{7F}'),
    (&[0xC2, 0x80], '\u{80}'),
    (&[0xDF, 0xBF], '\u{7FF}'),
    (&[0xE0, 0xA0, 0x80], '\u{800}'),
    (&[0xE0, 0xBF, 0xBF], '\u{FFF}'),
    (&[0xE1, 0x80, 0x80], '\u{1000}'),
    (&[0xED, 0x80, 0x80], '\u{D000}'),
    (&[0xED, 0x9F, 0xBF], '\u{D7FF}'),
    (&[0xEE, 0x80, 0x80], '\u{E000}'),
    // not characters, but valid: Unicode corrigendum 9
    (&[0xEF, 0xBF, 0xBE], '\u{FFFE}'),
    (&[0xEF, 0xBF, 0xBF], '\u{FFFF}'),
    (&[0xF0, 0x90, 0x80, 0x80], '\u{10000}'),
    (&[0xF0, 0xBF, 0xBF, 0xBF], '\u{3FFFF}'),
    (&[0xF1, 0x80, 0x80, 0x80], '\u{40000}'),
    (&[0xF4, 0x80, 0x80, 0x80], '\u{100000}'),
    (&[0xF4, 0x8F, 0xBF, 0xBF], '\u{10FFFF}'),
];

fn deliveries() -> [Config; 2] {
    [Config::default(), crate::chunks::config()]
}

/// Returns after how many bytes the standard library finds that they are not UTF-8.
fn fails_after(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|&count| {
        let result = core::str::from_utf8(&bytes[..count]);
        result.is_err_and(|error| error.error_len().is_some())
    })
}

#[test]
fn the_boundaries_of_utf8_are_valid_at_every_split() {
    for (bytes, character) in BOUNDARIES {
        let expected = text(format!("κ{character}!"));
        let payload = ["κ".as_bytes(), bytes, b"!"].concat();
        check_both(&[Frame::text(&payload)], std::slice::from_ref(&expected), Ok(()));
        for cut in 0..=payload.len() {
            let frames = [Frame::text(&payload[..cut]).fin(false), Frame::continuation(&payload[cut..])];
            check_both(&frames, std::slice::from_ref(&expected), Ok(()));
        }
        let by_the_byte = payload.iter().map(|byte| Frame::continuation([*byte]).fin(false));
        let frames: Vec<_> = [Frame::text("").fin(false)].into_iter().chain(by_the_byte).collect();
        check_both(&[frames, vec![Frame::continuation("")]].concat(), &[expected], Ok(()));
    }
}

/// The failure does not wait for the rest of the frame or of the message, at any split into two reads or two frames.
#[test]
fn invalid_text_is_refused_at_its_first_bad_byte() {
    for (sequence, known_after) in INVALID_SEQUENCES {
        assert_eq!(fails_after(sequence), Some(known_after), "{sequence:x?}");
        let until_known = ["κόσμε".as_bytes(), &sequence[..known_after]].concat();
        for config in deliveries() {
            for role in BOTH {
                let one_frame = wire(role, &[Frame::text(&until_known).claiming(100)]);
                check_last_byte_fails(&config, role, &one_frame, ProtocolError::Utf8Invalid);
                for cut in until_known.len() - known_after..until_known.len() {
                    let begin = Frame::text(&until_known[..cut]).fin(false);
                    let rest = Frame::continuation(&until_known[cut..]).fin(false).claiming(100);
                    let two_frames = wire(role, &[begin, Frame::ping([0xFF]), rest]);
                    check_last_byte_fails(&config, role, &two_frames, ProtocolError::Utf8Invalid);
                }
            }
        }
    }
}

#[test]
fn invalid_text_is_refused_in_a_whole_message() {
    for (sequence, _) in INVALID_SEQUENCES {
        check_both(&[Frame::text("good"), Frame::text(sequence)], &[text("good")], INVALID);
        // long enough for SIMD validation
        let long = [&[b'x'; 200], sequence, &[b'x'; 200]].concat();
        check_both(&[Frame::text(&long)], &[], INVALID);
        check_both(&[Frame::text(&long[..100]).fin(false), Frame::continuation(&long[100..])], &[], INVALID);
    }
}

/// Section 8.1: an unfinished character at the end of a message is invalid.
#[test]
fn text_must_not_end_within_a_character() {
    for (character, _) in BOUNDARIES {
        for end in 1..character.len() {
            let begun = &character[..end];
            check_both(&[Frame::text(begun)], &[], INVALID);
            check_both(&[Frame::text("a").fin(false), Frame::continuation(begun)], &[], INVALID);
            check_both(&[Frame::text(begun).fin(false), Frame::continuation("")], &[], INVALID);
            // a fragment that is not the last may end so
            check_both(&[Frame::text(begun).fin(false), Frame::ping("")], &[ping("")], Ok(()));
        }
    }
}

/// Each message is validated by itself.
#[test]
fn a_character_does_not_straddle_messages() {
    check_both(&[Frame::text([0xE2, 0x82]), Frame::text([0xAC])], &[], INVALID);
    let frames = [Frame::text("€").fin(false), Frame::continuation("ä"), Frame::text([0x84])];
    check_both(&frames, &[text("€ä")], INVALID);
}

/// Section 5.6: only text must be UTF-8.
#[test]
fn binary_messages_and_pings_need_not_be_utf8() {
    for (bytes, _) in INVALID_SEQUENCES {
        let frames = [
            Frame::binary(bytes).fin(false),
            Frame::ping(bytes),
            Frame::pong(bytes),
            Frame::continuation(bytes),
            Frame::binary(bytes),
        ];
        let expected = [ping(bytes), pong(bytes), binary([bytes, bytes].concat()), binary(bytes)];
        check_both(&frames, &expected, Ok(()));
    }
}

/// Text byte by byte: every pair of bytes from 0x80, and longer sequences of boundary values.
#[test]
fn partial_characters_are_validated_as_by_the_standard_library() {
    const NEXT: [u8; 14] = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE1, 0xF1, 0xFF];
    let pairs = (0x80..=0xFF_u8).flat_map(|first| (0..=0xFF_u8).map(move |second| vec![first, second]));
    let longer = (0xE0..=0xF5_u8).flat_map(|first| {
        let all = NEXT.into_iter().flat_map(|a| NEXT.into_iter().flat_map(move |b| NEXT.map(|c| [a, b, c])));
        all.map(move |[a, b, c]| vec![first, a, b, c])
    });
    for bytes in pairs.chain(longer) {
        let mut connection = endpoint(Role::Client, &Config::default());
        let failed_after = bytes.iter().enumerate().position(|(index, &byte)| {
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            feed(&mut connection, &Frame::new(opcode, [byte]).fin(false).bytes()).1.is_err()
        });
        assert_eq!(failed_after.map(|index| index + 1), fails_after(&bytes), "{bytes:x?}");
        if failed_after.is_none() {
            let (events, result) = feed(&mut connection, &Frame::continuation("").bytes());
            assert_eq!(result.is_ok(), core::str::from_utf8(&bytes).is_ok(), "{bytes:x?}");
            assert_eq!(events.len(), usize::from(result.is_ok()), "{bytes:x?}");
        }
    }
}

/// Generates bytes that are UTF-8 or nearly so.
fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        3 => "[a-z]{0,40}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..3),
        1 => proptest::sample::select(INVALID_SEQUENCES.map(|(sequence, _)| sequence.to_vec()).to_vec()),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any fragments and reads, delivered whole or in chunks, a message is valid if `str::from_utf8` accepts it.
    #[test]
    fn any_text_is_validated_as_by_the_standard_library(payload in nearly_utf8(), seed: u64, chunks: bool) {
        use sansocket::rand_core::SeedableRng;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut config = Config::default();
        config.delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        for role in BOTH {
            let fragments = random_split(&mut rng, &payload);
            let last = fragments.len() - 1;
            let frames: Vec<_> = fragments
                .iter()
                .enumerate()
                .map(|(index, fragment)| {
                    let opcode = if index == 0 { TEXT } else { CONTINUATION };
                    Frame::new(opcode, fragment).fin(index == last)
                })
                .collect();
            let bytes = wire(role, &frames);
            let outcome = Outcome::of(&config, role, random_split(&mut rng, &bytes));
            let as_text = core::str::from_utf8(&payload);
            prop_assert_eq!(outcome.result, as_text.map(|_| ()).map_err(|_| ProtocolError::Utf8Invalid.into()));
            match (as_text, chunks) {
                (Ok(as_text), false) => prop_assert_eq!(outcome.events, [text(as_text)]),
                (Ok(as_text), true) => {
                    prop_assert_eq!(outcome.events, [chunk(sansocket::MessageKind::Text, as_text, true)]);
                }
                (Err(_), false) => prop_assert_eq!(outcome.events, []),
                // chunks may have been delivered up to the invalid byte
                (Err(_), true) => for event in outcome.events {
                    let OwnedEvent::Chunk { payload: begin, last: false, .. } = event else { panic!("{event:?}") };
                    prop_assert!(payload.starts_with(&begin) && fails_after(&begin).is_none());
                },
            }
        }
    }

    /// Text that is long enough to be validated in blocks, with any characters at their ends.
    #[test]
    fn long_text_is_validated_as_by_the_standard_library(
        runs in vec((any::<char>(), 0..1_000_usize), 1..12),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        seed: u64,
    ) {
        use sansocket::rand_core::SeedableRng;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let runs = runs.into_iter().map(|(character, count)| character.to_string().repeat(count));
        let mut payload = runs.collect::<String>().into_bytes();
        if let (Some((place, byte)), false) = (damage, payload.is_empty()) {
            *place.get_mut(&mut payload) = byte;
        }
        let as_text = core::str::from_utf8(&payload);
        for role in BOTH {
            let bytes = wire(role, &[Frame::text(&payload)]);
            let outcome = Outcome::of(&Config::default(), role, random_split(&mut rng, &bytes));
            prop_assert_eq!(outcome.result, as_text.map(|_| ()).map_err(|_| ProtocolError::Utf8Invalid.into()));
            prop_assert_eq!(outcome.events, as_text.map(text).into_iter().collect::<Vec<_>>());
        }
    }
}
