//! What a connection costs: allocations counted, on the thread of each test, by an allocator that counts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::SeedableRng;
use sansocket::{
    Chunk, Close, CloseCode, Config, Connection, Delivery, EncodedMessage, Error, Event, Input, Instant, Message,
    MessageKind, Output, ProtocolError, Role, Scratch, SendError,
};

const BOTH: [Role; 2] = [Role::Client, Role::Server];
/// What every test grants beside the payload: a box here, an error's text there.
const SMALL: u64 = 1024;
const MILLION: usize = 1_000_000;
const SECOND: Duration = Duration::from_secs(1);

fn endpoint(role: Role, config: &Arc<Config>) -> Connection {
    match role {
        Role::Client => Connection::client(Arc::clone(config), ChaCha8Rng::seed_from_u64(6455), Instant::EPOCH),
        Role::Server => Connection::server(Arc::clone(config), Instant::EPOCH),
    }
}

fn config(change: impl FnOnce(&mut Config)) -> Arc<Config> {
    let mut config = Config::default();
    change(&mut config);
    Arc::new(config)
}

/// A frame from the peer of an endpoint with this role, its length claimed.
fn head(role: Role, first: u8, length: u64) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut bytes = match length {
        0..=125 => vec![first, mask | length as u8],
        126..=65_535 => [&[first, mask | 126], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, mask | 127], &length.to_be_bytes()[..]].concat(),
    };
    if role == Role::Server {
        bytes.extend(KEY);
    }
    bytes
}

