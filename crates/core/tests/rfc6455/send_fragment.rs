//! `send_fragment`: sections 5.4 and 5.6 from the sender's side.

use sansocket::bytes::{Buf, Bytes};
use sansocket::{MessageKind, Role, SendError};

use crate::support::*;

use MessageKind::{Binary, Text};

// Section 5.4: "a fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0,
// followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with
// the FIN bit set and an opcode of 0".
#[test]
fn send_fragment_sends_one_frame_per_fragment() {
    for role in BOTH {
        for kind in [Text, Binary] {
            let mut connection = open(role);
            for (piece, last) in [("", false), ("one", false), ("", false), ("two", false), ("", true)] {
                connection.send_fragment(kind, piece.as_bytes(), last).unwrap();
            }
            connection.send_fragment(kind, b"alone", true).unwrap();
            let expected = [
                Frame::new(opcode(kind), "").fin(false),
                Frame::continuation("one").fin(false),
                Frame::continuation("").fin(false),
                Frame::continuation("two").fin(false),
                Frame::continuation(""),
                Frame::new(opcode(kind), "alone"),
            ];
            assert_eq!(take_output(&mut connection), expected);
        }
    }
}

// Section 5.4: a fragment of the application may become several frames of the message.
#[test]
fn long_fragments_are_split_into_several_frames() {
    for role in BOTH {
        let mut connection = endpoint(role, &with_frames_of(4));
        connection.send_fragment(Binary, b"abcdefgh", false).unwrap();
        connection.send_fragment(Binary, b"ijklm", false).unwrap();
        connection.send_fragment(Binary, b"nopqr", true).unwrap();
        let expected = [
            Frame::binary("abcd").fin(false),
            Frame::continuation("efgh").fin(false),
            Frame::continuation("ijkl").fin(false),
            Frame::continuation("m").fin(false),
            Frame::continuation("nopq").fin(false),
            Frame::continuation("r"),
        ];
        assert_eq!(take_output(&mut connection), expected);
    }
}

// A server sends shared and owned fragments without a copy, in any number of frames. A client masks a copy (5.1).
#[test]
fn a_shared_fragment_is_not_copied_by_a_server() {
    for role in BOTH {
        for size in [10_000, 1_000] {
            let mut connection = endpoint(role, &with_frames_of(size));
            let (shared, owned) = (Bytes::from(payload(2_500)), payload(1_500));
            // (a client drops the owned payload after it has copied it)
            let owned_place = if role == Role::Server { owned.as_ptr_range() } else { shared.as_ptr_range() };
            let places = [shared.as_ptr_range(), owned_place];
            connection.send_fragment(Text, shared.clone(), false).unwrap();
            connection.send_fragment(Text, owned, false).unwrap();
            connection.send_fragment(Text, Bytes::from_static(b"end"), true).unwrap();
            let (mut wire, mut in_place) = (Vec::new(), 0);
            while connection.output().has_remaining() {
                let bytes = connection.output().take_bytes(usize::MAX);
                if places.iter().any(|place| place.contains(&bytes.as_ptr())) {
                    in_place += bytes.len();
                }
                wire.extend_from_slice(&bytes);
                connection.output().delivered(bytes.len());
            }
            assert_eq!(in_place, if role == Role::Server { 4_000 } else { 0 }, "{size}");
            let mut expected = fragments(Text, &payload(2_500), size);
            expected.extend(fragments(Text, &payload(1_500), size));
            expected.push(Frame::text("end"));
            for (index, frame) in expected.iter_mut().enumerate() {
                frame.fin = false;
                frame.opcode = if index == 0 { TEXT } else { CONTINUATION };
            }
            expected.last_mut().unwrap().fin = true;
            let frames = Frame::parse_unmasked(&wire);
            assert_eq!(frames, expected, "{role:?}, {size}");
            assert_eq!(shared, payload(2_500), "the shared payload is unchanged");
        }
    }
}

