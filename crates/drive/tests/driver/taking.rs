//! Transports that take bytes first and deliver them later: `take_bytes` and `delivered`.

use std::io::ErrorKind;

use sansocket::bytes::{Buf, Bytes};
use sansocket::{Config, Initiator, Instant, MessageKind, Role};
use sansocket_drive::{Action, Driver};

use crate::support::{BOTH, MIB, Seen, close, close_frame, closed, feed, opened, pending, run_timers, seconds};

const NOW: Instant = Instant::EPOCH;

/// Takes everything, up to `max` bytes at a time.
fn take_all(driver: &mut Driver, max: usize) -> Vec<Bytes> {
    std::iter::from_fn(|| Some(driver.take_bytes(max)).filter(|bytes| !bytes.is_empty())).collect()
}

fn len(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

#[test]
fn nothing_is_taken_if_nothing_is_queued() {
    let mut driver = opened(Role::Server, &Config::default());
    assert!(driver.take_bytes(usize::MAX).is_empty());
    driver.websocket_mut().send("Hello").unwrap();
    assert!(driver.take_bytes(0).is_empty());
    assert_eq!(&driver.take_bytes(3)[..], b"\x81\x05H");
    assert_eq!(&driver.take_bytes(usize::MAX)[..], b"ello");
    assert!(driver.take_bytes(usize::MAX).is_empty());
    driver.delivered(usize::MAX); // counts as all bytes in flight
    assert_eq!(driver.websocket().buffered_amount(), 0);
}

#[test]
fn the_buffered_amount_falls_when_bytes_are_delivered() {
    for role in BOTH {
        for max in [1, 7, 4096, usize::MAX] {
            let mut driver = opened(role, &Config::default());
            driver.websocket_mut().send(vec![7; 10_000]).unwrap();
            let taken = len(&take_all(&mut driver, max));
            assert!(taken > 10_000);
            assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
            assert_eq!(driver.websocket().buffered_amount(), 10_000);
            driver.delivered(taken - 1);
            assert_eq!(driver.websocket().buffered_amount(), 1);
            driver.delivered(1);
            assert_eq!(driver.websocket().buffered_amount(), 0);
        }
    }
}

#[test]
fn the_high_water_mark_counts_bytes_in_flight() {
    let mut driver = opened(Role::Server, &Config::default());
    driver.websocket_mut().send(vec![7; 2 * MIB]).unwrap();
    let taken = len(&take_all(&mut driver, usize::MAX));
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: false, .. }));
    driver.delivered(taken);
    assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
}

#[test]
fn the_end_waits_for_bytes_in_flight() {
    let mut driver = opened(Role::Server, &Config::default());
    driver.websocket_mut().send("accepted").unwrap();
    assert_eq!(feed(&mut driver, &close_frame(Role::Server, 1000), NOW), [Seen::CloseReceived(1000)]);
    let taken = len(&take_all(&mut driver, usize::MAX));
    for _ in 0..taken {
        assert!(matches!(driver.next_action(), Action::Wait { read: true, write: false, .. }));
        driver.delivered(1);
    }
    assert_eq!(driver.next_action(), Action::ShutdownWrite);

    let mut driver = opened(Role::Server, &Config::default());
    driver.websocket_mut().send("accepted").unwrap();
    let taken = len(&take_all(&mut driver, usize::MAX));
    driver.eof();
    assert_eq!(pending(&mut driver, NOW), []);
    assert!(matches!(driver.next_action(), Action::Wait { read: false, write: false, until: Some(_) }));
    driver.delivered(taken);
    assert_eq!(driver.next_action(), Action::Again);
    assert_eq!(pending(&mut driver, NOW), [closed(1006, false, Initiator::Peer)]);
    assert_eq!(driver.next_action(), Action::Close);
}

#[test]
fn a_close_is_clean_if_it_was_delivered_not_if_it_was_taken() {
    for role in BOTH {
        for (reported, was_clean) in [(usize::MAX, true), (1, false), (0, false)] {
            let mut driver = opened(role, &Config::default());
            close(&mut driver, NOW);
            take_all(&mut driver, usize::MAX);
            assert_eq!(feed(&mut driver, &close_frame(role, 1000), NOW), [Seen::CloseReceived(1000)]);
            driver.delivered(reported);
            driver.read_lost(ErrorKind::ConnectionReset.into(), NOW);
            assert_eq!(pending(&mut driver, NOW), [closed(1000, was_clean, Initiator::Local)], "{reported}");
        }
    }
}

#[test]
fn only_delivered_bytes_in_flight_keep_the_connection() {
    for role in BOTH {
        let mut driver = opened(role, &Config::default());
        driver.websocket_mut().send(vec![7; 1000]).unwrap();
        close(&mut driver, NOW);
        take_all(&mut driver, 100);
        let (ended, seen) = run_timers(&mut driver, seconds(400.0), |driver, now| {
            if now < seconds(60.0) {
                driver.delivered(1);
            }
            None
        });
        // the last byte was delivered at 58.75 s
        assert_eq!(ended, seconds(63.75));
        assert_eq!((seen, driver.next_action()), (vec![closed(1006, false, Initiator::Local)], Action::Abort));
    }
}

#[test]
fn a_shared_payload_is_taken_without_a_copy() {
    let payload = Bytes::from(vec![7; MIB]);
    let mut driver = opened(Role::Server, &Config::default());
    driver.websocket_mut().send_shared(MessageKind::Binary, payload.clone()).unwrap();
    let pieces = take_all(&mut driver, usize::MAX);
    let shared = pieces.iter().find(|piece| piece.len() == MIB).expect("the payload in one piece");
    assert_eq!(shared.as_ptr(), payload.as_ptr());

    // also in pieces
    driver.websocket_mut().send_shared(MessageKind::Binary, payload.clone()).unwrap();
    let pieces = take_all(&mut driver, 64 * 1024);
    let range = payload.as_ptr_range();
    let in_place = pieces.iter().filter(|piece| range.contains(&piece.as_ptr())).map(Bytes::len).sum::<usize>();
    assert_eq!(in_place, MIB);
}

#[test]
fn the_bytes_taken_are_the_bytes_that_would_be_written() {
    for role in BOTH {
        let outputs = [1, 5, 64, usize::MAX].map(|max| {
            let mut driver = opened(role, &Config::default());
            driver.websocket_mut().send(vec![7; 5000]).unwrap();
            driver.websocket_mut().ping(b"there?").unwrap();
            driver.websocket_mut().send("Hello").unwrap();
            close(&mut driver, NOW);
            take_all(&mut driver, max).concat()
        });
        let mut driver = opened(role, &Config::default());
        driver.websocket_mut().send(vec![7; 5000]).unwrap();
        driver.websocket_mut().ping(b"there?").unwrap();
        driver.websocket_mut().send("Hello").unwrap();
        close(&mut driver, NOW);
        assert!(driver.to_write().has_remaining());
        let written = crate::support::written(&mut driver);
        assert!(outputs.iter().all(|output| *output == written));
    }
}