/// A mask that leaves ASCII ASCII.
const KEY: [u8; 4] = [1, 2, 4, 8];
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(role, first, payload.len() as u64);
    let key = if role == Role::Server { KEY } else { [0; 4] };
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Gives the bytes to the connection without an allocation of the test's own.
fn receive(connection: &mut Connection, buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<usize, Error> {
    buffer.clear();
    buffer.extend_from_slice(bytes);
    let mut input = Input::new(buffer);
    let mut events = 0;
    while connection.receive(&mut input, Instant::EPOCH)?.is_some() {
        events += 1;
    }
    Ok(events)
}

fn drain(connection: &mut Connection, step: usize) {
    while connection.output().has_remaining() {
        let count = connection.output().remaining().min(step);
        connection.output().advance(count);
    }
}

fn drain_all_but(connection: &mut Connection, rest: usize) {
    let count = connection.output().remaining() - rest;
    connection.output().advance(count);
}

/// What `work` allocates with a buffer of its own that is not counted.
fn measured(work: impl FnOnce(&mut Vec<u8>)) -> AllocationInfo {
    let mut buffer = Vec::with_capacity(128 * 1024);
    measure(|| work(&mut buffer))
}

#[test]
fn a_connection_is_small() {
    let sizes = (size_of::<Connection>(), size_of::<ProtocolError>(), size_of::<Event<'_>>());
    println!("bytes: Connection, ProtocolError, Event: {sizes:?}");
    assert!(sizes.0 <= 256, "a Connection has {} bytes", sizes.0);
    assert!(sizes.1 <= 2, "a ProtocolError has {} bytes", sizes.1);
}

/// RUSTSEC advisories on unsound `Send` and `Sync`, fastwebsockets#42: what the compiler infers is what is meant.
#[test]
fn types_go_to_other_threads() {
    fn send<T: Send>() {}
    fn send_and_sync<T: Send + Sync + Unpin + 'static>() {}

    send::<Connection>();
    send::<Input<'_>>();
    send_and_sync::<Scratch>();
    send_and_sync::<Output>();
    send_and_sync::<Config>();
    send_and_sync::<Event<'static>>();
    send_and_sync::<Message<'static>>();
    send_and_sync::<Chunk<'static>>();
    send_and_sync::<Close>();
    send_and_sync::<Error>();
    send_and_sync::<SendError>();
}

#[test]
fn a_connection_that_idles_owns_nothing() {
    let config = config(|_| ());
    for role in BOTH {
        // the client's generator of masking keys
        let own = if role == Role::Client { size_of::<ChaCha8Rng>() } else { 0 } as i64;
        let mut connection = None;
        let created = measure(|| connection = Some(endpoint(role, &config)));
        assert_eq!(created.bytes_current, own, "{role:?}: {created:?}");
        assert!(created.count_total <= 1, "{role:?}: {created:?}");

        // also after it was busy
        let mut connection = connection.unwrap();
        let busy = measured(|buffer| {
            for bytes in [frame(role, TEXT, b"a"), frame(role, BINARY_BEGINS, &[1; 50_000]), frame(role, ENDS, b"end")]
            {
                receive(&mut connection, buffer, &bytes).unwrap();
            }
            for byte in [frame(role, PING, &[2; 125]), frame(role, TEXT, &[b'x'; 300])].concat() {
                receive(&mut connection, buffer, &[byte]).unwrap();
            }
            connection.send("Hello").unwrap();
            connection.send(vec![3; 200_000]).unwrap();
            connection.send_shared(MessageKind::Binary, Bytes::from(vec![4; 10_000])).unwrap();
            connection.send_fragment(MessageKind::Text, b"a", false).unwrap();
            connection.send_fragment(MessageKind::Text, b"b", true).unwrap();
            connection.ping(b"ping").unwrap();
            drain(&mut connection, 1_000);
            // nor if the transport takes first and delivers later
            for max in [1_000, 100_000] {
                connection.send(vec![3; 200_000]).unwrap();
                connection.send("Hello").unwrap();
                connection.ping(b"ping").unwrap();
                while !connection.output().take_bytes(max).is_empty() {}
                connection.output().delivered(10_000);
                connection.output().delivered(usize::MAX);
            }
            connection.progress(Instant::EPOCH);
        });
        assert_eq!(busy.bytes_current, 0, "{role:?}: {busy:?}");
    }
}

#[test]
fn a_connection_that_is_over_holds_no_part_of_a_message() {
    let config = config(|config| {
        config.keepalive = sansocket::Keepalive::Every(SECOND);
        config.pong_timeout = SECOND;
    });
    for role in BOTH {
        let ends: [fn(&mut Connection); 5] = [
            |connection| drop(connection.receive_eof(Instant::EPOCH).unwrap()),
            |connection| connection.abort(Instant::EPOCH),
            |connection| {
                connection.write_lost(Instant::EPOCH);
                drop(connection.receive_eof(Instant::EPOCH).unwrap());
            },
            |connection| {
                connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
                drop(connection.handle_timeout(Instant::EPOCH + 60 * SECOND).unwrap());
            },
            |connection| {
                connection.handle_timeout(Instant::EPOCH + SECOND).unwrap();
                connection.handle_timeout(Instant::EPOCH + 3 * SECOND).unwrap_err();
            },
        ];
        for end in ends {
            let mut connection = endpoint(role, &config);
            let begun = [head(role, 0x82, 1_000_000), vec![7; 300_000]].concat();
            assert_eq!(receive(&mut connection, &mut Vec::new(), &begun), Ok(0));
            let ends = measure(|| end(&mut connection));
            assert!(ends.bytes_current < -300_000, "{ends:?}");
        }
    }
}

/// DESIGN 3.7: `write_lost` and `abort` free what is pending, taken or not, and what remains of a connection is small:
/// a broken connection pins no memory, however long its driver keeps it.
#[test]
fn a_broken_connection_frees_its_output() {
    let config = config(|_| ());
    for role in BOTH {
        for breaks in [Connection::write_lost, Connection::abort] {
            for taken in [0, 10_000] {
                let mut connection = endpoint(role, &config);
                let info = measure(|| {
                    for _ in 0..20 {
                        connection.send(vec![7; 50_000]).unwrap();
                        connection.send("Hello").unwrap();
                    }
                    drop(connection.output().take_bytes(taken));
                    breaks(&mut connection, Instant::EPOCH);
                });
                assert!(info.bytes_max > 1_000_000 && info.bytes_current < 256, "{role:?}: {info:?}");
            }
        }
    }
}

/// The record of what is in flight grows with the frames, not with the bytes, and goes when they are delivered.
#[test]
fn bytes_in_flight_cost_little() {
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

/// The echo server's heart: one allocation holds the answers of a batch.
#[test]
fn small_messages_are_echoed_with_one_allocation_a_batch() {
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
            assert!(info.count_total <= BATCHES, "{role:?}, {count} a batch: {info:?}");
        }
    }
}

/// One memory serves any number of connections in turn.
#[test]
fn lent_memory_spares_the_allocator() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connections = [endpoint(role, &config), endpoint(role, &config)];
        let mut memory = Scratch::new();
        let shared = Bytes::from(vec![7; 5_000]);
        let mut run = |rounds| {
            for round in 0..rounds {
                let connection = &mut connections[round % 2];
                connection.attach_scratch(&mut memory);
                if round % 10 == 9 {
                    connection.send(vec![7; 5_000]).unwrap();
                    drain(connection, 300);
                }
                connection.send("Hello").unwrap();
                connection.send(&[7; 500]).unwrap();
                connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
                drain(connection, 300);
                connection.detach_scratch(&mut memory);
            }
        };
        // until as much is kept as is kept at all
        run(1_000);
        let info = measure(|| run(1_000));
        // the test's own
        assert_eq!(info.count_total, 100, "{role:?}: {info:?}");
    }
}

