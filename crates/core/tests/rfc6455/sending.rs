//! Sections 5.1 to 5.6 from the sender's side: masks, lengths, fragments, and what may be sent when.

use std::borrow::Cow;

use proptest::prelude::*;
use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{CloseCode, Config, Connection, Instant, Message, MessageKind, ReadyState, Role, SendError};

use crate::support::{
    BINARY, BOTH, CLOSE, CONTINUATION, ChaCha8Rng, Frame, Seen, TEXT, binary, endpoint, feed, open, pending, take,
    take_output, text, wire, with_frames_of,
};

use MessageKind::{Binary, Text};

fn with_buffer_of(bytes: usize) -> Config {
    let mut config = Config::default();
    config.max_buffered_amount = bytes;
    config
}

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Something that the application does.
type Act = fn(&mut Connection);
/// Something that it must not do.
type Refused = fn(&mut Connection) -> Result<(), SendError>;

/// The ways in which a message is handed over; each takes its own path to the output.
#[derive(Clone, Copy, Debug)]
enum Way {
    Borrowed,
    Owned,
    Shared,
    ByHand,
    ByHandShared,
}

const WAYS: [Way; 5] = [Way::Borrowed, Way::Owned, Way::Shared, Way::ByHand, Way::ByHandShared];

/// Bytes that are UTF-8 and differ from their neighbours.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| b'!' + (index % 89) as u8).collect()
}

fn send(connection: &mut Connection, way: Way, kind: MessageKind, payload: &[u8]) -> Result<(), SendError> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    match (way, kind) {
        (Way::Borrowed, Text) => Ok(connection.send(text(payload))?),
        (Way::Borrowed, Binary) => Ok(connection.send(payload)?),
        (Way::Owned, Text) => Ok(connection.send(text(payload).to_owned())?),
        (Way::Owned, Binary) => Ok(connection.send(payload.to_vec())?),
        (Way::Shared, kind) => Ok(connection.send_shared(kind, Bytes::copy_from_slice(payload))?),
        (Way::ByHand, kind) => connection.send_fragment(kind, payload, true),
        (Way::ByHandShared, kind) => connection.send_fragment(kind, payload.to_vec(), true),
    }
}

fn opcode(kind: MessageKind) -> u8 {
    match kind {
        Text => TEXT,
        Binary => BINARY,
    }
}

// Conformance 29, 30; section 5.1: "a client MUST mask all frames", "a server MUST NOT mask any frames".
#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    for role in BOTH {
        let mut connection = endpoint(role, &with_frames_of(5_000));
        for way in WAYS {
            for length in [0, 1, 126, 20_000, 70_000] {
                send(&mut connection, way, Binary, &payload(length)).unwrap();
            }
        }
        connection.send_fragment(Text, b"", false).unwrap();
        connection.ping(b"").unwrap();
        connection.pong(b"pong").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("")]));
        connection.close(CloseCode::NO_STATUS, "", Instant::EPOCH).unwrap();
        let frames = Frame::parse_all(&take(&mut connection, usize::MAX));
        assert!(frames.len() > 50);
        for frame in frames {
            assert_eq!(frame.key.is_some(), role == Role::Client, "{frame:?}");
        }
    }
}

// Conformance 31; GHSA-w67g-5rqw-f597; sections 5.3 and 10.3: "the masking key is a 32-bit value chosen at random by
// the client", a fresh one for each frame, and from the generator that was handed in.
#[test]
fn every_frame_has_its_own_key_from_the_injected_generator() {
    for way in WAYS {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut client = Connection::client(with_frames_of(3_000), rng.clone(), Instant::EPOCH);
        for length in [0, 5, 5, 3_000, 10_000] {
            send(&mut client, way, Binary, &payload(length)).unwrap();
        }
        client.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        let frames = Frame::parse_all(&take(&mut client, usize::MAX));
        assert_eq!(frames.len(), 4 + 4 + 1);
        for frame in &frames {
            let mut key = [0; 4];
            rng.fill_bytes(&mut key);
            assert_eq!(frame.key, Some(key), "{way:?}");
        }
    }
}

// Conformance 31; section 5.3: control frames too, whether asked for or answers.
#[test]
fn control_frames_have_keys_of_their_own() {
    let mut client = open(Role::Client);
    for _ in 0..20 {
        client.ping(b"same").unwrap();
        client.pong(b"same").unwrap();
        let _ = feed(&mut client, &Frame::ping("same").bytes());
    }
    let frames = Frame::parse_all(&take(&mut client, usize::MAX));
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.key.unwrap()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 60);
}

