//! Messages that the application sends in fragments.

use std::num::NonZeroUsize;

use sansocket::bytes::Bytes;
use sansocket::{Compress, Config, Connection, MessageKind, Role, Scratch, SendError};

use crate::support::*;

/// Sends a text in fragments that end at these positions, and one more.
fn send(connection: &mut Connection, text: &str, ends: &[usize]) {
    let mut begin = 0;
    for &end in ends {
        connection.send_fragment(MessageKind::Text, &text.as_bytes()[begin..end], false).unwrap();
        begin = end;
    }
    connection.send_fragment(MessageKind::Text, &text.as_bytes()[begin..], true).unwrap();
}

/// Deflate 38, 40: the peer checks that RSV1 is set on the first frame only, that the tail is removed once, and that all
/// fragments together are a message.
#[test]
fn fragments_form_one_compressed_message() {
    let text = records(3_000, 1);
    let cuts: [&[usize]; 8] =
        [&[], &[1], &[1_500], &[0], &[3_000], &[0, 0, 1_000, 1_000, 3_000], &[10, 20, 30, 40], &[2_999]];
    for role in BOTH {
        for takeover in [false, true] {
            for history in [0, 512, 32 * 1024] {
                let config = Config::default().compression(compression(6, 8, history));
                let mut connection = endpoint(role, &config, agreed(role, 12, takeover));
                let mut peer = Peer::new(role, 12, takeover);
                for ends in cuts {
                    send(&mut connection, &text, ends);
                    let message = peer.read_one(&mut connection);
                    assert!(message.is_compressed() && message.payload == text.as_bytes());
                    assert_eq!((message.kind, message.frames), (MessageKind::Text, ends.len() + 1));
                    assert!(message.wire.len() < 2_000, "{} bytes", message.wire.len());
                }
            }
        }
    }
}

/// Deflate 41, 48: 7.2.3.6.
#[test]
fn empty_fragments_end_as_an_empty_message_does() {
    for (count, wire) in [(1, &[0x00][..]), (2, &[0x00]), (3, &[0x00])] {
        let (mut connection, mut peer) = pair(Role::Server, true);
        send(&mut connection, "", &vec![0; count - 1]);
        let message = peer.read_one(&mut connection);
        assert_eq!((&message.wire[..], message.frames, message.is_compressed()), (wire, count, true));
    }
}

/// Deflate 41: the last fragment has the empty block alone.
#[test]
fn an_empty_last_fragment_ends_the_message() {
    let (mut connection, mut peer) = pair(Role::Server, true);
    let text = records(300, 1);
    for _ in 0..2 {
        send(&mut connection, &text, &[300]);
        let bytes = drain(&mut connection);
        let frames = frames(Role::Server, &bytes);
        assert!(frames[0].payload.ends_with(&[0, 0, 0xff, 0xff]), "a fragment that is not the last one keeps the tail");
        assert_eq!(frames[1].payload, [0x00]);
        assert_eq!(peer.decode(&bytes)[0].payload, text.as_bytes());
    }
}

/// Deflate 57: without takeover, a fragment refers to the fragments before it, and a message to none.
#[test]
fn the_context_is_reset_per_message_and_not_per_fragment() {
    let text = records(1_000, 1).repeat(2);
    for takeover in [false, true] {
        let (mut connection, mut peer) = pair(Role::Server, takeover);
        let mut scratch = Scratch::new();
        let (mut other, mut others_peer) = pair(Role::Server, true);
        for round in 0..3 {
            for (part, last) in [(&text[..1_000], false), (&text[1_000..], true)] {
                connection.attach_scratch(&mut scratch);
                connection.send_fragment(MessageKind::Text, part, last).unwrap();
                connection.detach_scratch(&mut scratch);
                // another connection uses the compressor in the middle of the message
                other.attach_scratch(&mut scratch);
                other.send(records(2_000, round)).unwrap();
                others_peer.read_one(&mut other);
                other.detach_scratch(&mut scratch);
            }
            let message = peer.read_one(&mut connection);
            assert_eq!(message.payload, text.as_bytes());
            assert_eq!(message.reach() > 0, takeover && round > 0);
            // 512 of the 1,000 bytes of the second fragment are repeated
            let alone = {
                let (mut connection, mut peer) = pair(Role::Server, false);
                connection.send(&text[..1_000]).unwrap();
                peer.read_one(&mut connection).wire.len()
            };
            assert!(message.wire.len() < 2 * alone - 100, "{} and {alone}", message.wire.len());
        }
    }
}