/// What lists the payloads that wait goes from one connection to the next as well.
#[test]
fn a_connection_gives_back_an_empty_queue() {
    let config = config(|_| ());
    let mut connections = [endpoint(Role::Server, &config), endpoint(Role::Server, &config)];
    let mut memory = Scratch::new();
    let shared = Bytes::from_static(&[7; 5_000]);
    let mut run = |connection: &mut Connection| {
        connection.attach_scratch(&mut memory);
        for step in [usize::MAX, 300] {
            connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
            drain(connection, step);
        }
        connection.detach_scratch(&mut memory);
    };
    run(&mut connections[0]);
    let info = measure(|| run(&mut connections[1]));
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// A message that arrives in pieces is assembled where one that was sent has been, whichever connection's they were.
#[test]
fn lent_memory_serves_messages_in_pieces() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        let payload: Vec<u8> = (0..MILLION).map(|index| b'a' + (index % 23) as u8).collect();
        let wire = frame(role, first, &payload);
        let mut connections = [endpoint(role, &config), endpoint(role, &config)];
        let mut memory = Scratch::new();
        let mut buffer = Vec::with_capacity(128 * 1024);
        let mut echo = |rounds| {
            for round in 0..rounds {
                let connection = &mut connections[round % 2];
                for piece in wire.chunks(100_000) {
                    connection.attach_scratch(&mut memory);
                    buffer.clear();
                    buffer.extend_from_slice(piece);
                    let mut input = Input::new(&mut buffer);
                    while let Some(Event::Message(message)) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                        assert!(matches!(message, Message::Text(Cow::Owned(_)) | Message::Binary(Cow::Owned(_))));
                        assert!(message.as_bytes() == payload);
                        connection.send(message).unwrap();
                    }
                    drain(connection, 300_000);
                    connection.detach_scratch(&mut memory);
                }
            }
        };
        echo(2);
        let info = measure(|| echo(100));
        assert!(info.bytes_total < 100 * SMALL, "{role:?}: {info:?}");
    }
}

/// A message that is not sent on, but recycled, leaves its memory to the next one that arrives in pieces.
#[test]
fn recycled_messages_spare_the_allocator() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        for length in [4 * 1024, 20_000, MILLION] {
            let wire = frame(role, first, &vec![b'x'; length]);
            let mut connection = endpoint(role, &config);
            let mut memory = Scratch::new();
            let mut buffer = Vec::with_capacity(128 * 1024);
            let mut run = |rounds| {
                for _ in 0..rounds {
                    connection.attach_scratch(&mut memory);
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
                    connection.detach_scratch(&mut memory);
                }
            };
            run(2);
            let info = measure(|| run(10));
            // the state of each assembly
            assert!(info.count_total <= 10 && info.bytes_total < 10 * SMALL, "{role:?}, {length}: {info:?}");
        }
    }
}

/// What is recycled is kept only where memory was lent, and a message does not get more than twice the memory it takes:
/// an application may keep it.
#[test]
fn recycled_memory_fits_the_message() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let info = measure(|| connection.recycle(vec![7; MILLION].into()));
        assert_eq!(info.bytes_current, 0, "nothing was lent: {info:?}");

        let mut memory = Scratch::new();
        connection.attach_scratch(&mut memory);
        for length in [MILLION, 80_001, 80_000, 40_000, 39_999] {
            connection.recycle(vec![7; length].into());
        }
        connection.recycle(Message::from(&[7; 5_000])); // borrowed: there is nothing to keep
        let mut receive_in_pieces = |length| {
            let mut wire = frame(role, BINARY, &vec![7; length]);
            let (begins, ends) = wire.split_at_mut(5_000);
            assert_eq!(connection.receive(&mut Input::new(begins), Instant::EPOCH), Ok(None));
            let event = connection.receive(&mut Input::new(ends), Instant::EPOCH);
            let Ok(Some(Event::Message(message))) = event else { panic!("{event:?}") };
            message.into_bytes().capacity()
        };
        assert_eq!(receive_in_pieces(40_000), 40_000, "{role:?}: just enough");
        assert_eq!(receive_in_pieces(40_000), 80_000, "{role:?}: just twice as much");
        let capacity = receive_in_pieces(40_000);
        assert!((40_000..=80_000).contains(&capacity), "{role:?}: {capacity}");
    }
}

