//! Sections 5.5.1 and 7.1: what is sent and received in the closing handshake, and in which order. Its phases and
//! deadlines are in `phases.rs` and `deadlines.rs`.

use proptest::prelude::*;
use sansocket::bytes::Buf;
use sansocket::{
    CloseCode, Config, Connection, Initiator, Instant, MessageKind, ProtocolError, ReadyState, Role, SendError,
    TransportAction,
};

use crate::support::*;

// Section 5.5.1: one Close frame per endpoint; contract 5.
#[test]
fn closing_again_does_nothing() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "first");
        connection.close(CloseCode::GOING_AWAY, "second", seconds(3)).unwrap();
        connection.close(CloseCode::ABNORMAL, "", seconds(4)).unwrap();
        assert_eq!(take_output(&mut connection), [Frame::close(1000, "first")]);
        connection.close(CloseCode::GOING_AWAY, "third", seconds(4)).unwrap();
        assert_eq!(take_output(&mut connection), []);
    }
    // nor does it restart the deadline
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "first");
        connection.close(CloseCode::GOING_AWAY, "second", seconds(3)).unwrap();
        let (at, _) = wait_for_end(&mut connection);
        assert!((seconds(5)..=seconds(7)).contains(&at), "{at:?}");
    }
}

// Conformance 44; sections 5.5.1 and 7.1.2: we send nothing more; the peer may send until it has received our Close.
#[test]
fn after_our_close_nothing_is_sent_and_everything_delivered() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send_fragment(MessageKind::Text, b"unfin", false).unwrap();
        close(&mut connection, 1000, "");
        let refused = Err(SendError::NotOpen(ReadyState::Closing));
        assert_eq!(connection.send("late").map_err(SendError::from), refused);
        assert_eq!(
            connection.send_shared(MessageKind::Binary, (&b"late"[..]).into()).map_err(SendError::from),
            refused
        );
        assert_eq!(connection.send_fragment(MessageKind::Text, b"ished", true), refused);
        assert_eq!(connection.ping(b""), refused);
        assert_eq!(connection.pong(b""), refused);
        assert_eq!(take_output(&mut connection), [Frame::text("unfin").fin(false), Frame::close(1000, "")]);
        assert_eq!(connection.send("later").map_err(SendError::from), refused);

        let frames = [
            Frame::text("one"),
            Frame::binary("tw").fin(false),
            Frame::pong("between"),
            Frame::continuation("o"),
            Frame::close(1000, "done"),
            Frame::text("discarded"),
        ];
        let (events, result) = feed(&mut connection, &wire(role, &frames));
        assert_eq!(events, [text("one"), pong("between"), binary("two"), close_received(1000, "done")]);
        assert_eq!(result, Ok(()));
        assert_eq!(take_output(&mut connection), [], "the peer's Close was the reply");
        let expected = close_event(1000, "done", true, Initiator::Local);
        assert_eq!(owned(connection.receive_eof(Instant::EPOCH)), Ok(Some(expected)));
    }
}

// Conformance 50; section 7.1.7: the peer must keep the rules after our Close, too. No second Close frame is sent.
#[test]
fn a_peer_that_breaks_a_rule_after_our_close_fails_the_connection_without_a_second_close() {
    for role in BOTH {
        for drained in [false, true] {
            let mut connection = open(role);
            close(&mut connection, 1000, "");
            let mut sent = if drained { take_output(&mut connection) } else { vec![] };
            let (_, result) = feed(&mut connection, &wire(role, &[Frame::text(b"\xff")]));
            assert_eq!(result, Err(ProtocolError::Utf8Invalid.into()));
            sent.extend(take_output(&mut connection));
            assert_eq!(sent, [Frame::close(1000, "")]);
            assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
        }
    }
}

// Conformance 45; section 5.5.1; Autobahn 7.1.5: the code is echoed, and the close is clean.
#[test]
fn a_close_inside_a_fragmented_message_is_answered_like_any_other() {
    check_both(&[Frame::text("begun").fin(false), Frame::close(1000, "")], &[closed(1000, "")], Ok(()));
    check_both(
        &[
            Frame::text(b"\xe2").fin(false),
            Frame::ping("!"),
            Frame::close(1001, "off"),
            Frame::continuation(b"\x82\xac"),
        ],
        &[ping("!"), closed(1001, "off")],
        Ok(()),
    );
}

// Conformance 46; section 5.5.1: "it typically echos the status code it received".
#[test]
fn the_reply_echoes_the_code_and_waits_behind_what_was_sent_before() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("before").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::close(4321, "a reason")]));
        assert_eq!(connection.send("after"), Err(SendError::NotOpen(ReadyState::Closing)));
        assert_eq!(take_output(&mut connection), [Frame::text("before"), Frame::close(4321, "")]);
    }
}

