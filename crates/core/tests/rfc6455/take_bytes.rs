//! `Output::take_bytes` and `delivered`, for transports that take bytes before they deliver them. The stream is the
//! same as with `advance`, large payloads are not copied, and everything that depends on delivery waits for
//! `delivered`.

use std::time::Duration;

use proptest::prelude::*;
use sansocket::bytes::{Buf, Bytes};
use sansocket::{CloseCode, Config, Connection, Error, Instant, MessageKind, Role, Scratch, TransportAction};

use crate::keepalive::{TIMED_OUT, keepalive, receive, timeout};
use crate::support::*;

use MessageKind::{Binary, Text};
use sansocket::Initiator::{Local, Peer};

const MIB: usize = 1024 * 1024;

/// Takes all bytes, at most `max` at a time, and does not report them as delivered.
fn take_all(connection: &mut Connection, max: usize) -> Vec<Bytes> {
    let mut pieces = vec![];
    while connection.output().has_remaining() {
        let piece = connection.output().take_bytes(max);
        assert!(!piece.is_empty() && piece.len() <= max);
        pieces.push(piece);
    }
    pieces
}

// Several servers send a shared payload of 1 MiB without a copy.
#[test]
fn a_shared_payload_is_taken_without_a_copy() {
    let shared = Bytes::from(vec![7; MIB]);
    for max in [usize::MAX, MIB, 100_000, 16 * 1024] {
        let mut servers = [open(Role::Server), open(Role::Server)];
        for server in &mut servers {
            server.send("before").unwrap();
            server.send_shared(Binary, shared.clone()).unwrap();
            server.send("after").unwrap();
        }
        for server in &mut servers {
            let pieces = take_all(server, max);
            let inside: Vec<_> =
                pieces.iter().filter(|piece| shared.as_ptr_range().contains(&piece.as_ptr())).collect();
            assert_eq!(inside.iter().map(|piece| piece.len()).sum::<usize>(), MIB, "{max}: copied");
            assert_eq!((inside[0].as_ptr(), inside.len()), (shared.as_ptr(), MIB.div_ceil(max)));
            assert_eq!(pieces.len() - inside.len(), 2, "the frames before the payload, and those behind it");
            assert_eq!(pieces.concat().len(), MIB + 10 + 8 + 7);
        }
    }
}

// An owned payload is not copied either. A client masks it in place.
#[test]
fn an_owned_payload_is_taken_without_a_copy() {
    for role in BOTH {
        for max in [usize::MAX, 100_000] {
            let payload = vec![7; MIB];
            let place = payload.as_ptr_range();
            let mut connection = open(role);
            connection.send(payload).unwrap();
            let pieces = take_all(&mut connection, max);
            let inside = pieces.iter().filter(|piece| place.contains(&piece.as_ptr()));
            assert_eq!(inside.map(Bytes::len).sum::<usize>(), MIB, "{role:?}, {max}: copied");
            let frames = Frame::parse_all(&pieces.concat());
            assert_eq!(frames.into_iter().map(Frame::unmasked).collect::<Vec<_>>(), [Frame::binary(vec![7; MIB])]);
        }
    }
}

// The connection keeps no reference to the bytes that the driver has taken.
#[test]
fn taken_bytes_belong_to_the_driver() {
    let shared = Bytes::from(vec![7; MIB]);
    let mut server = open(Role::Server);
    server.send_shared(Binary, shared.clone()).unwrap();
    let pieces = take_all(&mut server, usize::MAX);
    assert_eq!(server.buffered_amount(), MIB);
    drop(pieces);
    assert!(shared.is_unique());
}

// `buffered_amount`, the high-water mark, the closing handshake and `transport()` depend on delivery, not on taking.
#[test]
fn bytes_in_flight_are_not_delivered() {
    let mut config = Config::default();
    config.high_water_mark = 1_000;
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(&[1; 2_000]).unwrap();
        let wants_read = role == Role::Client;
        let taken = take_all(&mut connection, 100).concat().len();
        assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, 2_000));
        assert_eq!(connection.wants_read(), wants_read);
        connection.output().delivered(taken - 1_001);
        assert_eq!((connection.wants_read(), connection.buffered_amount()), (wants_read, 1_001));
        connection.output().delivered(1);
        assert_eq!((connection.wants_read(), connection.buffered_amount()), (true, 1_000), "at the mark, not above it");

        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        let reply = take_all(&mut connection, 100).concat().len();
        let after = if role == Role::Server { TransportAction::ShutdownWrite } else { TransportAction::Open };
        assert_eq!(connection.transport(), TransportAction::Open, "our Close is in flight");
        assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None), "the output is not delivered");
        connection.output().delivered(1_000 + reply - 1);
        assert_eq!((connection.transport(), connection.has_pending_event()), (TransportAction::Open, false));
        connection.output().delivered(1);
        assert_eq!(pending_event(&mut connection, Instant::EPOCH), Some(closed(1000, "")));
        assert_eq!(connection.transport(), TransportAction::Close);

        let mut connection = open(role);
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        take_all(&mut connection, 100);
        assert_eq!(connection.transport(), TransportAction::Open);
        connection.output().delivered(usize::MAX);
        assert_eq!(connection.transport(), after);
    }
}

