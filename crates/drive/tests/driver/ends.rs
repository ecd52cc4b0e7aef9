//! The end of a connection: the actions that the driver demands, their order, and their time.

use std::time::Duration;

use sansocket::bytes::Buf;
use sansocket::{CloseCode, Config, Initiator, Instant, ReadyState, Role};
use sansocket_drive::{Action, Error, LayerScratch};

use crate::support::{
    BOTH, CLOSE, End, KIB, MIB, PING, PONG, Pipe, Seen, TEXT, broken_frame, close, close_frame, closed, feed, frame,
    frames, opened, pending, run_alone, seconds, websocket, written,
};

const TIMEOUT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(5 * 60);

#[test]
fn the_server_shuts_down_and_the_client_waits_for_it() {
    let now = Instant::EPOCH;
    let mut server = opened(Role::Server, &Config::default());
    close(&mut server, now);
    assert!(matches!(server.next_action(), Action::Wait { read: true, write: true, .. }));
    written(&mut server);
    assert!(matches!(server.next_action(), Action::Wait { read: true, write: false, .. }));
    assert_eq!(feed(&mut server, &close_frame(Role::Server, 1000), now), [Seen::CloseReceived(1000)]);
    assert_eq!(server.next_action(), Action::ShutdownWrite);

    let mut client = opened(Role::Client, &Config::default());
    assert_eq!(feed(&mut client, &close_frame(Role::Client, 4001), now), [Seen::CloseReceived(4001)]);
    assert_eq!(frames(&written(&mut client))[0].payload, 4001_u16.to_be_bytes());
    assert!(matches!(client.next_action(), Action::Wait { read: true, write: false, .. }));
    client.eof();
    assert_eq!(client.next_action(), Action::Again);
    assert_eq!(pending(&mut client, now), [closed(4001, true, Initiator::Peer)]);
    assert_eq!(client.next_action(), Action::Close);
}

#[test]
fn shutdown_write_is_demanded_once() {
    let now = Instant::EPOCH;
    let mut server = opened(Role::Server, &Config::default());
    feed(&mut server, &close_frame(Role::Server, 1000), now);
    written(&mut server);
    assert_eq!(server.next_action(), Action::ShutdownWrite);
    assert!(!server.has_write_ended());
    server.write_shut_down();
    assert!(server.has_write_ended());
    for _ in 0..3 {
        // later frames are discarded
        assert_eq!(feed(&mut server, &frame(Role::Server, TEXT, b"late"), now), []);
        assert!(matches!(server.next_action(), Action::Wait { read: true, write: false, until: Some(_) }));
        assert!(!server.to_write().has_remaining());
    }
    server.eof();
    assert_eq!(pending(&mut server, now), [closed(1000, true, Initiator::Peer)]);
    assert_eq!(server.next_action(), Action::Close);
}

// Once a fault: "If a server sends 4001 and keeps TCP open, the core reports the code 5.2 s later."
#[test]
fn the_code_of_the_peer_is_reported_when_its_close_frame_arrives() {
    for role in BOTH {
        let mut driver = opened(role, &Config::default());
        assert_eq!(feed(&mut driver, &close_frame(role, 4001), Instant::EPOCH), [Seen::CloseReceived(4001)]);
    }
}

