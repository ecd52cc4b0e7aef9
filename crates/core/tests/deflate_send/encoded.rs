//! Messages that are encoded and compressed once, for many receivers.

use std::num::NonZeroUsize;

use sansocket::bytes::Buf;
use sansocket::{Compress, Config, Connection, EncodedBatch, EncodedMessage, Instant, Role, WindowBits};

use crate::support::*;

/// Settings with a window of 12 bits.
fn encoder(max_frame: usize) -> Config {
    let mut compression = compression(6, 8, 512);
    compression.window_bits = WindowBits::new(12).unwrap();
    Config::default().compression(compression).max_sent_frame_payload(NonZeroUsize::new(max_frame).unwrap())
}

/// Deflate 62: before and after other messages, with and without takeover, for every window.
#[test]
fn every_receiver_decodes_an_encoded_message() {
    let text = records(3_000, 1);
    for max_frame in [100, 1024 * 1024] {
        let config = encoder(max_frame);
        let message = EncodedMessage::new(&text, &config);
        for role in BOTH {
            for bits in 8..=15 {
                for takeover in [false, true] {
                    let mut connection = endpoint(role, &config, agreed(role, bits, takeover));
                    let mut peer = Peer::new(role, bits, takeover);
                    for round in 0..3 {
                        connection.send_encoded(&message).unwrap();
                        let received = peer.read_one(&mut connection);
                        assert_eq!(received.payload, text.as_bytes());
                        assert_eq!(received.is_compressed(), bits >= 12, "the receiver's window has {bits} bits");
                        assert!(bits < 12 || received.reach() == 0, "the message has no history");
                        connection.send(&text[round * 100..]).unwrap();
                        let received = peer.read_one(&mut connection);
                        assert_eq!(received.payload, &text.as_bytes()[round * 100..]);
                        // Deflate 61: the window of the receiver ends with the encoded message
                        assert!(!takeover || bits < 12 || received.reach() > 0);
                        assert!(takeover || received.reach() == 0);
                    }
                }
            }
        }
    }
}

/// Deflate 58, 61: what a connection may refer to after an encoded message is that message alone, in wire order.
#[test]
fn the_history_of_a_connection_ends_with_the_encoded_message() {
    let config = encoder(1024 * 1024);
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
    let mut peer = Peer::new(Role::Server, 12, true);
    let (own, short, long) = (records(400, 1), records(100, 2), records(5_000, 3));
    for encoded in [&short, &long, &short] {
        connection.send(&own).unwrap();
        connection.send_encoded(&EncodedMessage::new_with(encoded, Compress::Yes, &config)).unwrap();
        connection.send(&encoded[encoded.len() - 90..]).unwrap();
        connection.send(&own).unwrap();
        let messages = peer.read(&mut connection);
        assert!(messages.iter().all(Message::is_compressed));
        assert!(messages[2].wire.len() < 20, "{}", messages[2].wire.len());
        assert_eq!(messages[3].payload, own.as_bytes());
    }
}

/// Servers share the compressed bytes as well.
#[test]
fn servers_share_the_compressed_bytes() {
    let config = encoder(1024 * 1024);
    let message = EncodedMessage::new(records(3_000, 1), &config);
    let mut chunks = Vec::new();
    let mut connections = [12, 13, 15].map(|bits| endpoint(Role::Server, &config, agreed(Role::Server, bits, true)));
    for connection in &mut connections {
        connection.send_encoded(&message.clone()).unwrap();
        chunks.push(connection.output().chunk().as_ptr_range());
    }
    assert!(chunks.iter().all(|chunk| *chunk == chunks[0]));
}

/// A message that is not to be compressed, one that does not shrink, one below the threshold, and a receiver that did
/// not agree to permessage-deflate.
#[test]
fn some_encoded_messages_are_not_compressed() {
    let config = encoder(1024 * 1024);
    let (text, noise) = (records(300, 1), noise(1_000, 1));
    let send = |connection: &mut Connection, message: &EncodedMessage| {
        connection.send_encoded(message).unwrap();
        connection.send_batch(&EncodedBatch::new(std::slice::from_ref(message))).unwrap();
        connection.send_batch(&EncodedBatch::new(&[message.clone(), message.clone()])).unwrap();
        let messages = Peer::new(Role::Server, 15, true).read(connection);
        assert_eq!(messages.len(), 4);
        let compressed = messages.iter().filter(|message| message.is_compressed()).count();
        assert!(compressed == 0 || compressed == 4);
        compressed == 4
    };
    let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 15, true));
    assert!(send(&mut connection, &EncodedMessage::new(&text, &config)));
    assert!(!send(&mut connection, &EncodedMessage::new_with(&text, Compress::No, &config)));
    assert!(!send(&mut connection, &EncodedMessage::new_with(&noise, Compress::Yes, &config)));
    assert!(!send(&mut connection, &EncodedMessage::new("a".repeat(63), &config)));
    assert!(send(&mut connection, &EncodedMessage::new_with("a".repeat(63), Compress::Yes, &config)));
    assert!(!send(&mut connection, &EncodedMessage::new(&text, &Config::default())));
    let mut plain = Connection::server(config.clone(), Instant::EPOCH);
    assert!(!send(&mut plain, &EncodedMessage::new_with(&text, Compress::Yes, &config)));
}

/// Deflate 61, 62: of each message, a batch has the shorter form.
#[test]
fn a_batch_mixes_compressed_and_uncompressed_messages() {
    let texts = [records(2_000, 1), "a".into(), records(300, 2), String::new(), "b".repeat(5_000), "c".repeat(70)];
    for max_frame in [50, 1024 * 1024] {
        let config = encoder(max_frame);
        let messages = texts.each_ref().map(|text| EncodedMessage::new(text, &config));
        let secret = EncodedMessage::new_with(&texts[0], Compress::No, &config);
        let messages = [&messages[..], &[secret]].concat();
        let batch = EncodedBatch::new(&messages);
        for role in BOTH {
            for (bits, takeover) in [(9, true), (12, true), (15, true), (15, false)] {
                let mut connection = endpoint(role, &config, agreed(role, bits, takeover));
                let mut peer = Peer::new(role, bits, takeover);
                for _ in 0..3 {
                    connection.send(&texts[4]).unwrap();
                    connection.send_batch(&batch).unwrap();
                    connection.send(&texts[5]).unwrap();
                    let sent: usize = texts.iter().map(String::len).sum();
                    assert_eq!(connection.buffered_amount(), 5_000 + sent + 2_000 + 70);
                    let received = peer.read(&mut connection);
                    let compressed: Vec<_> = received.iter().map(Message::is_compressed).collect();
                    let forms = [true, false, true, false, true, true, false].map(|is| is && bits >= 12);
                    assert_eq!(compressed[1..8], forms);
                    let expected = [&texts[4..5], &texts, &texts[..1], &texts[5..]].concat();
                    assert!(
                        received.iter().map(|message| &message.payload[..]).eq(expected.iter().map(String::as_bytes))
                    );
                }
            }
        }
    }
}

/// Without a message, a batch has no form.
#[test]
fn an_empty_batch_sends_nothing() {
    let mut connection = endpoint(Role::Server, &config(), agreed(Role::Server, 12, true));
    connection.send_batch(&EncodedBatch::new(&[])).unwrap();
    assert!(!connection.output().has_remaining());
}
