//! Memory of a connection: open, idle, ended, dropped.

use allocation_counter::measure;
use rand_chacha::ChaCha8Rng;
use sansocket::bytes::{Buf, Bytes};
use sansocket::{
    Chunk, Close, CloseCode, Config, Connection, EncodedBatch, Error, Event, Input, Instant, Message, MessageKind,
    Output, ProtocolError, Role, Scratch, SendError,
};

use crate::support::*;

#[test]
fn a_connection_is_small() {
    let sizes = (size_of::<Connection>(), size_of::<ProtocolError>(), size_of::<Event<'_>>());
    println!("bytes: Connection, ProtocolError, Event: {sizes:?}");
    assert!(sizes.0 <= 168, "a Connection has {} bytes", sizes.0);
    assert!(sizes.1 <= 2, "a ProtocolError has {} bytes", sizes.1);
}

/// RUSTSEC advisories on unsound `Send` and `Sync`, fastwebsockets#42: the compiler infers what we intend.
#[test]
fn types_go_to_other_threads() {
    fn send<T: Send>() {}
    fn send_and_sync<T: Send + Sync + Unpin + 'static>() {}

    send::<Connection>();
    send::<Input<'_>>();
    send_and_sync::<Scratch>();
    send_and_sync::<Output>();
    send_and_sync::<Config>();
    send_and_sync::<Event<'static>>();
    send_and_sync::<Message<'static>>();
    send_and_sync::<Chunk<'static>>();
    send_and_sync::<Close>();
    send_and_sync::<Error>();
    send_and_sync::<SendError>();
}

#[test]
fn an_idle_connection_owns_no_heap_memory() {
    let config = config(|_| ());
    for role in BOTH {
        // the client's generator of masking keys
        let expected = if role == Role::Client { size_of::<ChaCha8Rng>() } else { 0 } as i64;
        let mut connection = None;
        let created = measure(|| connection = Some(endpoint(role, &config)));
        assert_eq!(created.bytes_current, expected, "{role:?}: {created:?}");
        assert!(created.count_total <= 1, "{role:?}: {created:?}");

        // after use, too
        let mut connection = connection.unwrap();
        let busy = measured(|buffer| {
            for bytes in [frame(role, TEXT, b"a"), frame(role, BINARY_BEGINS, &[1; 50_000]), frame(role, ENDS, b"end")]
            {
                receive(&mut connection, buffer, &bytes).unwrap();
            }
            for byte in [frame(role, PING, &[2; 125]), frame(role, TEXT, &[b'x'; 300])].concat() {
                receive(&mut connection, buffer, &[byte]).unwrap();
            }
            connection.send("Hello").unwrap();
            connection.send(vec![3; 200_000]).unwrap();
            connection.send_shared(MessageKind::Binary, Bytes::from(vec![4; 10_000])).unwrap();
            connection.send_fragment(MessageKind::Text, b"a", false).unwrap();
            connection.send_fragment(MessageKind::Text, b"b", true).unwrap();
            connection.ping(b"ping").unwrap();
            drain(&mut connection, 1_000);
            // with a transport that takes first and delivers later, too
            for max in [1_000, 100_000] {
                connection.send(vec![3; 200_000]).unwrap();
                connection.send("Hello").unwrap();
                connection.ping(b"ping").unwrap();
                while !connection.output().take_bytes(max).is_empty() {}
                connection.output().delivered(10_000);
                connection.output().delivered(usize::MAX);
            }
            connection.send_batch(&EncodedBatch::new(&[])).unwrap();
            connection.progress(Instant::EPOCH);
        });
        assert_eq!(busy.bytes_current, 0, "{role:?}: {busy:?}");
    }
}

#[test]
fn an_ended_connection_frees_its_unfinished_message() {
    let config = config(|config| {
        config.keepalive = sansocket::Keepalive::Every(SECOND);
        config.pong_timeout = SECOND;
    });
    for role in BOTH {
        let ends: [fn(&mut Connection); 5] = [
            |connection| drop(connection.receive_eof(Instant::EPOCH).unwrap()),
            |connection| connection.abort(Instant::EPOCH),
            |connection| {
                connection.write_lost(Instant::EPOCH);
                drop(connection.receive_eof(Instant::EPOCH).unwrap());
            },
            |connection| {
                connection.close(CloseCode::NORMAL, "", Instant::EPOCH).unwrap();
                drop(connection.handle_timeout(Instant::EPOCH + 60 * SECOND).unwrap());
            },
            |connection| {
                connection.handle_timeout(Instant::EPOCH + SECOND).unwrap();
                connection.handle_timeout(Instant::EPOCH + 3 * SECOND).unwrap_err();
            },
        ];
        for end in ends {
            let mut connection = endpoint(role, &config);
            let begun = [head(role, BINARY, 1_000_000), vec![7; 300_000]].concat();
            assert_eq!(receive(&mut connection, &mut Vec::new(), &begun), Ok(0));
            let ends = measure(|| end(&mut connection));
            assert!(ends.bytes_current < -300_000, "{ends:?}");
        }
    }
}

/// `write_lost` and `abort` free the output and the record of bytes in flight, so that a broken connection that its
/// driver keeps pins no memory.
#[test]
fn a_broken_connection_frees_its_output() {
    let config = config(|_| ());
    for role in BOTH {
        for breaks in [Connection::write_lost, Connection::abort] {
            for taken in [0, 10_000] {
                let mut connection = endpoint(role, &config);
                let info = measure(|| {
                    for _ in 0..20 {
                        connection.send(vec![7; 50_000]).unwrap();
                        connection.send("Hello").unwrap();
                    }
                    drop(connection.output().take_bytes(taken));
                    breaks(&mut connection, Instant::EPOCH);
                });
                assert!(info.bytes_max > 1_000_000 && info.bytes_current < 256, "{role:?}: {info:?}");
            }
        }
    }
}

/// A message that is not finished when the connection fails or is closed is freed at once.
#[test]
fn an_unfinished_message_is_freed_when_the_connection_fails_or_closes() {
    let config = config(|_| ());
    for role in BOTH {
        for last in [frame(role, 0x83, b""), frame(role, CLOSE, b"")] {
            let mut connection = endpoint(role, &config);
            let begin = frame(role, BINARY_BEGINS, &[7; 100_000]);
            let info = measured(|buffer| {
                receive(&mut connection, buffer, &begin).unwrap();
                let _ = receive(&mut connection, buffer, &last);
            });
            assert!(info.bytes_current < 2 * SMALL as i64, "{role:?}: {info:?}");
        }
    }
}

/// jetty.project#293: a connection that is dropped in any state frees everything.
#[test]
fn a_dropped_connection_leaks_nothing() {
    let config = config(|config| config.max_buffered_amount = 500_000);
    for role in BOTH {
        let pieces = [
            frame(role, TEXT, b"whole"),
            frame(role, PING, b"p"),
            frame(role, TEXT_BEGINS, &[b'x'; 5_000]),
            frame(role, PING, &[1; 125]),
            frame(role, CONTINUES, "€".as_bytes()),
            frame(role, CLOSE, b"\x03\xE8bye"),
        ]
        .concat();
        let failing = [frame(role, BINARY_BEGINS, b"begun"), frame(role, BINARY, b"intruder")].concat();
        let info = measured(|buffer| {
            for end in (0..pieces.len()).step_by(61) {
                for taken in [0, 1, 60_000, usize::MAX] {
                    let mut connection = endpoint(role, &config);
                    connection.send("text").unwrap();
                    connection.send(vec![7; 70_000]).unwrap();
                    connection.ping(b"ping").unwrap();
                    connection.send_fragment(MessageKind::Text, b"begun", false).unwrap();
                    receive(&mut connection, buffer, &pieces[..end]).unwrap();
                    connection.output().advance(taken);
                    if taken == 1 {
                        connection.close(CloseCode::NORMAL, "reason", Instant::EPOCH).unwrap();
                        connection.receive_eof(Instant::EPOCH).unwrap();
                    }
                    drop(connection);
                }
            }
            let mut failed = endpoint(role, &config);
            receive(&mut failed, buffer, &failing).unwrap_err();
            drop(failed);
        });
        assert!(info.count_total > 100);
        assert_eq!((info.count_current, info.bytes_current), (0, 0), "{role:?}");
    }
}
