//! Line 13 of the contract (`contract.rs`): a lost write side, an abort, and reports that coincide.

use sansocket::bytes::{Buf, Bytes};
use sansocket::{
    CloseCode, Config, Connection, Input, Instant, MessageKind, ReadyState, Role, TransportAction, WebSocket,
};

use crate::phases::assert_ended;
use crate::support::*;

use sansocket::Initiator::{Local, Peer};

// A driver may move a connection to another thread, and share it behind a lock of any kind.
const fn is_send_and_sync<T: Send + Sync + 'static>() {}
const _: () = is_send_and_sync::<WebSocket>();
const _: () = is_send_and_sync::<Connection>();

// After EPIPE the driver reads the peer's last bytes, even with a backlog: `wants_read` is true until FIN.
#[test]
fn the_last_bytes_of_the_peer_are_read_after_write_lost() {
    let mut config = Config::default();
    config.high_water_mark = 100;
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(vec![1; 100_000]).unwrap();
        assert_eq!(connection.wants_read(), role == Role::Client);
        connection.write_lost(Instant::EPOCH);
        assert_eq!((connection.wants_read(), connection.ready_state()), (true, ReadyState::Closing));

        let frames = [Frame::text("last").fin(false), Frame::ping("?"), Frame::continuation(" words")];
        assert_eq!(feed(&mut connection, &wire(role, &frames)), (vec![ping("?"), text("last words")], Ok(())));
        assert!(!connection.output().has_remaining(), "no Pong: nothing more can be written");
        assert_eq!((connection.wants_read(), connection.transport()), (true, TransportAction::Open));

        assert_eq!(owned(connection.receive_eof(seconds(1))), Ok(Some(abnormal(Peer))));
        assert_eq!(connection.transport(), TransportAction::Abort);
        assert_ended(&mut connection, false);
    }
}

// The peer's Close ends the connection, and is reported with its code. It is not clean, since our data was dropped.
#[test]
fn the_peers_close_ends_a_connection_whose_write_side_is_lost() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("lost").unwrap();
        connection.write_lost(Instant::EPOCH);
        let events = feed(&mut connection, &wire(role, &[Frame::binary("b"), Frame::close(4001, "why")]));
        assert_eq!(events, (vec![binary("b"), close_received(4001, "why")], Ok(())));
        assert!(!connection.output().has_remaining(), "no reply: nothing more can be written");
        assert_eq!((connection.wants_read(), connection.transport()), (false, TransportAction::Abort));
        assert_eq!(pending_event(&mut connection, Instant::EPOCH), Some(close_event(4001, "why", false, Peer)));
        assert_ended(&mut connection, false);
    }
}

// `write_lost` frees the output immediately, and `buffered_amount` keeps its value.
#[test]
fn the_output_is_freed_and_buffered_amount_kept() {
    for role in BOTH {
        let shared = Bytes::from(vec![7; 10_000]);
        let mut connection = open(role);
        connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
        connection.send(vec![7; 10_000]).unwrap();
        take(&mut connection, 1_000);
        let buffered = connection.buffered_amount();
        connection.write_lost(Instant::EPOCH);
        assert!(shared.is_unique(), "the payload is freed");
        assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, buffered));
        connection.output().advance(usize::MAX);
        connection.output().delivered(usize::MAX);
        assert!(connection.output().take_bytes(usize::MAX).is_empty());
        assert_eq!(connection.buffered_amount(), buffered, "a driver that empties the output delivers nothing");
        assert_eq!(connection.send("late"), Err(sansocket::SendError::NotOpen(ReadyState::Closing)));
    }
}

// If the driver empties the output after `write_lost`, the close is not clean.
#[test]
fn an_emptied_output_is_not_a_delivered_one() {
    for role in BOTH {
        let mut connection = open(role);
        connection.send("data").unwrap();
        close(&mut connection, 1000, "");
        connection.write_lost(Instant::EPOCH);
        connection.output().advance(usize::MAX);
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        assert_eq!(pending_event(&mut connection, Instant::EPOCH), Some(close_event(1000, "", false, Local)));
    }
}

// In any state, a driver that obeys `transport()` and `poll_timeout` after `write_lost` reaches the end without
// spinning.
#[test]
fn a_driver_reaches_an_end_after_write_lost() {
    let begins: [fn(&mut Connection); 4] = [
        |_| {},
        |connection| connection.send(vec![7; 2_000_000]).unwrap(),
        |connection| close(connection, 1000, ""),
        |connection| drop(feed(connection, &[0xff; 14])),
    ];
    for role in BOTH {
        for begin in begins {
            let mut connection = open(role);
            begin(&mut connection);
            connection.write_lost(Instant::EPOCH);
            assert!(connection.poll_timeout().is_some());
            let (at, _) = wait_for_end(&mut connection);
            assert!((seconds(5)..=seconds(7)).contains(&at), "{at:?}");
            assert_eq!((connection.transport(), connection.poll_timeout()), (TransportAction::Abort, None));
        }
    }
}