// Once a fault: "If the peer's Close and FIN arrive together, `was_clean` is false".
#[test]
fn close_and_fin_that_arrive_together_are_clean() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        driver.websocket_mut().send("still to be delivered").unwrap();
        assert_eq!(feed(&mut driver, &close_frame(role, 1000), now), [Seen::CloseReceived(1000)]);
        driver.eof();
        assert_eq!(pending(&mut driver, now), []);
        assert!(matches!(driver.next_action(), Action::Wait { read: false, write: true, .. }));
        let frames = frames(&written(&mut driver));
        assert_eq!((frames[0].opcode, frames[1].opcode, frames.len()), (TEXT, CLOSE, 2));
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), [closed(1000, true, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn the_end_of_the_stream_is_remembered_until_the_output_is_delivered() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        driver.websocket_mut().send("accepted").unwrap();
        driver.eof();
        driver.eof(); // a second report is harmless
        assert!(driver.has_read_ended());
        assert_eq!(pending(&mut driver, now), []);
        assert_eq!(driver.websocket().ready_state(), ReadyState::Closing);
        assert!(matches!(driver.next_action(), Action::Wait { read: false, write: true, until: Some(_) }));
        let frames = frames(&written(&mut driver));
        assert!(matches!(&frames[..], [frame] if frame.payload == b"accepted"), "no Close frame is added");
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Peer)]);
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn received_bytes_are_handled_before_the_end_of_the_stream() {
    let mut driver = opened(Role::Server, &Config::default());
    driver.eof();
    let seen = feed(&mut driver, &frame(Role::Server, TEXT, b"before"), Instant::EPOCH);
    assert_eq!(seen, [Seen::Message(b"before".to_vec()), closed(1006, false, Initiator::Peer)]);
}

#[test]
fn a_peer_that_breaks_the_protocol_gets_the_reason_and_is_reported_once_before_close() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        let seen = feed(&mut driver, &broken_frame(role), now);
        assert!(matches!(&seen[..], [Seen::Peer(_)]), "{seen:?}");
        // later frames are discarded without another report
        assert_eq!(feed(&mut driver, &frame(role, TEXT, b"ignored"), now), []);
        let frames = frames(&written(&mut driver));
        assert_eq!((frames[0].opcode, &frames[0].payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]));
        assert_eq!(driver.next_action(), Action::ShutdownWrite);
        driver.write_shut_down();
        driver.eof();
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Local)]);
        assert_eq!(driver.next_action(), Action::Close);
    }
}

#[test]
fn abort_ends_the_connection_at_once() {
    for role in BOTH {
        let (mut driver, now) = (opened(role, &Config::default()), Instant::EPOCH);
        driver.websocket_mut().send("dropped").unwrap();
        driver.websocket_mut().abort(now);
        assert_eq!(driver.next_action(), Action::Again);
        assert_eq!(pending(&mut driver, now), [closed(1006, false, Initiator::Local)]);
        assert_eq!(driver.next_action(), Action::Abort);
        assert!(!driver.to_write().has_remaining());
    }
}

#[test]
fn a_connection_that_never_opened_ends_without_close() {
    for role in BOTH {
        let mut end = End::over(sansocket_drive::Driver::new(websocket(role, &Config::default())), Pipe::fast());
        end.fin_arrived = true;
        run_alone(&mut end, seconds(1.0), |_, _| {});
        assert!(matches!(&end.seen[..], [Seen::Peer(_)]), "{:?}", end.seen);
        assert_eq!(end.ended.unwrap().0, Action::Close);
    }
}

/// Returns an end that has queued a message of this size and closed.
fn closing(role: Role, size: usize, pipe: Pipe, knows_outstanding: bool) -> End {
    let mut end = End::over(opened(role, &Config::default()), pipe);
    end.knows_outstanding = knows_outstanding;
    end.driver.websocket_mut().send(vec![7; size]).unwrap();
    close(&mut end.driver, Instant::EPOCH);
    end
}

// The peer reads nothing, so that output stays pending, or the kernel has taken everything; acknowledgements are known
// or not. Tolerance: 1.5 times the timeout.
#[test]
fn the_connection_to_a_silent_peer_ends_after_the_closing_timeout() {
    for role in BOTH {
        for (size, knows_outstanding) in [(10, true), (10, false), (4 * MIB, true), (4 * MIB, false)] {
            let mut end = closing(role, size, Pipe::new(0, MIB), knows_outstanding);
            let ended = run_alone(&mut end, seconds(400.0), |_, _| {});
            assert!(ended >= Instant::EPOCH + TIMEOUT, "{size} {knows_outstanding}: {ended:?}");
            assert!(ended <= Instant::EPOCH + TIMEOUT.mul_f64(1.5), "{size} {knows_outstanding}: {ended:?}");
            assert_eq!(end.seen, [closed(1006, false, Initiator::Local)]);
            assert_eq!(end.ended.unwrap().0, Action::Abort);
            assert!(end.pipe.is_reset, "nothing stays in the kernel");
        }
    }
}