// Conformance 47; sections 5.5.1 and 7.1.4: both close at once; both are clean, and neither answers.
#[test]
fn when_both_close_at_once_both_are_clean() {
    let mut client = open(Role::Client);
    let mut server = open(Role::Server);
    close(&mut client, 4001, "client");
    close(&mut server, 4002, "server");
    let from_client = take(&mut client, usize::MAX);
    let from_server = take(&mut server, usize::MAX);
    assert_eq!(feed(&mut client, &from_server), (vec![close_received(4002, "server")], Ok(())));
    assert_eq!(feed(&mut server, &from_client), (vec![close_received(4001, "client")], Ok(())));
    assert_eq!((take_output(&mut client), take_output(&mut server)), (vec![], vec![]));

    assert_eq!(client.transport(), TransportAction::Open);
    assert_eq!(server.transport(), TransportAction::ShutdownWrite);
    let at_client = close_event(4002, "server", true, Initiator::Local);
    assert_eq!(owned(client.receive_eof(Instant::EPOCH)), Ok(Some(at_client)));
    assert_eq!(client.transport(), TransportAction::Close);
    let at_server = close_event(4001, "client", true, Initiator::Local);
    assert_eq!(owned(server.receive_eof(Instant::EPOCH)), Ok(Some(at_server)));
    assert_eq!(server.transport(), TransportAction::Close);
}

// Conformance 48; section 7.1.1: the server shuts down TCP after the last byte of its Close; the client waits for it.
#[test]
fn the_server_ends_tcp_once_its_close_frame_has_left_and_the_client_waits() {
    for (role, after) in [(Role::Server, TransportAction::ShutdownWrite), (Role::Client, TransportAction::Open)] {
        let mut connection = open(role);
        connection.send("on its way").unwrap();
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        while connection.output().remaining() > 1 {
            take(&mut connection, 1);
            assert_eq!(connection.transport(), TransportAction::Open);
        }
        take(&mut connection, 1);
        assert_eq!(connection.transport(), after);
        assert_eq!(connection.ready_state(), ReadyState::Closing);
        // further frames of the peer change nothing
        let _ = feed(&mut connection, &wire(role, &[Frame::text("and another thing")]));
        assert_eq!(connection.transport(), after);
        assert_eq!(wait_for_end(&mut connection).1, closed(1000, ""));
        assert_eq!(connection.transport(), TransportAction::Close);
    }
}

// Conformance 49; section 7.1.5: if TCP ends before the peer's Close, the code is 1006, and the close is not clean.
#[test]
fn tcp_that_ends_before_the_peers_close_is_abnormal_wherever_it_ends() {
    for role in BOTH {
        let stream = wire(
            role,
            &[Frame::text("he").fin(false), Frame::ping("?"), Frame::continuation("y"), Frame::close(1000, "bye")],
        );
        for end in 0..stream.len() {
            let mut connection = open(role);
            let (_, result) = feed(&mut connection, &stream[..end]);
            assert_eq!(result, Ok(()));
            let mut close = owned(connection.receive_eof(Instant::EPOCH)).unwrap();
            if connection.output().has_remaining() {
                assert_eq!((close, connection.transport()), (None, TransportAction::Open), "a Pong is pending");
                assert_eq!(take_output(&mut connection), [Frame::pong("?")]);
                close = pending_event(&mut connection, Instant::EPOCH);
            }
            assert_eq!(close, Some(abnormal(Initiator::Peer)), "after {end} bytes");
            assert_eq!(connection.transport(), TransportAction::Close);
            assert!(!connection.output().has_remaining());
        }
        check(&Config::default(), role, &stream, &[ping("?"), text("hey"), closed(1000, "bye")], Ok(()));
    }
}

// Conformance 49: after both Close frames it does not matter how TCP ends. Adapters report a reset as the end.
#[test]
fn tcp_may_end_in_any_way_after_both_close_frames() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        take_output(&mut connection);
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        let _ = feed(&mut connection, b"whatever");
        let end = close_event(1000, "", true, Initiator::Local);
        assert_eq!(owned(connection.receive_eof(Instant::EPOCH)), Ok(Some(end)));
    }
}

