//! The driver over a layer with a handshake, records and a close message, like those of TLS.

use std::io::ErrorKind;

use sansocket::bytes::Buf;
use sansocket::{Accept, Config, Initiator, Instant, ReadyState, Role};
use sansocket_drive::{Action, Driver, Layer};

use crate::support::{
    ALERT, BOTH, CLOSE, DATA, End, GOODBYE, HELLO, KIB, MIB, Pipe, Records, Seen, TEXT, TICK, close, closed, feed,
    frame, frames, other, pending, record, records, run, run_alone, seconds, websocket, written,
};

const NOW: Instant = Instant::EPOCH;

/// The bytes that a record adds to its plaintext.
const OVERHEAD: usize = 4;

fn layered(role: Role) -> Driver<Records> {
    Driver::with_layer(websocket(role, &Config::default()), Records::new(role))
}

/// Returns an open driver with this role, and its peer.
fn pair(role: Role) -> (Driver<Records>, Driver<Records>) {
    let (mut driver, mut peer) = (layered(role), layered(other(role)));
    for _ in 0..4 {
        carry(&mut driver, &mut peer);
        carry(&mut peer, &mut driver);
    }
    for driver in [&mut driver, &mut peer] {
        assert_eq!(driver.websocket().ready_state(), ReadyState::Open);
        assert_eq!(driver.next_action(), Action::Wait { read: true, write: false, until: None });
        assert!(driver.is_quiet(), "a layer that holds nothing demands no work");
    }
    (driver, peer)
}

/// Passes the output of one driver to the other one, and accepts its request.
fn carry(from: &mut Driver<Records>, to: &mut Driver<Records>) {
    let bytes = written(from);
    if feed(to, &bytes, NOW).contains(&Seen::Request) {
        to.accept(Accept::new(), NOW).unwrap();
    }
    pending(to, NOW);
}

fn open(role: Role) -> Driver<Records> {
    pair(role).0
}

fn message(role: Role, payload: &[u8]) -> Vec<u8> {
    record(DATA, &frame(role, TEXT, payload))
}

#[test]
fn the_handshake_of_the_layer_precedes_all_output() {
    let (mut client, mut server) = (layered(Role::Client), layered(Role::Server));
    let hello = written(&mut client);
    assert_eq!(records(&hello), [(HELLO, b"hello".to_vec())]);
    assert!(matches!(client.next_action(), Action::Wait { read: true, write: false, .. }));
    assert_eq!(feed(&mut server, &hello, NOW), []);
    assert!(matches!(server.next_action(), Action::Wait { read: true, write: true, .. }));
    let answer = written(&mut server);
    assert_eq!(records(&answer), [(HELLO, b"hello".to_vec())]);
    assert_eq!(feed(&mut client, &answer, NOW), []);
    assert!(matches!(client.next_action(), Action::Wait { read: true, write: true, .. }));
    let request = records(&written(&mut client));
    assert!(request[0].0 == DATA && request[0].1.starts_with(b"GET /chat"));
}

/// Runs an echo server and a client that sends messages of many sizes and closes; with a seed, cuts reads and writes at
/// random. Returns the events of both.
fn echo<L: Layer, M: Layer>(client: Driver<L>, server: Driver<M>, seed: Option<u64>) -> [Vec<Seen>; 2] {
    let sizes = [0, 1, 125, 126, 990, 1000, 1001, 5000, 70_000];
    let mut missing = sizes.len();
    let pipe = || seed.map_or_else(Pipe::fast, |seed| Pipe::new(200 * KIB, seed as usize % 5 * 700));
    let mut client = End::over(client, pipe()).on_event(move |driver, seen, now| match seen {
        Seen::Open => {
            for size in sizes {
                driver.websocket_mut().send(vec![b'm'; size]).unwrap();
            }
        }
        Seen::Message(_) => {
            missing -= 1;
            if missing == 0 {
                close(driver, now);
            }
        }
        _ => {}
    });
    let mut server = End::over(server, pipe()).on_event(|driver, seen, _| {
        if let Seen::Message(message) = seen {
            driver.websocket_mut().send(message.clone()).unwrap();
        }
    });
    (client.seed, server.seed) = (seed, seed.map(|seed| !seed));
    run(&mut client, &mut server, seconds(60.0), |_, _, _| {});
    for action in [client.ended, server.ended] {
        assert_eq!(action.unwrap().0, Action::Close);
    }
    [client.seen, server.seen]
}

