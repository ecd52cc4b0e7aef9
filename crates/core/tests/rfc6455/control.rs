//! Section 5.5: Ping, Pong and Close frames. The closing handshake is in `closing.rs`.

use sansocket::bytes::Buf;
use sansocket::{Config, Input, Instant, Message, ProtocolError, Role};

use crate::support::*;

/// Conformance 33, section 5.5: control frames "MUST NOT be fragmented".
#[test]
fn a_fragmented_control_frame_is_refused() {
    for opcode in [CLOSE, PING, PONG] {
        for payload in ["", "ab"] {
            let fragment = Frame::new(opcode, payload).fin(false);
            check_both(std::slice::from_ref(&fragment), &[], Err(ProtocolError::ControlFrameFragmented));
            let frames = [Frame::text("a").fin(false), fragment, Frame::continuation("b")];
            check_both(&frames, &[], Err(ProtocolError::ControlFrameFragmented));
        }
    }
}

/// Conformance 33, section 5.5: control frames "MUST have a payload length of 125 bytes or less".
#[test]
fn a_control_frame_has_at_most_125_bytes() {
    let longest = [0xFE; 125];
    check_both(&[Frame::ping(longest), Frame::pong(longest)], &[ping(longest), pong(longest)], Ok(()));
    let reason = "r".repeat(123);
    check_both(&[Frame::close(1000, &reason)], &[closed(1000, &reason)], Ok(()));
    for opcode in [CLOSE, PING, PONG] {
        for length in [126, 127, 65_535, 65_536, (1 << 63) - 1] {
            check_both(&[Frame::new(opcode, "").claiming(length)], &[], Err(ProtocolError::ControlFrameTooLong));
        }
        // a length of more than 7 bits is refused, even if its value is small
        check_both(&[Frame::new(opcode, "").length_in_16_bits()], &[], Err(ProtocolError::ControlFrameTooLong));
        check_both(&[Frame::new(opcode, "ab").length_in_64_bits()], &[], Err(ProtocolError::ControlFrameTooLong));
    }
}

/// Conformance 38, section 5.5.3: "identical Application data". `check` expects the Pongs.
#[test]
fn a_ping_is_answered_with_its_payload() {
    for length in 0..=125 {
        let payload: Vec<u8> = (0..length).map(|index| 255 - index).collect();
        check_both(&[Frame::ping(&payload)], &[ping(&payload)], Ok(()));
    }
}

#[test]
fn pings_are_answered_in_order() {
    let frames = [Frame::ping("1"), Frame::text("a"), Frame::ping("2"), Frame::ping("3")];
    check_both(&frames, &[ping("1"), text("a"), ping("2"), ping("3")], Ok(()));
}

/// Conformance 38, section 5.5.3: "A response to an unsolicited Pong frame is not expected."
#[test]
fn a_pong_is_not_answered() {
    for role in BOTH {
        let outcome = Outcome::of(&Config::default(), role, [&wire(role, &[Frame::pong("a"), Frame::pong("")])[..]]);
        assert_eq!((outcome.events, outcome.output), (vec![pong("a"), pong("")], vec![]));
    }
}

/// Conformance 34, section 5.4: a control frame between two fragments, even within a character, changes nothing.
#[test]
fn control_frames_disturb_neither_assembly_nor_text() {
    let payload = "a€b😀".as_bytes();
    for control in [Frame::ping([0xFF, 0x00]), Frame::pong(""), Frame::ping([0x80; 125])] {
        for cut in 0..=payload.len() {
            let frames =
                [Frame::text(&payload[..cut]).fin(false), control.clone(), Frame::continuation(&payload[cut..])];
            let event = if control.opcode == PING { ping(&control.payload) } else { pong(&control.payload) };
            check_both(&frames, &[event, text("a€b😀")], Ok(()));
        }
    }
}

/// Conformance 39, sections 1.4 and 5.5.1: frames after the first Close are discarded. They are not answered, and no
/// error.
#[test]
fn frames_after_a_close_are_discarded() {
    for role in BOTH {
        let late = [
            Frame::ping("late").masked_for(role),
            Frame::text("late").masked_for(role),
            Frame::close(1001, "late").masked_for(role),
            Frame::ping("late").wrongly_masked_for(role),
            Frame::new(7, "late").rsv(7),
            Frame::text([0xFF]).masked_for(role),
            Frame::binary("late").claiming(u64::MAX),
        ];
        for late in late {
            let bytes = [Frame::ping("in time").masked_for(role), Frame::close(1000, "bye").masked_for(role), late];
            let bytes: Vec<u8> = bytes.iter().flat_map(Frame::bytes).collect();
            check(&Config::default(), role, &bytes, &[ping("in time"), closed(1000, "bye")], Ok(()));
        }
    }
}

