//! Which messages are compressed, and that the others leave the context unchanged.

use sansocket::bytes::Bytes;
use sansocket::{Compress, Config, Connection, MessageKind, Role, Scratch, SendError};

use crate::support::*;

/// Sends two messages and, between them, does something that must leave the context unchanged. Checks that the second
/// message refers to the first one, that the peer can decode it, and that the wire data is as without the interruption.
fn context_stays(interrupt: impl Fn(&mut Connection)) {
    let text = records(300, 1);
    for role in BOTH {
        for has_scratch in [false, true] {
            let exchange = |interrupt: &dyn Fn(&mut Connection)| {
                let (mut connection, mut peer) = pair(role, true);
                let mut scratch = Scratch::new();
                if has_scratch {
                    connection.attach_scratch(&mut scratch);
                }
                connection.send(&text).unwrap();
                assert!(peer.read_one(&mut connection).is_compressed());
                interrupt(&mut connection);
                peer.read(&mut connection);
                connection.send(&text).unwrap();
                let second = peer.read_one(&mut connection);
                assert_eq!(second.payload, text.as_bytes());
                second.wire
            };
            let (interrupted, expected) = (exchange(&interrupt), exchange(&|_| ()));
            assert!(expected.len() < 20, "{}", expected.len());
            assert!(interrupted.len() < 20, "{}", interrupted.len());
        }
    }
}

/// Deflate 59.
#[test]
fn a_message_that_would_not_shrink_is_sent_uncompressed_and_touches_no_context() {
    let noise = noise(1_000, 1);
    for role in BOTH {
        let (mut connection, mut peer) = pair(role, true);
        for message in [&noise[..], b"", b"a", b"ab"] {
            connection.send_with(message, Compress::Yes).unwrap();
            connection.send_shared_with(MessageKind::Binary, Bytes::copy_from_slice(message), Compress::Yes).unwrap();
            for received in peer.read(&mut connection) {
                assert_eq!((received.is_compressed(), &received.payload[..]), (false, message));
            }
        }
    }
    context_stays(|connection| connection.send_with(&noise, Compress::Yes).unwrap());
    context_stays(|connection| connection.send(b"a").unwrap());
    context_stays(|connection| {
        connection.send_shared(MessageKind::Binary, Bytes::copy_from_slice(&noise)).unwrap();
        connection.send(&noise).unwrap();
    });
}

/// A compressor that is reset while compressed bytes are pending fails at a later message (zlib-rs 0.6.8).
#[test]
fn long_messages_follow_one_that_would_not_shrink() {
    for role in BOTH {
        for takeover in [false, true] {
            let (mut connection, mut peer) = pair(role, takeover);
            for message in [noise(1_000, 1), noise(100_000, 2), records(100_000, 3).into_bytes()] {
                connection.send_with(&message[..], Compress::Yes).unwrap();
                assert_eq!(peer.read_one(&mut connection).payload, message);
            }
        }
    }
}

/// Deflate 36, 58.
#[test]
fn an_uncompressed_message_enters_no_context() {
    let text = records(300, 2);
    context_stays(|connection| connection.send_with(&text, Compress::No).unwrap());
    context_stays(|connection| {
        connection.send_shared_with(MessageKind::Text, text.clone().into(), Compress::No).unwrap();
    });
    context_stays(|connection| {
        connection.send_fragment_with(MessageKind::Text, &text[..100], false, Compress::No).unwrap();
        connection.send_fragment_with(MessageKind::Text, &text[100..], true, Compress::Yes).unwrap();
    });
    let (mut connection, mut peer) = pair(Role::Server, true);
    connection.send_with(&text, Compress::No).unwrap();
    assert!(!peer.read_one(&mut connection).is_compressed());
    connection.send(&text).unwrap();
    assert_eq!(peer.read_one(&mut connection).reach(), 0);
}

/// Deflate 60.
#[test]
fn a_refused_message_touches_no_context() {
    let text = records(300, 2);
    context_stays(|connection| {
        let invalid = Bytes::from([text.as_bytes(), b"\xff"].concat());
        assert!(matches!(connection.send_shared(MessageKind::Text, invalid.clone()), Err(SendError::Utf8Invalid)));
        let fragment = connection.send_fragment(MessageKind::Text, invalid, true);
        assert!(matches!(fragment, Err(SendError::Utf8Invalid)), "{fragment:?}");
    });
    let mut config = config();
    config.max_buffered_amount = 1_000;
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
    let mut peer = Peer::new(Role::Server, 12, true);
    let long = records(1_001, 2);
    for _ in 0..3 {
        assert!(matches!(connection.send(&long), Err(SendError::MessageTooLong { limit: 1_000, .. })));
        connection.send(&text).unwrap();
        connection.send(&text).unwrap();
        connection.send(&text).unwrap();
        // Deflate 60: the limit counts the application's bytes
        assert!(matches!(connection.send(&text), Err(SendError::BufferFull { size: 300, .. })));
        assert!(connection.send_shared(MessageKind::Text, text.clone().into()).is_err());
        let fragment = connection.send_fragment(MessageKind::Text, &text[..], false);
        assert!(matches!(fragment, Err(SendError::BufferFull { .. })), "{fragment:?}");
        assert_eq!(connection.buffered_amount(), 900);
        assert_eq!(peer.read(&mut connection).len(), 3);
    }
}

/// A refused message comes back, so that it can be sent later.
#[test]
fn the_error_returns_the_message() {
    let mut config = config();
    config.max_buffered_amount = 100;
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
    let text = records(200, 1);
    let Err(SendError::MessageTooLong { message, .. }) = connection.send_with(&text, Compress::Yes) else { panic!() };
    assert_eq!(message.as_text(), Some(&text[..]));
}

/// The threshold applies without takeover only, and only as configured.
#[test]
fn the_threshold_applies_without_takeover() {
    for takeover in [false, true] {
        let (mut connection, mut peer) = pair(Role::Server, takeover);
        let mut is_compressed = |len: usize, compress| {
            connection.send_with("a".repeat(len), compress).unwrap();
            peer.read_one(&mut connection).is_compressed()
        };
        assert_eq!(is_compressed(63, Compress::AsConfigured), takeover);
        assert!(is_compressed(64, Compress::AsConfigured));
        assert!(is_compressed(63, Compress::Yes));
        assert!(!is_compressed(64, Compress::No));
    }
}

/// Without an agreement, nothing is compressed, whatever the settings and the message say.
#[test]
fn nothing_is_compressed_without_an_agreement() {
    let mut connection = Connection::server(config(), sansocket::Instant::EPOCH);
    let text = records(300, 1);
    connection.send_with(&text, Compress::Yes).unwrap();
    connection.send_shared_with(MessageKind::Text, text.clone().into(), Compress::Yes).unwrap();
    connection.send_fragment_with(MessageKind::Text, &text[..], true, Compress::Yes).unwrap();
    let messages = Peer::new(Role::Server, 15, true).read(&mut connection);
    assert!(messages.len() == 3 && messages.iter().all(|message| !message.is_compressed()));
}

/// A connection that was negotiated elsewhere compresses without `Config::compression` too, with the default settings.
#[test]
fn the_agreement_alone_turns_compression_on() {
    let mut connection = endpoint(Role::Server, &Config::default(), agreed(Role::Server, 15, true));
    let text = records(300, 1);
    connection.send(&text).unwrap();
    assert!(Peer::new(Role::Server, 15, true).read_one(&mut connection).is_compressed());
}