// A Close frame that was taken and never delivered counts as not sent.
#[test]
fn a_close_frame_that_stays_in_flight_is_not_clean() {
    for role in BOTH {
        for lose in [false, true] {
            let mut connection = open(role);
            let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
            let size = take_all(&mut connection, 100).concat().len();
            connection.output().delivered(size - 1);
            let event = if lose {
                connection.write_lost(Instant::EPOCH);
                pending_event(&mut connection, Instant::EPOCH).unwrap()
            } else {
                wait_for_end(&mut connection).1
            };
            assert_eq!(event, close_event(1000, "", false, Peer));
            assert_eq!(connection.transport(), TransportAction::Abort);
            connection.output().delivered(1);
            assert!(!connection.has_pending_event());
        }
    }
}

// Contract 6; section 5.5.1: nothing is queued behind a Close frame of which a byte was taken.
#[test]
fn nothing_follows_a_close_frame_that_was_taken() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        let mut bytes = connection.output().take_bytes(1).to_vec();
        let _ = feed(&mut connection, &wire(role, &[Frame::ping("late")]));
        bytes.extend(take_all(&mut connection, 100).concat());
        let frames = Frame::parse_unmasked(&bytes);
        assert_eq!(frames, [Frame::close(1000, "")]);
    }
}

// Bytes that are delivered restart the closing deadline; bytes that are only taken do not.
#[test]
fn delivery_is_progress_and_taking_is_not() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send(&[1; 1_000]).unwrap();
        close(&mut connection, 1000, "");
        let mut end = None;
        let mut now = Instant::EPOCH;
        let taken = take_all(&mut connection, 100);
        while end.is_none() {
            now = connection.poll_timeout().unwrap();
            if now <= seconds(20) {
                connection.output().delivered(1);
            }
            end = owned(connection.handle_timeout(now)).unwrap();
        }
        assert!((seconds(23)..=seconds(26)).contains(&now), "{now:?}");
        assert_eq!(end, Some(abnormal(Local)));
        drop(taken);

        let mut connection = open(role);
        connection.send(&[1; 1_000]).unwrap();
        close(&mut connection, 1000, "");
        let mut end = None;
        while end.is_none() {
            now = connection.poll_timeout().unwrap();
            connection.output().take_bytes(1);
            end = owned(connection.handle_timeout(now)).unwrap();
        }
        assert!(now <= seconds(7), "{now:?}");
    }
}

// A keepalive Ping may be in flight behind a long message: a peer that reads the message is not silent.
#[test]
fn a_keepalive_ping_in_flight_excuses_silence_while_bytes_are_delivered() {
    for role in BOTH {
        let mut connection = endpoint(role, &keepalive());
        connection.send(vec![0; 500_000]).unwrap();
        let taken: usize = take_all(&mut connection, 16_384).iter().map(Bytes::len).sum();
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None), "the Ping is queued");
        let ping = take_all(&mut connection, 3).concat().len();
        for deadline in [40, 50, 60] {
            connection.output().delivered(100_000);
            assert_eq!(timeout(&mut connection, seconds(deadline)), Ok(None), "the peer reads the message");
        }
        connection.output().delivered(taken - 300_000 + ping - 1);
        assert_eq!(timeout(&mut connection, seconds(70)), Ok(None), "the Ping's last byte is not delivered");
        connection.output().delivered(1);
        assert_eq!(timeout(&mut connection, seconds(80)), Ok(None), "it is now");
        assert_eq!(timeout(&mut connection, seconds(90)).map(drop), TIMED_OUT);

        // a transport that takes bytes and delivers none is no excuse
        let mut connection = endpoint(role, &keepalive());
        connection.send(vec![0; 500_000]).unwrap();
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
        take_all(&mut connection, 16_384);
        assert_eq!(timeout(&mut connection, seconds(40)).map(drop), TIMED_OUT);

        // the answer to a delivered Ping restarts the interval
        let mut connection = endpoint(role, &keepalive());
        assert_eq!(timeout(&mut connection, seconds(30)), Ok(None));
        let ping = take_all(&mut connection, 100).concat().len();
        connection.output().delivered(ping);
        receive(&mut connection, &wire(role, &[Frame::pong("")]), seconds(35)).unwrap();
        assert_eq!(connection.poll_timeout(), Some(seconds(65)));
    }
}