/// Passes the same bytes many times, without taking output. Returns the greatest length of the output.
fn flood(connection: &mut sansocket::Connection, bytes: &[u8], times: usize) -> usize {
    let mut most = 0;
    for _ in 0..times {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while connection.receive(&mut input, Instant::EPOCH).unwrap().is_some() {}
        most = most.max(connection.output().remaining());
    }
    most
}

/// Conformance 38, section 5.5.3, CVE-2020-35896 (ws-rs): the peer floods with Pings, and the driver takes no output.
/// `memory/send.rs` measures the memory of a million.
#[test]
fn pending_pongs_are_bounded_and_include_the_latest() {
    for role in BOTH {
        let config = Config::default();
        let mut connection = endpoint(role, &config);
        let first: Vec<_> = (0..config.max_pending_controls as u8).map(|number| Frame::ping([number; 125])).collect();
        let head = if role == Role::Client { 6 } else { 2 };

        flood(&mut connection, &wire(role, &first), 1);
        let bound = config.max_pending_controls * (head + 125);
        assert_eq!(connection.output().remaining(), bound);
        let most = flood(&mut connection, &wire(role, &vec![Frame::ping("again"); 1_000]), 100);
        assert!(most <= bound, "{most} bytes are pending");
        flood(&mut connection, &wire(role, &[Frame::ping("latest")]), 1);

        let mut expected: Vec<_> = first.iter().map(|ping| Frame::pong(&ping.payload)).collect();
        *expected.last_mut().unwrap() = Frame::pong("latest");
        assert_eq!(take_output(&mut connection), expected);
        // later Pings are answered
        assert_eq!(feed(&mut connection, &wire(role, &[Frame::ping("p")])), (vec![ping("p")], Ok(())));
        assert_eq!(take_output(&mut connection), [Frame::pong("p")]);
    }
}

/// RUSTSEC-2026-0258 (h2): frames without payload cause no output.
#[test]
fn pongs_and_empty_messages_cause_no_output() {
    for role in BOTH {
        let mut connection = endpoint(role, &Config::default());
        let frames = wire(role, &vec![Frame::pong(""); 1_000]);
        assert_eq!(flood(&mut connection, &frames, 20), 0);
        assert_eq!(flood(&mut connection, &wire(role, &vec![Frame::text(""); 1_000]), 20), 0);
    }
}

/// The reply to a later Ping does not replace a Pong of which a byte was written.
#[test]
fn a_partly_written_pong_is_not_replaced() {
    for role in BOTH {
        for limit in [0, 1, 2] {
            let mut config = Config::default();
            config.max_pending_controls = limit;
            let mut connection = endpoint(role, &config);
            feed(&mut connection, &wire(role, &[Frame::ping("first")])).1.unwrap();
            let mut sent = vec![connection.output().chunk()[0]];
            connection.output().advance(1);
            for _ in 0..100 {
                feed(&mut connection, &wire(role, &[Frame::ping("another"), Frame::ping("x")])).1.unwrap();
                assert!(connection.output().remaining() <= (limit + 1) * (6 + 125));
            }
            feed(&mut connection, &wire(role, &[Frame::ping("latest")])).1.unwrap();
            while connection.output().has_remaining() {
                sent.push(connection.output().chunk()[0]);
                connection.output().advance(1);
            }
            let sent = Frame::parse_unmasked(&sent);
            assert_eq!(sent.first(), Some(&Frame::pong("first")));
            assert_eq!(sent.last(), Some(&Frame::pong("latest")));
            assert!(sent.len() <= limit.max(1) + 1, "{sent:?}");
        }
    }
}

/// A flood of Pings neither delays nor drops messages.
#[test]
fn pongs_and_messages_are_both_sent() {
    for role in BOTH {
        let mut connection = endpoint(role, &Config::default());
        connection.send(Message::from("before")).unwrap();
        flood(&mut connection, &wire(role, &vec![Frame::ping("p"); 1_000]), 1);
        connection.send(Message::from("after")).unwrap();
        let sent = take_output(&mut connection);
        let data: Vec<_> = sent.iter().filter(|frame| frame.opcode == TEXT).cloned().collect();
        assert_eq!(data, [Frame::text("before"), Frame::text("after")]);
        assert_eq!(sent.len(), 2 + Config::default().max_pending_controls);
    }
}