// CVE-2026-85024; contract 4; Conformance 50; section 7.1.7: after any fatal error, all input is discarded.
#[test]
fn after_any_fatal_error_nothing_more_happens() {
    type Offence = (fn(Role) -> Vec<u8>, Failure);
    let rule = Failure::Rule;
    let offences: &[Offence] = &[
        (|role| wire(role, &[Frame::text("x").rsv(4)]), rule(ProtocolError::ReservedBitSet)),
        (|role| wire(role, &[Frame::new(3, "x")]), rule(ProtocolError::OpCodeReserved)),
        (|role| wire(role, &[Frame::ping("x").fin(false)]), rule(ProtocolError::ControlFrameFragmented)),
        (|role| wire(role, &[Frame::ping([0; 126])]), rule(ProtocolError::ControlFrameTooLong)),
        (|role| wire(role, &[Frame::text("x").length_in_16_bits()]), rule(ProtocolError::LengthNotMinimal)),
        (|role| wire(role, &[Frame::binary("").claiming(1 << 63)]), rule(ProtocolError::LengthTopBitSet)),
        (
            |role| wire(role, &[Frame::binary("").claiming(1 << 62)]),
            Failure::Limit("max_message_size", 16 << 20, 1 << 62),
        ),
        (|role| wire(role, &[Frame::continuation("x")]), rule(ProtocolError::ContinuationUnexpected)),
        (|role| wire(role, &[Frame::text("x").fin(false), Frame::text("y")]), rule(ProtocolError::ContinuationMissing)),
        (|role| wire(role, &[Frame::text(b"\xff")]), rule(ProtocolError::Utf8Invalid)),
        (|role| wire(role, &[Frame::new(CLOSE, "x")]), rule(ProtocolError::CloseBodyTooShort)),
        (|role| wire(role, &[Frame::close(1005, "")]), rule(ProtocolError::CloseCodeInvalid)),
        (|_| vec![0x82, 0x00], rule(ProtocolError::FrameNotMasked)),
        (|_| vec![0x82, 0x80, 1, 2, 3, 4], rule(ProtocolError::FrameMasked)),
    ];
    for role in BOTH {
        for (offence, error) in offences {
            match (role, error) {
                (Role::Client, Failure::Rule(ProtocolError::FrameNotMasked)) => continue,
                (Role::Server, Failure::Rule(ProtocolError::FrameMasked)) => continue,
                _ => {}
            }
            let mut connection = open(role);
            let (events, failed) = feed(&mut connection, &offence(role));
            assert_eq!((events, failed.clone().map_err(Failure::from)), (vec![], Err(*error)));
            // another offence, a message, a Ping, a Close, a part of a frame: all is discarded
            let more = wire(role, &[Frame::text("hello"), Frame::ping("?"), Frame::close(1000, "bye")]);
            for bytes in [&offence(role)[..], &[0xff; 20], &more, &more[..1]] {
                assert_eq!(feed(&mut connection, bytes), (vec![], failed.clone()));
            }
            assert_eq!(connection.send("hello"), Err(SendError::NotOpen(ReadyState::Closing)));
            assert_eq!(connection.close(CloseCode::NORMAL, "", seconds(2)), Ok(()));
            assert_eq!(connection.handle_timeout(seconds(4)), Ok(None));
            let expected = Frame::close(error.code(), &error.reason());
            assert_eq!(take_output(&mut connection), [expected], "one Close frame");
            assert_eq!(connection.transport(), TransportAction::ShutdownWrite);
            assert_eq!(owned(connection.receive_eof(seconds(4))), Ok(Some(abnormal(Initiator::Local))));
            assert_eq!(connection.receive_eof(seconds(4)), Ok(None));
            assert_eq!(connection.handle_timeout(seconds(9)), Ok(None));
            assert_eq!(feed(&mut connection, &more), (vec![], failed));
        }
    }
}

// Section 5.5.1, contract 6: Close is the last frame. Everything accepted before it is sent before it.
#[test]
fn close_is_sent_after_messages_and_pongs() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("first").unwrap();
        take(&mut connection, 3);
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("a")]));
        connection.ping(b"b").unwrap();
        connection.send(vec![9; 10_000]).unwrap();
        close(&mut connection, 1000, "end");
        // a Ping that arrives while our Close is queued is still answered: contract 6
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("c")]));
        let mut frames = take(&mut connection, usize::MAX);
        // the first frame is finished before the control frames are sent
        let first = if role == Role::Server { 4 } else { 8 };
        frames.drain(..first);
        let frames = Frame::parse_unmasked(&frames);
        let expected = [
            Frame::pong("a"),
            Frame::ping("b"),
            Frame::pong("c"),
            Frame::binary([9; 10_000]),
            Frame::close(1000, "end"),
        ];
        assert_eq!(frames, expected);
    }
}

// Conformance 39; sections 5.5.1 and 5.5.2: no Pong follows our Close frame, not even a partly written one.
#[test]
fn a_ping_is_not_answered_once_our_close_has_begun() {
    for role in BOTH {
        let size = if role == Role::Server { 4 } else { 8 };
        for taken in 0..=size {
            let mut connection = open(role);
            close(&mut connection, 1000, "");
            let mut bytes = take(&mut connection, taken);
            assert_eq!(feed(&mut connection, &wire(role, &[Frame::ping("!")])), (vec![ping("!")], Ok(())));
            bytes.extend(take(&mut connection, usize::MAX));
            let frames = Frame::parse_unmasked(&bytes);
            match taken {
                0 => assert_eq!(frames, [Frame::pong("!"), Frame::close(1000, "")]),
                _ => assert_eq!(frames, [Frame::close(1000, "")], "{taken} bytes taken"),
            }
        }
    }
}

