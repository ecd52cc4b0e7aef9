//! The reserved bits, and the frames of compressed messages (section 6.1).

use sansocket::{Config, Connection, Error, Instant, MessageKind, ProtocolError};

use crate::support::*;

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// Checks that the head alone fails the connection with 1002.
#[track_caller]
fn check_head_fails(before: impl Fn(sansocket::Role) -> Vec<u8>, first: u8) {
    let received = receive_all(|role| {
        let mut wire = [before(role), frame(role, first, &HELLO)].concat();
        wire.truncate(wire.len() - HELLO.len());
        wire
    });
    assert_eq!(received.error, Some(Error::Protocol(ProtocolError::ReservedBitSet)), "{first:#x}");
    assert_eq!(received.close_code(), Some(1002));
}

/// Deflate 33.
#[test]
fn rsv1_on_a_continuation_fails_as_soon_as_its_head_arrives() {
    for is_compressed in [0, RSV1] {
        let first_fragment = |role| frame(role, is_compressed | BINARY, &HELLO);
        check_head_fails(first_fragment, RSV1 | CONTINUATION);
        check_head_fails(first_fragment, FIN | RSV1 | CONTINUATION);
    }
}

/// Deflate 34.
#[test]
fn rsv1_on_a_control_frame_fails() {
    for opcode in [0x8, 0x9, 0xA] {
        check_head_fails(|_| Vec::new(), FIN | RSV1 | opcode);
        check_head_fails(|role| frame(role, RSV1 | BINARY, &HELLO), FIN | RSV1 | opcode);
    }
}

/// Deflate 35.
#[test]
fn the_other_reserved_bits_always_fail() {
    for bits in [0x20, 0x10, 0x30, 0x60, 0x50, 0x70] {
        for opcode in [TEXT, BINARY, 0x8, 0x9, 0xA] {
            check_head_fails(|_| Vec::new(), FIN | bits | opcode);
        }
    }
}

/// Deflate 24, 35.
#[test]
fn rsv1_fails_without_an_agreement() {
    for opcode in [TEXT, BINARY] {
        let mut server = Connection::server(Config::default(), Instant::EPOCH);
        let received = receive(&mut server, &[&frame(sansocket::Role::Server, FIN | RSV1 | opcode, &HELLO)], None);
        assert_eq!(received.error, Some(Error::Protocol(ProtocolError::ReservedBitSet)));
    }
}

/// Deflate 36, 58: the second compressed message continues the first one, as if nothing had come between.
#[test]
fn an_uncompressed_message_is_unchanged_and_enters_no_context() {
    let plain = noise(70_000, 1);
    let received = receive_all(|role| {
        [
            message(role, &HELLO),
            frame(role, FIN | BINARY, &plain),
            frame(role, BINARY, &plain),
            frame(role, FIN | CONTINUATION, b"end"),
            message(role, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
        ]
        .concat()
    });
    assert_eq!(received, Received::binary(&[b"Hello", &plain, &[&plain[..], b"end"].concat(), b"Hello"]));
}

/// Deflate 37.
#[test]
fn control_frames_between_fragments_do_not_disturb_the_message() {
    let received = receive_all(|role| {
        let mut wire = Vec::new();
        for (index, byte) in HELLO.iter().enumerate() {
            let (fin, opcode) = (if index == 6 { FIN } else { 0 }, if index == 0 { RSV1 | TEXT } else { CONTINUATION });
            wire.extend(frame(role, 0x89, b"ping"));
            wire.extend(frame(role, fin | opcode, &[*byte]));
        }
        wire
    });
    assert_eq!((received.messages, received.controls), (vec![(MessageKind::Text, b"Hello".to_vec())], 7));
}

/// Deflate 38, 39: the tail is appended once, also if fragments are empty.
#[test]
fn every_division_into_fragments_gives_the_same_messages() {
    let data = records(300, 1);
    let mut peer = Peer::new(6, 15);
    let (first, second) = (peer.compress(&data), peer.compress(&data));
    for end in 0..=first.len() {
        for ends in [vec![end], vec![0, end], vec![end, end], vec![end, first.len()], vec![0, end, end, first.len()]] {
            for role in BOTH {
                let wire = [fragments(role, BINARY, &first, &ends), message(role, &second)].concat();
                let mut connection = endpoint(role, &Config::default(), agreed(15, true));
                let received = receive(&mut connection, &[&wire], None);
                assert_eq!(received, Received::binary(&[&data, &data]), "{ends:?}");
            }
        }
    }
}

/// Deflate 66: `max_frame_payload` counts bytes on the wire.
#[test]
fn the_frame_limit_counts_compressed_bytes() {
    let compressed = compress(&[7; 10_000]);
    let mut config = Config::default();
    config.max_frame_payload = Some(compressed.len() as u64);
    let received = receive_with(&config, agreed(15, true), |role| message(role, &compressed));
    assert_eq!(received, Received::binary(&[&[7; 10_000]]));
    config.max_frame_payload = Some(compressed.len() as u64 - 1);
    let received = receive_with(&config, agreed(15, true), |role| message(role, &compressed));
    assert_eq!((received.messages.len(), received.close_code()), (0, Some(1009)));
    let Some(Error::Limit(exceeded)) = received.error else { panic!() };
    assert_eq!((exceeded.name(), exceeded.size()), ("max_frame_payload", compressed.len() as u64));
}
