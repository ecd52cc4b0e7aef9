//! Scratch memory that a driver attaches and detaches.

use allocation_counter::measure;
use sansocket::bytes::{Buf, Bytes};
use sansocket::{Connection, MessageKind, Role, Scratch};

use crate::support::*;

/// Two connections share a scratch. After some use, sending allocates only the payloads that the test passes.
#[test]
fn sending_with_scratch_does_not_allocate() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connections = [endpoint(role, &config), endpoint(role, &config)];
        let mut scratch = Scratch::new();
        let shared = Bytes::from(vec![7; 5_000]);
        let mut run = |rounds| {
            for round in 0..rounds {
                let connection = &mut connections[round % 2];
                connection.attach_scratch(&mut scratch);
                if round % 10 == 9 {
                    connection.send(vec![7; 5_000]).unwrap();
                    drain(connection, 300);
                }
                connection.send("Hello").unwrap();
                connection.send(&[7; 500]).unwrap();
                connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
                drain(connection, 300);
                connection.detach_scratch(&mut scratch);
            }
        };
        // until the scratch has reached its size
        run(1_000);
        let info = measure(|| run(1_000));
        // the owned payloads
        assert_eq!(info.count_total, 100, "{role:?}: {info:?}");
    }
}

/// The next connection gets the queue of segments from the scratch, too.
#[test]
fn detaching_returns_the_segment_queue_to_the_scratch() {
    let config = config(|_| ());
    let mut connections = [endpoint(Role::Server, &config), endpoint(Role::Server, &config)];
    let mut scratch = Scratch::new();
    let shared = Bytes::from_static(&[7; 5_000]);
    let mut run = |connection: &mut Connection| {
        connection.attach_scratch(&mut scratch);
        for step in [usize::MAX, 300] {
            connection.send_shared(MessageKind::Binary, shared.clone()).unwrap();
            drain(connection, step);
        }
        connection.detach_scratch(&mut scratch);
    };
    run(&mut connections[0]);
    let info = measure(|| run(&mut connections[1]));
    assert_eq!(info.count_total, 0, "{info:?}");
}

/// Pending bytes move to queues and a buffer of the connection. The buffer is as long as they are. The scratch keeps its
/// buffer.
#[test]
fn detaching_copies_only_the_pending_bytes() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut scratch = Scratch::new();
        let mut send = |rest| {
            connection.attach_scratch(&mut scratch);
            connection.send(&[7; 9_000]).unwrap();
            drain_all_but(&mut connection, rest);
            connection.detach_scratch(&mut scratch);
            connection.output().remaining()
        };
        send(0);
        let info = measure(|| assert_eq!(send(100), 100));
        assert_eq!(info.count_total, 2, "{role:?}: {info:?}");
        assert!((100..100 + SMALL as i64).contains(&info.bytes_current), "{role:?}: {info:?}");
        drain(&mut connection, usize::MAX);
    }
}

/// A connection that has output pending keeps its queues, and uses only the pool of a scratch: the turns of a slow reader
/// copy nothing.
#[test]
fn turns_with_pending_output_do_not_allocate() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut scratch = Scratch::new();
        connection.send(&[7; 9_000]).unwrap();
        connection.ping(b"ping").unwrap();
        let pending = connection.output().remaining();
        let info = measure(|| {
            for _ in 0..100 {
                connection.attach_scratch(&mut scratch);
                connection.output().advance(10);
                connection.detach_scratch(&mut scratch);
            }
        });
        assert_eq!((info.count_total, connection.output().remaining()), (0, pending - 1_000), "{role:?}: {info:?}");

        connection.attach_scratch(&mut scratch);
        connection.recycle(vec![7; MILLION].into());
        connection.detach_scratch(&mut scratch);
        let info = measure(|| drop(scratch));
        assert!(info.bytes_current < -(MILLION as i64), "the scratch has the buffer again, {role:?}: {info:?}");
    }
}

/// A payload that the connection owns stays where it is when a scratch is attached and detached.
#[test]
fn detaching_does_not_copy_owned_payloads() {
    let config = config(|_| ());
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        connection.send(vec![7; MILLION]).unwrap();
        // into the payload
        connection.output().advance(100);
        let info = measure(|| {
            let mut scratch = Scratch::new();
            connection.attach_scratch(&mut scratch);
            connection.detach_scratch(&mut scratch);
        });
        assert!(info.bytes_max < 2 * SMALL && info.bytes_current == 0, "{role:?}: {info:?}");

        let mut scratch = Scratch::new();
        connection.attach_scratch(&mut scratch);
        drain(&mut connection, MILLION);
        connection.send(vec![7; MILLION]).unwrap();
        connection.output().advance(100);
        let info = measure(|| connection.detach_scratch(&mut scratch));
        assert!(info.bytes_max < SMALL, "{role:?}: {info:?}");
    }
}

