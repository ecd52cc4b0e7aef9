//! `EncodedMessage` and `EncodedBatch`: encoded once and sent on many connections, shared by servers and masked by
//! clients.

use sansocket::bytes::Buf;
use sansocket::{CloseCode, Config, EncodedBatch, EncodedMessage, Instant, Message, MessageKind, Role, SendError};

use crate::support::*;

const LENGTHS: [usize; 10] = [0, 1, 125, 126, 255, 256, 1_000, 1_001, 65_536, 200_000];
const FRAME_SIZES: [usize; 4] = [1, 7, 1_000, 1 << 20];

#[test]
fn send_encoded_makes_the_same_frames_as_send() {
    for role in BOTH {
        for size in FRAME_SIZES {
            let config = with_frames_of(size);
            for length in LENGTHS.into_iter().filter(|length| length / size < 10_000) {
                for text in [true, false] {
                    let payload = vec![b'x'; length];
                    let message = match text {
                        true => Message::from(std::str::from_utf8(&payload).unwrap()),
                        false => Message::from(&payload),
                    };
                    let encoded = EncodedMessage::new(message.clone(), &config);
                    assert_eq!(
                        (encoded.kind(), encoded.len(), encoded.is_empty()),
                        (message.kind(), length, length == 0)
                    );
                    let [mut sent, mut expected] = [(); 2].map(|()| endpoint(role, &config));
                    sent.send_encoded(&encoded).unwrap();
                    expected.send(message).unwrap();
                    // the keys come from the same seed
                    assert!(take(&mut sent, usize::MAX) == take(&mut expected, usize::MAX), "{role:?} {size} {length}");
                }
            }
        }
    }
}

#[test]
fn buffered_amount_counts_only_the_payload() {
    for role in BOTH {
        for size in [7, 1 << 20] {
            for length in [0, 300, 1_000] {
                let config = with_frames_of(size);
                let encoded = EncodedMessage::new(vec![7; length], &config);
                let [mut sent, mut expected] = [(); 2].map(|()| endpoint(role, &config));
                for _ in 0..3 {
                    sent.send_encoded(&encoded).unwrap();
                    expected.send(vec![7; length].as_slice()).unwrap();
                }
                assert_eq!(sent.buffered_amount(), 3 * length);
                loop {
                    let remaining = (sent.output().remaining(), sent.buffered_amount());
                    assert_eq!(remaining, (expected.output().remaining(), expected.buffered_amount()));
                    if remaining.0 == 0 {
                        break;
                    }
                    assert_eq!(take(&mut sent, 1), take(&mut expected, 1));
                }
            }
        }
    }
}

#[test]
fn servers_share_the_encoded_bytes() {
    for size in [1_000, 1 << 20] {
        let config = with_frames_of(size);
        let encoded = EncodedMessage::new(vec![7; 50_000], &config);
        let mut servers = [(); 3].map(|()| endpoint(Role::Server, &config));
        for server in &mut servers {
            server.send_encoded(&encoded).unwrap();
        }
        let place = places(&mut servers[0]);
        assert_eq!(place.len(), 1, "one segment has heads and payload");
        assert!(servers.iter_mut().all(|server| places(server) == place));
        // also between other messages
        let mut server = endpoint(Role::Server, &config);
        server.send("before").unwrap();
        server.send_encoded(&encoded).unwrap();
        server.send_encoded(&encoded).unwrap();
        server.send("after").unwrap();
        assert_eq!(places(&mut server)[1..3], [place[0], place[0]]);
        assert_eq!(take_output(&mut server).len(), 2 + 2 * 50_000_usize.div_ceil(size));
    }
}

#[test]
fn a_short_encoded_message_is_copied() {
    let config = Config::default();
    let encoded = EncodedMessage::new("short", &config);
    let mut server = endpoint(Role::Server, &config);
    for _ in 0..100 {
        server.send_encoded(&encoded).unwrap();
    }
    assert_eq!(places(&mut server).len(), 1);
    assert_eq!(take_output(&mut server), vec![Frame::text("short"); 100]);
}

