//! UTF-8 of inflated text (RFC 6455 section 8.1).

use sansocket::{Config, Delivery, Error, MessageKind, ProtocolError};

use crate::support::*;

fn text_message(role: sansocket::Role, text: &[u8]) -> Vec<u8> {
    frame(role, FIN | RSV1 | TEXT, &compress(text))
}

/// Deflate 42: characters span steps of the inflater, whatever their position.
#[test]
fn characters_may_span_steps_and_fragments() {
    for (shift, character) in ["é", "€", "😀"].into_iter().enumerate() {
        for prefix in 0..4 {
            let text = "x".repeat(prefix) + &character.repeat(9_000 + shift);
            let received = receive_all(|role| text_message(role, text.as_bytes()));
            assert_eq!(received.messages, [(MessageKind::Text, text.clone().into_bytes())]);
        }
    }
    let text = "aé€😀".repeat(20).into_bytes();
    let compressed = Peer::new(0, 15).compress(&text);
    for end in 0..compressed.len() {
        let wire = fragments(sansocket::Role::Server, TEXT, &compressed, &[end]);
        let mut server = endpoint(sansocket::Role::Server, &Config::default(), agreed(15, true));
        assert_eq!(receive(&mut server, &[&wire], None).messages, [(MessageKind::Text, text.clone())], "{end}");
    }
}

/// Deflate 42: the bytes on the wire need not be UTF-8, and are not what is validated.
#[test]
fn only_inflated_bytes_are_validated() {
    for invalid in [&b"\xff"[..], b"ok\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"] {
        // stored: the invalid bytes are on the wire too; and compressed: they are not
        for level in [0, 9] {
            let text = [&records(20_000, 1), invalid].concat();
            let compressed = Peer::new(level, 15).compress(&text);
            let received = receive_all(|role| frame(role, FIN | RSV1 | TEXT, &compressed));
            assert_eq!(received.error, Some(Error::Protocol(ProtocolError::Utf8Invalid)), "{invalid:x?}");
            assert_eq!((received.messages.len(), received.close_code()), (0, Some(1007)));
            let received = receive_all(|role| message(role, &compressed));
            assert_eq!(received, Received::binary(&[&text]));
        }
    }
}

/// Deflate 43: no later fragment is needed.
#[test]
fn invalid_text_fails_with_its_fragment() {
    let mut peer = Peer::new(6, 15);
    let mut first = peer.compress(b"valid \xff");
    first.extend([0, 0, 0xff, 0xff]);
    let received = receive_all(|role| frame(role, RSV1 | TEXT, &first));
    assert_eq!(received.error, Some(Error::Protocol(ProtocolError::Utf8Invalid)));
    // long before the end of a long frame
    let text = [&b"\xff"[..], &noise(100_000, 1)].concat();
    let compressed = compress(&text);
    let received = receive_all(|role| {
        let mut wire = frame(role, FIN | RSV1 | TEXT, &compressed);
        wire.truncate(10_000);
        wire
    });
    assert_eq!(received.error, Some(Error::Protocol(ProtocolError::Utf8Invalid)));
}

/// Of two faults in a fragment, the first one is found, in whatever pieces the fragment arrives.
#[test]
fn invalid_text_before_invalid_data_fails_as_invalid_text() {
    // a stored block with a byte that is not UTF-8, then the reserved kind of block
    let compressed = [0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x06, 0x00];
    let received = receive_all(|role| frame(role, FIN | RSV1 | TEXT, &compressed));
    assert_eq!(received.error, Some(Error::Protocol(ProtocolError::Utf8Invalid)));
}

/// Of invalid text and a message that is too long, the first one is found.
#[test]
fn invalid_text_before_the_limit_fails_as_invalid_text_and_behind_it_as_too_long() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config::default().max_message_size(100).delivery(delivery);
        for (valid, is_too_long) in [(0, false), (99, false), (100, true), (150, true)] {
            let text = ["x".repeat(valid).as_bytes(), b"\xff", "x".repeat(200).as_bytes()].concat();
            let compressed = Peer::new(0, 15).compress(&text);
            let received = receive_with(&config, agreed(15, true), |role| frame(role, FIN | RSV1 | TEXT, &compressed));
            assert_eq!(received.close_code(), Some(if is_too_long { 1009 } else { 1007 }), "{valid}: {received:?}");
        }
    }
}