/// A connection whose handler sends to another connection attaches the scratch while the other one has it.
#[test]
fn scratch_that_two_connections_had_at_once_is_merged() {
    let config = config(|_| ());
    let mut connections = [endpoint(Role::Server, &config), endpoint(Role::Server, &config)];
    for order in [[0, 1], [1, 0]] {
        let mut scratch = Scratch::new();
        connections[0].attach_scratch(&mut scratch);
        connections[0].send(vec![7; MILLION]).unwrap();
        drain(&mut connections[0], usize::MAX);
        connections[0].detach_scratch(&mut scratch);
        let info = measure(|| {
            order.into_iter().for_each(|index| connections[index].attach_scratch(&mut scratch));
            (0..2).for_each(|index| connections[index].detach_scratch(&mut scratch));
        });
        assert_eq!(info.bytes_current, 0, "{order:?}: {info:?}");
    }
}

/// The scratch keeps a bounded amount of memory, however much is sent.
#[test]
fn scratch_is_bounded() {
    const FRAMES: i64 = 128 * 1024;
    // 4 KiB for the lists
    const ALL: i64 = 4 * 1024 * 1024 + FRAMES + 4 * 1024;
    let config = config(|config| config.max_buffered_amount = 100 * MILLION);
    for role in BOTH {
        let mut connection = endpoint(role, &config);
        let mut scratch = Scratch::new();
        let mut held = 0;
        let mut keeps_at_most = |most, send: &dyn Fn(&mut Connection)| {
            let info = measure(|| {
                connection.attach_scratch(&mut scratch);
                send(&mut connection);
                drain(&mut connection, usize::MAX);
                connection.detach_scratch(&mut scratch);
            });
            held += info.bytes_current;
            assert!(held <= most, "{role:?}: {held} bytes, {info:?}");
            held
        };
        let encoded = keeps_at_most(FRAMES, &|connection| connection.send(&[7; 100_000][..]).unwrap());
        assert!(encoded >= 100_000, "{encoded}");
        let longer = keeps_at_most(ALL, &|connection| connection.send(&[7; FRAMES as usize][..]).unwrap());
        // the pool keeps it, like a payload
        assert!(longer > encoded + FRAMES, "{longer}");
        assert_eq!(keeps_at_most(ALL, &|connection| connection.send(&[7; FRAMES as usize][..]).unwrap()), longer);

        // shorter buffers are not kept
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

/// The scratch keeps no long segment queue, whether the segments were taken, or a control frame followed them.
#[test]
fn a_long_segment_queue_is_freed_when_it_is_empty() {
    let payload = Bytes::from(vec![7; 300]);
    for takes in [false, true] {
        let mut connection = endpoint(Role::Server, &config(|_| ()));
        let mut scratch = Scratch::new();
        let info = measure(|| {
            connection.attach_scratch(&mut scratch);
            for _ in 0..10_000 {
                connection.send_shared(MessageKind::Binary, payload.clone()).unwrap();
            }
            if takes {
                while !connection.output().take_bytes(usize::MAX).is_empty() {}
                connection.output().delivered(usize::MAX);
            } else {
                let most = connection.output().remaining() - 1;
                connection.output().advance(most);
                connection.ping(b"").unwrap();
                connection.output().advance(1);
                connection.output().advance(usize::MAX);
            }
            connection.detach_scratch(&mut scratch);
        });
        assert!(info.bytes_current <= 8 * 1024, "takes: {takes}, {info:?}");
    }
}

/// A buffer whose bytes were all taken during a turn is not kept for output that is still pending.
#[test]
fn detaching_frees_the_taken_buffer_of_earlier_output() {
    let mut connection = endpoint(Role::Server, &config(|_| ()));
    let mut scratch = Scratch::new();
    let info = measure(|| {
        connection.send(&[7; 100_000][..]).unwrap();
        connection.attach_scratch(&mut scratch);
        connection.send(&[8; 1_000][..]).unwrap();
        let most = connection.output().remaining() - 1;
        connection.output().advance(most);
        connection.detach_scratch(&mut scratch);
    });
    assert!(info.bytes_current <= 4 * 1024, "{info:?}");
}