// After both Close frames, a client that keeps TCP open does not hold the server, and the close stays clean.
#[test]
fn a_peer_that_keeps_tcp_open_after_both_closes_does_not_hold_the_connection() {
    for role in BOTH {
        let mut end = closing(role, 10, Pipe::fast(), true);
        end.inbox.extend(close_frame(role, 1000));
        let ended = run_alone(&mut end, seconds(400.0), |end, _| end.inbox.extend(b"more"));
        assert!(ended >= Instant::EPOCH + TIMEOUT && ended <= Instant::EPOCH + TIMEOUT.mul_f64(1.5), "{ended:?}");
        assert_eq!(end.seen, [Seen::CloseReceived(1000), closed(1000, true, Initiator::Local)]);
        assert_eq!(end.ended.unwrap().0, Action::Close);
    }
}

/// Runs a closing connection against a peer that `each_tick` plays, and checks that it ends at `closing_limit`.
#[track_caller]
fn check_limit(mut end: End, each_tick: impl FnMut(&mut End, Instant)) {
    let ended = run_alone(&mut end, seconds(400.0), each_tick);
    assert!(ended >= Instant::EPOCH + LIMIT && ended <= Instant::EPOCH + LIMIT + Duration::from_secs(1), "{ended:?}");
    assert_eq!(end.ended.unwrap().0, Action::Abort);
    assert_eq!(end.last(), Some(&closed(1006, false, Initiator::Local)));
}

#[test]
fn a_peer_that_drips_does_not_hold_the_connection_beyond_the_closing_limit() {
    for role in BOTH {
        let mut tick = 0;
        check_limit(closing(role, 10, Pipe::fast(), true), |end, _| {
            tick += 1;
            if tick % 100 == 0 {
                end.inbox.extend(frame(role, PONG, b""));
            }
        });
    }
}

#[test]
fn a_peer_that_floods_does_not_hold_the_connection_beyond_the_closing_limit() {
    for role in BOTH {
        let pings = frame(role, PING, b"now?").repeat(3);
        check_limit(closing(role, 10, Pipe::fast(), true), |end, _| end.inbox.extend(&pings));
    }
}

#[test]
fn a_peer_that_reads_a_byte_at_a_time_does_not_hold_the_connection_beyond_the_closing_limit() {
    for role in BOTH {
        for (capacity, knows_outstanding) in [(0, false), (4 * KIB, true)] {
            let pipe = Pipe::new(1, capacity);
            check_limit(closing(role, 3 * KIB, pipe, knows_outstanding), |_, _| {});
        }
    }
}

#[test]
fn the_application_can_close_with_a_code_of_its_own() {
    let (mut driver, now) = (opened(Role::Server, &Config::default()), Instant::EPOCH);
    driver.websocket_mut().close(CloseCode::new(4002).unwrap(), "enough", now).unwrap();
    let frames = frames(&written(&mut driver));
    assert_eq!(frames[0].payload, [&4002_u16.to_be_bytes()[..], b"enough"].concat());
}

#[test]
fn an_exceeded_limit_is_not_the_fault_of_the_peer() {
    for role in BOTH {
        let mut driver = opened(role, &Config::default().max_message_size(3));
        let mut bytes = frame(role, TEXT, b"four");
        let mut scratch = LayerScratch::new();
        let mut input = driver.open(&mut bytes, &mut scratch);
        let error = driver.next_event(&mut input, seconds(1.0)).unwrap_err();
        let expected = "a message of 4 bytes exceeds the limit of 3 bytes (`max_message_size`)";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, Error::Limit(exceeded) if exceeded.name() == "max_message_size"));
        assert_eq!(driver.next_event(&mut input, seconds(1.0)).unwrap(), None, "once");
        assert!(written(&mut driver).len() > expected.len(), "the Close frame says the same");
    }
}