/// How long a message in fragments will be is not known: it is assembled where there is most room, and leaves that to
/// the next one if it turns out to be short.
#[test]
fn a_message_in_fragments_begins_in_the_largest_memory_and_keeps_what_befits_it() {
    let config = config(|_| ());
    for (role, first) in [(Role::Server, TEXT), (Role::Server, BINARY), (Role::Client, TEXT), (Role::Client, BINARY)] {
        let mut connection = endpoint(role, &config);
        let mut memory = Scratch::new();
        connection.attach_scratch(&mut memory);
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

/// The first fragment must fit, or the memory is left to others.
#[test]
fn memory_too_short_for_the_first_fragment_is_passed_over() {
    let config = config(|_| ());
    for role in BOTH {
        let begins = frame(role, BINARY_BEGINS, &[7; 10_000]);
        let ends = frame(role, 0x80, &[]);
        let other = frame(role, BINARY, &[7; 9_999]);
        for spare in [9_999, 10_000] {
            let mut connection = endpoint(role, &config);
            let mut memory = Scratch::new();
            connection.attach_scratch(&mut memory);
            connection.recycle(vec![7; spare].into());
            let first = measured(|buffer| assert_eq!(receive(&mut connection, buffer, &begins), Ok(0)));
            let fits = spare == 10_000;
            assert_eq!(first.bytes_total < SMALL, fits, "{role:?}, {spare}: {first:?}");
            let next = measured(|buffer| {
                assert_eq!(receive(&mut connection, buffer, &ends), Ok(1));
                assert_eq!(receive(&mut connection, buffer, &other[..5_000]), Ok(0));
            });
            assert_eq!(next.bytes_total < SMALL, !fits, "{role:?}, {spare}: {next:?}");
        }
    }
}

/// Nor does a claimed length get a peer the memory that others have left.
#[test]
fn lent_memory_goes_to_those_who_have_sent_enough() {
    let config = config(|_| ());
    for role in BOTH {
        let mut sender = endpoint(role, &config);
        let mut memory = Scratch::new();
        sender.attach_scratch(&mut memory);
        (0..4).for_each(|_| sender.send(vec![7; MILLION]).unwrap());
        drain(&mut sender, usize::MAX);
        sender.detach_scratch(&mut memory);
        for first in [TEXT, BINARY] {
            for (arrived, most) in
                [(100, 2 * 100 + SMALL), (50_000, 2 * 50_000 + SMALL), (200_000, 4 * 200_000 + SMALL)]
            {
                let mut receiver = endpoint(role, &config);
                let wire = [head(role, first, MILLION as u64), vec![b'x'; arrived]].concat();
                let mut kept = None;
                let held = measured(|buffer| {
                    receiver.attach_scratch(&mut memory);
                    receive(&mut receiver, buffer, &wire).unwrap();
                    receiver.detach_scratch(&mut memory);
                    kept = Some(receiver);
                });
                let given_up = measure(|| drop(kept)).bytes_current;
                assert!(given_up.unsigned_abs() <= most, "{role:?}: {given_up} bytes for {arrived}, {held:?}");
            }
        }
    }
}

/// Memory too short for what has arrived of a message is passed over, though it is the latest.
#[test]
fn lent_memory_fits_the_message() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut memory = Scratch::new();
        connection.attach_scratch(&mut memory);
        for length in [300_000, 40_000] {
            connection.send(vec![7; length]).unwrap();
            drain(&mut connection, usize::MAX);
        }
        let begun = [head(role, BINARY, MILLION as u64), vec![7; 100_000]].concat();
        let info = measured(|buffer| assert_eq!(receive(&mut connection, buffer, &begun), Ok(0)));
        assert!(info.bytes_total < SMALL, "{role:?}: {info:?}");
    }
}