// `delivered` with more bytes than are in flight reports all of them, and none if none are.
#[test]
fn reporting_more_than_was_taken_delivers_all_that_was_taken() {
    for role in BOTH {
        let mut connection = open(role);
        connection.output().delivered(usize::MAX);
        assert!(connection.output().take_bytes(10).is_empty());
        connection.send("Hello").unwrap();
        assert!(connection.output().take_bytes(0).is_empty());
        connection.output().delivered(usize::MAX);
        assert_eq!(connection.buffered_amount(), 5);
        let head = connection.output().remaining() - 5;
        connection.output().take_bytes(head + 2);
        connection.output().delivered(usize::MAX);
        assert_eq!((connection.buffered_amount(), connection.output().remaining()), (3, 3));
        take(&mut connection, 3);
        assert_eq!(connection.buffered_amount(), 0);
    }
}

// `max_buffered_amount` counts bytes in flight.
#[test]
fn bytes_in_flight_count_in_max_buffered_amount() {
    let mut config = Config::default();
    config.max_buffered_amount = 1_000;
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(&[1; 1_000]).unwrap();
        let taken = take_all(&mut connection, 100).concat().len();
        assert!(connection.send("x").is_err());
        connection.output().delivered(taken);
        assert_eq!(connection.send("x"), Ok(()));
    }
}

