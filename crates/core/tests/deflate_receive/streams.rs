//! DEFLATE streams: blocks, BFINAL, empty messages, invalid data (section 7.2).

use sansocket::{Error, MessageKind, ProtocolError};

use crate::support::*;

const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// "Hello" in a block with BFINAL, without the empty block behind it.
const FINAL_HELLO: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// "Hello" in the window, 5 bytes back.
const AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];

#[track_caller]
fn check_fails(compressed: &[&[u8]], before: usize, error: ProtocolError) {
    let received = receive_messages(compressed);
    assert_eq!((received.messages.len(), &received.error), (before, &Some(Error::Protocol(error))), "{compressed:x?}");
    assert_eq!(received.close_code(), Some(1007));
}

/// Deflate 44.
#[test]
fn the_examples_of_the_rfc_are_received() {
    let two_blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let with_final = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let received = receive_messages(&[HELLO, AGAIN, &stored, &with_final, &two_blocks, &[0x00]]);
    assert_eq!(received, Received::binary(&[b"Hello", b"Hello", b"Hello", b"Hello", b"Hello", b""]));
    // 7.2.3.1: in two fragments
    let received = receive_all(|role| fragments(role, BINARY, HELLO, &[3]));
    assert_eq!(received, Received::binary(&[b"Hello"]));
}

/// Deflate 45, 46.
#[test]
fn a_message_may_contain_several_streams_which_refer_back() {
    let four = [FINAL_HELLO, FINAL_HELLO, &[0xf3, 0x00, 0x11, 0x00], AGAIN].concat();
    let received = receive_messages(&[HELLO, &four, AGAIN]);
    assert_eq!(received, Received::binary(&[b"Hello", b"HelloHelloHelloHello", b"Hello"]));
    for takeover in [false, true] {
        let first = records(40_000, 3);
        let second = noise(100, 4);
        let mut peer = Peer::new(6, 15);
        let streams = [peer.finish(&first), peer.finish(&second), peer.compress(&first)].concat();
        let config = sansocket::Config::default();
        let received = receive_with(&config, agreed(15, takeover), |role| message(role, &streams));
        assert_eq!(received, Received::binary(&[&[&first[..], &second, &first].concat()]));
    }
}

/// Deflate 45: a stream may refer back to the first byte of a character whose end has not arrived.
#[test]
fn a_stream_refers_back_into_an_unfinished_character() {
    // "€" is e2 82 ac in UTF-8. A stored block with BFINAL ends with e2.
    let begun = [0x01, 4, 0, 0xfb, 0xff, 0xe2, 0x82, 0xac, 0xe2];
    // the copy ends with the head of a stored block, which has the last two bytes
    let end = [2, 0, 0xfd, 0xff, 0x82, 0xac, 0x00];
    let compressed = [&begun[..], &copy_of_3(3), &end].concat();
    let received = receive_all(|role| frame(role, FIN | RSV1 | TEXT, &compressed));
    assert_eq!(received.messages, [(MessageKind::Text, "€€€".as_bytes().to_vec())]);
}

/// Deflate 47: accepted.
#[test]
fn a_message_may_end_with_a_final_block() {
    let received = receive_messages(&[FINAL_HELLO, AGAIN, FINAL_HELLO, FINAL_HELLO, &[0x03, 0x00], AGAIN]);
    assert_eq!(received, Received::binary(&[b"Hello", b"Hello", b"Hello", b"Hello", b"", b"Hello"]));
    let data = records(100_000, 5);
    let mut peer = Peer::new(6, 15);
    let (first, second) = (peer.finish(&data), peer.finish(&data));
    assert_eq!(receive_messages(&[&first, &second]), Received::binary(&[&data, &data]));
}

/// Deflate 48.
#[test]
fn empty_blocks_make_an_empty_message() {
    let stored = [&[0, 0, 0, 0xff, 0xff].repeat(5)[..], &[0]].concat();
    let received = receive_messages(&[&[0x00], &[0x02, 0x00], &stored, HELLO, &[0x00], &stored, AGAIN]);
    assert_eq!(received, Received::binary(&[b"", b"", b"", b"Hello", b"", b"", b"Hello"]));
}