/// The beginning of a character that waits for its end needs room too, and must not cost as much again as the text.
#[test]
fn a_text_cut_within_a_character_takes_no_more_than_its_length() {
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

/// What waits when the memory is wanted back takes as much of the connection's own as it needs, and what was lent is
/// not the connection's.
#[test]
fn lent_memory_comes_back() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut memory = Scratch::new();
        let mut send = |rest| {
            connection.attach_scratch(&mut memory);
            connection.send(&[7; 9_000]).unwrap();
            drain_all_but(&mut connection, rest);
            connection.detach_scratch(&mut memory);
            connection.output().remaining()
        };
        send(0);
        let info = measure(|| assert_eq!(send(100), 100));
        assert_eq!((info.count_total, info.bytes_current), (1, 100), "{role:?}: {info:?}");
        drain(&mut connection, usize::MAX);
    }
}

/// What waits in the connection's own memory stays there, also if memory is lent of which nothing is left.
#[test]
fn lent_memory_is_not_taken_for_the_connections_own() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(vec![7; MILLION]).unwrap();
        // the payload comes to the front
        connection.output().advance(100);
        let info = measure(|| {
            let mut memory = Scratch::new();
            connection.attach_scratch(&mut memory);
            connection.detach_scratch(&mut memory);
        });
        assert!(info.bytes_max < 2 * SMALL && info.bytes_current == 0, "{role:?}: {info:?}");

        let mut memory = Scratch::new();
        connection.attach_scratch(&mut memory);
        drain(&mut connection, MILLION);
        connection.send(vec![7; MILLION]).unwrap();
        connection.output().advance(100);
        let info = measure(|| connection.detach_scratch(&mut memory));
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
    }
}

/// Where connections send to each other, several have their turn at once.
#[test]
fn lent_memory_is_not_lost_when_it_is_lent_twice() {
    let config = config(|_| ());
    let mut connections = [endpoint(Role::Server, &config), endpoint(Role::Server, &config)];
    for order in [[0, 1], [1, 0]] {
        let mut memory = Scratch::new();
        connections[0].attach_scratch(&mut memory);
        connections[0].send(vec![7; MILLION]).unwrap();
        drain(&mut connections[0], usize::MAX);
        connections[0].detach_scratch(&mut memory);
        let info = measure(|| {
            order.into_iter().for_each(|index| connections[index].attach_scratch(&mut memory));
            (0..2).for_each(|index| connections[index].detach_scratch(&mut memory));
        });
        assert_eq!(info.bytes_current, 0, "{order:?}: {info:?}");
    }
}

/// However much is sent, no more than this is kept.
#[test]
fn lent_memory_is_bounded() {
    const FRAMES: i64 = 128 * 1024;
    // a little for what lists the rest
    const ALL: i64 = 4 * 1024 * 1024 + FRAMES + 4 * 1024;
    let config = config(|config| config.max_buffered_amount = 100 * MILLION);
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut memory = Scratch::new();
        let mut held = 0;
        let mut keeps_at_most = |most, send: &dyn Fn(&mut Connection)| {
            let info = measure(|| {
                connection.attach_scratch(&mut memory);
                send(&mut connection);
                drain(&mut connection, usize::MAX);
                connection.detach_scratch(&mut memory);
            });
            held += info.bytes_current;
            assert!(held <= most, "{role:?}: {held} bytes, {info:?}");
            held
        };
        let encoded = keeps_at_most(FRAMES, &|connection| connection.send(&[7; 100_000][..]).unwrap());
        assert!(encoded >= 100_000, "{encoded}");
        let longer = keeps_at_most(ALL, &|connection| connection.send(&[7; FRAMES as usize][..]).unwrap());
        // as if it had been a payload
        assert!(longer > encoded + FRAMES, "{longer}");
        assert_eq!(keeps_at_most(ALL, &|connection| connection.send(&[7; FRAMES as usize][..]).unwrap()), longer);

        // what is shorter is left to the allocator
        let before = keeps_at_most(ALL, &|connection| connection.recycle(vec![7; 4 * 1024 - 1].into()));
        let after = keeps_at_most(ALL, &|connection| connection.recycle(vec![7; 4 * 1024].into()));
        assert!(before < longer + SMALL as i64 && after >= before + 4 * 1024, "{longer}, {before}, {after}");
        let longer = after;
        let before = keeps_at_most(ALL, &|connection| connection.send(vec![7; 32 * 1024 - 1]).unwrap());
        let after = keeps_at_most(ALL, &|connection| connection.send(vec![7; 32 * 1024]).unwrap());
        assert!(before < longer + SMALL as i64 && after >= before + 32 * 1024, "{longer}, {before}, {after}");

        let payloads = |connection: &mut Connection| (0..50).for_each(|_| connection.send(vec![7; 200_000]).unwrap());
        assert!(keeps_at_most(ALL, &payloads) >= 20 * 200_000);
        keeps_at_most(ALL, &|connection| connection.send(vec![7; 20 * MILLION]).unwrap());
        keeps_at_most(ALL, &|connection| {
            let payload = Bytes::from_static(&[7; 5_000]);
            (0..5_000).for_each(|_| connection.send_shared(MessageKind::Binary, payload.clone()).unwrap());
        });
    }
}

