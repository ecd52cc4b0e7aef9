//! Sections 5.1 to 5.3 and 5.7: opcodes, reserved bits, masks and lengths of frames.

use sansocket::{Config, ProtocolError, Role};

use crate::support::*;

/// Lengths around those at which their encoding changes.
const LENGTHS: [usize; 7] = [0, 1, 125, 126, 127, 65_535, 65_536];
const OPCODES: [u8; 6] = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG];

/// The records of `testdata/frames.txt`: the examples of section 5.7, and every violation of 5.1 to 5.6. Conformance
/// 24-30, 32-37.
mod wire_data {
    use sansocket::frame::{FrameHeader, OpCode};

    use super::*;

    const FRAMES: &str = include_str!("../../../../testdata/frames.txt");

    fn records() -> Vec<Vec<(&'static str, &'static str)>> {
        let mut records = vec![vec![]];
        for line in FRAMES.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(": ") {
                Some(field) => records.last_mut().unwrap().push(field),
                None => records.push(vec![]),
            }
        }
        records.retain(|record| !record.is_empty());
        assert!(records.len() > 200, "only {} records", records.len());
        records
    }

    fn all<'a>(record: &'a [(&'a str, &'a str)], key: &'a str) -> impl Iterator<Item = &'a str> {
        record.iter().filter(move |field| field.0 == key).map(|field| field.1)
    }

    fn one<'a>(record: &'a [(&'a str, &'a str)], key: &'a str) -> Option<&'a str> {
        all(record, key).next()
    }

    fn hex(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn bytes(tokens: &str) -> Vec<u8> {
        let token = |token: &str| match token.split_once('*') {
            Some((count, period)) => hex(period).into_iter().cycle().take(count.parse().unwrap()).collect(),
            None if token == "-" => vec![],
            None => hex(token),
        };
        tokens.split(' ').flat_map(token).collect()
    }

    fn event(line: &str) -> OwnedEvent {
        let utf8 = |tokens| String::from_utf8(bytes(tokens)).unwrap();
        match *line.split(' ').collect::<Vec<_>>() {
            ["text", payload] => text(utf8(payload)),
            ["binary", payload] => binary(bytes(payload)),
            ["ping", payload] => ping(bytes(payload)),
            ["pong", payload] => pong(bytes(payload)),
            ["close", code, reason] => closed(code.parse().unwrap(), &utf8(reason)),
            _ => panic!("unknown event: {line}"),
        }
    }

    fn rule(name: &str) -> ProtocolError {
        match name {
            "close-payload-of-one-byte" => ProtocolError::CloseBodyTooShort,
            "control-frame-fragmented" => ProtocolError::ControlFrameFragmented,
            "control-frame-too-long" => ProtocolError::ControlFrameTooLong,
            "expected-continuation" => ProtocolError::ContinuationMissing,
            "invalid-close-code" => ProtocolError::CloseCodeInvalid,
            "invalid-utf8" => ProtocolError::Utf8Invalid,
            "length-not-minimal" => ProtocolError::LengthNotMinimal,
            "length-top-bit" => ProtocolError::LengthTopBitSet,
            "masked-frame" => ProtocolError::FrameMasked,
            "reserved-bits" => ProtocolError::ReservedBitSet,
            "reserved-opcode" => ProtocolError::OpCodeReserved,
            "unexpected-continuation" => ProtocolError::ContinuationUnexpected,
            "unmasked-frame" => ProtocolError::FrameNotMasked,
            _ => panic!("unknown error: {name}"),
        }
    }

    #[test]
    fn every_record_gives_its_events_or_its_error() {
        for record in records() {
            let name = one(&record, "name").unwrap();
            let role = if one(&record, "sender") == Some("client") { Role::Server } else { Role::Client };
            let wire: Vec<u8> = all(&record, "wire").flat_map(bytes).collect();
            let events: Vec<_> = all(&record, "event").map(event).collect();
            let result = one(&record, "error").map_or(Ok(()), |name| Err(rule(name)));
            let close = result.err().map(|error| Failure::Rule(error).code().to_string());
            assert_eq!(one(&record, "close").map(str::to_owned), close, "{name}");
            check_named(name, &Config::default(), role, &wire, &events, result);
        }
    }

    /// The public functions of `frame`.
    #[test]
    fn every_valid_frame_has_the_head_of_its_record() {
        for record in records().iter().filter(|record| one(record, "error").is_none()) {
            for (wire, fields) in all(record, "wire").map(bytes).zip(all(record, "frame")) {
                let field = |key| fields.split(' ').find_map(|field| field.strip_prefix(key)).unwrap();
                let rsv: Vec<_> = field("rsv=").chars().map(|bit| bit == '1').collect();
                let expected = FrameHeader {
                    fin: field("fin=") == "1",
                    rsv1: rsv[0],
                    rsv2: rsv[1],
                    rsv3: rsv[2],
                    opcode: OpCode::from_u8(u8::from_str_radix(field("opcode="), 16).unwrap()).unwrap(),
                    mask: Some(bytes(field("key="))).filter(|key| !key.is_empty()).map(|key| key.try_into().unwrap()),
                    payload_length: field("length=").parse().unwrap(),
                };
                let (header, size) = FrameHeader::decode(&wire).unwrap().unwrap();
                assert_eq!(header, expected);
                assert_eq!(&*header.encode(), &wire[..size], "5.2: the minimal number of bytes");
                // the tests' own encoder and decoder agree
                assert_eq!(Frame::parse_all(&wire)[0].payload, bytes(field("payload=")));
                assert_eq!(Frame::parse_all(&wire)[0].bytes(), wire);
            }
        }
    }
}

