//! RFC 6455 section 5.2: the public functions for the head of a frame.

use proptest::prelude::*;
use sansocket::ProtocolError;
use sansocket::frame::{EncodedHeader, FrameHeader, MAX_CONTROL_PAYLOAD, OpCode};

const OPCODES: [OpCode; 6] =
    [OpCode::Continuation, OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong];

/// Lengths and the sizes of their heads: where the encoding changes, and where 32-bit or signed arithmetic would fail.
/// CVE-2026-1528 (undici), CVE-2020-27813 (gorilla).
const LENGTHS: [(u64, usize); 14] = [
    (0, 2),
    (1, 2),
    (125, 2),
    (126, 4),
    (127, 4),
    (65_535, 4),
    (65_536, 10),
    ((1 << 31) - 1, 10),
    (1 << 31, 10),
    (1 << 32, 10),
    (1 << 53, 10),
    ((1 << 53) + 1, 10),
    (1 << 62, 10),
    ((1 << 63) - 1, 10),
];

/// Conformance 26: the sender too must use the minimal number of bytes.
#[test]
fn a_length_is_encoded_in_the_fewest_bytes() {
    for (length, size) in LENGTHS {
        let header = FrameHeader::new(OpCode::Binary, length);
        assert_eq!(header.encode().len(), size, "{length}");
        assert_eq!(FrameHeader::decode(&header.encode()), Ok(Some((header, size))));
        let masked = FrameHeader { mask: Some([1, 2, 3, 4]), ..header };
        assert_eq!(masked.encode().len(), size + 4, "{length}");
        assert_eq!(FrameHeader::decode(&masked.encode()), Ok(Some((masked, size + 4))));
    }
    let longest = FrameHeader { mask: Some([0; 4]), ..FrameHeader::new(OpCode::Text, u64::MAX >> 1) };
    assert_eq!(longest.encode().len(), FrameHeader::MAX_SIZE);
}

/// Conformance 27: the top bit MUST be 0, received or sent. Beast v361, CVE-2020-27813, CVE-2026-1528.
#[test]
fn the_top_bit_of_a_length_is_never_set() {
    for length in [1 << 63, (1 << 63) + 1, u64::MAX] {
        let mut bytes = vec![0x82, 127];
        bytes.extend(length.to_be_bytes());
        assert_eq!(FrameHeader::decode(&bytes), Err(ProtocolError::LengthTopBitSet));
        assert_eq!(FrameHeader::new(OpCode::Binary, length).encode()[2] & 0x80, 0);
    }
}

/// Section 5.2 and Conformance 25: 3 to 7 and 0xB to 0xF are reserved.
#[test]
fn opcodes_are_those_of_the_rfc() {
    for number in 0..=u8::MAX {
        let opcode = OPCODES.into_iter().find(|opcode| opcode.as_u8() == number);
        assert_eq!(OpCode::from_u8(number), opcode, "{number:#x}");
        let is_control = matches!(number, 0x8..=0xA);
        assert!(opcode.is_none_or(|opcode| opcode.is_control() == is_control), "{number:#x}");
    }
    assert_eq!(OPCODES.map(OpCode::as_u8), [0x0, 0x1, 0x2, 0x8, 0x9, 0xA]);
    assert_eq!(MAX_CONTROL_PAYLOAD, 125);
}

#[derive(Debug, PartialEq)]
enum Expected {
    More,
    Bad,
    Head { size: usize, length: u64 },
}

/// Decodes a head by the figure in section 5.2.
fn oracle(bytes: &[u8]) -> Expected {
    let [first, second, rest @ ..] = bytes else { return Expected::More };
    let extended = match second & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let size = 2 + extended + if second & 128 == 128 { 4 } else { 0 };
    if bytes.len() < size {
        return Expected::More;
    }
    let length = match extended {
        0 => u64::from(second & 127),
        _ => rest[..extended].iter().fold(0, |length, &byte| length * 256 + u64::from(byte)),
    };
    let minimal = match extended {
        2 => (126..=65_535).contains(&length),
        8 => (65_536..1 << 63).contains(&length),
        _ => true,
    };
    let opcode = first & 15;
    let control = opcode >= 8 && (first & 128 == 0 || second & 127 > 125);
    if !minimal || control || !matches!(opcode, 0..=2 | 8..=10) {
        return Expected::Bad;
    }
    Expected::Head { size, length }
}

fn check_against_oracle(bytes: &[u8]) {
    let decoded = match FrameHeader::decode(bytes) {
        Ok(None) => Expected::More,
        Err(_) => Expected::Bad,
        Ok(Some((header, size))) => {
            assert_eq!(&*header.encode(), &bytes[..size], "encoding restores the bytes");
            Expected::Head { size, length: header.payload_length }
        }
    };
    assert_eq!(decoded, oracle(bytes), "{bytes:x?}");
}

/// Conformance 24 to 29: every pair of first bytes, followed by lengths that are minimal, too short and too long.
#[test]
fn every_pair_of_first_bytes_is_decoded_as_by_the_oracle() {
    let lengths: [[u8; 8]; 6] = [
        [0; 8],
        [0, 125, 0, 0, 0, 0, 0, 0],
        [0, 126, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0x80, 0, 0, 0, 0, 0, 0, 0],
    ];
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            for length in lengths {
                let bytes = [&[first, second], &length[..], &[1, 2, 3, 4], b"payload"].concat();
                check_against_oracle(&bytes);
            }
        }
    }
}

fn header() -> impl Strategy<Value = FrameHeader> {
    let length = prop_oneof![0..200_u64, 65_000..66_000_u64, 0..1_u64 << 63, (0..63).prop_map(|bit| 1_u64 << bit)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, proptest::sample::select(&OPCODES[..]), any::<Option<[u8; 4]>>(), length).prop_map(
        |((fin, rsv1, rsv2, rsv3), opcode, mask, length)| {
            let is_control = opcode.is_control();
            let payload_length = if is_control { length % 126 } else { length };
            FrameHeader { fin: fin || is_control, rsv1, rsv2, rsv3, opcode, mask, payload_length }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_encoded_head_is_decoded(header in header(), behind in any::<[u8; 20]>()) {
        let encoded: EncodedHeader = header.encode();
        let size = encoded.len();
        prop_assert!((2..=FrameHeader::MAX_SIZE).contains(&size));
        let bytes = [&encoded, &behind[..]].concat();
        prop_assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, size))));
        // a part of it is not decoded
        for end in 0..size {
            prop_assert_eq!(FrameHeader::decode(&bytes[..end]), Ok(None));
        }
    }

    #[test]
    fn any_bytes_are_decoded_as_by_the_oracle(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        check_against_oracle(&bytes);
    }
}