/// Spares are few, so that looking for one takes little time; a longer one takes the place of a shorter one.
#[test]
fn lent_memory_is_in_few_pieces() {
    const COUNT: usize = 64;
    const LENGTH: usize = 5_000;
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.attach_scratch(&mut Scratch::new());
        let info = measure(|| (0..2 * COUNT).for_each(|_| connection.recycle(vec![7; LENGTH].into())));
        let kept = info.bytes_current as usize / LENGTH;
        assert_eq!(kept, COUNT, "{role:?}: {info:?}");
        // one of equal length is not worth an exchange
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

/// Text and binary, whole in the caller's buffer: handed over where they lie, unmasked in place.
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
                    let seen = match &event {
                        Event::Message(message) => message.as_bytes(),
                        Event::Ping(payload) | Event::Pong(payload) => payload,
                        event => panic!("{event:?}"),
                    };
                    assert_eq!(seen, payload);
                    let seen = seen.as_ptr_range();
                    assert!(buffer.start <= seen.start && seen.end == buffer.end, "{role:?} {first:x} {length}");
                    // the event outlives what else is done with the connection
                    connection.poll_timeout();
                    drop(event);
                });
                // but for the Pong
                assert!(first == PING || info.count_total == 0, "{role:?} {first:x} {length}: {info:?}");
            }
        }
    }
}

/// CVE-2022-35922 (rust-websocket): nothing is reserved from a length that the peer claims.
#[test]
fn a_claimed_length_costs_nothing() {
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
                // and then what arrives, not what is to come
                let arrives = [b'x'; 50_000];
                let info = measured(|buffer| {
                    receive(&mut connection, buffer, &arrives).unwrap();
                });
                assert!(info.bytes_max <= 2 * 50_000 + SMALL, "{role:?} {first:x} {length}: {info:?}");
            }
        }
        // a refused length even less
        let mut connection = endpoint(role, &default);
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &head(role, BINARY, 1 << 62)).unwrap_err();
        });
        assert!(info.bytes_max < 4 * SMALL, "{role:?}: {info:?}");
    }
}

/// What has arrived makes room for what is to come: of 1 MiB in reads of 64 KiB only the first quarter is moved.
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
            // one of them is the state of the assembly
            assert!(info.count_total <= 3, "{role:?} {first:x}: {info:?}");
            assert!(info.bytes_total <= (SIZE + 4 * READ) as u64 + SMALL, "{role:?} {first:x}: {info:?}");
        }
    }
}

/// CVE-2026-48779, ws#2329: a million fragments are one buffer, not a million.
#[test]
fn fragments_of_one_byte_cost_their_bytes() {
    let config = config(|_| ());
    for role in BOTH {
        for first in [TEXT_BEGINS, BINARY_BEGINS] {
            let mut connection = endpoint(role, &config);
            let begin = frame(role, first, b"");
            let thousand = frame(role, GOES_ON, b"x").repeat(1_000);
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
            assert!(info.bytes_current <= -(MILLION as i64), "{role:?}: the message is the application's: {info:?}");
        }
    }
}

/// RUSTSEC-2026-0258 (h2): frames that bring nothing are not kept. Work is counted by `max_empty_fragments`.
#[test]
fn frames_without_payload_cost_nothing() {
    let config = config(|config| config.max_empty_fragments = u32::MAX);
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let begin = frame(role, TEXT_BEGINS, b"");
        let thousand = [frame(role, GOES_ON, b""), frame(role, PONG, b"")].concat().repeat(500);
        let info = measured(|buffer| {
            receive(&mut connection, buffer, &begin).unwrap();
            for _ in 0..100 {
                receive(&mut connection, buffer, &thousand).unwrap();
            }
        });
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
    }
}