/// A step of a connection and its reference.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Owned(usize),
    Shared(usize),
    Fragment(usize, bool),
    Ping(usize),
    ReceivePing(usize),
    Close,
    Take(usize),
    Deliver(usize),
    Advance(usize),
    Attach,
    Detach,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = || prop_oneof![0_usize..20, 0_usize..9_000, 3_900_usize..4_200];
    let amount = || prop_oneof![1_usize..20, 0_usize..9_000, Just(usize::MAX)];
    let step = prop_oneof![
        3 => length().prop_map(Step::Send),
        3 => length().prop_map(Step::Owned),
        3 => length().prop_map(Step::Shared),
        2 => (length(), any::<bool>()).prop_map(|(length, last)| Step::Fragment(length, last)),
        2 => (0_usize..126).prop_map(Step::Ping),
        2 => (0_usize..126).prop_map(Step::ReceivePing),
        1 => Just(Step::Close),
        8 => amount().prop_map(Step::Take),
        8 => amount().prop_map(Step::Deliver),
        2 => amount().prop_map(Step::Advance),
        2 => Just(Step::Attach),
        2 => Just(Step::Detach),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Applies a step that does not concern the transport.
fn apply(connection: &mut Connection, step: &Step) -> Result<(), String> {
    fn describe<M>(result: Result<(), sansocket::SendError<M>>) -> Result<(), String> {
        result.map_err(|error| format!("{error:?}"))
    }
    match *step {
        Step::Send(length) => describe(connection.send(vec![1; length].as_slice())),
        Step::Owned(length) => describe(connection.send(vec![2; length])),
        Step::Shared(length) => describe(connection.send_shared(Binary, vec![3; length].into())),
        Step::Fragment(length, last) => describe(connection.send_fragment(Text, vec![b'4'; length], last)),
        Step::Ping(length) => describe(connection.ping(&vec![5; length])),
        Step::ReceivePing(length) => {
            let ping = wire(connection.role(), &[Frame::ping(vec![6; length])]);
            feed(connection, &ping).1.map_err(|error: Error| error.to_string())
        }
        Step::Close => describe(connection.close(CloseCode::NORMAL, "", Instant::EPOCH)),
        _ => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // For any amounts that are taken, delivered and advanced, with and without scratch: the stream is that of a
    // connection whose driver advances by the same amounts, and the state depends only on the delivered bytes.
    #[test]
    fn take_bytes_gives_the_same_stream_and_state_as_advance(
        steps in steps(),
        size in prop_oneof![1_usize..50, Just(1_000), Just(1 << 20)],
        role in proptest::sample::select(&BOTH[..]),
        mark in prop_oneof![Just(0), 0_usize..20_000],
    ) {
        let mut config = with_frames_of(size);
        config.high_water_mark = mark;
        config.max_pending_controls = 1_000;
        let mut connection = endpoint(role, &config);
        // its driver takes the same bytes at the same times, by `advance`
        let mut stream = endpoint(role, &config);
        let mut scratch = Scratch::new();
        let (mut taken, mut expected, mut in_flight) = (vec![], vec![], 0);
        // payload bytes accepted
        let mut accepted = 0;
        for step in steps {
            match step {
                Step::Take(max) => {
                    let piece = connection.output().take_bytes(max);
                    in_flight += piece.len();
                    expected.extend(take(&mut stream, piece.len()));
                    taken.extend_from_slice(&piece);
                }
                Step::Advance(count) => {
                    let count = count.min(connection.output().remaining());
                    let bytes = take(&mut connection, count);
                    prop_assert_eq!(bytes.len(), count);
                    expected.extend(take(&mut stream, count));
                    taken.extend(bytes);
                }
                Step::Deliver(count) => {
                    let before = connection.buffered_amount();
                    connection.output().delivered(count);
                    in_flight -= count.min(in_flight);
                    prop_assert!(connection.buffered_amount() <= before);
                }
                Step::Attach => connection.attach_scratch(&mut scratch),
                Step::Detach => connection.detach_scratch(&mut scratch),
                _ => {
                    let before = stream.buffered_amount();
                    let outcome = apply(&mut stream, &step);
                    prop_assert_eq!(apply(&mut connection, &step), outcome);
                    accepted += stream.buffered_amount() - before;
                }
            }
            prop_assert!(taken == expected, "the streams differ");
            prop_assert_eq!(connection.output().remaining(), stream.output().remaining());
            // accepted payload bytes, less those delivered
            let delivered = StreamSummary::new(&taken[..taken.len() - in_flight]).payload;
            prop_assert_eq!(connection.buffered_amount(), accepted - delivered);
            let undelivered = connection.output().remaining() + in_flight;
            let is_open = connection.ready_state() == sansocket::ReadyState::Open;
            let has_backlog = is_open && role == Role::Server && undelivered > mark;
            prop_assert_eq!(connection.wants_read(), !has_backlog);
        }
        // the connection ends, cleanly, once the Close frame is delivered
        let _ = connection.send_fragment(Text, b"", true);
        connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
        in_flight += take_all(&mut connection, 5_000).concat().len();
        let received = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        prop_assert_eq!(received, (vec![close_received(1000, "")], Ok(())));
        let mut close = None;
        if in_flight > 0 {
            connection.output().delivered(in_flight - 1);
            prop_assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None));
            connection.output().delivered(1);
            close = pending_event(&mut connection, Instant::EPOCH);
        }
        let close = close.or(owned(connection.receive_eof(Instant::EPOCH)).unwrap());
        prop_assert_eq!(close, Some(close_event(1000, "", true, Local)));
        prop_assert_eq!(connection.buffered_amount(), 0);
        connection.detach_scratch(&mut scratch);
    }
}

// With `take_bytes`, the timers are those of a driver that calls `advance` when bytes are delivered.
#[test]
fn timers_depend_on_delivery() {
    for role in BOTH {
        let mut config = keepalive();
        config.closing_timeout = Duration::from_secs(8);
        for closing in [false, true] {
            let mut early = endpoint(role, &config);
            let mut plain = endpoint(role, &config);
            for connection in [&mut early, &mut plain] {
                connection.send(vec![0; 10_000]).unwrap();
                if closing {
                    close(connection, 1000, "");
                }
            }
            take_all(&mut early, 1_000);
            for second in 1..100 {
                let now = seconds(second);
                if second % 7 == 0 {
                    take_all(&mut early, 10);
                    early.output().delivered(900);
                    plain.output().advance(900);
                }
                assert_eq!(early.poll_timeout(), plain.poll_timeout(), "{role:?} {now:?}");
                let event = owned(early.handle_timeout(now));
                assert_eq!(event, owned(plain.handle_timeout(now)), "{role:?} {now:?}");
                assert_eq!((early.transport(), early.wants_read()), (plain.transport(), plain.wants_read()));
                assert_eq!(early.buffered_amount(), plain.buffered_amount(), "{role:?} {now:?}");
            }
            assert_eq!(take_output(&mut early), []);
        }
    }
}
