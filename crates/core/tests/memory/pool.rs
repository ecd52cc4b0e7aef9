//! The pool of buffers in which messages that arrive in pieces are assembled.

use std::borrow::Cow;

use allocation_counter::measure;
use sansocket::{Event, Input, Instant, Message, Role, Scratch};

use crate::support::*;

/// A message that arrives in pieces is assembled in the buffer of a message that any connection has sent.
#[test]
fn sent_payloads_are_pooled_for_messages_in_pieces() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        let payload: Vec<u8> = (0..MILLION).map(|index| b'a' + (index % 23) as u8).collect();
        let wire = frame(role, first, &payload);
        let mut connections = [endpoint(role, &config), endpoint(role, &config)];
        let mut scratch = Scratch::new();
        let mut buffer = Vec::with_capacity(128 * 1024);
        let mut echo = |rounds| {
            for round in 0..rounds {
                let connection = &mut connections[round % 2];
                for piece in wire.chunks(100_000) {
                    connection.attach_scratch(&mut scratch);
                    buffer.clear();
                    buffer.extend_from_slice(piece);
                    let mut input = Input::new(&mut buffer);
                    while let Some(Event::Message(message)) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                        assert!(matches!(message, Message::Text(Cow::Owned(_)) | Message::Binary(Cow::Owned(_))));
                        assert!(message.as_bytes() == payload);
                        connection.send(message).unwrap();
                    }
                    drain(connection, 300_000);
                    connection.detach_scratch(&mut scratch);
                }
            }
        };
        echo(2);
        let info = measure(|| echo(100));
        assert!(info.bytes_total < 100 * SMALL, "{role:?}: {info:?}");
    }
}

/// A message that arrives in pieces is assembled in the buffer of a recycled message.
#[test]
fn recycled_messages_are_pooled_for_messages_in_pieces() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        for length in [4 * 1024, 20_000, MILLION] {
            let wire = frame(role, first, &vec![b'x'; length]);
            let mut connection = endpoint(role, &config);
            let mut scratch = Scratch::new();
            let mut buffer = Vec::with_capacity(128 * 1024);
            let mut run = |rounds| {
                for _ in 0..rounds {
                    connection.attach_scratch(&mut scratch);
                    for piece in wire.chunks(4_000) {
                        buffer.clear();
                        buffer.extend_from_slice(piece);
                        let mut input = Input::new(&mut buffer);
                        while let Some(Event::Message(message)) =
                            connection.receive(&mut input, Instant::EPOCH).unwrap()
                        {
                            assert_eq!(message.len(), length);
                            connection.recycle(message);
                        }
                    }
                    connection.detach_scratch(&mut scratch);
                }
            };
            run(2);
            let info = measure(|| run(10));
            // the state of each assembly
            assert!(info.count_total <= 10 && info.bytes_total < 10 * SMALL, "{role:?}, {length}: {info:?}");
        }
    }
}

/// Without a scratch, recycled messages are dropped. With one, a message gets a buffer of at most twice its length,
/// since the application may keep it.
#[test]
fn a_pooled_buffer_is_at_most_twice_as_long_as_the_message() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let info = measure(|| connection.recycle(vec![7; MILLION].into()));
        assert_eq!(info.bytes_current, 0, "no scratch is attached: {info:?}");

        let mut scratch = Scratch::new();
        connection.attach_scratch(&mut scratch);
        for length in [MILLION, 80_001, 80_000, 40_000, 39_999] {
            connection.recycle(vec![7; length].into());
        }
        connection.recycle(Message::from(&[7; 5_000])); // borrowed: it has no buffer
        let mut receive_in_pieces = |length| {
            let mut wire = frame(role, BINARY, &vec![7; length]);
            let (begins, ends) = wire.split_at_mut(5_000);
            assert_eq!(connection.receive(&mut Input::new(begins), Instant::EPOCH), Ok(None));
            let event = connection.receive(&mut Input::new(ends), Instant::EPOCH);
            let Ok(Some(Event::Message(message))) = event else { panic!("{event:?}") };
            message.into_bytes().capacity()
        };
        assert_eq!(receive_in_pieces(40_000), 40_000, "{role:?}: exactly as long");
        assert_eq!(receive_in_pieces(40_000), 80_000, "{role:?}: exactly twice as long");
        let capacity = receive_in_pieces(40_000);
        assert!((40_000..=80_000).contains(&capacity), "{role:?}: {capacity}");
    }
}

/// The length of a fragmented message is not known in advance. It is assembled in the largest buffer; a short one then
/// moves to a buffer of its length, and the largest one returns to the pool.
#[test]
fn a_fragmented_message_starts_in_the_largest_buffer_and_moves_if_it_is_short() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        let mut connection = endpoint(role, &config);
        let mut scratch = Scratch::new();
        connection.attach_scratch(&mut scratch);
        connection.recycle(vec![7; MILLION].into());
        connection.recycle(vec![7; 40_000].into());
        let mut receive_in_fragments = |length: usize| {
            let fragments: Vec<_> = (0..10)
                .map(|number| {
                    let opcode = if number == 0 { first & 0x0F } else { 0 };
                    frame(role, if number == 9 { 0x80 | opcode } else { opcode }, &vec![b'x'; length / 10])
                })
                .collect();
            let mut capacity = 0;
            let info = measured(|buffer| {
                for fragment in &fragments {
                    buffer.clear();
                    buffer.extend_from_slice(fragment);
                    let received = connection.receive(&mut Input::new(buffer), Instant::EPOCH).unwrap();
                    if let Some(Event::Message(message)) = received {
                        assert_eq!(message.len(), length);
                        capacity = message.into_bytes().capacity();
                    }
                }
            });
            (capacity, info.bytes_total)
        };
        let (capacity, allocated) = receive_in_fragments(100_000);
        assert!((100_000..=200_000).contains(&capacity), "{role:?}: {capacity}");
        assert!(allocated < 100_000 + SMALL, "{role:?}: {allocated} bytes allocated");
        let (capacity, allocated) = receive_in_fragments(MILLION);
        assert!(capacity == MILLION && allocated < SMALL, "{role:?}: {capacity}, {allocated} bytes allocated");
    }
}

