//! `buffered_amount` counts the application's bytes: those of a compressed frame until its last byte is delivered.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use sansocket::bytes::Buf;
use sansocket::{Compress, Connection, EncodedBatch, EncodedMessage, Instant, MessageKind, Role, Scratch};

use crate::support::*;

/// Sends messages of every kind. Returns their application bytes.
fn send_all(connection: &mut Connection) -> usize {
    let config = config();
    let (text, noise) = (records(300, 1), noise(200, 1));
    connection.send(&text).unwrap();
    connection.ping(b"ping").unwrap();
    connection.send(&noise).unwrap();
    connection.send_with(&text, Compress::No).unwrap();
    connection.send_shared(MessageKind::Text, text.clone().into()).unwrap();
    let encoded = EncodedMessage::new(&text, &config);
    connection.send_encoded(&encoded).unwrap();
    connection
        .send_batch(&EncodedBatch::new(&[encoded.clone(), EncodedMessage::new(&noise, &config), encoded]))
        .unwrap();
    for (part, last) in [(&text[..100], false), ("", false), (&text[100..], false), ("", true)] {
        connection.send_fragment(MessageKind::Text, part, last).unwrap();
    }
    8 * 300 - 300 + 2 * 200
}

/// The application bytes of each frame in the output of [`send_all`], with its size, and whether it is compressed.
fn expected(role: Role, bytes: &[u8]) -> VecDeque<(usize, usize, bool)> {
    let mut sent = [300, 200, 300, 300, 300, 300, 200, 300, 100, 0, 200, 0].into_iter();
    let mut is_compressed = false;
    let frame = |frame: Frame| {
        if frame.opcode >= 8 {
            return (frame.size, 0, true);
        }
        is_compressed = frame.rsv1 || frame.opcode == 0 && is_compressed;
        (frame.size, sent.next().unwrap(), is_compressed)
    };
    frames(role, bytes).into_iter().map(frame).collect()
}

/// Returns what `buffered_amount` must be when `delivered` bytes were delivered.
fn buffered(mut frames: VecDeque<(usize, usize, bool)>, mut delivered: usize) -> usize {
    while let Some(&(size, _, _)) = frames.front()
        && size <= delivered
    {
        delivered -= size;
        frames.pop_front();
    }
    if let Some((size, sent, false)) = frames.front_mut() {
        let head = *size - *sent;
        *sent -= delivered.saturating_sub(head);
    }
    frames.iter().map(|(_, sent, _)| sent).sum()
}

/// Byte by byte and in larger steps, with and without a scratch that is detached in between.
#[test]
fn bytes_count_until_their_frame_is_delivered() {
    for role in BOTH {
        let (mut connection, _) = pair(role, true);
        let amount = send_all(&mut connection);
        assert_eq!(connection.buffered_amount(), amount);
        let frames = expected(role, &drain(&mut connection));
        let total: usize = frames.iter().map(|(size, _, _)| size).sum();
        assert_eq!((frames.len(), connection.buffered_amount()), (13, 0));
        for step in [1, 7, 64, 1_000] {
            for has_scratch in [false, true] {
                let (mut connection, _) = pair(role, true);
                let mut scratch = Scratch::new();
                if has_scratch {
                    connection.attach_scratch(&mut scratch);
                }
                send_all(&mut connection);
                let mut delivered = 0;
                while delivered < total {
                    assert_eq!(connection.buffered_amount(), buffered(frames.clone(), delivered), "{delivered}");
                    let count = step.min(total - delivered);
                    connection.output().advance(count);
                    delivered += count;
                    if has_scratch && delivered % 2 == 0 {
                        connection.detach_scratch(&mut scratch);
                        connection.attach_scratch(&mut scratch);
                    }
                }
                assert_eq!((connection.buffered_amount(), connection.output().remaining()), (0, 0));
            }
        }
    }
}

/// With `take_bytes` and `delivered`: bytes in flight count.
#[test]
fn bytes_in_flight_count_until_their_frame_is_delivered() {
    for role in BOTH {
        let (mut connection, _) = pair(role, true);
        send_all(&mut connection);
        let frames = expected(role, &drain(&mut connection));
        for (take, step) in [(1, 1), (1, 5), (100, 1), (100, 30), (usize::MAX, 3)] {
            let (mut connection, _) = pair(role, true);
            let mut scratch = Scratch::new();
            send_all(&mut connection);
            let (mut in_flight, mut delivered) = (0, 0);
            loop {
                connection.attach_scratch(&mut scratch);
                let taken = connection.output().take_bytes(take).len();
                connection.detach_scratch(&mut scratch);
                in_flight += taken;
                assert_eq!(connection.buffered_amount(), buffered(frames.clone(), delivered), "{delivered}");
                let count = step.min(in_flight);
                connection.output().delivered(count);
                (in_flight, delivered) = (in_flight - count, delivered + count);
                assert_eq!(connection.buffered_amount(), buffered(frames.clone(), delivered), "{delivered}");
                if taken == 0 && in_flight == 0 {
                    break;
                }
            }
            assert_eq!(connection.buffered_amount(), 0);
        }
    }
}

/// Each frame of a message in several frames accounts for a part, and all of them for the whole.
#[test]
fn the_frames_of_a_message_account_for_all_of_its_bytes() {
    let config = config().max_sent_frame_payload(NonZeroUsize::new(10).unwrap());
    let message = EncodedMessage::new(records(5_000, 2), &config);
    for is_encoded in [false, true] {
        let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
        if is_encoded {
            connection.send_encoded(&message).unwrap();
        } else {
            connection.send(records(5_000, 2)).unwrap();
        }
        let (mut before, mut steps) = (5_000, 0);
        while connection.output().has_remaining() {
            connection.output().advance(1);
            let now = connection.buffered_amount();
            assert!(now <= before && before - now < 500, "{before} bytes, then {now}");
            steps += usize::from(now < before);
            before = now;
        }
        assert!(before == 0 && steps > 50, "{steps} steps");
    }
}

/// The amount stays when the output is dropped, as for a browser.
#[test]
fn the_amount_stays_when_the_output_is_dropped() {
    let (mut connection, _) = pair(Role::Server, true);
    let amount = send_all(&mut connection);
    connection.output().advance(3);
    connection.write_lost(Instant::EPOCH);
    assert_eq!((connection.buffered_amount(), connection.output().remaining()), (amount, 0));
}

/// Framing has a separate limit: wire data that is longer than the application's, too.
#[test]
fn wire_bytes_are_bounded_as_well() {
    let mut config = config().max_buffered_amount(10_000);
    config.max_sent_frame_payload = NonZeroUsize::MIN;
    for compress in [Compress::Yes, Compress::No] {
        let mut connection = endpoint(Role::Server, &config, agreed(Role::Server, 12, true));
        let mut count = 0;
        while connection.send_fragment_with(MessageKind::Binary, noise(10, count), false, compress).is_ok() {
            count += 1;
            assert!(connection.output().remaining() < 3 * 10_000, "{} bytes", connection.output().remaining());
        }
    }
}