/// Conformance 24, section 5.2: a reserved bit that no extension defines fails the connection, on control frames too.
#[test]
fn a_reserved_bit_fails_every_frame() {
    for opcode in OPCODES {
        for rsv in 1..8 {
            let begin = Frame::text("a").fin(false);
            check_both(&[begin, Frame::new(opcode, []).rsv(rsv)], &[], Err(ProtocolError::ReservedBitSet));
        }
    }
}

/// Conformance 25, section 5.2.
#[test]
fn a_reserved_opcode_fails_every_frame() {
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        for fin in [true, false] {
            for payload in ["", "abc"] {
                check_both(&[Frame::new(opcode, payload).fin(fin)], &[], Err(ProtocolError::OpCodeReserved));
            }
        }
    }
}

/// Conformance 26, section 5.2: "the minimal number of bytes MUST be used to encode the length".
#[test]
fn a_length_in_more_bytes_than_needed_is_refused() {
    for length in 0..=125 {
        let frame = Frame::binary(vec![0; length]);
        check_both(&[frame.clone().length_in_16_bits()], &[], Err(ProtocolError::LengthNotMinimal));
        check_both(&[frame.length_in_64_bits()], &[], Err(ProtocolError::LengthNotMinimal));
    }
    for length in [126, 127, 65_534, 65_535] {
        let frame = Frame::binary(vec![0; length]).length_in_64_bits();
        check_both(&[frame], &[], Err(ProtocolError::LengthNotMinimal));
    }
}

/// Section 5.2, CVE-2026-1528 (undici): lengths at which the encoding changes.
#[test]
fn payloads_at_the_boundary_lengths_arrive() {
    for length in LENGTHS {
        let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
        check_both(&[Frame::binary(&payload), Frame::text("next")], &[binary(&payload), text("next")], Ok(()));
    }
}

/// Conformance 27, section 5.2: "the most significant bit MUST be 0". CVE-2020-27813 (gorilla), Beast v361,
/// CVE-2026-1528.
#[test]
fn a_64_bit_length_with_its_top_bit_set_is_refused() {
    let mut config = Config::default();
    (config.max_frame_payload, config.max_message_size) = (Some(u64::MAX), usize::MAX);
    for length in [1 << 63, (1 << 63) + 1, (1 << 63) + 70_000, u64::MAX] {
        for (frame, fin) in [(Frame::text(""), true), (Frame::binary(""), true), (Frame::binary(""), false)] {
            let frame = frame.fin(fin).claiming(length);
            check_both_with(&Config::default(), std::slice::from_ref(&frame), &[], Err(ProtocolError::LengthTopBitSet));
            check_both_with(&config, &[frame], &[], Err(ProtocolError::LengthTopBitSet));
        }
    }
}

/// Conformance 28: a length is compared as a `u64`, not as a `usize` or a signed number. CVE-2026-1528, CVE-2020-27813.
#[test]
fn a_length_is_never_truncated() {
    let default = Config::default();
    let limited_frames = Config::default().max_frame_payload(1 << 20);
    const FITS_IN_32_BITS: [u64; 2] = [(1 << 31) - 1, 1 << 31];
    const TRUNCATED_TO_5: [u64; 4] = [(1 << 32) + 5, (1 << 53) + 5, (1 << 62) + 5, (1 << 48) + 5];
    for length in FITS_IN_32_BITS.into_iter().chain([1 << 32, 1 << 53, (1 << 63) - 1]).chain(TRUNCATED_TO_5) {
        for begin in [vec![], vec![Frame::binary("a").fin(false)]] {
            let size = length + begin.len() as u64;
            let opcode = if begin.is_empty() { BINARY } else { CONTINUATION };
            let frames = [begin, vec![Frame::new(opcode, "12345").claiming(length)]].concat();
            check_limit(&default, &frames, &[], ("max_message_size", 16 << 20, size));
            // with a limit on frames, too
            check_limit(&limited_frames, &frames, &[], ("max_frame_payload", 1 << 20, length));
        }
    }
}

