//! Memory of received bytes.

use allocation_counter::measure;
use sansocket::{Delivery, Event, Input, Instant};

use crate::support::*;

#[test]
fn small_messages_are_received_without_allocating() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let batch = [frame(role, TEXT, b"Hello"), frame(role, BINARY, &[7; 500]), frame(role, PONG, b"p")].concat();
        let info = measured(|buffer| {
            for _ in 0..1_000 {
                assert_eq!(receive(&mut connection, buffer, &batch), Ok(3));
            }
        });
        assert_eq!(info.count_total, 0, "{role:?}: {info:?}");
    }
}

/// The first bytes of an unfinished character need room too, but must not double the buffer.
#[test]
fn a_text_split_within_a_character_needs_no_more_memory_than_its_length() {
    let config = config(|_| ());
    for role in BOTH {
        let text = "é".repeat(MILLION / 2);
        let mut wire = frame(role, TEXT, text.as_bytes());
        let mut connection = endpoint(role, &config);
        let (first, rest) = wire.split_at_mut(30_001 + head(role, TEXT, MILLION as u64).len());
        let (second, third) = rest.split_at_mut(670_000);
        let mut received = None;
        for piece in [first, second, third] {
            if let Some(Event::Message(message)) = connection.receive(&mut Input::new(piece), Instant::EPOCH).unwrap() {
                received = Some(message.into_bytes());
            }
        }
        let received = received.unwrap();
        assert!(received == text.as_bytes() && received.capacity() < MILLION + MILLION / 10, "{}", received.capacity());
    }
}

/// An event borrows a payload that lies whole in the caller's buffer. It is unmasked in place.
#[test]
fn a_message_whole_in_the_input_is_borrowed() {
    let config = config(|_| ());
    for role in BOTH {
        for first in [TEXT, BINARY, PING, PONG] {
            for (before, length) in [(0, 0), (0, 5), (3, 125), (1, 70_000)] {
                let length = if first >= CLOSE { length.min(125) } else { length };
                let payload = vec![b'x'; length];
                let mut bytes = [frame(role, PONG, b"").repeat(before), frame(role, first, &payload)].concat();
                let buffer = bytes.as_ptr_range();
                let mut connection = endpoint(role, &config);
                let info = measure(|| {
                    let mut input = Input::new(&mut bytes);
                    for _ in 0..before {
                        connection.receive(&mut input, Instant::EPOCH).unwrap().unwrap();
                    }
                    let event = connection.receive(&mut input, Instant::EPOCH).unwrap().unwrap();
                    let received = match &event {
                        Event::Message(message) => message.as_bytes(),
                        Event::Ping(payload) | Event::Pong(payload) => payload,
                        event => panic!("{event:?}"),
                    };
                    assert_eq!(received, payload);
                    let place = received.as_ptr_range();
                    assert!(buffer.start <= place.start && place.end == buffer.end, "{role:?} {first:x} {length}");
                    // the event lives while the connection is used
                    connection.poll_timeout();
                    drop(event);
                });
                // the reply to a Ping allocates
                assert!(first == PING || info.count_total == 0, "{role:?} {first:x} {length}: {info:?}");
            }
        }
    }
}

/// CVE-2022-35922 (rust-websocket): a length that the peer claims reserves no memory.
#[test]
fn a_claimed_length_reserves_no_memory() {
    let raised = config(|config| (config.max_frame_payload, config.max_message_size) = (Some(u64::MAX), usize::MAX));
    let default = config(|_| ());
    for role in BOTH {
        for (config, length) in [(&raised, 1 << 62), (&raised, 1 << 31), (&default, default.max_message_size as u64)] {
            let length = length.min(usize::MAX as u64 / 2);
            for first in [TEXT, BINARY, TEXT_BEGINS, BINARY_BEGINS] {
                let mut connection = endpoint(role, config);
                let begin = [head(role, first, length), b"some".to_vec()].concat();
                let info = measured(|buffer| {
                    receive(&mut connection, buffer, &begin).unwrap();
                });
                assert!(info.bytes_max < SMALL, "{role:?} {first:x} {length}: {info:?}");
                // the bytes that arrive need memory, those to come do not
                let arrives = [b'x'; 50_000];
                let info = measured(|buffer| {
                    receive(&mut connection, buffer, &arrives).unwrap();
                });
                assert!(info.bytes_max <= 2 * 50_000 + SMALL, "{role:?} {first:x} {length}: {info:?}");
            }
        }
        // nor does a length above the limit
        let mut connection = endpoint(role, &default);
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &head(role, BINARY, 1 << 62)).unwrap_err();
        });
        assert!(info.bytes_max < 4 * SMALL, "{role:?}: {info:?}");
    }
}