#[test]
fn an_echo_in_random_splits_gives_the_same_events_as_without_a_layer() {
    let plain = |role| Driver::new(websocket(role, &Config::default()));
    let expected = echo(plain(Role::Client), plain(Role::Server), None);
    assert_eq!(expected[0].len(), 1 + 9 + 2);
    assert_eq!(expected[0].last(), Some(&closed(1000, true, Initiator::Local)));
    assert_eq!(expected[1].last(), Some(&closed(1000, true, Initiator::Peer)));
    for seed in 0..30 {
        assert!(echo(plain(Role::Client), plain(Role::Server), Some(seed)) == expected, "plain, seed {seed}");
        assert!(echo(layered(Role::Client), layered(Role::Server), Some(seed)) == expected, "layer, seed {seed}");
    }
}

#[test]
fn incomplete_records_are_buffered() {
    for role in BOTH {
        let mut driver = open(role);
        let bytes = message(role, b"in pieces");
        let seen: Vec<_> = bytes.iter().flat_map(|&byte| feed(&mut driver, &[byte], NOW)).collect();
        assert_eq!(seen, [Seen::Message(b"in pieces".to_vec())]);
        assert!(matches!(driver.next_action(), Action::Wait { read: true, .. }));
    }
}

#[test]
fn the_driver_continues_while_the_layer_holds_plaintext() {
    for role in BOTH {
        let mut driver = open(role);
        let bytes = (0..3).flat_map(|_| message(role, &[b'x'; 1000])).collect::<Vec<_>>();
        let message = Seen::Message(vec![b'x'; 1000]);
        assert_eq!(feed(&mut driver, &bytes, NOW), std::slice::from_ref(&message));
        for _ in 0..2 {
            assert_eq!(driver.next_action(), Action::Again);
            assert!(!driver.is_quiet());
            assert_eq!(pending(&mut driver, NOW), std::slice::from_ref(&message));
        }
        assert!(driver.is_quiet());
        assert!(matches!(driver.next_action(), Action::Wait { read: true, .. }));
    }
}

#[test]
fn plaintext_waits_in_the_layer_while_the_peer_does_not_read() {
    let (mut driver, role) = (open(Role::Server), Role::Server);
    driver.websocket_mut().send(vec![7; 2 * MIB]).unwrap();
    let bytes = (0..3).flat_map(|_| message(role, &[b'x'; 1000])).collect::<Vec<_>>();
    feed(&mut driver, &bytes, NOW);
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: true, .. }), "no busy loop");
    written(&mut driver);
    assert_eq!(driver.next_action(), Action::Again);
    assert_eq!(pending(&mut driver, NOW).len(), 1);
    assert_eq!(pending(&mut driver, NOW).len(), 1);
    assert!(matches!(driver.next_action(), Action::Wait { read: true, .. }));
}