/// Deflate 49: the tail alone would leave the inflater within a block.
#[test]
fn a_message_without_payload_is_empty_and_leaves_the_next_one_intact() {
    let received = receive_messages(&[b"", HELLO, b"", b"", AGAIN]);
    assert_eq!(received, Received::binary(&[b"", b"Hello", b"", b"", b"Hello"]));
    let received = receive_all(|role| {
        [fragments(role, BINARY, b"", &[0, 0, 0]), message(role, HELLO), fragments(role, BINARY, b"", &[0])].concat()
    });
    assert_eq!(received, Received::binary(&[b"", b"Hello", b""]));
}

/// Deflate 50.
#[test]
fn a_block_that_does_not_end_with_its_message_fails() {
    for end in 1..HELLO.len() - 1 {
        let received = receive_messages(&[b"", &HELLO[..end]]);
        assert_eq!((received.messages.len(), received.close_code()), (1, Some(1007)), "{end}");
    }
    // a stored block of 9 bytes, of which the tail would be the last 4
    check_fails(&[&[0x00, 9, 0, 0xf6, 0xff, 1, 2, 3, 4, 5]], 0, ProtocolError::DeflateUnfinished);
    // the peer did not remove the tail
    check_fails(&[&[0x00, 0x00, 0x00, 0xff, 0xff]], 0, ProtocolError::DeflateUnfinished);
}

/// Deflate 50: the tail completes the head of a block with codes of the sender's choice: its 16 zeros are the lengths of
/// the last distance codes. Of its 16 ones, 10 are the end of the block. The other 6 must not begin the next message.
#[test]
fn a_tail_that_is_more_than_the_end_of_a_block_fails() {
    let mut bits = Bits::default();
    bits.push(0b100, 3); // BFINAL 0, BTYPE 10
    bits.push(0, 5); // 257 codes of literals and of the end
    bits.push(21, 5); // 22 codes of distances
    bits.push(14, 4); // 18 lengths of codes of lengths
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        // 18, which is a run of zeros, has code 0
        let length = match symbol {
            18 => 1,
            1..=6 => 4,
            7..=10 => 5,
            _ => 0,
        };
        bits.push(length, 3);
    }
    for zeros in [138, 108] {
        bits.push(0, 1);
        bits.push(zeros - 11, 7);
    }
    // literals 246 to 255 have codes of 1 to 10 bits, and the end has ten ones
    for length in (1..=10).chain([10]) {
        match length {
            1..=6 => bits.push_code(0b1000 + length - 1, 4),
            _ => bits.push_code(0b11100 + length - 7, 5),
        }
    }
    assert_eq!(bits.bytes.len(), 17);
    check_fails(&[&bits.bytes], 0, ProtocolError::DeflateUnfinished);
}

/// Deflate 51.
#[test]
fn invalid_data_fails() {
    let invalid: [&[u8]; 6] = [
        // a block type that is reserved
        &[0x06, 0x00],
        // a stored block whose lengths do not match
        &[0x00, 0x05, 0x00, 0xfa, 0xfe, 1, 2, 3, 4, 5, 0x00],
        // a distance of 1 without history
        &copy_of_3(1),
        // 5 bytes back in an empty window
        AGAIN,
        // too many length codes
        &[0xfc, 0x00, 0x00],
        // the reserved distance code 30 of a fixed block
        &[0x62, 0x44, 0x7c, 0x00],
    ];
    for compressed in invalid {
        check_fails(&[compressed], 0, ProtocolError::DeflateInvalid);
    }
    // "Hello" has 5 bytes
    assert_eq!(receive_messages(&[HELLO, &copy_of_3(5)]), Received::binary(&[b"Hello", b"Hel"]));
    check_fails(&[HELLO, &copy_of_3(6)], 1, ProtocolError::DeflateInvalid);
}

/// Deflate 43, 51: a complete fragment is inflated at once.
#[test]
fn invalid_data_fails_with_its_fragment() {
    let received = receive_all(|role| frame(role, RSV1 | BINARY, &[0x06]));
    assert_eq!(received.error, Some(Error::Protocol(ProtocolError::DeflateInvalid)));
}