/// A buffer that is shorter than the first fragment stays in the pool for another message.
#[test]
fn a_buffer_too_short_for_the_first_fragment_stays_in_the_pool() {
    let config = config(|_| ());
    for role in BOTH {
        let begins = frame(role, BINARY_BEGINS, &[7; 10_000]);
        let ends = frame(role, 0x80, &[]);
        let other = frame(role, BINARY, &[7; 9_999]);
        for pooled in [9_999, 10_000] {
            let mut connection = endpoint(role, &config);
            let mut scratch = Scratch::new();
            connection.attach_scratch(&mut scratch);
            connection.recycle(vec![7; pooled].into());
            let first = measured(|buffer| assert_eq!(receive(&mut connection, buffer, &begins), Ok(0)));
            let fits = pooled == 10_000;
            assert_eq!(first.bytes_total < SMALL, fits, "{role:?}, {pooled}: {first:?}");
            let next = measured(|buffer| {
                assert_eq!(receive(&mut connection, buffer, &ends), Ok(1));
                assert_eq!(receive(&mut connection, buffer, &other[..5_000]), Ok(0));
            });
            assert_eq!(next.bytes_total < SMALL, !fits, "{role:?}, {pooled}: {next:?}");
        }
    }
}

/// Pooled buffers are taken in proportion to the bytes that arrived, not to the length that the peer claims.
#[test]
fn a_claimed_length_takes_no_pooled_buffer() {
    let config = config(|_| ());
    for role in BOTH {
        let mut sender = endpoint(role, &config);
        let mut scratch = Scratch::new();
        sender.attach_scratch(&mut scratch);
        (0..4).for_each(|_| sender.send(vec![7; MILLION]).unwrap());
        drain(&mut sender, usize::MAX);
        sender.detach_scratch(&mut scratch);
        for first in [TEXT, BINARY] {
            for (arrived, most) in
                [(100, 2 * 100 + SMALL), (50_000, 2 * 50_000 + SMALL), (200_000, 4 * 200_000 + SMALL)]
            {
                let mut receiver = endpoint(role, &config);
                let wire = [head(role, first, MILLION as u64), vec![b'x'; arrived]].concat();
                let mut kept = None;
                let held = measured(|buffer| {
                    receiver.attach_scratch(&mut scratch);
                    receive(&mut receiver, buffer, &wire).unwrap();
                    receiver.detach_scratch(&mut scratch);
                    kept = Some(receiver);
                });
                let freed = measure(|| drop(kept)).bytes_current;
                assert!(freed.unsigned_abs() <= most, "{role:?}: {freed} bytes for {arrived}, {held:?}");
            }
        }
    }
}

/// The pool does not choose its latest buffer if that is shorter than the bytes that arrived.
#[test]
fn a_pooled_buffer_has_room_for_the_bytes_that_arrived() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut scratch = Scratch::new();
        connection.attach_scratch(&mut scratch);
        for length in [300_000, 40_000] {
            connection.send(vec![7; length]).unwrap();
            drain(&mut connection, usize::MAX);
        }
        let begun = [head(role, BINARY, MILLION as u64), vec![7; 100_000]].concat();
        let info = measured(|buffer| assert_eq!(receive(&mut connection, buffer, &begun), Ok(0)));
        assert!(info.bytes_total < SMALL, "{role:?}: {info:?}");
    }
}

/// The number of buffers is bounded, because the pool is searched linearly. A longer buffer replaces a shorter one.
#[test]
fn the_pool_has_at_most_64_buffers() {
    const COUNT: usize = 64;
    const LENGTH: usize = 5_000;
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.attach_scratch(&mut Scratch::new());
        let info = measure(|| (0..2 * COUNT).for_each(|_| connection.recycle(vec![7; LENGTH].into())));
        let kept = info.bytes_current as usize / LENGTH;
        assert_eq!(kept, COUNT, "{role:?}: {info:?}");
        // a buffer of equal length replaces none
        let info = measure(|| connection.recycle(vec![7; LENGTH].into()));
        assert_eq!(info.bytes_current, 0, "{role:?}: {info:?}");
        for _ in 0..COUNT {
            let info = measure(|| connection.recycle(vec![7; LENGTH + 1].into()));
            assert_eq!(info.bytes_current, 1, "{role:?}: {info:?}");
        }
        let info = measure(|| connection.recycle(vec![7; LENGTH + 1].into()));
        assert_eq!(info.bytes_current, 0, "{role:?}: {info:?}");
    }
}