/// The buffer grows to four times the bytes that arrived: of 1 MiB in reads of 64 KiB, only the first quarter is moved.
#[test]
fn a_message_in_many_reads_is_seldom_moved() {
    const SIZE: usize = 1 << 20;
    const READ: usize = 64 * 1024;
    let config = config(|_| ());
    for role in BOTH {
        for first in [TEXT, BINARY] {
            let mut connection = endpoint(role, &config);
            let bytes = frame(role, first, &[b'x'; SIZE]);
            let info = measured(|buffer| {
                let mut owned = 0;
                for (index, read) in bytes.chunks(READ).enumerate() {
                    let info = measure(|| {
                        receive(&mut connection, buffer, read).unwrap();
                    });
                    owned += info.bytes_current;
                    let arrived = ((index + 1) * READ) as i64;
                    assert!(owned <= 4 * arrived + SMALL as i64, "{role:?} {first:x}, read {index}: {info:?}");
                }
                assert_eq!(owned, 0, "the message was delivered");
            });
            // one allocation is the state of the assembly
            assert!(info.count_total <= 3, "{role:?} {first:x}: {info:?}");
            assert!(info.bytes_total <= (SIZE + 4 * READ) as u64 + SMALL, "{role:?} {first:x}: {info:?}");
        }
    }
}

/// CVE-2026-48779, ws#2329: a million fragments need one buffer, not a million.
#[test]
fn fragments_of_one_byte_need_memory_only_for_their_bytes() {
    let config = config(|_| ());
    for role in BOTH {
        for first in [TEXT_BEGINS, BINARY_BEGINS] {
            let mut connection = endpoint(role, &config);
            let begin = frame(role, first, b"");
            let thousand = frame(role, CONTINUES, b"x").repeat(1_000);
            let info = measured(|buffer| {
                receive(&mut connection, buffer, &begin).unwrap();
                for _ in 0..MILLION / 1_000 {
                    receive(&mut connection, buffer, &thousand).unwrap();
                }
            });
            assert!(info.bytes_max <= 2 * MILLION as u64 + SMALL, "{role:?}: {info:?}");
            assert!(info.count_current <= 4, "{role:?}: {info:?}");
            let end = frame(role, ENDS, b"");
            let info = measured(|buffer| assert_eq!(receive(&mut connection, buffer, &end), Ok(1)));
            assert!(info.bytes_current <= -(MILLION as i64), "{role:?}: the application owns the message: {info:?}");
        }
    }
}

/// RUSTSEC-2026-0258 (h2): frames without payload are not kept. `max_empty_fragments` bounds the work.
#[test]
fn empty_frames_need_no_memory() {
    let config = config(|config| config.max_empty_fragments = u32::MAX);
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let begin = frame(role, TEXT_BEGINS, b"");
        let thousand = [frame(role, CONTINUES, b""), frame(role, PONG, b"")].concat().repeat(500);
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &begin).unwrap();
            for _ in 0..100 {
                receive(&mut connection, buffer, &thousand).unwrap();
            }
        });
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
    }
}

/// A control frame that arrives byte by byte is kept in one allocation, which has room for the longest one.
#[test]
fn a_partial_control_frame_needs_one_small_allocation() {
    let config = config(|_| ());
    for role in BOTH {
        for first in [PING, PONG, CLOSE] {
            let mut connection = endpoint(role, &config);
            let bytes = frame(role, first, &[&[0x03, 0xE8], &[b'x'; 123][..]].concat());
            let info = measured(|buffer| {
                for byte in &bytes[..bytes.len() - 1] {
                    receive(&mut connection, buffer, std::slice::from_ref(byte)).unwrap();
                }
            });
            assert!(info.bytes_current <= 160 && info.count_total == 1, "{role:?}: {info:?}");
        }
    }
}

/// `Delivery::Chunks`: a message of any size needs no buffer.
#[test]
fn chunks_are_not_kept() {
    let config = config(|config| config.delivery = Delivery::Chunks);
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let begin = head(role, TEXT, 10 * MILLION as u64);
        let piece = [b'x'; 10_000];
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &begin).unwrap();
            for _ in 0..MILLION / 1_000 {
                assert_eq!(receive(&mut connection, buffer, &piece), Ok(1));
            }
        });
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
        assert_eq!(info.bytes_current, 0, "{role:?}: {info:?}");
    }
}