#[test]
fn plaintext_that_the_layer_holds_precedes_the_end_of_the_stream() {
    for role in BOTH {
        let mut driver = open(role);
        let bytes = (0..3).flat_map(|_| message(role, &[b'x'; 1000])).collect::<Vec<_>>();
        let mut seen = feed(&mut driver, &bytes, NOW);
        driver.eof();
        while driver.next_action() == Action::Again {
            seen.extend(pending(&mut driver, NOW));
        }
        let message = Seen::Message(vec![b'x'; 1000]);
        let truncated = Seen::Io(ErrorKind::InvalidData);
        let expected = [message.clone(), message.clone(), message, truncated, closed(1006, false, Initiator::Peer)];
        assert!(seen == expected, "{} events", seen.len());
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn plaintext_that_the_layer_holds_precedes_the_end_after_a_failed_read() {
    for role in BOTH {
        let mut driver = open(role);
        let bytes = (0..2).flat_map(|_| message(role, &[b'x'; 1000])).collect::<Vec<_>>();
        let mut seen = feed(&mut driver, &bytes, NOW);
        driver.read_lost(ErrorKind::ConnectionReset.into(), NOW);
        while driver.next_action() == Action::Again {
            seen.extend(pending(&mut driver, NOW));
        }
        let message = Seen::Message(vec![b'x'; 1000]);
        assert!(seen == [message.clone(), message, closed(1006, false, Initiator::Peer)], "{} events", seen.len());
        assert_eq!(driver.next_action(), Action::Abort);
    }
}

#[test]
fn bytes_count_as_delivered_when_their_ciphertext_was_written() {
    for role in BOTH {
        let mut driver = open(role);
        driver.websocket_mut().send(vec![7; 100]).unwrap();
        let size = driver.to_write().remaining();
        assert!(size > 100 + OVERHEAD);
        driver.to_write().advance(size - 1);
        assert_eq!(driver.websocket().buffered_amount(), 100);
        driver.to_write().advance(1);
        assert_eq!(driver.websocket().buffered_amount(), 0);
    }
}

#[test]
fn the_layer_seals_more_only_when_the_previous_ciphertext_was_written() {
    for role in BOTH {
        let mut driver = open(role);
        driver.websocket_mut().send(vec![7; 10_000]).unwrap();
        let (mut pending, mut records) = (0, 0);
        loop {
            let outgoing = driver.to_write(); // the layer asserts that nothing is pending when it seals
            let size = outgoing.remaining();
            assert!(size <= 1000 + OVERHEAD);
            match pending {
                0 if size == 0 => break,
                0 => records += 1,
                _ => assert_eq!(size, pending, "the ciphertext is unchanged"),
            }
            let count = size.min(400);
            driver.to_write().advance(count);
            pending = size - count;
            assert!(matches!(driver.next_action(), Action::Wait { read: true, .. }));
        }
        assert_eq!((records, driver.websocket().buffered_amount()), (11, 0));
    }
}

#[test]
fn bytes_that_a_transport_takes_first_count_as_delivered_when_it_reports_them() {
    let mut driver = open(Role::Server);
    driver.websocket_mut().send(vec![7; 2500]).unwrap();
    let mut taken = vec![];
    for rest in [1504, 504, 0] {
        let mut in_flight = 0;
        loop {
            let bytes = driver.take_bytes(300);
            if bytes.is_empty() {
                break;
            }
            in_flight += bytes.len();
            taken.extend(bytes);
        }
        assert!(matches!(driver.next_action(), Action::Wait { write: false, .. }), "all of it is in flight");
        driver.delivered(in_flight - 1);
        assert!(driver.websocket().buffered_amount() > rest, "the record is not delivered");
        driver.delivered(1);
        assert_eq!(driver.websocket().buffered_amount(), rest);
    }
    let plaintext: Vec<_> = records(&taken).into_iter().flat_map(|(_, body)| body).collect();
    assert_eq!(frames(&plaintext)[0].payload, vec![7; 2500]);
}

#[test]
fn the_close_message_of_the_layer_precedes_the_end_of_the_sending_direction() {
    let mut driver = open(Role::Server);
    driver.websocket_mut().send("before").unwrap();
    close(&mut driver, NOW);
    let mut bytes = written(&mut driver);
    let peers_close = record(DATA, &crate::support::close_frame(Role::Server, 1000));
    assert_eq!(feed(&mut driver, &peers_close, NOW), [Seen::CloseReceived(1000)]);
    // the close message is queued, and has to be written first
    assert_eq!(driver.next_action(), Action::Again);
    assert!(matches!(driver.next_action(), Action::Wait { read: true, write: true, .. }));
    assert!(!driver.has_write_ended());
    while driver.to_write().has_remaining() {
        assert!(matches!(driver.next_action(), Action::Wait { write: true, .. }));
        bytes.push(driver.to_write().chunk()[0]);
        driver.to_write().advance(1);
    }
    let kinds: Vec<_> = records(&bytes).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.last(), Some(&GOODBYE));
    assert_eq!(kinds.iter().filter(|&&kind| kind == GOODBYE).count(), 1);
    assert_eq!(driver.next_action(), Action::ShutdownWrite);
    driver.write_shut_down();
    assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
    // the peer's close message is the end of its stream
    assert_eq!(feed(&mut driver, &record(GOODBYE, b""), NOW), [closed(1000, true, Initiator::Local)]);
    assert_eq!(driver.next_action(), Action::Close);
}

#[test]
fn the_close_message_of_the_peer_is_the_end_of_the_stream() {
    for role in BOTH {
        let mut driver = open(role);
        driver.websocket_mut().send("accepted").unwrap();
        let bytes = [message(role, b"before"), record(GOODBYE, b"")].concat();
        assert_eq!(feed(&mut driver, &bytes, NOW), [Seen::Message(b"before".to_vec())]);
        assert!(driver.has_read_ended());
        // later records are not opened
        assert_eq!(feed(&mut driver, &message(role, b"after"), NOW), []);
        assert!(matches!(driver.next_action(), Action::Wait { read: false, write: true, .. }));
        let plaintext = records(&written(&mut driver)).remove(0).1;
        assert_eq!(frames(&plaintext)[0].payload, b"accepted");
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, NOW), [closed(1006, false, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Again, "the layer's close message can be written");
        assert_eq!(records(&written(&mut driver)), [(GOODBYE, vec![])]);
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn a_stream_that_ends_without_the_close_message_is_truncated() {
    for role in BOTH {
        let mut driver = open(role);
        driver.eof();
        let expected = [Seen::Io(ErrorKind::InvalidData), closed(1006, false, Initiator::Peer)];
        assert_eq!(feed(&mut driver, b"", NOW), expected);
    }
}

#[test]
fn a_stream_that_ends_after_the_close_frame_of_the_peer_is_not_truncated() {
    for role in BOTH {
        let mut driver = open(role);
        let close_frame = record(DATA, &frame(role, CLOSE, &[0x03, 0xe8]));
        assert_eq!(feed(&mut driver, &close_frame, NOW), [Seen::CloseReceived(1000)]);
        driver.eof();
        written(&mut driver);
        assert_eq!(pending(&mut driver, NOW), [closed(1000, true, Initiator::Peer)]);
    }
}

#[test]
fn a_lost_transport_is_not_truncated() {
    for role in BOTH {
        let mut driver = open(role);
        driver.read_lost(ErrorKind::ConnectionReset.into(), NOW);
        assert_eq!(feed(&mut driver, b"", NOW), [closed(1006, false, Initiator::Peer)]);
    }
}

#[test]
fn plaintext_that_the_layer_holds_precedes_the_close_message_of_the_peer() {
    for role in BOTH {
        let mut driver = open(role);
        let bytes = [message(role, &[b'x'; 1000]), message(role, &[b'y'; 1000]), record(GOODBYE, b"")].concat();
        let mut seen = feed(&mut driver, &bytes, NOW);
        while driver.next_action() == Action::Again {
            seen.extend(pending(&mut driver, NOW));
        }
        let messages = [Seen::Message(vec![b'x'; 1000]), Seen::Message(vec![b'y'; 1000])];
        assert!(seen[..2] == messages && seen[2..] == [closed(1006, false, Initiator::Peer)], "{} events", seen.len());
    }
}

#[test]
fn a_broken_record_is_reported_once_and_ends_the_connection() {
    for role in BOTH {
        let mut driver = open(role);
        let mut broken = message(role, b"broken");
        *broken.last_mut().unwrap() ^= 1;
        let bytes = [message(role, b"before"), broken, message(role, b"after")].concat();
        let mut seen = feed(&mut driver, &bytes, NOW);
        while driver.next_action() == Action::Again {
            seen.extend(pending(&mut driver, NOW));
        }
        let expected =
            [Seen::Message(b"before".to_vec()), Seen::Io(ErrorKind::InvalidData), closed(1006, false, Initiator::Peer)];
        assert_eq!(seen, expected);
        assert_eq!(records(&written(&mut driver)), [(ALERT, vec![])], "the peer gets an alert");
        assert_eq!(feed(&mut driver, &message(role, b"ignored"), NOW), []);
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn a_broken_record_ends_a_connection_with_output_pending() {
    for role in BOTH {
        let mut end = End::over(open(role), Pipe::new(0, 10));
        end.driver.websocket_mut().send(vec![7; 5000]).unwrap();
        end.inbox.extend(record(9, b"what is this?"));
        run_alone(&mut end, seconds(7.5) + TICK, |_, _| {});
        assert_eq!(end.seen, [Seen::Io(ErrorKind::InvalidData), closed(1006, false, Initiator::Peer)]);
    }
}

#[test]
fn a_layer_whose_handshake_fails_is_reported_once() {
    for role in BOTH {
        let mut driver = layered(role);
        written(&mut driver);
        assert_eq!(feed(&mut driver, b"\x16\x00\x01 not of this layer", NOW), [Seen::Io(ErrorKind::InvalidData)]);
        assert_eq!(pending(&mut driver, NOW), []);
        assert_eq!(records(&written(&mut driver)), [(ALERT, vec![])]);
        assert_eq!((pending(&mut driver, NOW), driver.next_action()), (vec![], Action::Close));
    }
}

#[test]
fn close_delivers_all_accepted_messages_to_a_slow_reader_through_a_layer() {
    for role in BOTH {
        for (rate, capacity, knows_outstanding) in
            [(100 * KIB, 64 * KIB, false), (100 * KIB, MIB, true), (KIB, 0, false)]
        {
            let size = 20 * rate;
            let mut sender = End::over(layered(role), Pipe::new(rate, capacity)).on_event(move |driver, seen, now| {
                if *seen == Seen::Open {
                    driver.websocket_mut().send(vec![7; size]).unwrap();
                    close(driver, now);
                }
            });
            sender.knows_outstanding = knows_outstanding;
            let mut peer = End::over(layered(other(role)), Pipe::fast());
            run(&mut sender, &mut peer, seconds(60.0), |_, _, _| {});
            assert_eq!(peer.lengths(), [size]);
            assert_eq!(sender.last(), Some(&closed(1000, true, Initiator::Local)));
            assert_eq!(peer.last(), Some(&closed(1000, true, Initiator::Peer)));
            assert_eq!((sender.ended.unwrap().0, peer.ended.unwrap().0), (Action::Close, Action::Close));
        }
    }
}

#[test]
fn the_connection_to_a_silent_peer_ends_after_the_closing_timeout_through_a_layer() {
    for role in BOTH {
        for (size, capacity) in [(5, KIB), (5000, 10), (5000, MIB)] {
            let mut end = End::over(open(role), Pipe::new(0, capacity));
            end.driver.websocket_mut().send(vec![7; size]).unwrap();
            close(&mut end.driver, NOW);
            let ended = run_alone(&mut end, seconds(7.5) + TICK, |_, _| {});
            assert!(ended >= seconds(5.0), "{size} {capacity}");
            assert_eq!((end.seen, end.ended.unwrap().0), (vec![closed(1006, false, Initiator::Local)], Action::Abort));
        }
    }
}

#[test]
fn the_close_frame_is_the_last_frame_that_a_layer_seals() {
    let mut driver = open(Role::Client);
    close(&mut driver, NOW);
    let plaintext: Vec<_> = records(&written(&mut driver)).into_iter().flat_map(|(_, body)| body).collect();
    assert!(matches!(&frames(&plaintext)[..], [frame] if frame.opcode == CLOSE));
}
