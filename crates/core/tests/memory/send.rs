//! Memory of the output.

use allocation_counter::measure;
use sansocket::bytes::{Buf, Bytes};
use sansocket::{EncodedMessage, Event, Input, Instant, MessageKind, Role};

use crate::support::*;

/// The record of the bytes in flight grows with the number of frames, not of bytes.
#[test]
fn bytes_in_flight_need_little_memory() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(vec![7; MILLION]).unwrap();
        let info = measure(|| while !connection.output().take_bytes(1_000).is_empty() {});
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
        connection.output().delivered(MILLION / 2);
        assert_eq!(connection.output().remaining(), 0);
    }
}

/// An echo server without a scratch: the queues of the output and one buffer hold the replies of a batch.
#[test]
fn small_messages_are_echoed_with_two_allocations_per_batch() {
    const BATCHES: u64 = 1_000;
    let config = config(|_| ());
    for role in BOTH {
        for count in [1, 7] {
            let mut connection = endpoint(role, &config);
            let batch = frame(role, TEXT, &[b'x'; 130]).repeat(count);
            let info = measured(|buffer| {
                for _ in 0..BATCHES {
                    buffer.clear();
                    buffer.extend_from_slice(&batch);
                    let mut input = Input::new(buffer);
                    while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                        let Event::Message(message) = event else { panic!("{event:?}") };
                        connection.send(message).unwrap();
                    }
                    assert!((count * 130..=1024).contains(&connection.output().remaining()));
                    drain(&mut connection, usize::MAX);
                }
            });
            assert!(info.count_total <= 2 * BATCHES, "{role:?}, {count} per batch: {info:?}");
        }
    }
}

/// CVE-2020-35896 (ws-rs): the peer sends a million Pings, and the driver takes no output.
#[test]
fn pending_pongs_are_bounded() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let longest = frame(role, PING, &[7; 125]).repeat(100);
        let thousand = frame(role, PING, b"p").repeat(1_000);
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &longest).unwrap();
            for _ in 0..MILLION / 1_000 {
                receive(&mut connection, buffer, &thousand).unwrap();
            }
        });
        assert!(info.bytes_max <= 32 * SMALL, "{role:?}: {info:?}");
        let info = measure(|| drain(&mut connection, 100));
        assert!(info.bytes_current < 0 && info.count_total == 0, "{role:?}: {info:?}");
    }
}

/// A queue that the driver never empties does not grow with the number of messages that passed through it.
#[test]
fn a_queue_that_is_never_empty_does_not_grow() {
    let config = config(|_| ());
    for pending in [1, 2, 7, 100] {
        let mut server = endpoint(Role::Server, &config);
        let payload = Bytes::from(vec![7; 10_000]);
        let frame = payload.len() + 4;
        for _ in 0..pending {
            server.send_shared(MessageKind::Binary, payload.clone()).unwrap();
        }
        let info = measure(|| {
            for _ in 0..10_000 {
                server.send_shared(MessageKind::Binary, payload.clone()).unwrap();
                drain_all_but(&mut server, pending * frame);
            }
        });
        let most = 64 * (pending as i64 + 4) * 4;
        assert!(info.bytes_current <= most && info.bytes_max <= most as u64, "{pending}: {info:?}");
    }
}

/// The output frees memory while it is taken, and all of it at the end.
#[test]
fn delivered_output_is_freed() {
    let config = config(|_| ());
    for role in BOTH {
        for step in [100, 4_096, 1 << 20, usize::MAX] {
            let mut connection = endpoint(role, &config);
            let filled = measure(|| {
                for _ in 0..MILLION / 50_000 {
                    connection.send(&[7; 50_000]).unwrap();
                    connection.send(vec![8; 50_000]).unwrap();
                }
            });
            assert!(filled.bytes_current >= 2 * MILLION as i64);
            assert!(filled.bytes_max <= 4 * MILLION as u64 + SMALL, "{role:?}: {filled:?}");
            let half = measure(|| {
                while connection.output().remaining() > MILLION {
                    let count = (connection.output().remaining() - MILLION).min(step);
                    connection.output().advance(count);
                }
            });
            assert!(half.bytes_current <= -(MILLION as i64) + 120_000, "{role:?}, {step}: {half:?}");
            let all = measure(|| drain(&mut connection, step));
            assert_eq!(filled.bytes_current + half.bytes_current + all.bytes_current, 0, "{role:?}, {step}");
        }
    }
}

/// A broadcast: the memory for each receiver does not depend on the size of the message.
#[test]
fn an_encoded_message_is_shared() {
    const RECEIVERS: u64 = 100;
    let config = config(|_| ());
    let encoded = EncodedMessage::new(vec![7; MILLION], &config);
    let mut servers: Vec<_> = (0..RECEIVERS).map(|_| endpoint(Role::Server, &config)).collect();
    let info = measure(|| servers.iter_mut().for_each(|server| server.send_encoded(&encoded).unwrap()));
    assert!(info.bytes_max <= RECEIVERS * SMALL, "{info:?}");
    let info = measure(|| servers.iter_mut().for_each(|server| drain(server, 100_000)));
    assert!(info.bytes_current < 0 && info.count_total == 0, "{info:?}");
}