// Contract 6; tungstenite 78: Pongs and the Close are queued separately, and neither replaces the other.
#[test]
fn a_pong_is_not_dropped_for_the_reply_to_a_close() {
    for role in BOTH {
        let mut connection = open(role);
        let (events, _) =
            feed(&mut connection, &wire(role, &[Frame::ping("1"), Frame::ping("2"), Frame::close(1000, "")]));
        assert_eq!(events, [ping("1"), ping("2"), close_received(1000, "")]);
        assert_eq!(take_output(&mut connection), [Frame::pong("1"), Frame::pong("2"), Frame::close(1000, "")]);
    }
}

// Contract 6; CVE-2020-35896: a full buffer refuses messages, never the closing handshake.
#[test]
fn close_is_queued_when_the_buffer_is_full() {
    let mut config = Config::default();
    config.max_buffered_amount = 100;
    for role in BOTH {
        for local in [true, false] {
            let mut connection = endpoint(role, &config);
            connection.send(&[0; 100]).unwrap();
            assert!(matches!(connection.send("x"), Err(SendError::BufferFull { .. })));
            if local {
                close(&mut connection, 3000, "");
            } else {
                let _ = feed(&mut connection, &wire(role, &[Frame::close(3000, "")]));
            }
            assert_eq!(take_output(&mut connection), [Frame::binary([0; 100]), Frame::close(3000, "")]);
        }
    }
}

proptest! {
    // Conformance 44, 47, 49; contract 5: two endpoints that send and close in any order end once each, and cleanly
    // once both Close frames have arrived.
    #[test]
    fn two_endpoints_close_in_any_order(
        script in proptest::collection::vec((0_usize..2, 0_u8..5, 1_usize..40), 0..40),
    ) {
        let mut ends = BOTH.map(open);
        let mut wires = [vec![], vec![]];
        let mut delivered = [0, 0];
        let mut accepted = [0, 0];
        let mut deliver = |ends: &mut [Connection; 2], wires: &mut [Vec<u8>; 2], from: usize, count: usize| {
            let bytes = take(&mut ends[from], count);
            wires[from].extend_from_slice(&bytes);
            let (events, result) = feed(&mut ends[1 - from], &bytes);
            delivered[from] += events.iter().filter(|event| matches!(event, OwnedEvent::Binary(_))).count();
            result
        };
        for (who, what, amount) in script {
            match what {
                0 => accepted[who] += usize::from(ends[who].send(vec![0; amount]).is_ok()),
                1 => drop(ends[who].ping(b"?")),
                2 => close(&mut ends[who], 4000 + who as u16, ""),
                _ => prop_assert_eq!(deliver(&mut ends, &mut wires, who, amount), Ok(())),
            }
        }
        close(&mut ends[0], 4000, "");
        for from in [0, 1, 0, 1] {
            prop_assert_eq!(deliver(&mut ends, &mut wires, from, usize::MAX), Ok(()));
        }
        for (who, end) in ends.iter_mut().enumerate() {
            prop_assert_eq!(end.ready_state(), ReadyState::Closing);
            let close = owned(end.receive_eof(Instant::EPOCH)).unwrap();
            prop_assert!(matches!(close, Some(OwnedEvent::Close { was_clean: true, .. })), "both Close frames arrived");
            prop_assert_eq!(end.receive_eof(Instant::EPOCH), Ok(None));
            // Close is sent once, and last
            let frames = Frame::parse_all(&wires[who]);
            prop_assert_eq!(frames.iter().position(|frame| frame.opcode == CLOSE), Some(frames.len() - 1));
        }
        prop_assert_eq!(delivered, accepted, "what was accepted before Close is delivered");
    }
}

/// The deadline runs from the latest progress: the bytes delivered before the write side was lost.
#[test]
fn bytes_delivered_before_write_lost_are_progress() {
    let mut server = open(Role::Server);
    close(&mut server, 1000, "");
    assert_eq!(server.handle_timeout(seconds(4)), Ok(None));
    take_output(&mut server);
    server.write_lost(seconds(4));
    assert_eq!(server.handle_timeout(seconds(8)), Ok(None));
    assert_eq!(server.transport(), TransportAction::Open);
    let ended = owned(server.handle_timeout(seconds(9)));
    assert_eq!(ended, Ok(Some(close_event(1006, "", false, Initiator::Local))));
}