// A deadline that is handled after the end, and before the driver takes the event, changes nothing.
#[test]
fn a_deadline_after_write_lost_does_not_change_was_clean() {
    for role in BOTH {
        let mut connection = open(role);
        close(&mut connection, 1000, "");
        take_output(&mut connection);
        connection.write_lost(Instant::EPOCH);
        let _ = feed(&mut connection, &wire(role, &[Frame::close(1000, "")]));
        // our Close was delivered before
        let event = owned(connection.handle_timeout(seconds(100)));
        assert_eq!(event, Ok(Some(close_event(1000, "", true, Local))));
    }
}

// A reset is reported by `write_lost` and `receive_eof`, in either order.
#[test]
fn a_reset_is_a_lost_write_side_and_an_end_of_the_stream() {
    for role in BOTH {
        for eof_first in [false, true] {
            let mut connection = open(role);
            connection.send("pending").unwrap();
            let mut events = vec![];
            if eof_first {
                events.extend(owned(connection.receive_eof(Instant::EPOCH)).unwrap());
                assert_eq!(connection.transport(), TransportAction::Open);
            }
            connection.write_lost(Instant::EPOCH);
            if !eof_first {
                events.extend(owned(connection.receive_eof(Instant::EPOCH)).unwrap());
            }
            events.extend(pending_event(&mut connection, Instant::EPOCH));
            assert_eq!((events, connection.transport()), (vec![abnormal(Peer)], TransportAction::Abort));
            assert_ended(&mut connection, false);
        }
    }
}

// The peer's Close and FIN arrive together: our message and our reply are delivered, and the close is clean.
#[test]
fn close_and_fin_together_are_clean() {
    for role in BOTH {
        for piece in [1, 7, usize::MAX] {
            let mut connection = open(role);
            connection.send("on its way").unwrap();
            let events = feed(&mut connection, &wire(role, &[Frame::close(1000, "bye")]));
            assert_eq!(events, (vec![close_received(1000, "bye")], Ok(())));
            assert_eq!(connection.receive_eof(Instant::EPOCH), Ok(None));
            let mut bytes = vec![];
            while connection.output().has_remaining() {
                assert_eq!((connection.transport(), connection.has_pending_event()), (TransportAction::Open, false));
                bytes.extend(take(&mut connection, piece));
            }
            let frames = Frame::parse_unmasked(&bytes);
            assert_eq!(frames, [Frame::text("on its way"), Frame::close(1000, "")]);
            assert_eq!(pending_event(&mut connection, Instant::EPOCH), Some(closed(1000, "bye")));
            assert_eq!(connection.transport(), TransportAction::Close);
        }
    }
}

// The peer's Close is reported immediately, even if the server keeps TCP open.
#[test]
fn the_peers_close_is_reported_at_once() {
    let mut client = open(Role::Client);
    let mut bytes = wire(Role::Client, &[Frame::text("before"), Frame::close(4001, "quota")]);
    let mut input = Input::new(&mut bytes);
    let now = seconds(3);
    assert_eq!(owned(client.receive(&mut input, now)), Ok(Some(text("before"))));
    assert_eq!(client.ready_state(), ReadyState::Open);
    assert_eq!(owned(client.receive(&mut input, now)), Ok(Some(close_received(4001, "quota"))));
    assert_eq!(client.ready_state(), ReadyState::Closing);
    take_output(&mut client);
    // `Close` is the last event, after the end of TCP or at the deadline
    let (at, event) = wait_for_end(&mut client);
    assert_eq!(event, closed(4001, "quota"));
    assert!((seconds(8)..=seconds(10)).contains(&at), "{at:?}");
}

// A Close without a code is reported as 1005, immediately and at the end.
#[test]
fn a_close_without_a_code_is_1005() {
    for role in BOTH {
        let mut connection = open(role);
        let events = feed(&mut connection, &wire(role, &[Frame::new(CLOSE, [])]));
        assert_eq!(events, (vec![close_received(1005, "")], Ok(())));
        take_output(&mut connection);
        assert_eq!(owned(connection.receive_eof(Instant::EPOCH)), Ok(Some(closed(1005, ""))));
    }
}

// `abort` ends the connection immediately, and frees the output, taken or not.
#[test]
fn abort_ends_an_open_connection_immediately() {
    for role in BOTH {
        let shared = Bytes::from(vec![7; 100_000]);
        let mut connection = open(role);
        connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
        drop(connection.output().take_bytes(1_000));
        connection.abort(seconds(1));
        assert!(shared.is_unique());
        assert_eq!((connection.output().remaining(), connection.buffered_amount()), (0, 100_000));
        assert_eq!((connection.transport(), connection.wants_read()), (TransportAction::Abort, false));
        assert_eq!((connection.ready_state(), connection.poll_timeout()), (ReadyState::Closing, None));
        assert_eq!(connection.close(CloseCode::NORMAL, "", seconds(1)), Ok(()));
        let mut late = wire(role, &[Frame::text("late")]);
        let mut input = Input::new(&mut late);
        assert_eq!(owned(connection.receive(&mut input, seconds(1))), Ok(Some(abnormal(Local))));
        assert!(input.is_empty());
        assert_ended(&mut connection, false);
    }
}