/// If the limits allow a huge payload, the connection waits for it. CVE-2020-13935: without a loop.
#[test]
fn a_huge_payload_that_the_limits_allow_is_waited_for() {
    let mut config = Config::default();
    (config.max_frame_payload, config.max_message_size) = (Some(u64::MAX), usize::MAX);
    let longest = if usize::BITS < 64 { u64::from(u32::MAX) - 1 } else { (1 << 63) - 1 };
    for length in [1 << 31, 1 << 32, 1 << 53, longest].into_iter().filter(|&length| length <= longest) {
        let begins = Frame::text("the first bytes of very many").claiming(length);
        check_both_with(&config, std::slice::from_ref(&begins), &[], Ok(()));
        let continues = Frame::continuation(&begins.payload).claiming(length);
        check_both_with(&config, &[Frame::text("a").fin(false), continues], &[], Ok(()));
    }
}

/// Conformance 29 and 30, section 5.1, for every opcode and length. GHSA-rhh8-5xw9-c3gm (bandit).
#[test]
fn a_frame_masked_the_wrong_way_is_refused() {
    for role in BOTH {
        let error = match role {
            Role::Server => ProtocolError::FrameNotMasked,
            Role::Client => ProtocolError::FrameMasked,
        };
        for opcode in OPCODES {
            for length in LENGTHS.into_iter().filter(|&length| opcode < CLOSE || length <= 125) {
                for fin in [true, false].into_iter().filter(|&fin| opcode < CLOSE || fin) {
                    let mut bytes = Vec::new();
                    if opcode == CONTINUATION {
                        bytes = Frame::binary("good").fin(false).masked_for(role).bytes();
                    }
                    let bad = Frame::new(opcode, vec![b'a'; length]).fin(fin).wrongly_masked_for(role);
                    // the head alone is refused
                    bytes.extend(&bad.bytes()[..bad.head_size()]);
                    check(&Config::default(), role, &bytes, &[], Err(error));
                }
            }
        }
    }
}

/// Conformance 29 and 30: the second frame is checked, too.
#[test]
fn every_frame_is_checked_for_its_mask() {
    for role in BOTH {
        let bytes = [Frame::text("good").masked_for(role).bytes(), Frame::text("bad").wrongly_masked_for(role).bytes()]
            .concat();
        let error = if role == Role::Server { ProtocolError::FrameNotMasked } else { ProtocolError::FrameMasked };
        check(&Config::default(), role, &bytes, &[text("good")], Err(error));
    }
}

/// Conformance 32, section 5.3: unmasking resumes at the right byte of the key after any split. A key of zeros is
/// valid.
#[test]
fn the_position_in_the_mask_survives_every_split() {
    let payload: Vec<u8> = (0..130).collect();
    for key in [[0; 4], [0xFF; 4], [1, 2, 4, 8], [0, 0, 0, 1]] {
        let bytes = Frame::binary(&payload).masked(key).bytes();
        for first in 0..bytes.len() {
            for second in [first, first + 1, first + 2, first + 7, bytes.len()] {
                let (begin, rest) = bytes.split_at(first);
                let (middle, end) = rest.split_at(second.min(bytes.len()) - first);
                let outcome = Outcome::of(&Config::default(), Role::Server, [begin, middle, end]);
                assert_eq!(outcome.events, [binary(&payload)], "{key:?} split at {first} and {second}");
            }
        }
    }
}

/// Section 5.3: every frame has its own key, which starts at its first payload byte.
#[test]
fn every_frame_starts_with_the_first_byte_of_its_key() {
    let frames = [
        Frame::text("abc").masked([1, 2, 3, 4]).fin(false),
        Frame::continuation("defgh").masked([0; 4]).fin(false),
        Frame::ping("p").masked([9, 8, 7, 6]),
        Frame::continuation("i").masked([0x80; 4]),
    ];
    check(&Config::default(), Role::Server, &wire(Role::Server, &frames), &[ping("p"), text("abcdefghi")], Ok(()));
}

/// An invalid head is refused at once, so that a peer cannot hold a connection by withholding the payload.
#[test]
fn a_bad_head_is_refused_before_its_payload() {
    for (frame, error) in [
        (Frame::text("").rsv(4), ProtocolError::ReservedBitSet),
        (Frame::new(3, ""), ProtocolError::OpCodeReserved),
        (Frame::continuation(""), ProtocolError::ContinuationUnexpected),
        (Frame::ping("").fin(false), ProtocolError::ControlFrameFragmented),
    ] {
        check_both(&[frame.claiming(100)], &[], Err(error));
    }
    check_both(&[Frame::ping("").claiming(126)], &[], Err(ProtocolError::ControlFrameTooLong));
}

/// Section 7.1.7, CVE-2026-85024 (undici): a failed connection discards the frames of the same read, too.
#[test]
fn frames_after_a_failure_are_discarded() {
    let frames = [
        Frame::text("good"),
        Frame::new(7, "bad"),
        Frame::text("late"),
        Frame::ping("late"),
        Frame::text([0xFF]),
        Frame::close(1000, ""),
    ];
    check_both(&frames, &[text("good")], Err(ProtocolError::OpCodeReserved));
}