// GHSA-w67g-5rqw-f597: two connections with different generators share no key.
#[test]
fn the_keys_of_two_connections_differ() {
    let mut keys: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|seed| {
            let mut client = Connection::client(Config::default(), ChaCha8Rng::seed_from_u64(seed), Instant::EPOCH);
            for _ in 0..20 {
                client.send("x").unwrap();
            }
            Frame::parse_all(&take(&mut client, usize::MAX))
        })
        .map(|frame| frame.key.unwrap())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 40);
}

// Section 5.7: the examples, byte for byte.
#[test]
fn the_examples_of_the_rfc_are_sent_as_printed() {
    let sends: &[(Act, &[u8])] = &[
        (|server| server.send("Hello").unwrap(), b"\x81\x05Hello"),
        (|server| server.send_fragment(Text, b"Hel", false).unwrap(), b"\x01\x03Hel"),
        (|server| server.send_fragment(Text, b"lo", true).unwrap(), b"\x80\x02lo"),
        (|server| server.ping(b"Hello").unwrap(), b"\x89\x05Hello"),
        (|server| server.pong(b"Hello").unwrap(), b"\x8a\x05Hello"),
        (|server| server.send(vec![0; 256]).unwrap(), &[&[0x82, 0x7e, 0x01, 0x00][..], &[0; 256]].concat()),
        (
            |server| server.send(vec![0; 65_536]).unwrap(),
            &[&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], &[0; 65_536]].concat(),
        ),
    ];
    let mut server = open(Role::Server);
    for (send, expected) in sends {
        send(&mut server);
        assert_eq!(take(&mut server, usize::MAX), *expected);
    }
}

// Conformance 26; section 5.2: "the minimal number of bytes MUST be used to encode the length". The parser tells.
#[test]
fn lengths_are_encoded_in_the_fewest_bytes() {
    for role in BOTH {
        for way in WAYS {
            for length in [0, 1, 125, 126, 127, 128, 255, 256, 4_095, 4_096, 65_535, 65_536, 65_537, 1 << 20] {
                let mut connection = open(role);
                send(&mut connection, way, Binary, &payload(length)).unwrap();
                let size = connection.output().remaining();
                let frame = Frame::binary(payload(length));
                assert_eq!(size, frame.clone().to(other(role)).bytes().len());
                assert_eq!(take_output(&mut connection), [frame], "{way:?} {length}");
            }
        }
        for length in [0, 1, 124, 125] {
            let mut connection = open(role);
            connection.ping(&payload(length)).unwrap();
            connection.pong(&payload(length)).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::ping(payload(length)), Frame::pong(payload(length))]);
        }
    }
}

/// The frames that a message becomes: the first has its opcode, the last its FIN, all but the last the whole size.
fn fragments(kind: MessageKind, payload: &[u8], size: usize) -> Vec<Frame> {
    let mut frames: Vec<_> = payload.chunks(size).map(|piece| Frame::continuation(piece).fin(false)).collect();
    if frames.is_empty() {
        frames.push(Frame::continuation("").fin(false));
    }
    frames.first_mut().unwrap().opcode = opcode(kind);
    frames.last_mut().unwrap().fin = true;
    frames
}

// Section 5.4; design 1: a message above `max_sent_frame_payload` leaves in fragments.
#[test]
fn long_messages_leave_in_fragments_of_the_configured_size() {
    for role in BOTH {
        for (size, lengths) in [
            (1, &[0, 1, 2, 5, 4_100][..]),
            (7, &[0, 1, 6, 7, 8, 13, 14, 15, 4_096, 5_000]),
            (125, &[125, 126, 250, 4_096]),
            (4_096, &[4_095, 4_096, 4_097, 8_192, 8_193, 20_000]),
            (65_536, &[65_535, 65_536, 65_537, 200_000]),
        ] {
            for &length in lengths {
                for way in WAYS {
                    for kind in [Text, Binary] {
                        let mut connection = endpoint(role, &with_frames_of(size));
                        send(&mut connection, way, kind, &payload(length)).unwrap();
                        assert_eq!(connection.buffered_amount(), length);
                        let expected = fragments(kind, &payload(length), size);
                        assert!(take_output(&mut connection) == expected, "{way:?} {kind:?} {length} by {size}");
                    }
                }
            }
        }
    }
}

