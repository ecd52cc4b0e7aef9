//! The examples of RFC 7692 section 7.2.3, and every kind of block.

use sansocket::{Compress, Config, MessageKind, Role};

use crate::strict_inflater::{Block, StrictInflater};
use crate::support::*;

/// Sends a text as one fragment, which is compressed even if it does not get shorter. Returns the payload.
fn compress(connection: &mut sansocket::Connection, text: &str) -> Vec<u8> {
    connection.send_fragment_with(MessageKind::Text, text, true, Compress::Yes).unwrap();
    let mut frames = frames(Role::Server, &drain(connection));
    assert_eq!(frames.len(), 1);
    frames.remove(0).payload
}

/// Deflate 44: the inflater of these tests decodes the examples.
#[test]
fn the_inflater_decodes_the_examples() {
    let examples: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for example in examples {
        let mut inflater = StrictInflater::new(8, true);
        assert_eq!(inflater.inflate(example).unwrap().payload, b"Hello");
        let again = inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap();
        // the literal H, and the four bytes from the fourth one back on
        assert_eq!((&again.payload[..], again.reach), (&b"Hello"[..], 4));
    }
}

/// Deflate 44, 48: 7.2.3.1, 7.2.3.2 and 7.2.3.6. A repeated message can take even less than
/// the 5 bytes of the example.
#[test]
fn messages_are_compressed_as_in_the_examples() {
    let config = Config::default().compression(compression(6, 8, 512));
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, true));
    let mut inflater = StrictInflater::new(15, true);
    for (text, max) in [("Hello", 7), ("Hello", 5), ("", 1), ("", 1), ("Hello", 5)] {
        let compressed = compress(&mut connection, text);
        assert_eq!(inflater.inflate(&compressed).unwrap().payload, text.as_bytes());
        assert!(compressed.len() <= max, "{compressed:02x?}");
    }
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, false));
    for _ in 0..2 {
        assert_eq!(compress(&mut connection, "Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(compress(&mut connection, ""), [0x00]);
    }
}

/// Deflate 44: 7.2.3.3.
#[test]
fn level_0_stores_the_message() {
    let config = Config::default().compression(compression(0, 8, 512));
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, true));
    assert_eq!(compress(&mut connection, "Hello"), b"\x00\x05\x00\xfa\xffHello\x00");
}

/// Deflate 52.
#[test]
fn every_kind_of_block_is_sent() {
    let kinds = |level, bytes: &[u8]| {
        let config = Config::default().compression(compression(level, 8, 0));
        let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, false));
        connection.send_fragment_with(MessageKind::Binary, bytes, true, Compress::Yes).unwrap();
        let message = Peer::new(Role::Server, 15, false).read_one(&mut connection);
        assert_eq!(message.payload, bytes);
        message.inflated.unwrap().blocks
    };
    let noise = noise(100_000, 1);
    assert!(kinds(6, &noise).iter().any(|block| matches!(block, Block::Stored(len) if *len > 0)));
    assert_eq!(kinds(6, b"Hello"), [Block::Fixed]);
    assert_eq!(kinds(6, records(3_000, 1).as_bytes()), [Block::Dynamic]);
    for level in 0..=9 {
        let bytes = [records(30_000, 2).as_bytes(), &noise[..20_000]].concat();
        assert!(!kinds(level, &bytes).is_empty());
    }
}
