//! What an idle connection holds.

use allocation_counter::measure;
use sansocket::bytes::Buf;
use sansocket::{Config, Connection, MessageKind, Role, Scratch};

use crate::support::*;

/// Returns the bytes that a connection holds after it has sent messages and written them, in turns of a scratch.
fn held(config: &Config, bits: u8, takeover: bool) -> i64 {
    let mut scratch = Scratch::new();
    let mut warm = endpoint(Role::Server, config, agreed(Role::Server, bits, takeover));
    let mut connection = endpoint(Role::Server, config, agreed(Role::Server, bits, takeover));
    let text = records(3_000, 1);
    let mut send = |connection: &mut Connection| {
        for _ in 0..3 {
            connection.attach_scratch(&mut scratch);
            connection.send(&text).unwrap();
            connection.output().advance(usize::MAX);
            connection.detach_scratch(&mut scratch);
        }
    };
    send(&mut warm);
    measure(|| send(&mut connection)).bytes_current
}

/// Deflate 63.
#[test]
fn an_idle_connection_holds_no_more_than_its_history() {
    assert_eq!(held(&config(), 12, false), 0, "without takeover");
    for (history, bits, most) in [(512, 12, 512), (512, 8, 256), (4_000, 12, 4_000), (64 * 1024, 15, 32 * 1024)] {
        let config = Config::default().compression(compression(6, 8, history));
        let held = held(&config, bits, true);
        assert!((most.min(3_000)..most + 150).contains(&held), "{held} bytes, with a history of {history}");
    }
}

/// Deflate 63: the fragments of a message share a context without takeover too, until the message ends.
#[test]
fn a_fragmented_message_leaves_nothing_behind() {
    let mut scratch = Scratch::new();
    let (mut connection, mut peer) = pair(Role::Server, false);
    let mut send = |connection: &mut Connection| {
        connection.attach_scratch(&mut scratch);
        for last in [false, false, true] {
            connection.send_fragment(MessageKind::Text, "a fragment", last).unwrap();
        }
        peer.read_one(connection);
        connection.detach_scratch(&mut scratch);
    };
    send(&mut pair(Role::Server, false).0);
    assert_eq!(measure(|| send(&mut connection)).bytes_current, 0);
}

/// A connection on a scratch allocates nothing for a message, once its history is complete.
#[test]
fn a_busy_connection_allocates_nothing() {
    let mut scratch = Scratch::new();
    let (mut connection, _) = pair(Role::Server, true);
    let texts = [records(900, 1), records(1_000, 2), records(100, 3)];
    let mut send = || {
        for text in &texts {
            connection.attach_scratch(&mut scratch);
            connection.send(text).unwrap();
            connection.output().advance(usize::MAX);
            connection.detach_scratch(&mut scratch);
        }
    };
    send();
    send();
    assert_eq!(measure(send).count_total, 0);
}