/// CVE-2020-35896 (ws-rs): a million Pings, and nobody takes the Pongs.
#[test]
fn pongs_that_wait_are_bounded() {
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

/// Output that is never taken to its end does not grow with what has passed.
#[test]
fn a_queue_that_is_never_empty_is_as_long_as_what_waits() {
    let config = config(|_| ());
    for waiting in [1, 2, 7, 100] {
        let mut server = endpoint(Role::Server, &config);
        let payload = Bytes::from(vec![7; 10_000]);
        let frame = payload.len() + 4;
        for _ in 0..waiting {
            server.send_shared(MessageKind::Binary, payload.clone()).unwrap();
        }
        let info = measure(|| {
            for _ in 0..10_000 {
                server.send_shared(MessageKind::Binary, payload.clone()).unwrap();
                drain_all_but(&mut server, waiting * frame);
            }
        });
        let most = 64 * (waiting as i64 + 4) * 4;
        assert!(info.bytes_current <= most && info.bytes_max <= most as u64, "{waiting}: {info:?}");
    }
}

/// A control frame that drips in is kept, and no more than it.
#[test]
fn a_partial_control_frame_costs_its_bytes() {
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
            assert!(info.bytes_current <= 128 && info.count_current <= 1, "{role:?}: {info:?}");
        }
    }
}

/// `Delivery::Chunks`: a message of any size passes through.
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

/// Output that was taken is given back: as the cursor passes, and entirely at the end.
#[test]
fn output_that_was_taken_is_given_back() {
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

/// Bytes of a message that never ends are given back when the connection fails or is closed: there is no use for them.
#[test]
fn an_unfinished_message_is_given_back_when_the_connection_ends() {
    let config = config(|_| ());
    for role in BOTH {
        for last in [frame(role, 0x83, b""), frame(role, CLOSE, b"")] {
            let mut connection = endpoint(role, &config);
            let begin = frame(role, BINARY_BEGINS, &[7; 100_000]);
            let info = measured(|buffer| {
                receive(&mut connection, buffer, &begin).unwrap();
                let _ = receive(&mut connection, buffer, &last);
            });
            assert!(info.bytes_current < 2 * SMALL as i64, "{role:?}: {info:?}");
        }
    }
}

/// jetty.project#293: connections that end in every state leave nothing.
#[test]
fn a_dropped_connection_leaves_nothing() {
    let config = config(|config| config.max_buffered_amount = 500_000);
    for role in BOTH {
        let pieces = [
            frame(role, TEXT, b"whole"),
            frame(role, PING, b"p"),
            frame(role, TEXT_BEGINS, &[b'x'; 5_000]),
            frame(role, PING, &[1; 125]),
            frame(role, GOES_ON, "€".as_bytes()),
            frame(role, CLOSE, b"\x03\xE8bye"),
        ]
        .concat();
        let failing = [frame(role, BINARY_BEGINS, b"begun"), frame(role, BINARY, b"intruder")].concat();
        let info = measured(|buffer| {
            for end in (0..pieces.len()).step_by(61) {
                for taken in [0, 1, 60_000, usize::MAX] {
                    let mut connection = endpoint(role, &config);
                    connection.send("text").unwrap();
                    connection.send(vec![7; 70_000]).unwrap();
                    connection.ping(b"ping").unwrap();
                    connection.send_fragment(MessageKind::Text, b"begun", false).unwrap();
                    receive(&mut connection, buffer, &pieces[..end]).unwrap();
                    connection.output().advance(taken);
                    if taken == 1 {
                        connection.close(CloseCode::NORMAL, "reason", Instant::EPOCH).unwrap();
                        connection.receive_eof(Instant::EPOCH).unwrap();
                    }
                    drop(connection);
                }
            }
            let mut failed = endpoint(role, &config);
            receive(&mut failed, buffer, &failing).unwrap_err();
            drop(failed);
        });
        assert!(info.count_total > 100);
        assert_eq!((info.count_current, info.bytes_current), (0, 0), "{role:?}");
    }
}

/// A broadcast: what each receiver costs does not depend on the message's size.
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