// Design 3.5: by default a frame carries up to 1 MiB.
#[test]
fn frames_carry_up_to_a_mebibyte_by_default() {
    const MIB: usize = 1024 * 1024;
    for role in BOTH {
        for way in WAYS {
            let mut connection = open(role);
            send(&mut connection, way, Binary, &vec![5; MIB]).unwrap();
            send(&mut connection, way, Binary, &vec![6; MIB + 1]).unwrap();
            let lengths: Vec<_> = take_output(&mut connection)
                .iter()
                .map(|frame| (frame.opcode, frame.fin, frame.payload.len()))
                .collect();
            assert_eq!(lengths, [(BINARY, true, MIB), (BINARY, false, MIB), (CONTINUATION, true, 1)]);
        }
    }
}

// Section 5.6: fragments may cut characters, the message may not; our own receiver agrees.
#[test]
fn text_cut_inside_its_characters_arrives_whole() {
    let message = "aß€𝄞".repeat(500);
    for role in BOTH {
        for size in [1, 2, 3, 1_000] {
            for way in WAYS {
                let mut connection = endpoint(role, &with_frames_of(size));
                send(&mut connection, way, Text, message.as_bytes()).unwrap();
                let bytes = take(&mut connection, usize::MAX);
                assert_eq!(feed(&mut open(other(role)), &bytes), (vec![text(&message)], Ok(())));
            }
        }
    }
}

