//! The contract of the core, lines 9 and 11: linear work and bounded memory, and the back-pressure that keeps them.

use sansocket::bytes::{Buf, Bytes};
use sansocket::{Config, Event, Input, Instant, MessageKind, Role};

use crate::support::*;

// Contract 9: "Bytes examined is at most a constant times bytes received, for any drip and any split": CVE-2023-43669.
// The measure: so much is dripped that to look at what came before, at every byte, would be 10^11 bytes, and take
// minutes.
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
            // every call takes a byte, but the one that hands over the message is followed by one that finds nothing
            assert_eq!(calls, stream.len() + 1);
            assert!(matches!(delivered, Some(Event::Message(message)) if message.len() == LENGTH));
        }
    }
}

// Contract 9; CVE-2026-48779: a message of very many small fragments, control frames between them.
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

// Contract 9, outwards: a transport that takes one byte at a time of a long backlog.
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

// Contract 11; CVE-2020-35896: "Bounded memory. By the limits alone, whatever the peer does, with output never
// drained."
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
        // and its Close adds one frame, however often it comes
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
                // payload, framing as much again, the frame that crossed the line, 64 Pongs
                assert!(connection.output().remaining() <= 2 * 50_000 + 14 + 64 * 7);
                assert!(connection.buffered_amount() <= 50_000);
            }
        }
    }
}

// Design 3.2 and `Config::high_water_mark`: a server that has much to write stops reading; a client never does, for two
// that wait for each other would wait for ever.
#[test]
fn a_server_with_a_backlog_does_not_want_to_read_and_a_client_always_does() {
    let mut config = Config::default();
    config.high_water_mark = 1_000;
    for role in BOTH {
        let waits = role == Role::Server;
        let head = if role == Role::Client { 8 } else { 4 };
        let mut connection = endpoint(role, &config);
        assert!(connection.wants_read());
        connection.send(vec![0; 1_000 - head]).unwrap();
        assert_eq!(connection.output().remaining(), 1_000);
        assert!(connection.wants_read(), "at the mark, not above it");
        connection.pong(b"").unwrap();
        assert_eq!(connection.wants_read(), !waits, "framing fills the output too");
        take(&mut connection, head - 2);
        assert!(connection.wants_read(), "the transport took some");

        connection.send(&[0; 1_000]).unwrap();
        assert_eq!(connection.wants_read(), !waits);
        // once nothing more is listened to, what arrives is thrown away, and the end of TCP waited for
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        assert!(connection.wants_read());
        let _ = connection.receive_eof(Instant::EPOCH);
        assert!(!connection.wants_read());
    }
}

// `Config::high_water_mark` of zero: a server writes all it has before it reads again.
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
