//! `frame_header`: a decoded head is encoded to the same bytes, an encoded head is decoded to the same head, and bytes
//! are accepted as a head exactly as RFC 6455 section 5.2 draws it.

use arbitrary::{Result, Unstructured};
use sansocket::ProtocolError;
use sansocket::frame::{FrameHeader, OpCode};

use crate::wire;

const OPCODES: [OpCode; 6] =
    [OpCode::Continuation, OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong];
/// Lengths around those at which the encoding changes.
const EDGES: [u64; 8] = [0, 125, 126, 128, 255, 65_535, 65_536, 1 << 62];

/// Input: the bytes of a head, which are also the choices for another.
pub fn run(data: &[u8]) {
    decode(data);
    let _ = header(&mut Unstructured::new(data)).map(encode);
}

fn decode(bytes: &[u8]) {
    let decoded = FrameHeader::decode(bytes);
    let expected = wire::head(bytes);
    let Some(expected) = expected else {
        assert_eq!(decoded, Ok(None), "{bytes:x?}");
        return;
    };
    let opcode = OPCODES.into_iter().find(|opcode| opcode.as_u8() == expected.opcode);
    let is_control = expected.opcode & 8 != 0;
    let is_minimal = match expected.length_field {
        126 => expected.length > 125,
        127 => expected.length > 65_535,
        _ => true,
    };
    let is_valid = opcode.is_some()
        && !(is_control && (expected.length_field > 125 || !expected.fin))
        && is_minimal
        && expected.length < 1 << 63;
    match decoded {
        Ok(Some((header, size))) => {
            assert!(is_valid, "{header:?} from {bytes:x?}");
            assert_eq!((Some(header.opcode), header.fin), (opcode, expected.fin));
            assert_eq!((header.payload_length, header.mask, size), (expected.length, expected.key, expected.size));
            assert_eq!(&*header.encode(), &bytes[..size], "{header:?}");
        }
        Ok(None) => panic!("not decoded: {expected:?}"),
        Err(ProtocolError::LengthTopBitSet) => assert!(expected.length >= 1 << 63),
        Err(error) => assert!(!is_valid, "{error:?} from {bytes:x?}"),
    }
}

fn header(u: &mut Unstructured<'_>) -> Result<FrameHeader> {
    let [flags, opcode, edge, offset] = u.arbitrary::<[u8; 4]>()?;
    let opcode = OPCODES[usize::from(opcode) % OPCODES.len()];
    let flag = |bit: u8| flags & bit != 0;
    let length = match edge % 16 {
        edge @ 0..8 => (EDGES[usize::from(edge)] + u64::from(offset % 4)).saturating_sub(1),
        shift => u.arbitrary::<u64>()? >> 1 >> (shift - 8),
    };
    Ok(FrameHeader {
        fin: flag(1) || opcode.is_control(),
        rsv1: flag(2),
        rsv2: flag(4),
        rsv3: flag(8),
        opcode,
        mask: if flag(16) { Some(u.arbitrary()?) } else { None },
        payload_length: if opcode.is_control() { length % 126 } else { length },
    })
}

fn encode(header: FrameHeader) {
    let encoded = header.encode();
    assert_eq!(FrameHeader::decode(&encoded), Ok(Some((header, encoded.len()))));
    for end in 0..encoded.len() {
        assert_eq!(FrameHeader::decode(&encoded[..end]), Ok(None), "{header:?} cut at {end}");
    }
    // the independent decoder finds the same
    let expected = wire::head(&encoded).expect("a complete head");
    assert_eq!((expected.length, expected.key, expected.size), (header.payload_length, header.mask, encoded.len()));
    let rsv = u8::from(header.rsv1) << 2 | u8::from(header.rsv2) << 1 | u8::from(header.rsv3);
    assert_eq!((expected.fin, expected.rsv, expected.opcode), (header.fin, rsv, header.opcode.as_u8()));
    assert!(encoded.len() <= FrameHeader::MAX_SIZE);
}
