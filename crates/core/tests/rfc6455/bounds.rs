//! Lines 9 and 11 of the contract (`contract.rs`): linear work and bounded memory, and the back-pressure that keeps
//! them.

use sansocket::bytes::{Buf, Bytes};
use sansocket::{Config, Event, Input, Instant, MessageKind, Role};

use crate::support::*;

// Contract 9; CVE-2023-43669: a message that arrives byte by byte. If each byte caused the earlier ones to be read
// again, this would read 10^11 bytes, and take minutes.
#[test]
fn work_is_linear_in_received_bytes() {
    const LENGTH: usize = 1 << 19;
    for role in BOTH {
        for frame in [Frame::text("é".repeat(LENGTH / 2)), Frame::binary(vec![1; LENGTH])] {
            let mut stream = frame.masked_for(role).bytes();
            let mut connection = open(role);
            let mut calls = 0;
            let mut delivered = None;
            for byte in &mut stream {
                let mut input = Input::new(std::slice::from_mut(byte));
                while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                    calls += 1;
                    delivered = Some(event.into_owned());
                }
                calls += 1;
            }
            // every call takes a byte, except the one after the message
            assert_eq!(calls, stream.len() + 1);
            assert!(matches!(delivered, Some(Event::Message(message)) if message.len() == LENGTH));
        }
    }
}

// Contract 9; CVE-2026-48779: a message of many small fragments, with control frames between them.
#[test]
fn work_is_linear_in_fragments() {
    const COUNT: usize = 100_000;
    for role in BOTH {
        let piece = wire(role, &[Frame::continuation("x").fin(false), Frame::pong("")]);
        let mut stream = wire(role, &[Frame::text("").fin(false)]);
        stream.extend(piece.repeat(COUNT));
        stream.extend(wire(role, &[Frame::continuation("")]));
        let (events, result) = feed(&mut open(role), &stream);
        assert_eq!((events.len(), result), (COUNT + 1, Ok(())));
        assert_eq!(events.last(), Some(&text("x".repeat(COUNT))));
    }
}

// Contract 9 for sending: a transport that takes a long backlog byte by byte.
#[test]
fn work_is_linear_in_sent_bytes() {
    for role in BOTH {
        let mut config = Config::default();
        config.max_pending_controls = 20_000;
        let mut connection = endpoint(role, &config);
        let shared = Bytes::from_static(b"shared");
        for _ in 0..20_000 {
            connection.send("copied").unwrap();
            connection.send_shared(MessageKind::Text, shared.clone()).unwrap();
            connection.ping(b"ping").unwrap();
        }
        let mut count = 0;
        let output = connection.output();
        while output.has_remaining() {
            assert!(!output.chunk().is_empty());
            output.advance(1);
            count += 1;
        }
        let head = if role == Role::Client { 6 } else { 2 };
        assert_eq!(count, 20_000 * (3 * head + 16));
    }
}

// Contract 11; CVE-2020-35896: the peer floods with Pings, and the driver takes no output.
#[test]
fn output_is_bounded_for_any_number_of_pings() {
    for role in BOTH {
        let head = if role == Role::Client { 6 } else { 2 };
        let mut connection = open(role);
        let pings = wire(role, &[Frame::ping([7; 125])]).repeat(1_000);
        for round in 0..100 {
            let (events, result) = feed(&mut connection, &pings);
            assert_eq!((events.len(), result), (1_000, Ok(())));
            assert_eq!(connection.output().remaining(), 64 * (head + 125), "round {round}");
        }
        // its Close adds one frame, even if it is sent several times
        for _ in 0..100 {
            let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "a reason"), Frame::ping("")]));
            assert_eq!(connection.output().remaining(), 64 * (head + 125) + head + 2);
        }
        assert_eq!(take_output(&mut connection).len(), 65);
    }
}

// Contract 11; CVE-2020-35896: an application that echoes to a peer that does not read is refused at the limit.
#[test]
fn output_is_bounded_for_an_application_that_echoes() {
    for role in BOTH {
        for length in [0, 1, 10, 500, 10_000] {
            let mut config = Config::default();
            config.max_buffered_amount = 50_000;
            let mut connection = endpoint(role, &config);
            let message = wire(role, &[Frame::binary(vec![1; length]), Frame::ping("?")]);
            let mut refused = 0;
            while refused < 100 {
                let mut bytes = message.clone();
                let mut input = Input::new(&mut bytes);
                while let Some(event) = connection.receive(&mut input, Instant::EPOCH).unwrap() {
                    if let Event::Message(message) = event {
                        refused += usize::from(connection.send(message).is_err());
                    }
                }
                // the limit for payload, the same for framing, one head above it, 64 Pongs
                assert!(connection.output().remaining() <= 2 * 50_000 + 14 + 64 * 7);
                assert!(connection.buffered_amount() <= 50_000);
            }
        }
    }
}

// `Config::high_water_mark`: a server with a backlog stops reading. A client never does, since two ends that wait for
// each other would wait for ever.
#[test]
fn a_server_with_a_backlog_does_not_want_to_read_and_a_client_always_does() {
    let mut config = Config::default();
    config.high_water_mark = 1_000;
    for role in BOTH {
        let always = role == Role::Client;
        let head = if role == Role::Client { 8 } else { 4 };
        let mut connection = endpoint(role, &config);
        assert!(connection.wants_read());
        connection.send(vec![0; 1_000 - head]).unwrap();
        assert_eq!(connection.output().remaining(), 1_000);
        assert!(connection.wants_read(), "at the mark, not above it");
        connection.pong(b"").unwrap();
        assert_eq!(connection.wants_read(), always, "framing fills the output too");
        take(&mut connection, head - 2);
        assert!(connection.wants_read(), "the transport took some");

        connection.send(&[0; 1_000]).unwrap();
        assert_eq!(connection.wants_read(), always);
        // after the peer's Close, the connection reads and discards until TCP ends
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        assert!(connection.wants_read());
        let _ = connection.receive_eof(Instant::EPOCH);
        assert!(!connection.wants_read());
    }
}

// With a `Config::high_water_mark` of zero, a server writes its whole output before it reads again.
#[test]
fn a_high_water_mark_of_zero_alternates_reading_and_writing() {
    let mut config = Config::default();
    config.high_water_mark = 0;
    let mut server = endpoint(Role::Server, &config);
    for _ in 0..3 {
        assert!(server.wants_read());
        let _ = feed(&mut server, &wire(Role::Server, &[Frame::ping("")]));
        assert!(!server.wants_read());
        take_output(&mut server);
    }
}