#[test]
fn control_frames_are_sent_before_it_and_between_its_fragments() {
    let config = with_frames_of(1_000);
    let encoded = EncodedMessage::new(vec![7; 2_500], &config);
    let mut server = endpoint(Role::Server, &config);
    server.send_encoded(&encoded).unwrap();
    server.ping(b"first").unwrap();
    let mut bytes = take(&mut server, 7 + 500);
    server.ping(b"between").unwrap();
    server.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
    bytes.extend(take(&mut server, usize::MAX));
    let frames: Vec<_> = Frame::parse_all(&bytes).into_iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(frames, [5, 1_000, 7, 1_000, 500, 2]);
}

#[test]
fn send_encoded_is_refused_like_send() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_buffered_amount = 1_000;
        let encoded = EncodedMessage::new(vec![7; 600], &config);
        let mut connection = endpoint(role, &config);
        connection.send_encoded(&encoded).unwrap();
        assert_eq!(connection.send_encoded(&encoded), Err(SendError::BufferFull { message: (), size: 600 }));
        take(&mut connection, usize::MAX);
        connection.send_fragment(MessageKind::Binary, b"begun", false).unwrap();
        assert_eq!(connection.send_encoded(&encoded), Err(SendError::MessageUnfinished));
        connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        assert!(matches!(connection.send_encoded(&encoded), Err(SendError::NotOpen(_))));
    }
}

#[test]
fn a_batch_makes_the_same_frames_as_its_messages() {
    for role in BOTH {
        for size in FRAME_SIZES {
            let config = with_frames_of(size);
            for lengths in [&[][..], &[0], &[5], &[0, 0, 0], &[20; 16], &[300, 0, 1_000], &[1, 7_000, 2]] {
                let messages: Vec<_> =
                    lengths.iter().map(|&length| EncodedMessage::new(vec![7; length], &config)).collect();
                let batch = EncodedBatch::new(&messages);
                let payload: usize = lengths.iter().sum();
                assert_eq!((batch.count(), batch.len(), batch.is_empty()), (lengths.len(), payload, payload == 0));
                let [mut sent, mut expected] = [(); 2].map(|()| endpoint(role, &config));
                for connection in [&mut sent, &mut expected] {
                    connection.send("before").unwrap();
                }
                sent.send_batch(&batch).unwrap();
                messages.iter().for_each(|message| expected.send_encoded(message).unwrap());
                loop {
                    let remaining = (sent.output().remaining(), sent.buffered_amount());
                    assert_eq!(remaining, (expected.output().remaining(), expected.buffered_amount()));
                    if remaining.0 == 0 {
                        break;
                    }
                    assert_eq!(take(&mut sent, 3), take(&mut expected, 3), "{role:?} {size} {lengths:?}");
                }
            }
        }
    }
}

#[test]
fn servers_share_a_batch() {
    let config = Config::default();
    let messages = [(); 16].map(|()| EncodedMessage::new(vec![7; 128], &config));
    let batch = EncodedBatch::new(&messages);
    let mut servers = [(); 3].map(|()| endpoint(Role::Server, &config));
    for server in &mut servers {
        server.send_batch(&batch).unwrap();
    }
    let place = places(&mut servers[0]);
    assert_eq!(place.len(), 1, "one segment has all frames");
    assert!(servers.iter_mut().all(|server| places(server) == place));
}

#[test]
fn a_batch_is_sent_whole_or_refused() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_buffered_amount = 1_000;
        let messages = [500, 400].map(|length| EncodedMessage::new(vec![7; length], &config));
        let batch = EncodedBatch::new(&messages);
        let mut connection = endpoint(role, &config);
        connection.send(&[7; 101]).unwrap();
        assert_eq!(connection.send_batch(&batch), Err(SendError::BufferFull { message: (), size: 900 }));
        assert_eq!(connection.buffered_amount(), 101);
        // the messages still fit one at a time
        connection.send_encoded(&messages[0]).unwrap();
        take(&mut connection, usize::MAX);
        connection.send_batch(&batch).unwrap();
        let batch = EncodedBatch::new(&[messages.to_vec(), messages.to_vec()].concat());
        let expected = SendError::MessageTooLong { message: (), size: 1_800, limit: 1_000 };
        assert_eq!(connection.send_batch(&batch), Err(expected));
        connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        assert!(matches!(connection.send_batch(&batch), Err(SendError::NotOpen(_))));
    }
}