/// The first fragment decides.
#[test]
fn the_first_fragment_decides() {
    let text = records(300, 1);
    for (first, second, is_compressed) in [
        (Compress::No, Compress::Yes, false),
        (Compress::Yes, Compress::No, true),
        (Compress::AsConfigured, Compress::No, true),
    ] {
        let (mut connection, mut peer) = pair(Role::Server, true);
        for _ in 0..2 {
            connection.send_fragment_with(MessageKind::Text, &text[..100], false, first).unwrap();
            connection.send_fragment_with(MessageKind::Text, &text[100..], true, second).unwrap();
            let message = peer.read_one(&mut connection);
            assert_eq!((message.is_compressed(), &message.payload[..]), (is_compressed, text.as_bytes()));
        }
    }
}

/// A compressed message cannot become an uncompressed one in the middle, so incompressible fragments get longer.
#[test]
fn incompressible_fragments_are_sent_for_all_settings() {
    let noise = noise(20_000, 1);
    for level in 0..=9 {
        for memory_level in 1..=9 {
            let config = Config::default().compression(compression(level, memory_level, 512));
            let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 9, true));
            let mut begin = 0;
            for end in [1, 2, 300, 5_000, 20_000] {
                let fragment = Bytes::copy_from_slice(&noise[begin..end]);
                connection.send_fragment(MessageKind::Binary, fragment, end == 20_000).unwrap();
                begin = end;
            }
            let message = Peer::new(Role::Server, 9, true).read_one(&mut connection);
            assert!(message.is_compressed() && message.payload == noise, "level {level}, memory level {memory_level}");
        }
    }
}

/// Deflate 37: control frames are sent between fragments.
#[test]
fn control_frames_do_not_disturb_a_message() {
    let text = records(900, 1);
    for role in BOTH {
        let (mut connection, mut peer) = pair(role, true);
        for _ in 0..2 {
            let mut messages = Vec::new();
            for (index, part) in text.as_bytes().chunks(300).enumerate() {
                connection.send_fragment(MessageKind::Text, part, index == 2).unwrap();
                connection.ping(b"ping").unwrap();
                messages.extend(peer.read(&mut connection));
            }
            assert_eq!((messages.len(), &messages[0].payload[..]), (1, text.as_bytes()));
        }
        assert_eq!(peer.controls, 6);
    }
}

/// Deflate 40: the frames of one message, and of one fragment.
#[test]
fn long_messages_are_sent_in_several_frames() {
    let text = records(2_000, 1);
    for role in BOTH {
        for max in [1, 7, 100] {
            let config = config().max_sent_frame_payload(NonZeroUsize::new(max).unwrap());
            let mut connection = endpoint(role, &config, agreed(role, 12, true));
            let mut peer = Peer::new(role, 12, true);
            connection.send(&text).unwrap();
            let message = peer.read_one(&mut connection);
            assert_eq!((message.frames, &message.payload[..]), (message.wire.len().div_ceil(max), text.as_bytes()));
            send(&mut connection, &text, &[1_000, 1_000]);
            let message = peer.read_one(&mut connection);
            assert!(message.is_compressed() && message.payload == text.as_bytes());
        }
    }
}

/// A fragment that is refused changes nothing: the message can be continued.
#[test]
fn a_refused_fragment_leaves_the_message_as_it_is() {
    let text = records(600, 1);
    let (mut connection, mut peer) = pair(Role::Server, true);
    for _ in 0..2 {
        connection.send_fragment(MessageKind::Text, &text[..300], false).unwrap();
        let refused = connection.send_fragment(MessageKind::Text, b"\xff", false);
        assert!(matches!(refused, Err(SendError::Utf8Invalid)), "{refused:?}");
        let refused = connection.send_fragment(MessageKind::Binary, b"a", true);
        assert!(matches!(refused, Err(SendError::FragmentKindMismatch)), "{refused:?}");
        assert!(matches!(connection.send("a"), Err(SendError::MessageUnfinished)));
        connection.send_fragment(MessageKind::Text, &text[300..], true).unwrap();
        assert_eq!(peer.read_one(&mut connection).payload, text.as_bytes());
    }
}
