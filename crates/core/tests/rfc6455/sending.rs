//! Sections 5.1 to 5.6 from the sender's side: masks, lengths and fragments.

use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{CloseCode, Config, Connection, Instant, MessageKind, Role};

use crate::support::*;

use MessageKind::{Binary, Text};

type Action = fn(&mut Connection);

// Conformance 29, 30; section 5.1: "a client MUST mask all frames", "a server MUST NOT mask any frames".
#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    for role in BOTH {
        let mut connection = endpoint(role, &with_frames_of(5_000));
        for method in SEND_METHODS {
            for length in [0, 1, 126, 20_000, 70_000] {
                send(&mut connection, method, Binary, &payload(length)).unwrap();
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
// the client", a fresh one for each frame, from the generator of the constructor.
#[test]
fn every_frame_has_its_own_key_from_the_injected_generator() {
    for method in SEND_METHODS {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut client = Connection::client(with_frames_of(3_000), rng.clone(), Instant::EPOCH);
        for length in [0, 5, 5, 3_000, 10_000] {
            send(&mut client, method, Binary, &payload(length)).unwrap();
        }
        client.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        let frames = Frame::parse_all(&take(&mut client, usize::MAX));
        assert_eq!(frames.len(), 4 + 4 + 1);
        for frame in &frames {
            let mut key = [0; 4];
            rng.fill_bytes(&mut key);
            assert_eq!(frame.key, Some(key), "{method:?}");
        }
    }
}

// Conformance 31; GHSA-w67g-5rqw-f597 (gorilla); section 5.3: control frames too, sent by the application or as
// replies.
#[test]
fn every_control_frame_has_its_own_key() {
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
    assert!(!keys.contains(&[0; 4]));
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
    let sends: &[(Action, &[u8])] = &[
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

// Conformance 26; section 5.2: "the minimal number of bytes MUST be used to encode the length". `Frame` notes other
// encodings.
#[test]
fn lengths_are_encoded_in_the_fewest_bytes() {
    for role in BOTH {
        for method in SEND_METHODS {
            for length in [0, 1, 125, 126, 127, 128, 255, 256, 4_095, 4_096, 65_535, 65_536, 65_537, 1 << 20] {
                let mut connection = open(role);
                send(&mut connection, method, Binary, &payload(length)).unwrap();
                let size = connection.output().remaining();
                let frame = Frame::binary(payload(length));
                assert_eq!(size, frame.clone().masked_for(other(role)).bytes().len());
                assert_eq!(take_output(&mut connection), [frame], "{method:?} {length}");
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

// Section 5.4: a message longer than `max_sent_frame_payload` is sent in fragments.
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
                for method in SEND_METHODS {
                    for kind in [Text, Binary] {
                        let mut connection = endpoint(role, &with_frames_of(size));
                        send(&mut connection, method, kind, &payload(length)).unwrap();
                        assert_eq!(connection.buffered_amount(), length);
                        let expected = fragments(kind, &payload(length), size);
                        assert!(take_output(&mut connection) == expected, "{method:?} {kind:?} {length} by {size}");
                    }
                }
            }
        }
    }
}

// The default of `max_sent_frame_payload` is 1 MiB.
#[test]
fn frames_carry_up_to_a_mebibyte_by_default() {
    const MIB: usize = 1024 * 1024;
    for role in BOTH {
        for method in SEND_METHODS {
            let mut connection = open(role);
            send(&mut connection, method, Binary, &vec![5; MIB]).unwrap();
            send(&mut connection, method, Binary, &vec![6; MIB + 1]).unwrap();
            let lengths: Vec<_> = take_output(&mut connection)
                .iter()
                .map(|frame| (frame.opcode, frame.fin, frame.payload.len()))
                .collect();
            assert_eq!(lengths, [(BINARY, true, MIB), (BINARY, false, MIB), (CONTINUATION, true, 1)]);
        }
    }
}

// Section 5.6: fragments may cut characters, and our own receiver accepts them.
#[test]
fn text_cut_inside_its_characters_arrives_whole() {
    let message = "aß€𝄞".repeat(500);
    for role in BOTH {
        for size in [1, 2, 3, 1_000] {
            for method in SEND_METHODS {
                let mut connection = endpoint(role, &with_frames_of(size));
                send(&mut connection, method, Text, message.as_bytes()).unwrap();
                let bytes = take(&mut connection, usize::MAX);
                assert_eq!(feed(&mut open(other(role)), &bytes), (vec![text(&message)], Ok(())));
            }
        }
    }
}

// A received message can be sent without a conversion: an echo.
#[test]
fn a_received_message_can_be_sent() {
    for role in BOTH {
        let mut connection = open(role);
        let mut bytes = wire(role, &[Frame::text("short"), Frame::binary(payload(5_000))]);
        let mut input = sansocket::Input::new(&mut bytes);
        while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
            if let sansocket::Event::Message(message) = event {
                connection.send(message).unwrap();
            }
        }
        assert_eq!(take_output(&mut connection), [Frame::text("short"), Frame::binary(payload(5_000))]);
    }
}
