//! The strict inflater accepts what RFC 1951 and RFC 7692 permit, and refuses the rest.

use sansocket_sim::strict_inflater::{Block, StrictInflater};

/// Returns the reason for which a message is refused.
fn fault(window_bits: u8, message: &[u8]) -> String {
    StrictInflater::new(window_bits, true).inflate(message).unwrap_err().to_string()
}

/// The examples of RFC 7692 section 7.2.3.
#[test]
fn examples_are_inflated() {
    let examples: [(&[u8], &[Block]); 4] = [
        (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], &[Block::Fixed]),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], &[Block::Stored(5)]),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], &[Block::Fixed]),
        (
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            &[Block::Fixed, Block::Stored(0), Block::Fixed],
        ),
    ];
    for (message, blocks) in examples {
        let mut inflater = StrictInflater::new(15, true);
        let inflated = inflater.inflate(message).unwrap();
        assert_eq!((&inflated.payload[..], &inflated.blocks[..], inflated.reach), (&b"Hello"[..], blocks, 0));
        let again = inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap();
        assert_eq!((&again.payload[..], again.reach), (&b"Hello"[..], 4));
        assert_eq!(inflater.inflate(&[0x00]).unwrap().payload, b"");
    }
}

/// Bits in the order of RFC 1951 3.1.1: numbers, and codes with the most significant bit first.
fn bits(parts: &[(u32, u32, bool)]) -> Vec<u8> {
    let mut bits = Vec::new();
    for &(value, count, is_code) in parts {
        let number = (0..count).map(|index| value >> index & 1 == 1);
        if is_code { bits.extend(number.rev()) } else { bits.extend(number) }
    }
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

/// A message that copies 3 bytes from 193 to 256 bytes back (code 15), or from 257 to 384 bytes back (code 16).
fn copy_of_3(code: u32, extra: u32, extra_bits: u32) -> Vec<u8> {
    let copy = [(0b010, 3, false), (0b000_0001, 7, true), (code, 5, true), (extra, extra_bits, false)];
    bits(&[&copy[..], &[(0, 7, true), (0, 3, false)]].concat())
}

#[test]
fn a_distance_beyond_the_window_is_refused() {
    let stored = [&[0x00, 0x2c, 0x01, 0xd3, 0xfe][..], &[b'a'; 300], &[0x00]].concat();
    for (code, extra, extra_bits, distance) in [(15, 63, 6, 256), (16, 0, 7, 257)] {
        let message = copy_of_3(code, extra, extra_bits);
        for bits in [8, 9] {
            let mut inflater = StrictInflater::new(bits, true);
            inflater.inflate(&stored).unwrap();
            let inflated = inflater.inflate(&message);
            assert_eq!(inflated.is_ok(), distance <= 1 << bits, "{distance} bytes, {bits} bits: {inflated:?}");
        }
        assert!(fault(15, &message).contains(&format!("a distance of {distance} bytes; 0 are in the window")));
        let mut inflater = StrictInflater::new(15, false);
        inflater.inflate(&stored).unwrap();
        assert!(inflater.inflate(&message).is_err(), "without takeover, the message before is forgotten");
    }
}

#[test]
fn the_beginning_of_a_message_is_inflated_as_far_as_it_goes() {
    let inflater = StrictInflater::new(15, true);
    let compressed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let lengths = (0..=7).map(|count| inflater.inflate_beginning(&compressed[..count]).len());
    assert_eq!(lengths.collect::<Vec<_>>(), [0, 0, 1, 2, 3, 4, 5, 5]);
    assert_eq!(inflater.inflate_beginning(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65]), b"He");
}

#[test]
fn invalid_messages_are_refused() {
    assert!(fault(15, &[]).contains("ends within"));
    assert!(fault(15, &[0x06]).contains("reserved"));
    assert!(fault(15, &[0x00, 0x01, 0x00, 0xff, 0xff, 0x61, 0x00]).contains("complement"));
    assert!(
        fault(15, &[0xf2, 0x48, 0xcd]).contains("ends within") || fault(15, &[0xf2, 0x48, 0xcd]).contains("last block")
    );
    // the tail is still there
    assert!(StrictInflater::new(15, true).inflate(&[0x00, 0x00, 0x00, 0xff, 0xff]).is_err());
    // 3.2.7: all code lengths are 1
    assert!(
        fault(15, &bits(&[(0b100, 3, false), (0, 14, false), (0x249, 12, false), (0, 20, false)]))
            .contains("codes use")
    );
}