// Section 5.4: "a fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0,
// followed by zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with
// the FIN bit set and an opcode of 0".
#[test]
fn fragments_by_hand_become_the_frames_asked_for() {
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

// Section 5.4: one fragment of the application's may be several of ours; the message is still one.
#[test]
fn fragments_by_hand_are_fragmented_further() {
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

// A server leaves a shared or owned fragment where it lies, in as many frames as it takes. A client must mask a copy
// (5.1).
#[test]
fn a_shared_fragment_is_not_copied_by_a_server() {
    for role in BOTH {
        for size in [10_000, 1_000] {
            let mut connection = endpoint(role, &with_frames_of(size));
            let (shared, owned) = (Bytes::from(payload(2_500)), payload(1_500));
            // a client drops what it has copied
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
            let frames: Vec<_> = Frame::parse_all(&wire).into_iter().map(Frame::unmasked).collect();
            assert_eq!(frames, expected, "{role:?}, {size}");
            assert_eq!(shared, payload(2_500), "others still have it");
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
            for way in [Way::Borrowed, Way::Owned, Way::Shared] {
                for length in [0, 5_000] {
                    let refused = send(&mut connection, way, kind, &payload(length));
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

// Section 5.6: text is UTF-8 over the whole message, not by the fragment.
#[test]
fn a_text_fragment_that_no_text_can_contain_is_refused_and_harms_nothing() {
    let bad: &[&[u8]] = &[b"\xff", b"ok\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90", b"\x80", b"\xe2\x28"];
    for role in BOTH {
        for bad in bad {
            for last in [false, true] {
                let mut connection = open(role);
                assert_eq!(connection.send_fragment(Text, *bad, last), Err(SendError::Utf8Invalid));
                // no message has begun: another may
                connection.send("in between").unwrap();
                connection.send_fragment(Text, b"caf\xc3", false).unwrap();
                assert_eq!(connection.send_fragment(Text, b"x", last), Err(SendError::Utf8Invalid));
                assert_eq!(connection.send_fragment(Text, b"\xa9\xff", last), Err(SendError::Utf8Invalid));
                // the half of a character that was sent is still waiting for its other half
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
fn a_last_fragment_that_cuts_a_character_is_refused_and_can_be_put_right() {
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

// Section 5.6: binary data need not be text.
#[test]
fn binary_fragments_are_not_looked_at() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send_fragment(Binary, b"\xff\xc0", false).unwrap();
        connection.send_fragment(Binary, b"\x80", true).unwrap();
        connection.send_shared(Binary, Bytes::from_static(b"\xff")).unwrap();
        assert_eq!(take_output(&mut connection).len(), 3);
    }
}

// Section 5.6: shared text is validated, at any length.
#[test]
fn shared_text_must_be_utf8() {
    for role in BOTH {
        for bad in [&b"\xff"[..], b"cut \xe2\x82", &[&[b'a'; 5_000][..], b"\xc3"].concat()] {
            let mut connection = open(role);
            let refused = connection.send_shared(Text, Bytes::copy_from_slice(bad));
            assert_eq!(refused, Err(SendError::Utf8Invalid));
            assert_eq!((connection.buffered_amount(), connection.output().remaining()), (0, 0));
            connection.send_shared(Text, Bytes::from_static("é".as_bytes())).unwrap();
            assert_eq!(take_output(&mut connection), [Frame::text("é")]);
        }
    }
}

// Design 3.5: what does not fit is returned as it was passed, not copied, nor masked; and the limit is met to the byte.
#[test]
fn a_message_that_does_not_fit_is_returned_as_it_was_passed() {
    // fits later, and never
    for size in [6_001, 10_001] {
        for role in BOTH {
            let mut connection = endpoint(role, &with_buffer_of(10_000));
            connection.send(payload(4_000)).unwrap();

            let message = payload(size);
            let address = message.as_ptr();
            let error = connection.send(message).unwrap_err();
            assert_eq!(matches!(error, SendError::BufferFull { size: 6_001, .. }), size == 6_001);
            assert_eq!(matches!(error, SendError::MessageTooLong { size: 10_001, limit: 10_000, .. }), size == 10_001);
            let Some(Message::Binary(Cow::Owned(back))) = error.into_message() else { panic!("not owned") };
            assert_eq!((back.as_ptr(), &back), (address, &payload(size)));

            let text = String::from_utf8(payload(size)).unwrap();
            match connection.send(&text).unwrap_err().into_message() {
                Some(Message::Text(Cow::Borrowed(back))) => assert!(std::ptr::eq(back, &*text)),
                other => panic!("{other:?}"),
            }

            let shared = Bytes::from(payload(size));
            let address = shared.as_ptr();
            let back = connection.send_shared(Text, shared).unwrap_err().into_message().unwrap();
            assert_eq!((back.as_ptr(), &back[..]), (address, &payload(size)[..]));

            assert_eq!(connection.buffered_amount(), 4_000);
            connection.send(payload(6_000)).unwrap();
            assert_eq!(connection.buffered_amount(), 10_000);
            assert!(matches!(connection.send("x"), Err(SendError::BufferFull { size: 1, .. })));
            assert_eq!(take_output(&mut connection), [Frame::binary(payload(4_000)), Frame::binary(payload(6_000))]);
            connection.send(payload(10_000)).unwrap();
        }
    }
}

// An error that is printed does not print the message.
#[test]
fn an_error_prints_the_length_of_the_message_and_not_the_message() {
    let mut connection = endpoint(Role::Server, &with_buffer_of(10));
    connection.send("secret").unwrap();
    let text = String::from("secret");
    let shared = || Bytes::from_static(b"secret");
    let full = "BufferFull { size: 6, .. }";
    let too_long = "MessageTooLong { size: 12, limit: 10, .. }";
    assert_eq!(format!("{:?}", connection.send(&text).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send_shared(Text, shared()).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send_fragment(Text, "secret", true).unwrap_err()), full);
    assert_eq!(format!("{:?}", connection.send("secretsecret").unwrap_err()), too_long);
    for (error, expected) in [
        (SendError::CloseCodeNotSendable(CloseCode::ABNORMAL), "CloseCodeNotSendable(CloseCode(1006))"),
        (SendError::ControlPayloadTooLong(126), "ControlPayloadTooLong(126)"),
        (SendError::FragmentKindMismatch, "FragmentKindMismatch"),
        (SendError::MessageUnfinished, "MessageUnfinished"),
        (SendError::NotOpen(ReadyState::Closed), "NotOpen(Closed)"),
        (SendError::ReasonTooLong, "ReasonTooLong"),
        (SendError::Utf8Invalid, "Utf8Invalid"),
    ] {
        assert_eq!(format!("{error:?}"), expected);
        assert_eq!(format!("{:?}", error.clone().map(|()| "a message")), expected);
        assert_eq!(error.into_message(), None);
    }
}

// `?` works in functions that return the error without the message, and in those that return any error.
#[test]
fn errors_convert_without_their_messages() {
    fn send(connection: &mut Connection, text: &str) -> Result<(), SendError> {
        Ok(connection.send(text)?)
    }
    fn send_shared(connection: &mut Connection, bytes: Bytes) -> Result<(), SendError> {
        Ok(connection.send_shared(Binary, bytes)?)
    }
    fn send_static(connection: &mut Connection) -> Result<(), Box<dyn std::error::Error>> {
        Ok(connection.send("12345678901")?)
    }
    let mut connection = endpoint(Role::Server, &with_buffer_of(10));
    let too_long = Err(SendError::MessageTooLong { message: (), size: 11, limit: 10 });
    assert_eq!(send(&mut connection, &"x".repeat(11)), too_long);
    assert_eq!(send_shared(&mut connection, payload(11).into()), too_long);
    assert!(send_static(&mut connection).unwrap_err().to_string().contains("`max_buffered_amount`"));
}

// Design 3.5: room is what the transport has taken, byte by byte of payload.
#[test]
fn room_grows_with_every_byte_that_is_taken() {
    for role in BOTH {
        let head = if role == Role::Client { 6 } else { 2 };
        let mut connection = endpoint(role, &with_buffer_of(100));
        connection.send(payload(100)).unwrap();
        take(&mut connection, head);
        assert!(connection.send("a").is_err(), "a head is no payload");
        for round in 0..8 {
            take(&mut connection, 1);
            assert_eq!(connection.buffered_amount(), 99, "{round}");
            assert!(connection.send("ab").is_err());
            connection.send("a").unwrap();
            assert_eq!(connection.buffered_amount(), 100);
        }
    }
}

// A refused fragment leaves its message where it was.
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

// Contract 11; design 3.5: messages without payload are bounded too, by the room they take.
#[test]
fn empty_messages_are_bounded() {
    for role in BOTH {
        for limit in [0, 1, 1_000] {
            for way in WAYS {
                let mut connection = endpoint(role, &with_buffer_of(limit));
                let mut sent = 0;
                while send(&mut connection, way, Text, b"").is_ok() {
                    sent += 1;
                    assert!(sent < 10_000, "without end");
                }
                assert!(connection.output().remaining() <= limit + 6);
                assert_eq!(connection.buffered_amount(), 0);
                assert_eq!(take_output(&mut connection), vec![Frame::text(""); sent]);
                assert_eq!(send(&mut connection, way, Text, b""), Ok(()));
            }
        }
    }
}

// Design 3.5: zero means zero.
#[test]
fn a_buffer_of_nothing_takes_no_payload() {
    for role in BOTH {
        for way in WAYS {
            let mut connection = endpoint(role, &with_buffer_of(0));
            assert!(matches!(send(&mut connection, way, Text, b"x"), Err(SendError::MessageTooLong { .. })));
            assert_eq!(connection.output().remaining(), 0);
        }
    }
}

// Conformance 33; section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
#[test]
fn pings_and_pongs_carry_at_most_125_bytes() {
    for role in BOTH {
        let mut connection = open(role);
        for length in [126, 127, 65_536] {
            assert_eq!(connection.ping(&payload(length)), Err(SendError::ControlPayloadTooLong(length)));
            assert_eq!(connection.pong(&payload(length)), Err(SendError::ControlPayloadTooLong(length)));
        }
        assert_eq!(connection.output().remaining(), 0);
        connection.ping(&payload(125)).unwrap();
        connection.pong(&payload(125)).unwrap();
        assert_eq!(take_output(&mut connection), [Frame::ping(payload(125)), Frame::pong(payload(125))]);
    }
}

// Design 3.5: Pings and Pongs of the application's are bounded in number, and do not get in the way of answers.
#[test]
fn pings_and_pongs_are_bounded_in_number() {
    for role in BOTH {
        for limit in [0, 1, 64] {
            let mut config = Config::default();
            config.max_pending_controls = limit;
            let mut connection = endpoint(role, &config);
            for index in 0..limit {
                let sent =
                    if index % 2 == 0 { connection.ping(&[index as u8]) } else { connection.pong(&[index as u8]) };
                assert_eq!(sent, Ok(()));
            }
            assert_eq!(connection.ping(b"x"), Err(SendError::BufferFull { message: (), size: 1 }));
            assert_eq!(connection.pong(b"x"), Err(SendError::BufferFull { message: (), size: 1 }));
            let _ = feed(&mut connection, &wire(role, &[Frame::ping("answer me")]));
            let frames = take_output(&mut connection);
            assert_eq!(frames.len(), limit + 1);
            assert_eq!(frames.last(), Some(&Frame::pong("answer me")));
            assert_eq!(connection.ping(b"x").is_ok(), limit > 0, "there is room again");
        }
    }
}

// A Ping of which a part has left waits no less than the others, and one that has left makes room.
#[test]
fn a_ping_that_has_left_makes_room_for_another() {
    let mut config = Config::default();
    config.max_pending_controls = 2;
    for role in BOTH {
        let size = if role == Role::Client { 7 } else { 3 };
        let mut connection = endpoint(role, &config);
        connection.ping(b"1").unwrap();
        connection.ping(b"2").unwrap();
        take(&mut connection, size - 1);
        assert_eq!(connection.ping(b"3"), Err(SendError::BufferFull { message: (), size: 1 }));
        take(&mut connection, 1);
        assert_eq!(connection.ping(b"3"), Ok(()));
        assert_eq!(take_output(&mut connection), [Frame::ping("2"), Frame::ping("3")]);
    }
}

// Design 3.6: `SendError` is the local caller's; "the connection is unharmed".
#[test]
fn no_refusal_harms_the_connection() {
    let offences: &[Refused] = &[
        |connection| Ok(connection.send(vec![0; 101])?),
        |connection| Ok(connection.send_shared(Binary, Bytes::from(vec![0; 101]))?),
        |connection| Ok(connection.send_shared(Text, Bytes::from_static(b"\xff"))?),
        |connection| connection.send_fragment(Text, b"\xff", false),
        |connection| connection.send_fragment(Text, &[b'a'; 101], false),
        |connection| connection.ping(&[0; 126]),
        |connection| connection.pong(&[0; 126]),
        |connection| connection.close(CloseCode::ABNORMAL, "", Instant::EPOCH),
        |connection| connection.close(CloseCode::NORMAL, &"r".repeat(124), Instant::EPOCH),
        |connection| connection.close(CloseCode::NO_STATUS, "r", Instant::EPOCH),
    ];
    for role in BOTH {
        let mut connection = endpoint(role, &with_buffer_of(100));
        for offence in offences {
            assert!(offence(&mut connection).is_err());
            assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, 0));
            assert_eq!((connection.ready_state(), connection.poll_timeout()), (ReadyState::Open, None));
            connection.send("fine").unwrap();
            let bytes = take(&mut connection, usize::MAX);
            assert_eq!(feed(&mut open(other(role)), &bytes), (vec![text("fine")], Ok(())));
            let _ = feed(&mut connection, &wire(role, &[Frame::pong("")]));
        }
    }
}

// Section 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
#[test]
fn nothing_is_sent_in_another_state_than_open() {
    let reach: &[(Act, ReadyState)] = &[
        (|connection| connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap(), ReadyState::Closing),
        (|it| drop(feed(it, &wire(it.role(), &[Frame::close(1000, "")]))), ReadyState::Closing),
        (|it| drop(feed(it, &wire(it.role(), &[Frame::continuation("")]))), ReadyState::Closing),
        // the begun message is still to be delivered
        (|connection| drop(connection.receive_eof(Instant::EPOCH)), ReadyState::Closing),
        (|connection| connection.write_lost(Instant::EPOCH), ReadyState::Closing),
        (|connection| connection.abort(Instant::EPOCH), ReadyState::Closing),
        (
            |connection| {
                connection.abort(Instant::EPOCH);
                assert!(pending(connection, Instant::EPOCH).is_some());
            },
            ReadyState::Closed,
        ),
    ];
    for role in BOTH {
        for (reach, state) in reach {
            for drained in [false, true] {
                let mut connection = open(role);
                connection.send_fragment(Text, b"begun", false).unwrap();
                reach(&mut connection);
                if drained {
                    take_output(&mut connection);
                }
                let before = (connection.output().remaining(), connection.buffered_amount());
                let refused = Err(SendError::NotOpen(*state));
                assert_eq!(connection.ready_state(), *state);
                for way in WAYS {
                    for length in [0, 1, 5_000] {
                        assert_eq!(send(&mut connection, way, Text, &payload(length)), refused);
                    }
                }
                assert_eq!(connection.ping(b""), refused);
                assert_eq!(connection.pong(b""), refused);
                assert_eq!((connection.output().remaining(), connection.buffered_amount()), before);
            }
        }
    }
}

// A received message can be sent as it is; the echo at the heart of every server.
#[test]
fn what_was_received_can_be_sent() {
    for role in BOTH {
        let mut connection = open(role);
        let mut bytes = wire(role, &[Frame::text("lent"), Frame::binary(payload(5_000))]);
        let mut input = sansocket::Input::new(&mut bytes);
        while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
            if let sansocket::Event::Message(message) = event {
                connection.send(message).unwrap();
            }
        }
        assert_eq!(take_output(&mut connection), [Frame::text("lent"), Frame::binary(payload(5_000))]);
    }
}

/// What an application and its driver do, in any order.
#[derive(Clone, Debug)]
enum Step {
    Send(Way, MessageKind, usize),
    Fragment(MessageKind, usize, bool),
    Ping(usize),
    Pong(usize),
    /// A Ping of the peer's arrives.
    Answer(usize),
    Close,
    Drain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let way = proptest::sample::select(&WAYS[..3]);
    let kind = prop_oneof![Just(Text), Just(Binary)];
    let length = || prop_oneof![6 => 0_usize..30, 2 => 100_usize..200, 1 => 4_090_usize..4_300, 1 => 0_usize..70_000];
    let step = prop_oneof![
        6 => (way, kind.clone(), length()).prop_map(|(way, kind, length)| Step::Send(way, kind, length)),
        3 => (kind, length(), any::<bool>()).prop_map(|(kind, length, last)| Step::Fragment(kind, length, last)),
        2 => (0_usize..126).prop_map(Step::Ping),
        1 => (0_usize..126).prop_map(Step::Pong),
        2 => (0_usize..126).prop_map(Step::Answer),
        1 => prop_oneof![9 => Just(Step::Drain(0)), 1 => Just(Step::Close)],
        6 => prop_oneof![0_usize..20, 0_usize..300, 0_usize..100_000].prop_map(Step::Drain),
    ];
    proptest::collection::vec(step, 0..60)
}

/// What an onlooker makes of the bytes that have left, the last frame perhaps in part.
#[derive(Debug, Default, PartialEq)]
struct Onlooker {
    /// Bytes of data payload.
    payload: usize,
    /// Whether a byte of a Close frame has left.
    close_begun: bool,
}

impl Onlooker {
    fn new(mut wire: &[u8]) -> Self {
        let mut seen = Self::default();
        while let [first, rest @ ..] = wire {
            seen.close_begun |= first % 16 == CLOSE;
            let [second, rest @ ..] = rest else { break };
            let (size, key) = (usize::from(second % 128), if *second >= 128 { 4 } else { 0 });
            let extended = [0, 2, 8][size.saturating_sub(125)];
            if rest.len() < extended + key {
                break;
            }
            let number = rest[..extended].iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
            let length = if extended == 0 { size } else { number };
            let rest = &rest[extended + key..];
            let there = length.min(rest.len());
            seen.payload += if first % 16 < CLOSE { there } else { 0 };
            wire = &rest[there..];
        }
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    // CVE-2022-25762; sections 5.4, 5.5, 5.5.1; contract 6; design 3.5: whatever is interleaved, what leaves is the
    // messages that were accepted, in order, with control frames only between frames, and Close last;
    // `buffered_amount` is right at every step, and the limits hold exactly where they are said to.
    #[test]
    fn output_is_what_was_accepted(
        steps in steps(),
        role in proptest::sample::select(&BOTH[..]),
        size in prop_oneof![1_usize..20, 100_usize..200, Just(5_000), Just(1 << 20)],
        limit in prop_oneof![0_usize..400, Just(10_000), Just(64 << 20)],
    ) {
        let mut config = with_frames_of(size);
        config.max_buffered_amount = limit;
        let mut connection = endpoint(role, &config);
        let mut accepted = 0;
        let mut messages: Vec<(MessageKind, Vec<u8>)> = vec![];
        let mut unfinished: Option<(MessageKind, Vec<u8>)> = None;
        let mut controls: Vec<Frame> = vec![];
        let mut closing = false;
        let mut wire: Vec<u8> = vec![];

        for step in steps {
            let seen = Onlooker::new(&wire);
            let remaining = connection.output().remaining();
            let buffered = accepted - seen.payload;
            let has_room = |length: usize| remaining - buffered <= limit && buffered + length <= limit;
            let no_room = |size: usize| {
                let message = ();
                Err(if size > limit {
                    SendError::MessageTooLong { message, size, limit }
                } else {
                    SendError::BufferFull { message, size }
                })
            };
            let state = if closing { Err(SendError::NotOpen(ReadyState::Closing)) } else { Ok(()) };
            match step {
                Step::Send(way, kind, length) => {
                    let result = send(&mut connection, way, kind, &payload(length));
                    if closing {
                        prop_assert_eq!(result, state);
                    } else if unfinished.is_some() {
                        prop_assert_eq!(result, Err(SendError::MessageUnfinished));
                    } else if has_room(length) {
                        prop_assert_eq!(result, Ok(()));
                        accepted += length;
                        messages.push((kind, payload(length)));
                    } else {
                        prop_assert_eq!(result, no_room(length));
                    }
                }
                Step::Fragment(kind, length, last) => {
                    let result = connection.send_fragment(kind, payload(length).as_slice(), last);
                    if closing {
                        prop_assert_eq!(result, state);
                    } else if unfinished.as_ref().is_some_and(|(begun, _)| *begun != kind) {
                        prop_assert_eq!(result, Err(SendError::FragmentKindMismatch));
                    } else if has_room(length) {
                        prop_assert_eq!(result, Ok(()));
                        accepted += length;
                        let mut message = unfinished.take().unwrap_or((kind, vec![]));
                        message.1.extend(payload(length));
                        if last { messages.push(message) } else { unfinished = Some(message) }
                    } else {
                        prop_assert_eq!(result, no_room(length));
                    }
                }
                Step::Ping(length) => {
                    prop_assert_eq!(connection.ping(&payload(length)), state.clone());
                    controls.extend(state.is_ok().then(|| Frame::ping(payload(length))));
                }
                Step::Pong(length) => {
                    prop_assert_eq!(connection.pong(&payload(length)), state.clone());
                    controls.extend(state.is_ok().then(|| Frame::pong(payload(length))));
                }
                Step::Answer(length) => {
                    let ping = Frame::ping(payload(length));
                    let events = feed(&mut connection, &crate::support::wire(role, &[ping]));
                    prop_assert_eq!(events, (vec![Seen::Ping(payload(length))], Ok(())));
                    controls.extend((!seen.close_begun).then(|| Frame::pong(payload(length))));
                }
                Step::Close => {
                    prop_assert_eq!(connection.close(CloseCode::NORMAL, "", Instant::EPOCH), Ok(()));
                    closing = true;
                }
                Step::Drain(count) => {
                    let taken = take(&mut connection, count);
                    prop_assert_eq!(taken.len(), count.min(remaining));
                    prop_assert_eq!(connection.output().remaining(), remaining - taken.len());
                    wire.extend(taken);
                }
            }
            prop_assert_eq!(connection.buffered_amount(), accepted - Onlooker::new(&wire).payload);
        }

        wire.extend(take(&mut connection, usize::MAX));
        prop_assert_eq!((connection.buffered_amount(), connection.output().remaining()), (0, 0));
        let mut sent = vec![];
        let mut open: Option<(MessageKind, Vec<u8>)> = None;
        let mut frames = Frame::parse_all(&wire);
        for frame in &frames {
            prop_assert_eq!(frame.key.is_some(), role == Role::Client);
        }
        if closing {
            prop_assert_eq!(frames.pop().map(Frame::unmasked), Some(Frame::close(1000, "")));
        }
        let (sent_controls, data): (Vec<_>, Vec<_>) =
            frames.into_iter().map(Frame::unmasked).partition(|frame| frame.opcode >= CLOSE);
        prop_assert_eq!(sent_controls, controls);
        for frame in data {
            prop_assert!(frame.payload.len() <= size);
            let mut message = match frame.opcode {
                CONTINUATION => open.take().expect("a message to continue"),
                opcode => {
                    prop_assert_eq!(&open, &None);
                    (if opcode == TEXT { Text } else { Binary }, vec![])
                }
            };
            message.1.extend(frame.payload);
            if frame.fin { sent.push(message) } else { open = Some(message) }
        }
        prop_assert_eq!(sent, messages);
        prop_assert_eq!(open, unfinished);
    }

    // Sections 5.1 to 5.6: what one endpoint sends the other receives, whatever it is and however it is cut.
    #[test]
    fn what_is_sent_is_what_is_received(
        payloads in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<char>(), 0..300)), 0..8),
        size in 1_usize..500,
        way in proptest::sample::select(&WAYS[..]),
        role in proptest::sample::select(&BOTH[..]),
    ) {
        let mut connection = endpoint(role, &with_frames_of(size));
        let mut expected = vec![];
        for (is_text, characters) in payloads {
            let message: String = characters.into_iter().collect();
            let kind = if is_text { Text } else { Binary };
            send(&mut connection, way, kind, message.as_bytes()).unwrap();
            expected.push(if is_text { text(message) } else { binary(message) });
        }
        let bytes = take(&mut connection, usize::MAX);
        prop_assert_eq!(feed(&mut open(other(role)), &bytes), (expected, Ok(())));
    }
}