// Section 5.4: "the fragments of one message MUST NOT be interleaved between the fragments of another message"; control
// frames may be "injected in the middle of a fragmented message".
#[test]
fn inside_a_fragmented_message_only_control_frames_are_sent() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send_fragment(Text, b"be", false).unwrap();
        for kind in [Text, Binary] {
            for method in [SendMethod::Borrowed, SendMethod::Owned, SendMethod::Shared] {
                for length in [0, 5_000] {
                    let refused = send(&mut connection, method, kind, &payload(length));
                    assert_eq!(refused, Err(SendError::MessageUnfinished));
                }
            }
        }
        assert_eq!(connection.send_fragment(Binary, b"", false), Err(SendError::FragmentKindMismatch));
        assert_eq!(connection.send_fragment(Binary, b"x", true), Err(SendError::FragmentKindMismatch));
        assert_eq!(take_output(&mut connection), [Frame::text("be").fin(false)]);

        connection.ping(b"?").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("!")]));
        connection.send_fragment(Text, b"gun", true).unwrap();
        connection.send(b"next").unwrap();
        let expected = [Frame::ping("?"), Frame::pong("!"), Frame::continuation("gun"), Frame::binary("next")];
        assert_eq!(take_output(&mut connection), expected);
    }
}

// Section 5.6: the whole message must be UTF-8; a fragment may end within a character.
#[test]
fn an_invalid_text_fragment_is_refused_without_effect() {
    let bad: &[&[u8]] = &[b"\xff", b"ok\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90", b"\x80", b"\xe2\x28"];
    for role in BOTH {
        for bad in bad {
            for last in [false, true] {
                let mut connection = open(role);
                assert_eq!(connection.send_fragment(Text, *bad, last), Err(SendError::Utf8Invalid));
                // no message has begun
                connection.send("in between").unwrap();
                connection.send_fragment(Text, b"caf\xc3", false).unwrap();
                assert_eq!(connection.send_fragment(Text, b"x", last), Err(SendError::Utf8Invalid));
                assert_eq!(connection.send_fragment(Text, b"\xa9\xff", last), Err(SendError::Utf8Invalid));
                // the message continues after the first half of the character
                connection.send_fragment(Text, b"\xa9!", true).unwrap();
                let expected =
                    [Frame::text("in between"), Frame::text(b"caf\xc3").fin(false), Frame::continuation(b"\xa9!")];
                assert_eq!(take_output(&mut connection), expected);
            }
        }
    }
}

// Section 5.6: a text message must not end within a character.
#[test]
fn a_last_fragment_that_cuts_a_character_is_refused_and_can_be_corrected() {
    for role in BOTH {
        for (begun, cut, end) in [
            (&b"\xf0"[..], &b"\x9d"[..], &b"\x9d\x84\x9e"[..]),
            (b"\xe2\x82", b"", b"\xac"),
            (b"ok", b"\xc3", b"\xc3\xa9"),
        ] {
            let mut connection = open(role);
            assert_eq!(connection.send_fragment(Text, b"\xe2\x82", true), Err(SendError::Utf8Invalid));
            connection.send_fragment(Text, begun, false).unwrap();
            assert_eq!(connection.send_fragment(Text, cut, true), Err(SendError::Utf8Invalid));
            connection.send_fragment(Text, end, true).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::text(begun).fin(false), Frame::continuation(end)]);
        }
    }
}

// Section 5.6: binary data need not be UTF-8.
#[test]
fn binary_fragments_are_not_validated() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send_fragment(Binary, b"\xff\xc0", false).unwrap();
        connection.send_fragment(Binary, b"\x80", true).unwrap();
        connection.send_shared(Binary, Bytes::from_static(b"\xff")).unwrap();
        assert_eq!(take_output(&mut connection).len(), 3);
    }
}

// A refused fragment does not change the state of its message.
#[test]
fn a_fragment_that_does_not_fit_can_be_sent_later() {
    for role in BOTH {
        let mut connection = endpoint(role, &with_buffer_of(10));
        connection.send_fragment(Text, b"0123456\xc3", false).unwrap();
        assert_eq!(
            connection.send_fragment(Text, b"\xa9yz", true),
            Err(SendError::BufferFull { message: (), size: 3 })
        );
        let mut frames = take_output(&mut connection);
        connection.send_fragment(Text, b"\xa9yz", true).unwrap();
        frames.extend(take_output(&mut connection));
        assert_eq!(frames, [Frame::text(b"0123456\xc3").fin(false), Frame::continuation(b"\xa9yz")]);
    }
}
