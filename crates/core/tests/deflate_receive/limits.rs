//! The limit on inflated bytes.

use std::iter;

use sansocket::{Config, Error, Input, Instant, Role};

use crate::support::*;

/// Deflate 64, for messages and chunks, in one frame and in fragments. Of the last byte, the input is consumed while
/// output is pending.
#[test]
fn a_message_of_exactly_the_limit_passes_and_one_more_byte_fails() {
    for limit in [0, 1, 255, 8_191, 8_192, 8_193, 16_384, 70_000] {
        let config = Config::default().max_message_size(limit);
        for data in [vec![0; limit + 1], noise(limit + 1, 1)] {
            let exact = compress(&data[..limit]);
            let longer = compress(&data);
            let received = receive_with(&config, agreed(15, false), |role| message(role, &exact));
            assert_eq!(received, Received::binary(&[&data[..limit]]), "{limit}");
            let halves = [exact.len() / 2];
            let received = receive_with(&config, agreed(15, false), |role| fragments(role, BINARY, &exact, &halves));
            assert_eq!(received, Received::binary(&[&data[..limit]]), "{limit}");
            let received = receive_with(&config, agreed(15, false), |role| message(role, &longer));
            assert_eq!((received.messages.len(), received.close_code()), (0, Some(1009)), "{limit}");
            let Some(Error::Limit(exceeded)) = received.error else { panic!() };
            assert_eq!(
                (exceeded.name(), exceeded.limit(), exceeded.size()),
                ("max_message_size", limit as u64, limit as u64 + 1)
            );
        }
    }
}

#[test]
fn the_error_says_that_the_message_was_compressed() {
    let config = Config::default().max_message_size(1_000);
    let received = receive_with(&config, agreed(15, true), |role| message(role, &compress(&[0; 1_001])));
    assert_eq!(
        received.error.unwrap().to_string(),
        "a compressed message of at least 1,001 bytes exceeds the limit of 1,000 bytes (`max_message_size`)"
    );
}

/// Deflate 66: a message that does not compress is longer on the wire than the limit.
#[test]
fn the_message_limit_does_not_count_compressed_bytes() {
    let data = noise(1_000, 1);
    let compressed = compress(&data);
    assert!(compressed.len() > 1_000);
    let config = Config::default().max_message_size(1_000);
    let received = receive_with(&config, agreed(15, true), |role| message(role, &compressed));
    assert_eq!(received, Received::binary(&[&data]));
}

/// Deflate 55.
#[test]
fn ten_thousand_empty_blocks_are_an_empty_message() {
    let blocks: Vec<u8> = iter::repeat_n([0, 0, 0, 0xff, 0xff], 10_000).flatten().chain([0]).collect();
    assert_eq!(receive_messages(&[&blocks, &blocks]), Received::binary(&[b"", b""]));
    let finals: Vec<u8> = iter::repeat_n([0x03, 0x00], 10_000).flatten().chain([0]).collect();
    assert_eq!(receive_messages(&[&finals, &finals]), Received::binary(&[b"", b""]));
}

/// Deflate 67.
#[test]
fn nothing_is_inflated_after_a_failure() {
    let good = compress(b"Hello");
    let cases: [(Vec<u8>, u16); 4] = [
        (message(Role::Server, &[0x06]), 1007),
        (frame(Role::Server, FIN | RSV1 | TEXT, &compress(b"\xff")), 1007),
        (message(Role::Server, &compress(&[0; 2_000])), 1009),
        (frame(Role::Server, FIN | RSV1 | CONTINUATION, &good), 1002),
    ];
    for (bad, code) in cases {
        let mut server = endpoint(Role::Server, &Config::default().max_message_size(1_000), agreed(15, true));
        let wire = [bad.clone(), message(Role::Server, &good), bad].concat();
        let received = receive(&mut server, &[&wire], None);
        assert_eq!((received.messages.len(), received.close_code()), (0, Some(code)));
        for _ in 0..3 {
            let mut bytes = message(Role::Server, &good);
            let mut input = Input::new(&mut bytes);
            assert_eq!(server.receive(&mut input, Instant::EPOCH), Err(received.error.clone().unwrap()));
            assert!(input.is_empty());
        }
    }
}
