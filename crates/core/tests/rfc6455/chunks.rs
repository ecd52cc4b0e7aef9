//! `Delivery::Chunks`: pieces of the payload as they arrive, instead of whole messages.

use sansocket::{Config, Delivery, MessageKind, ProtocolError};

use crate::support::*;

use MessageKind::{Binary, Text};

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.delivery = Delivery::Chunks;
    config
}

/// Returns the events of these reads. Chunks are not joined.
fn events(pieces: &[&[u8]]) -> Vec<OwnedEvent> {
    let mut connection = endpoint(sansocket::Role::Client, &config());
    pieces.iter().flat_map(|piece| feed(&mut connection, piece).0).collect()
}

#[test]
fn the_chunks_of_a_message_are_the_message() {
    let fragmented = [Frame::text("ab").fin(false), Frame::continuation("cd").fin(false), Frame::continuation("ef")];
    check_both_with(&config(), &fragmented, &[chunk(Text, "abcdef", true)], Ok(()));
    let whole = [Frame::binary("abcdef"), Frame::text("g")];
    check_both_with(&config(), &whole, &[chunk(Binary, "abcdef", true), chunk(Text, "g", true)], Ok(()));
}

#[test]
fn a_chunk_is_delivered_as_soon_as_its_bytes_arrive() {
    let frame = Frame::text("Hello").bytes();
    assert_eq!(events(&[&frame[..4]]), [chunk(Text, "He", false)]);
    assert_eq!(events(&[&frame[..4], &frame[4..]]), [chunk(Text, "He", false), chunk(Text, "llo", true)]);
    // a head without payload gives no chunk
    assert_eq!(events(&[&frame[..2]]), []);
    assert_eq!(events(&[&frame[..2], &frame[2..]]), [chunk(Text, "Hello", true)]);
}

#[test]
fn the_kind_of_every_chunk_is_that_of_the_message() {
    let frames = [Frame::binary("a").fin(false), Frame::ping(""), Frame::continuation("b")];
    let expected = [chunk(Binary, "a", false), ping(""), chunk(Binary, "b", true)];
    check_both_with(&config(), &frames, &expected, Ok(()));
}

/// Conformance 36: the last fragment ends the message, and gives a chunk even if it is empty.
#[test]
fn the_last_chunk_may_be_empty() {
    let frames = [Frame::text("a").fin(false).bytes(), Frame::continuation("").bytes()];
    let expected = [chunk(Text, "a", false), chunk(Text, "", true)];
    assert_eq!(events(&[&frames.concat()]), expected);
    assert_eq!(events(&[&frames[0], &frames[1]]), expected);
    assert_eq!(events(&[&Frame::text("").bytes()]), [chunk(Text, "", true)]);
}

/// Conformance 36: an empty fragment gives no chunk, unless it is the last one.
#[test]
fn no_chunk_but_the_last_is_empty() {
    let frames =
        [Frame::binary("").fin(false), Frame::continuation("").fin(false), Frame::continuation("a").fin(false)];
    let wire = wire(sansocket::Role::Client, &frames);
    assert_eq!(events(&[&wire]), [chunk(Binary, "a", false)]);
    assert_eq!(events(&wire.chunks(1).collect::<Vec<_>>()), [chunk(Binary, "a", false)]);
}

/// Conformance 34.
#[test]
fn control_frames_come_between_chunks() {
    let frames = [
        Frame::text("a").fin(false),
        Frame::ping("1"),
        Frame::pong("2"),
        Frame::continuation("b"),
        Frame::close(1000, "bye"),
    ];
    let expected = [chunk(Text, "a", false), ping("1"), pong("2"), chunk(Text, "b", true), closed(1000, "bye")];
    check_both_with(&config(), &frames, &expected, Ok(()));
}

/// Conformance 37, section 8.1: chunks may end within a character.
#[test]
fn a_character_may_straddle_chunks() {
    let euro = "€".as_bytes();
    for cut in 0..=euro.len() {
        let frames = [Frame::text(&euro[..cut]).fin(false), Frame::continuation(&euro[cut..])];
        check_both_with(&config(), &frames, &[chunk(Text, euro, true)], Ok(()));
    }
    let frame = Frame::text(euro).bytes();
    assert_eq!(events(&[&frame[..3], &frame[3..]]), [chunk(Text, [0xE2], false), chunk(Text, [0x82, 0xAC], true)]);
}

/// Conformance 37, section 8.1: text is validated as it arrives, and at its end.
#[test]
fn text_in_chunks_must_be_utf8() {
    let error = Err(ProtocolError::Utf8Invalid);
    for role in BOTH {
        let invalid = wire(role, &[Frame::text("a").fin(false), Frame::continuation([0xE2, 0x28])]);
        check_last_byte_fails(&config(), role, &invalid, ProtocolError::Utf8Invalid);
        let unfinished = wire(role, &[Frame::text("a").fin(false), Frame::continuation([0xE2, 0x82])]);
        check_last_byte_fails(&config(), role, &unfinished, ProtocolError::Utf8Invalid);
    }
    let unfinished = [Frame::text([0xE2]).fin(false), Frame::ping(""), Frame::continuation("")];
    check_both_with(&config(), &unfinished, &[chunk(Text, [0xE2], false), ping("")], error);
}

/// The limits count received bytes, although none are kept. More in `limits.rs`.
#[test]
fn messages_in_chunks_have_the_same_limits() {
    let mut config = config();
    config.max_message_size = 3;
    let frames = [Frame::binary("ab").fin(false), Frame::continuation("").claiming(2)];
    check_limit(&config, &frames, &[chunk(Binary, "ab", false)], ("max_message_size", 3, 4));
    check_limit(&config, &[Frame::binary("").claiming(4)], &[], ("max_message_size", 3, 4));
}
